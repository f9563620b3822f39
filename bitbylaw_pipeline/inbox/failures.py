"""What an error of the database driver means: run again, come back later, or a fault of the statement."""

from __future__ import annotations

from enum import Enum, auto

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class DatabaseUnavailable(Exception):
    """The database cannot be reached, is busy beyond patience, or went away before it confirmed a commit.

    In the last case the transaction may or may not have landed; everything that is written is safe to repeat.
    """


class Meaning(Enum):
    """What to do about a failed transaction."""

    AGAIN = auto()
    """Deadlock, serialisation failure, a locked file: nothing was written, and a repetition may pass."""
    LOST = auto()
    """The connection is gone, or there never was one."""
    UNAVAILABLE = auto()
    """The server answers and cannot serve: full disk, too many connections, a lock that is not given."""
    FAULT = auto()
    """The work's own: a violated constraint, a Python error."""


# https://www.postgresql.org/docs/current/errcodes-appendix.html
_AGAIN_CODES = frozenset({"40001", "40P01"})
_LOST_CODES = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})
_UNAVAILABLE_CLASSES = ("08", "53", "58")
_UNAVAILABLE_CODES = frozenset({"55P03", "57014"})
_SQLITE_AGAIN = ("database is locked", "database table is locked")
_SQLITE_UNAVAILABLE = (
    "disk i/o error",
    "database or disk is full",
    "unable to open database file",
    "readonly database",
)


def meaning_of(error: BaseException) -> Meaning:
    """Judges an error that ended a transaction."""
    if isinstance(error, PoolTimeout):
        return Meaning.UNAVAILABLE
    if not isinstance(error, DBAPIError) or error.orig is None:
        return Meaning.FAULT
    code = getattr(error.orig, "pgcode", None)
    if code is not None:
        return _meaning_of_code(code)
    text = str(error.orig).lower()
    if any(part in text for part in _SQLITE_AGAIN):
        return Meaning.AGAIN
    if any(part in text for part in _SQLITE_UNAVAILABLE):
        return Meaning.UNAVAILABLE
    # psycopg2 gives no code when there is no server at the other end to send one.
    if error.connection_invalidated or (type(error.orig).__module__ == "psycopg2" and _is_operational(error)):
        return Meaning.LOST
    return Meaning.FAULT


def _is_operational(error: DBAPIError) -> bool:
    return type(error.orig).__name__ in ("OperationalError", "InterfaceError")


def _meaning_of_code(code: str) -> Meaning:
    if code in _AGAIN_CODES:
        return Meaning.AGAIN
    if code in _LOST_CODES:
        return Meaning.LOST
    if code in _UNAVAILABLE_CODES or code.startswith(_UNAVAILABLE_CLASSES):
        return Meaning.UNAVAILABLE
    return Meaning.FAULT
