"""A multipart/form-data body with one file, made while it is sent: known length, flat memory, no injected header.

httpx's own reads the file in the event loop and escapes header values by the browsers' rules (a line break in a
name becomes %0A, which a receiver may decode). Here a value that could end a header is refused.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx

CHUNK_BYTES = 256 * 1024

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029"\\]')


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file on disk as one part of a form; `file_name` as by `domain.file_name.safe_upload_name`."""

    field: str
    path: Path
    size: int
    file_name: str
    content_type: str


class Multipart(httpx.AsyncByteStream):
    """The body: the fields, then the file (xAI wants fields that govern a file before it, `facts/xai.md` 2.1).

    Raises ValueError for a name or type that could end a header.
    """

    def __init__(
        self, fields: Iterable[tuple[str, str]], file: FilePart, boundary: str | None = None
    ) -> None:
        self._boundary = boundary or f"bitbylaw-{secrets.token_hex(16)}"
        self._file = file
        self._head = self._before(fields)
        self._tail = f"\r\n--{self._boundary}--\r\n".encode()

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return len(self._head) + self._file.size + len(self._tail)

    @property
    def headers(self) -> dict[str, str]:
        """The two headers that go with it."""
        return {
            "Content-Type": f"multipart/form-data; boundary={self._boundary}",
            "Content-Length": str(self.size),
        }

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._file.path.open("rb") as content:
            if self._file.size <= CHUNK_BYTES:
                # Just written, so still in the page cache: a thread would cost more than the read.
                yield self._head + content.read(self._file.size) + self._tail
                return
            yield self._head
            while chunk := await asyncio.to_thread(content.read, CHUNK_BYTES):
                yield chunk
            yield self._tail

    def _before(self, fields: Iterable[tuple[str, str]]) -> bytes:
        lines: list[str] = []
        for name, value in fields:
            lines += [
                f"--{self._boundary}",
                f'Content-Disposition: form-data; name="{_safe(name)}"',
                "",
                value,
            ]
        lines += [
            f"--{self._boundary}",
            f'Content-Disposition: form-data; name="{_safe(self._file.field)}"; filename="{_safe(self._file.file_name)}"',
            f"Content-Type: {_safe(self._file.content_type)}",
            "",
            "",
        ]
        return "\r\n".join(lines).encode()


def _safe(value: str) -> str:
    if _UNSAFE.search(value) or not value:
        raise ValueError(
            "A name or type for a form's header is empty or holds characters that could end the header."
        )
    return value
