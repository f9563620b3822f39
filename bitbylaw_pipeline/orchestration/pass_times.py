"""When a pair was last passed over as a whole, kept among the flags of the state database."""

from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import batches

_PREFIX = "advoware_pass:"


def note_pass(conn: Connection, now: float, pair: str) -> None:
    """Remembers that a pass over the pair has just come to its end (UTC epoch seconds)."""
    batches.set_flag(conn, now, _PREFIX + pair, str(now))


def last_pass(conn: Connection, pair: str) -> float | None:
    """When the last whole pass ended, in UTC epoch seconds; None if there was none yet."""
    text = batches.get_flag(conn, _PREFIX + pair)
    return None if text is None else float(text)
