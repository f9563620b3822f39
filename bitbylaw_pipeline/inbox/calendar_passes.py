"""What the last passes over each employee's appointments came to. Times are UTC epoch seconds; counts and ids only.

A request for a pass is answered from here: a pass that *began* after it has seen all that the request was made for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, union_all
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.schema import IS_OPEN, IS_PARKED, calendar_pass, work

STREAM = "termine"
"""The stream of the work queue whose keys are Kürzel."""
TOPIC = "calendar.sync.employee"
"""The event by which a pass over one employee's appointments is asked for (design section 9)."""
ENTITY_TYPE = "Employee"


@dataclass(frozen=True, slots=True)
class Failure:
    """The last pass failed: with which error, when it began and ended, and since when none has gone through."""

    begun_at: float
    at: float
    since: float
    error: str
    why: str


@dataclass(frozen=True, slots=True)
class CalendarPasses:
    """One employee's: the last whole pass, None if there was none, and the failure since, if any."""

    kuerzel: str
    begun_at: float | None
    passed_at: float | None
    counts: Mapping[str, int]
    failure: Failure | None


def note_passed(
    connection: Connection, now: float, kuerzel: str, begun_at: float, counts: Mapping[str, int]
) -> None:
    """A pass has come to its end; failures before it are forgotten."""
    values = {
        "passed_begun_at": begun_at,
        "passed_at": now,
        "counts": json.dumps(dict(counts)),
        "failed_begun_at": None,
        "failed_at": None,
        "failed_since": None,
        "failed_with": None,
        "failed_why": None,
    }
    _upsert(connection, kuerzel, values, values)


def note_failed(connection: Connection, now: float, kuerzel: str, begun_at: float, error: SyncError) -> None:
    """A pass has failed; the former success stands."""
    values = {
        "failed_begun_at": begun_at,
        "failed_at": now,
        "failed_with": type(error).__name__,
        "failed_why": str(error)[: work_queue.ERROR_LENGTH],
    }
    since = func.coalesce(calendar_pass.c.failed_since, now)
    _upsert(
        connection,
        kuerzel,
        {**values, "counts": "{}", "failed_since": now},
        {**values, "failed_since": since},
    )


def get(connection: Connection, kuerzel: str) -> CalendarPasses | None:
    """That employee's, None before the first pass."""
    return load(connection, [kuerzel]).get(kuerzel)


def load(connection: Connection, kuerzel: Iterable[str]) -> dict[str, CalendarPasses]:
    """Of these employees, as far as there was a pass."""
    rows = connection.execute(select(calendar_pass).where(calendar_pass.c.kuerzel.in_(list(kuerzel))))
    found = {}
    for row in rows:
        failure = None
        if row.failed_at is not None:
            failure = Failure(
                row.failed_begun_at, row.failed_at, row.failed_since, row.failed_with, row.failed_why
            )
        found[row.kuerzel] = CalendarPasses(
            row.kuerzel, row.passed_begun_at, row.passed_at, json.loads(row.counts), failure
        )
    return found


def everybody(connection: Connection) -> list[str]:
    """Whoever had a pass at any time, those without a calendar by now included."""
    return list(
        connection.execute(select(calendar_pass.c.kuerzel).order_by(calendar_pass.c.kuerzel)).scalars()
    )


def wanted_since(connection: Connection) -> dict[str, float]:
    """By Kürzel, since when a pass has been wanted that has not been made."""
    # Each by its own index: the finished rows are many.
    waiting = [
        select(work.c.key, work.c.wanted_at).where(work.c.stream == STREAM, state)
        for state in (IS_OPEN, IS_PARKED)
    ]
    return {row.key: row.wanted_at for row in connection.execute(union_all(*waiting))}


def want_passes(
    connection: Connection, now: float, kuerzel: Iterable[str], *, priority: int = work_queue.SWEEP_PRIORITY
) -> list[str]:
    """Asks for a pass over each of these, save those that wait for a time of their own; returns who was asked for.

    A want clears a delay: every quarter of an hour one employee's used-up quota was met again, which Google answers by
    prolonging it.
    """
    wanted = []
    for one in kuerzel:
        row = work_queue.get(connection, STREAM, one)
        waits = row is not None and row.wanted > row.done and row.parked_at is None and row.not_before > now
        if not waits:
            wanted.append(one)
    work_queue.want(connection, now, STREAM, wanted, priority=priority)
    return wanted


def _upsert(
    connection: Connection, kuerzel: str, new: Mapping[str, object], over: Mapping[str, object]
) -> None:
    statement = insert(calendar_pass).values(kuerzel=kuerzel, **new)
    connection.execute(statement.on_conflict_do_update(index_elements=["kuerzel"], set_=dict(over)))
