"""Passes over whole pairs of EspoCRM and Advoware: when the last came to its end, kept among the state's flags."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.inbox import batches, work_queue
from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import flag

_PREFIX = "advoware_pass:"
_AWAITED = "advoware_pass_awaited:"
LOOKED_AT_AGAIN = 200
"""Parked records that a pass puts back into the queue; more of them at once is no matter of minutes any more."""

_AWAIT = Prepared(
    insert(flag)
    .values(name=bindparam("with_name", type_=TEXT), value="1", set_at=bindparam("at_now", type_=DOUBLE))
    .on_conflict_do_nothing(index_elements=[flag.c.name])
)
_AWAITED_SINCE = Prepared(select(flag.c.set_at).where(flag.c.name == bindparam("with_name", type_=TEXT)))


def await_pass(conn: Connection, now: float, pair: str) -> None:
    """A pass over the pair begins: of the first of all its time is kept, for nobody else knows since when one is due."""
    _AWAIT(conn, {"with_name": _AWAITED + pair, "at_now": now})


def awaited_since(conn: Connection, pair: str) -> float | None:
    """When the first pass over the pair began, whatever became of it (UTC epoch seconds); None before it."""
    found: float | None = _AWAITED_SINCE(conn, {"with_name": _AWAITED + pair}).scalar_one_or_none()
    return found


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
