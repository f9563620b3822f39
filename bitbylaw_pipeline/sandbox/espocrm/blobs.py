"""File contents: bytes that were uploaded, or large made-up text that is never held in memory."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

_CHUNK = 256 * 1024
_BLOCK = 64 * 1024
_WORDS = [
    "Klage",
    "Mieter",
    "Vermieter",
    "Kündigung",
    "Frist",
    "Gericht",
    "Antrag",
    "Beschluss",
    "Urteil",
    "Vollmacht",
    "Anlage",
    "Zahlung",
    "Rückstand",
    "Wohnung",
    "Räumung",
    "Termin",
    "Zustellung",
    "Forderung",
    "Vertrag",
    "Schriftsatz",
]


class Blob:
    """Contents of one attachment; never changes (`facts/espocrm.md` 8)."""

    __slots__ = ("_block", "_data", "_sha256", "_size")

    def __init__(self, data: bytes = b"", *, size: int | None = None, fill: str = "") -> None:
        """`data`, or `size` bytes of text made from the seed `fill`."""
        self._data = data
        self._size = len(data) if size is None else size
        self._block = b"" if size is None else _text_block(fill)
        self._sha256 = ""

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._size

    def chunks(self) -> Iterator[bytes]:
        """The contents in order, in pieces of at most 256 KiB."""
        if not self._block:
            for start in range(0, self._size, _CHUNK):
                yield self._data[start : start + _CHUNK]
            return
        piece = self._block * -(-min(_CHUNK, self._size) // _BLOCK)
        for start in range(0, self._size, _CHUNK):
            # Each piece begins with its own position, or all pieces of a file would be alike.
            numbered = b"%012d " % start + piece[13:]
            yield numbered[: min(_CHUNK, self._size - start)]

    def sha256(self) -> str:
        """Hex SHA-256 of the contents, computed once."""
        if not self._sha256:
            digest = hashlib.sha256()
            for chunk in self.chunks():
                digest.update(chunk)
            self._sha256 = digest.hexdigest()
        return self._sha256


def _text_block(seed: str) -> bytes:
    source = random.Random(seed)
    text = " ".join(source.choices(_WORDS, k=_BLOCK // 6)).encode("ascii", "replace").replace(b"?", b"e")
    return (text * 2)[:_BLOCK]
