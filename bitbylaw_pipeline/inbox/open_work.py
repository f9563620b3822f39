"""Which rows of the work queue are not at rest: what a comparison must leave alone."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, or_, select

from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import work
from bitbylaw_pipeline.inbox.work_queue import DROPPED

_IN_MOTION = Prepared(
    select(
        work.c.key,
        work.c.not_before,
        work.c.lease_token,
        work.c.last_error,
        work.c.parked_at,
        work.c.park_reason,
    ).where(
        work.c.stream == bindparam("in_stream", type_=TEXT),
        or_(
            work.c.wanted > work.c.done,
            work.c.park_reason == DROPPED,
            work.c.updated_at > bindparam("since", type_=DOUBLE),
        ),
    )
)


@dataclass(frozen=True, slots=True)
class InMotion:
    """Keys of a stream by what is under way with them.

    `parked` wait for a person (or were given up by one), `later` only for a time that they named themselves, as a look
    at the indexing does; `open` are all others: to be synced, in work, or finished since the time asked about.
    """

    open: frozenset[str]
    later: frozenset[str]
    parked: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        """Every one of them."""
        return self.open | self.later | self.parked


def load(connection: Connection, now: float, stream: str, since: float) -> InMotion:
    """What is under way in the stream, or was at any time after `since` (UTC epoch seconds)."""
    found: dict[str, set[str]] = {"open": set(), "later": set(), "parked": set()}
    for row in _IN_MOTION(connection, {"in_stream": stream, "since": since}):
        if row.parked_at is not None or row.park_reason == DROPPED:
            found["parked"].add(row.key)
        elif row.lease_token is None and row.not_before > now and row.last_error is None:
            found["later"].add(row.key)
        else:
            found["open"].add(row.key)
    return InMotion(*(frozenset(found[name]) for name in ("open", "later", "parked")))
