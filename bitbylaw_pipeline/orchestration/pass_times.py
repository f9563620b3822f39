"""A pass over a whole pair has come to its end: when that was, kept among the state's flags, and what follows from it."""

from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import batches, work_queue

_PREFIX = "advoware_pass:"
LOOKED_AT_AGAIN = 200
"""Parked records that a pass puts back into the queue; more of them at once is no matter of minutes any more."""


def conclude_pass(conn: Connection, now: float, pair: str) -> None:
    """Notes the pass, and wants what is parked: only now may it have been put right, here or on the other side."""
    note_pass(conn, now, pair)
    parked = [row.key for row in work_queue.parked(conn, stream=pair, limit=LOOKED_AT_AGAIN)]
    if parked:
        work_queue.want(conn, now, pair, parked, priority=work_queue.SWEEP_PRIORITY)


def note_pass(conn: Connection, now: float, pair: str) -> None:
    """Remembers that a pass over the pair has just come to its end (UTC epoch seconds)."""
    batches.set_flag(conn, now, _PREFIX + pair, str(now))


def last_pass(conn: Connection, pair: str) -> float | None:
    """When the last whole pass ended, in UTC epoch seconds; None if there was none yet."""
    text = batches.get_flag(conn, _PREFIX + pair)
    return None if text is None else float(text)
