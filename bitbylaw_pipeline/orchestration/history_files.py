"""What of Dagster's history lies in files: captured output, and SQLite's databases with what was deleted from them."""

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bitbylaw_pipeline.domain.erasure import Mention

SQLITE_WAIT_SECONDS = 10.0
_TRIES, _AGAIN_SECONDS = 4, 0.5
"""A reader keeps the log from being emptied, and Dagster's look in for moments."""
_PIECE = 1 << 20
_OVERLAP = 512
"""Longer than any id with the word before it: one that lies across two pieces is found in the second."""


def contains(file: Path, subject: Mention) -> bool:
    """Whether any of the ids stands in the file's bytes."""
    patterns = _in_bytes(subject)
    return any(pattern.search(piece) for _, piece in _pieces(file) for pattern in patterns)


def cross_out_files(folder: Path, subject: Mention) -> int:
    """Overwrites the ids in all files below the folder, in place: a program that writes to one goes on. Counts files."""
    return sum(_cross_out(file, subject) for file in _files(folder))


def count_files(folder: Path, subject: Mention) -> int:
    """In how many files below the folder the ids stand."""
    return sum(contains(file, subject) for file in _files(folder))


def compact(database: Path, *, wait_seconds: float = SQLITE_WAIT_SECONDS) -> bool:
    """Writes SQLite's file anew, without what was deleted, and empties its log; False where others keep it busy."""
    if not database.exists():
        return True
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_AGAIN_SECONDS)
        connection = sqlite3.connect(database, timeout=wait_seconds, isolation_level=None)
        with contextlib.closing(connection), contextlib.suppress(sqlite3.OperationalError):
            connection.execute("VACUUM")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                return True
    return False


def remove_database(database: Path) -> None:
    """Deletes a SQLite database with its log."""
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink())


def _cross_out(file: Path, subject: Mention) -> bool:
    spans = {
        (at + match.start(), match[0])
        for at, piece in _pieces(file)
        for pattern in _in_bytes(subject)
        for match in pattern.finditer(piece)
    }
    if not spans:
        return False
    with file.open("r+b") as opened:
        for start, found in sorted(spans):
            word = re.search(rb"[A-Za-z0-9_-]+$", found)
            if word is not None:
                opened.seek(start + word.start())
                opened.write(b"x" * len(word[0]))
    return True


def _in_bytes(subject: Mention) -> list[re.Pattern[bytes]]:
    return [re.compile(pattern.encode()) for pattern in subject.patterns()]


def _pieces(file: Path) -> Iterator[tuple[int, bytes]]:
    """(place, bytes) of the file, each piece with the end of the one before."""
    try:
        opened = file.open("rb")
    except FileNotFoundError:
        return
    with opened:
        at, tail = 0, b""
        while piece := opened.read(_PIECE):
            yield at - len(tail), tail + piece
            at += len(piece)
            tail = piece[-_OVERLAP:]


def any_contains(files: Iterable[Path], subject: Mention) -> bool:
    """Whether one of these files has any of the ids."""
    return any(contains(file, subject) for file in files)
