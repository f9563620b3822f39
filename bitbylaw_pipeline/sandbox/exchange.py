"""Reading requests, answering them, and closing on the client: what the stand-ins' plain ASGI code shares."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping

from starlette.types import Message, Receive, Send


async def read_body(receive: Receive) -> bytes:
    """The whole request body. Raises ConnectionResetError if the client goes away."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("The client closed the connection.")
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks) if len(chunks) > 1 else chunks[0]


async def send_body(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Answer with these headers, Content-Length and `body`."""
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_json(
    send: Send, status: int, payload: object, headers: Mapping[str, str] | None = None
) -> None:
    """Answer with JSON."""
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    raw = [(b"content-type", b"application/json")]
    if headers:
        raw += [(key.lower().encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()]
    await send_body(send, status, raw, body)


class Exchange:
    """One request on its way: counts bytes both ways, remembers the status, can close on the client."""

    __slots__ = ("_receive", "_send", "request_bytes", "response_bytes", "status")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.request_bytes = 0
        self.response_bytes = 0
        self.status: int | None = None

    async def receive(self) -> Message:
        """ASGI's `receive`."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.request_bytes += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """ASGI's `send`."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.response_bytes += len(message.get("body", b""))
        await self._send(message)

    async def wait_for_disconnect(self, seconds: float) -> None:
        """Wait until the client goes away, at most `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await self._receive())["type"] != "http.disconnect":
                    pass

    async def close(self) -> None:
        """Close the client's connection: under uvicorn its socket, elsewhere by raising ConnectionResetError."""
        transport = getattr(getattr(self._send, "__self__", None), "transport", None)
        if transport is None:
            raise ConnectionResetError("The sandbox closed the connection (a fault set on this route).")
        # close() and not abort(): a half body already sent has to arrive. The disconnect is then waited for,
        # or uvicorn logs an error about the missing answer and tries to send a 500.
        transport.close()
        await self.wait_for_disconnect(5.0)
