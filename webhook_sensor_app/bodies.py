"""Reads bodies within bounds: of size, of time, and of memory over all requests together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from webhook_sensor_app.refusal import Refusal

READ_SECONDS = 8.0
"""EspoCRM gives up after 10 s by itself."""


class Bodies:
    """Bounds what all requests together hold in memory to `max_total_bytes`, and each to `max_bytes`."""

    def __init__(
        self,
        max_bytes: int,
        *,
        max_total_bytes: int,
        read_seconds: float = READ_SECONDS,
        advice: str = "send fewer events in a request",
    ) -> None:
        self._max_bytes = max_bytes
        self._free_bytes = max_total_bytes
        self._read_seconds = read_seconds
        self._advice = advice

    @contextmanager
    def room(self) -> Iterator[bytearray]:
        """An empty buffer for `read`; what it takes up is given back at the end."""
        buffer = bytearray()
        try:
            yield buffer
        finally:
            self._free_bytes += len(buffer)

    async def read(self, request: Request, buffer: bytearray) -> None:
        """Fills the buffer with the body.

        Raises Refusal: 415 for an encoding or type that is not plain JSON, 413 as soon as the body is too long, 408
        if it dawdles, 503 if too much is held already. A client that goes away is one that dawdled.
        """
        self._check_head(request)
        try:
            async with asyncio.timeout(self._read_seconds):
                async for chunk in request.stream():
                    self._take(chunk, buffer)
        except (TimeoutError, ClientDisconnect):
            raise Refusal(
                408,
                f"The body was not complete after {self._read_seconds:g} s: send it again, faster.",
                "slow_body",
            ) from None

    def _take(self, chunk: bytes, buffer: bytearray) -> None:
        if len(buffer) + len(chunk) > self._max_bytes:
            raise self._too_long()
        if len(chunk) > self._free_bytes:
            raise Refusal(
                503,
                "Too many bodies are being received at the moment: send the same request again.",
                "too_many_bodies",
            )
        self._free_bytes -= len(chunk)
        buffer += chunk

    def _check_head(self, request: Request) -> None:
        if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise Refusal(
                415, "The body is compressed or encoded: send it plain, without Content-Encoding.", "encoded"
            )
        kind, _, parameters = request.headers.get("content-type", "").partition(";")
        charset = parameters.strip().lower().replace('"', "")
        if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
            raise Refusal(
                415, "The body is not declared as JSON: send Content-Type: application/json.", "not_json"
            )
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self._max_bytes:
            raise self._too_long()

    def _too_long(self) -> Refusal:
        return Refusal(
            413,
            f"The body is longer than {self._max_bytes} bytes: {self._advice}.",
            "too_long",
        )
