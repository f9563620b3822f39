"""A request as the stand-in's routes see it, and what they answer with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from bitbylaw_pipeline.sandbox.exchange import read_body, send_body, send_json


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and payload: a str is plain text, None an empty body, anything else JSON."""

    payload: Any = None
    status: int = 200
    allow: str = ""


class Refusal(Exception):
    """An answer that is no success; see `Answer`."""

    def __init__(self, status: int, payload: Any, *, allow: str = "") -> None:
        super().__init__(status)
        self.answer = Answer(payload, status, allow)


def bad_request(message: str) -> Refusal:
    """400 in the form of ASP.NET (the form is a guess)."""
    return Refusal(400, {"Message": message})


def not_found() -> Refusal:
    """404 without a body, as IIS sends it (a guess)."""
    return Refusal(404, None)


def not_allowed(*methods: str) -> Refusal:
    """405 with the methods that are allowed."""
    message = "The requested resource does not support this http method."
    return Refusal(405, {"Message": message}, allow=", ".join(methods))


class Request:
    """Method, path, query and body of one ASGI request."""

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._body = body

    @classmethod
    async def read(cls, scope: Scope, receive: Receive) -> Request:
        """With the whole body: a refusal sent before that reads as a broken pipe to a writing client."""
        return cls(scope, await read_body(receive))

    def header(self, name: bytes) -> str:
        """The value of a header (name in lower case), or ""."""
        for key, value in self.scope["headers"]:
            if key == name:
                return bytes(value).decode("latin-1")
        return ""

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's last value by name, names as they were sent: `frNr` is not `frnr`."""
        return dict(parse_qsl(self.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises Refusal (400) for anything else."""
        try:
            data = json.loads(self._body)
        except ValueError:
            raise bad_request("The request body is no JSON.") from None
        if not isinstance(data, dict):
            raise bad_request("The request body is no JSON object.")
        return data

    def control_json(self) -> Any:
        """The body of a control request, None without one. Raises ValueError."""
        return json.loads(self._body) if self._body.strip() else None


async def send_answer(send: Send, answer: Answer) -> None:
    """Send it, as JSON, text or nothing."""
    headers = {"Allow": answer.allow} if answer.allow else None
    if answer.payload is None:
        await send_body(send, answer.status, [], b"")
    elif isinstance(answer.payload, str):
        text = [(b"content-type", b"text/plain; charset=utf-8")]
        await send_body(send, answer.status, text, answer.payload.encode())
    else:
        await send_json(send, answer.status, answer.payload, headers)
