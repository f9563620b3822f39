"""A file on its way through: on disk under a generated name, hashed while it is written, gone in the end.

What a person called the file never becomes part of a path (EspoCRM keeps `../a/b?.pdf` as it is,
`facts/espocrm.md` 8).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from bitbylaw_pipeline.domain.errors import Transient

_PREFIX = "spool-"


class SpoolFile:
    """A spooled file: `write` pieces into it, then read `path`, `size` (bytes), `md5` and `sha256` (hex)."""

    def __init__(self, path: Path, target: FileIO) -> None:
        self.path = path
        self.size = 0
        self._target = target
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Appends, so that it can be read from `path` at once; Transient if the disk does not take it."""
        rest = memoryview(piece)
        try:
            while rest:
                rest = rest[self._target.write(rest) :]
        except OSError as error:
            raise _disk_trouble(error) from None
        self._md5.update(piece)
        self._sha256.update(piece)
        self.size += len(piece)

    @property
    def md5(self) -> str:
        """Hex digest of what was written so far."""
        return self._md5.hexdigest()

    @property
    def sha256(self) -> str:
        """Hex digest of what was written so far."""
        return self._sha256.hexdigest()


@contextmanager
def spooled(folder: Path) -> Iterator[SpoolFile]:
    """A new file in `folder` (made if missing, for our user alone); removed at the end, whatever happens."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_PREFIX, dir=folder)
    except OSError as error:
        raise _disk_trouble(error) from None
    path = Path(name)
    try:
        # Unbuffered: a buffer that a full disk did not take would be written again, and fail again, at the close.
        with os.fdopen(handle, "wb", buffering=0) as target:
            yield SpoolFile(path, target)
    finally:
        path.unlink(missing_ok=True)


def sweep(folder: Path, *, older_than: float) -> int:
    """Removes what a killed process left: spooled files last written before `older_than` (epoch seconds)."""
    removed = 0
    for path in folder.glob(f"{_PREFIX}*") if folder.is_dir() else ():
        try:
            if path.stat().st_mtime < older_than:
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue
    return removed


def _disk_trouble(error: OSError) -> Transient:
    return Transient(
        f"The spool folder does not take the file ({error.strerror or type(error).__name__}): "
        "make room, or set SPOOL_DIR to a folder with more.",
        system="spool",
    )
