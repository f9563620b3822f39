"""Clients of the xAI stand-in, in process, and its clock pinned at a known moment."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from bitbylaw_pipeline.sandbox.xai import XaiSandbox, create_app

START = 1_762_345_678.25


class Host:
    """One host of the stand-in with its key; every call is a request of its own."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self.headers = {"Authorization": f"Bearer {key}"}

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send one request; `headers` replaces the key's."""
        request.setdefault("headers", self.headers)

        async def main() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://xai") as client:
                return await client.request(method, path, **request)

        return asyncio.run(main())

    def json(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of a 200; fails the test for any other status."""
        answer = self.call(method, path, **request)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()


class Xai:
    """Both hosts, and shortcuts for what most tests need."""

    def __init__(self, sandbox: XaiSandbox) -> None:
        self.sandbox = sandbox
        self.files = Host(sandbox.files_app, sandbox.api_key)
        self.management = Host(sandbox.management_app, sandbox.management_key)

    def switch(self, **switches: Any) -> None:
        """Turn switches through the control route."""
        self.files.json("POST", "/sandbox/switches", json=switches)

    def advance(self, seconds: float) -> None:
        """Move the clock through the control route."""
        self.management.json("POST", "/sandbox/clock", json={"advance": seconds})

    def upload(self, data: bytes = b"Klage", name: str = "klage.txt", kind: str = "text/plain") -> str:
        """Upload a file and return its id."""
        answer = self.files.json("POST", "/v1/files", files={"file": (name, data, kind)})
        return str(answer["id"])

    def collection(self, name: str = "Akte", **more: Any) -> str:
        """Create a collection and return its id."""
        answer = self.management.json("POST", "/v1/collections", json={"collection_name": name, **more})
        return str(answer["collection_id"])

    def attach(self, collection_id: str, file_id: str, **fields: str) -> httpx.Response:
        """Attach a file to a collection."""
        path = f"/v1/collections/{collection_id}/documents/{file_id}"
        return self.management.call("POST", path, json={"fields": fields} if fields else None)

    def document(self, collection_id: str, file_id: str) -> Any:
        """The document in the collection."""
        return self.management.json("GET", f"/v1/collections/{collection_id}/documents/{file_id}")

    def members(self, collection_id: str, **query: Any) -> list[str]:
        """Names of the documents in the collection."""
        path = f"/v1/collections/{collection_id}/documents"
        documents = self.management.json("GET", path, params=query)["documents"]
        return [item["file_metadata"]["name"] for item in documents]


@pytest.fixture
def xai() -> Xai:
    """A fresh stand-in whose clock stands still until it is advanced."""
    sandbox = create_app()
    sandbox.clock.pin(START)
    return Xai(sandbox)
