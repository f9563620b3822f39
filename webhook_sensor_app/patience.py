"""HTTP on a socket with little patience: uvicorn alone would keep a dawdling client for ever.

(900 clients that send a byte now and then: none was closed within 14 s, `facts/reliability.md` 5, 12e.) This bounds
the head of a request and what follows an answer; the time for a body is the app's business.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 5.0
HEAD_BYTES = 64 * 1024

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class ImpatientProtocol(HttpToolsProtocol):
    """Closes a connection whose next request has not got through its head in time, or has too long a head."""

    _deadline: asyncio.TimerHandle | None = None
    _is_in_head = False
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Starts the time for the first head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the time."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Starts the time for a further head with its first byte, and counts a head's bytes.

        The rest of a body that was answered without being read (413) has the same time to come to its end.
        """
        if self._deadline is None and self._is_idle():
            self._expect_head()
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._close(_TOO_LONG)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Stops the time: the head is there."""
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._close, _TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self, answer: bytes) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if self._is_in_head and self._is_idle():
            self.transport.write(answer)
        self.transport.close()
