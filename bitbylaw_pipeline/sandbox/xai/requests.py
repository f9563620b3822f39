"""A request as the two hosts' routes see it."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

from starlette.types import Receive, Scope

from bitbylaw_pipeline.sandbox.exchange import read_body


class Request:
    """Method, path segments, query and body of one ASGI request."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.segments: list[str] = scope["path"].split("/")[1:]
        self.body_read = False

    def header(self, name: bytes) -> bytes:
        """The value of a header (name in lower case), or b""."""
        for key, value in self.scope["headers"]:
            if key == name:
                return bytes(value)
        return b""

    def bearer(self) -> str | None:
        """The key in the Authorization header; None if the header is missing or of another form."""
        scheme, _, key = self.header(b"authorization").decode("latin-1").partition(" ")
        return key.strip() if scheme.lower() == "bearer" and key.strip() else None

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The query's values by name."""
        return parse_qs(self.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)

    def query_value(self, name: str) -> str:
        """A query parameter's first value, or ""."""
        return self.query.get(name, [""])[0]

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object, {} if it is empty. Raises ValueError if it is something else."""
        raw = await self.body()
        if not raw.strip():
            return {}
        try:
            data = json.loads(raw)
        except ValueError:
            raise ValueError("invalid JSON in the request body") from None
        if not isinstance(data, dict):
            raise ValueError("the request body is not a JSON object")
        return data

    async def body(self) -> bytes:
        """The raw body."""
        self.body_read = True
        return await read_body(self.receive)

    async def drain(self) -> None:
        """Read what is left of the body: a refusal sent before reads as a broken pipe to a writing client."""
        if not self.body_read and self.method not in ("GET", "DELETE", "HEAD"):
            await self.body()
