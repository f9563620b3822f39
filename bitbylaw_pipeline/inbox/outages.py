"""Systems that are down: their streams pause, and no work is tried, or counted as failed, in vain."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, case, delete, select
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import outage

REFUSED = "refuses our key"
"""The reason of an outage that a person has to end: the others pass by themselves."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A system that failed at `since` and has not been seen well again; it is left alone until `until`."""

    system: str
    since: float
    until: float
    reason: str


_given = insert(outage).values(
    system=bindparam("of_system", type_=TEXT),
    since=bindparam("at_now", type_=DOUBLE),
    until=bindparam("with_until", type_=DOUBLE),
    reason=bindparam("with_reason", type_=TEXT),
)
_PAUSE = Prepared(
    _given.on_conflict_do_update(
        index_elements=[outage.c.system],
        set_={
            # A shorter pause that is reported later must not cut a Retry-After short.
            "until": case(
                (outage.c.until > _given.excluded.until, outage.c.until), else_=_given.excluded.until
            ),
            "reason": _given.excluded.reason,
        },
    )
)
_RESUME = Prepared(delete(outage).where(outage.c.system == bindparam("of_system", type_=TEXT)))
_PAUSED = Prepared(
    select(outage.c.system, outage.c.until).where(outage.c.until > bindparam("at_now", type_=DOUBLE))
)
_ALL = Prepared(select(outage).order_by(outage.c.since))


def pause(connection: Connection, now: float, system: str, seconds: float, reason: str) -> None:
    """Leaves a system alone for so many seconds; an outage that lasts keeps the time of its beginning."""
    given = {"of_system": system, "at_now": now, "with_until": now + seconds, "with_reason": reason}
    _PAUSE(connection, given)


def resume(connection: Connection, system: str) -> bool:
    """Ends the outage; False if there was none."""
    return _RESUME(connection, {"of_system": system}).rowcount == 1


def paused(connection: Connection, now: float) -> dict[str, float]:
    """The systems to be left alone now, each with the time until when."""
    return {row.system: row.until for row in _PAUSED(connection, {"at_now": now})}


def listing(connection: Connection) -> list[Outage]:
    """Every outage that has not been ended, those included whose pause is over and that are due a probe."""
    return [Outage(*row) for row in _ALL(connection, {})]
