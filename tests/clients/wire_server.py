"""A small real HTTP server on loopback whose answers a test writes byte by byte, or takes from a recording."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Received:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path without the query, as sent."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's last values."""
        return {key: values[-1] for key, values in parse_qs(urlsplit(self.target).query).items()}

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def search(self) -> dict[str, Any]:
        """EspoCRM's searchParams."""
        found = json.loads(self.query["searchParams"])
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Reply:
    """What goes back: `raw` bytes as they stand, or status, headers and body; `hangs` never answers."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    closes: bool = False
    hangs: bool = False
    raw: bytes | None = None

    def render(self) -> bytes:
        """The bytes for the wire."""
        if self.raw is not None:
            return self.raw
        length = len(self.body) if self.announced is None else self.announced
        lines = [f"HTTP/1.1 {self.status} X", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def reply_json(value: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; header names with underscores for hyphens."""
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **names})


def recorded(name: str) -> Reply:
    """The answer of a real EspoCRM server from `cases/`."""
    response = json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))["response"]
    body = response["body"]
    match response["body_encoding"]:
        case "json":
            raw = json.dumps(body).encode()
        case "empty":
            raw = b""
        case _:
            raw = body.encode()
    dropped = ("Transfer-Encoding", "Content-Length", "Content-Disposition")
    headers = {key: value for key, value in response["headers"].items() if key not in dropped}
    return Reply(response["status"], raw, headers)


Handler = Callable[[Received], Reply]


@dataclass
class WireServer:
    """A running server: its address, and every request so far."""

    url: str
    requests: list[Received]
    open_connections: set[asyncio.StreamWriter]
    cancelled_reads: int = 0


@asynccontextmanager
async def wire_server(handler: Handler | list[Reply]) -> AsyncIterator[WireServer]:
    """Serves until the block ends; a list of replies is given in turn, the last one again and again."""
    server = WireServer("", [], set())
    answer = _in_turn(handler) if isinstance(handler, list) else handler

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.open_connections.add(writer)
        try:
            await _serve(server, answer, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            server.open_connections.discard(writer)
            writer.close()

    running = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**20)
    host, port = running.sockets[0].getsockname()[:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        running.close()
        for writer in list(server.open_connections):
            writer.close()
        while server.open_connections:  # noqa: ASYNC110 - ends with the connections' own tasks
            await asyncio.sleep(0)


async def _serve(
    server: WireServer, answer: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        pairs = (line.split(":", 1) for line in head[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        body = await _body(reader, headers)
        request = Received(method, target, headers, body)
        server.requests.append(request)
        reply = answer(request)
        if reply.hangs:
            await reader.read()  # until the client gives up
            return
        writer.write(reply.render())
        await writer.drain()
        if reply.closes or reply.raw == b"":
            return


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        parts = []
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readexactly(2)
        return b"".join(parts)
    return await reader.readexactly(int(headers.get("content-length", "0")))


def _in_turn(replies: list[Reply]) -> Handler:
    rest = list(replies)

    def next_reply(_: Received) -> Reply:
        return rest.pop(0) if len(rest) > 1 else rest[0]

    return next_reply
