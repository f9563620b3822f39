"""The work queue: one row per (stream, entity), and what may be done to it (design section 4).

A row is open while `wanted` (one more per event) is above `done` (the generation last synced). Whoever claims it gets
a token and the generation seen; completing sets `done` to that generation, so an event that came in meanwhile leaves
the row open. A stale token changes nothing.

All functions work inside the caller's transaction, so that they combine. `now` and all other times are UTC epoch
seconds; a lower priority number is sooner.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from bitbylaw_pipeline.inbox import work_statements as statements
from bitbylaw_pipeline.inbox.json_rows import to_json
from bitbylaw_pipeline.inbox.schema import IS_PARKED, work

EVENT_PRIORITY = 0
SWEEP_PRIORITY = 1
ERROR_LENGTH = 500
DROPPED = "dropped"
"""The reason of a row that a person gave up; the next want takes it away."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A row leased to the caller; `attempts` counts its failures so far (a lease that ran out is one)."""

    stream: str
    key: str
    token: str
    generation: int
    attempts: int


@dataclass(frozen=True, slots=True)
class WorkRow:
    """A row as it stands."""

    stream: str
    key: str
    wanted: int
    done: int
    priority: int
    wanted_at: float
    not_before: float
    attempts: int
    lease_token: str | None
    lease_until: float | None
    last_error: str | None
    parked_at: float | None
    park_reason: str | None
    updated_at: float


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """How many rows of a stream could be claimed now, are leased, wait for their time, or are parked."""

    waiting: int
    leased: int
    delayed: int
    parked: int
    oldest_waiting_seconds: float | None


def random_token() -> str:
    """A lease's token that nobody else holds."""
    return uuid.uuid4().hex


def want(
    connection: Connection,
    now: float,
    stream: str,
    keys: Iterable[str],
    *,
    priority: int = EVENT_PRIORITY,
    not_before: float | None = None,
) -> int:
    """Asks for a pass over each key, once however often it is named, and returns how many keys that were.

    It unparks the row, clears a retry delay, and lifts the row's priority if this one is more urgent. With
    `not_before` the pass is due then, unless one is due sooner anyway.
    """
    # In one order everywhere, so that two of these cannot wait for each other.
    wanted = sorted(set(keys))
    if wanted:
        due = now if not_before is None else max(now, not_before)
        statements.WANT(
            connection,
            {
                "in_stream": stream,
                "keys": to_json(wanted),
                "with_priority": priority,
                "due": due,
                "at_now": now,
            },
        )
    return len(wanted)


def claim(
    connection: Connection,
    now: float,
    stream: str,
    *,
    limit: int,
    lease_seconds: float,
    keys: Iterable[str] | None = None,
    new_token: Callable[[], str] = random_token,
) -> list[Claim]:
    """Leases up to `limit` ready rows, the most urgent first, then the longest ready.

    Ready is a row that is open, due, not parked, and whose lease is free or has run out. With `keys` only those are
    looked at. Nobody is waited for: rows that another transaction is claiming are passed over.
    """
    token = new_token()
    given = {
        "in_stream": stream,
        "at_now": now,
        "at_most": limit,
        "with_token": token,
        "until": now + lease_seconds,
    }
    if keys is None:
        rows = statements.CLAIM(connection, given).all()
    else:
        rows = statements.CLAIM_KEYS(connection, {**given, "keys": to_json(keys)}).all()
    # RETURNING keeps no order.
    ordered = sorted(rows, key=lambda row: (row.priority, row.not_before, row.key))
    return [Claim(stream, row.key, token, row.wanted, row.attempts) for row in ordered]


def complete(
    connection: Connection, now: float, claims: Iterable[Claim], *, again: Mapping[str, float] | None = None
) -> int:
    """Marks what was claimed as done and returns how many of the tokens still counted.

    For a key in `again` a further pass is due at that time, unless an event makes it due sooner.
    """
    rows = _rows(claims, again or {})
    if not rows:
        return 0
    counted = statements.COMPLETE(connection, {"claims": to_json(rows), "at_now": now}).rowcount
    if counted:
        for stream in {row["stream"] for row in rows}:
            given = {"with_name": statements.SUCCESS + stream, "with_value": str(now), "at_now": now}
            statements.NOTE_SUCCESS(connection, given)
    return counted


def retry(
    connection: Connection, now: float, claimed: Claim, *, error: str, delay: float, counts: bool = True
) -> bool:
    """Gives a row back after a failure, to be claimed again after `delay` seconds; False if the token is stale.

    `counts=False` is for failures that say nothing about this entity (its whole system is down).
    """
    given = {"due": now + delay, "counted": int(counts), "with_error": _shortened(error)}
    return statements.RETRY(connection, {**_one(now, claimed), **given}).rowcount == 1


def park(connection: Connection, now: float, claimed: Claim, reason: str, error: str) -> bool:
    """Sets a row aside until a replay or its next event; True if it is parked now.

    False if the token is stale, or if an event came in during the pass: then the row is left ready for it.
    """
    given = {"with_reason": reason, "with_error": _shortened(error)}
    row = statements.PARK(connection, {**_one(now, claimed), **given}).one_or_none()
    return row is not None and row.parked_at is not None


def release(connection: Connection, now: float, claims: Iterable[Claim]) -> int:
    """Gives leases back unused (a batch that stops); counts no attempt. Returns how many still counted."""
    rows = _rows(claims, {})
    if not rows:
        return 0
    return statements.RELEASE(connection, {"claims": to_json(rows), "at_now": now}).rowcount


def renew(connection: Connection, now: float, claims: Iterable[Claim], lease_seconds: float) -> set[str]:
    """Extends leases to `lease_seconds` from now and returns the keys that are still ours."""
    rows = _rows(claims, {})
    if not rows:
        return set()
    given = {"claims": to_json(rows), "until": now + lease_seconds, "at_now": now}
    return set(statements.RENEW(connection, given).scalars())


def ready_count(connection: Connection, now: float, stream: str, limit: int = 1000) -> int:
    """How many rows could be claimed now, counted up to `limit`."""
    given = {"in_stream": stream, "at_now": now, "at_most": limit}
    return int(statements.READY_COUNT(connection, given).scalar_one())


def next_due(connection: Connection, now: float, stream: str) -> float | None:
    """When the first row becomes claimable (a lease running out counts), or None if nothing is open.

    A time that has passed means now.
    """
    due = statements.NEXT_DUE(connection, {"in_stream": stream, "at_now": now}).scalar_one()
    return None if due is None else float(due)


def summary(connection: Connection, now: float) -> dict[str, StreamSummary]:
    """What is open and parked, per stream; a stream with nothing open or parked is not in it."""
    parked_ones = {row.stream: row.parked for row in statements.PARKED_COUNT(connection, {})}
    found = {
        row.stream: StreamSummary(
            row.waiting,
            row.leased,
            row.delayed,
            parked_ones.get(row.stream, 0),
            None if row.oldest is None else max(0.0, now - row.oldest),
        )
        for row in statements.SUMMARY(connection, {"at_now": now})
    }
    return {stream: StreamSummary(0, 0, 0, count, None) for stream, count in parked_ones.items()} | found


def last_successes(connection: Connection) -> dict[str, float]:
    """When anything of each stream was last completed, to the second, in UTC epoch seconds."""
    rows = statements.LAST_SUCCESSES(connection, {})
    return {row.name.removeprefix(statements.SUCCESS): row.set_at for row in rows}


def oldest_unfinished(connection: Connection, now: float) -> dict[str, float]:
    """Since when, per stream, the oldest has been wanted that is ready, in work, or waits because it failed."""
    return {row.stream: row.oldest for row in statements.OLDEST_UNFINISHED(connection, {"at_now": now})}


def get(connection: Connection, stream: str, key: str) -> WorkRow | None:
    """The row as it stands, or None if the entity was never wanted."""
    row = statements.GET(connection, {"in_stream": stream, "with_key": key}).one_or_none()
    return None if row is None else WorkRow(*row)


def parked(
    connection: Connection,
    stream: str | None = None,
    reason: str | None = None,
    key: str | None = None,
    *,
    limit: int = 100,
    offset: int = 0,
) -> list[WorkRow]:
    """The parked rows that match, longest parked first."""
    statement = (
        select(work).where(*_parked_filter(stream, reason, key)).order_by(work.c.parked_at, work.c.key)
    )
    return [WorkRow(*row) for row in connection.execute(statement.limit(limit).offset(offset))]


def replay(
    connection: Connection,
    now: float,
    *,
    stream: str | None = None,
    reason: str | None = None,
    key: str | None = None,
) -> int:
    """Unparks the rows that match, with fresh attempts, and returns how many; repeating it changes nothing."""
    statement = update(work).where(*_parked_filter(stream, reason, key))
    fresh = {"parked_at": None, "park_reason": None, "attempts": 0, "not_before": now, "updated_at": now}
    return connection.execute(statement.values(fresh)).rowcount


def drop(connection: Connection, now: float, row: WorkRow) -> bool:
    """Gives a parked row up: not wanted until its next event. False if it is not parked, or was wanted anew, by now."""
    given = {"in_stream": row.stream, "with_key": row.key, "seen": row.wanted, "at_now": now}
    return statements.DROP(connection, given).rowcount == 1


def _parked_filter(stream: str | None, reason: str | None, key: str | None) -> list[ColumnElement[bool]]:
    given = ((work.c.stream, stream), (work.c.park_reason, reason), (work.c.key, key))
    return [IS_PARKED, *(column == value for column, value in given if value is not None)]


def _rows(claims: Iterable[Claim], again: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {
            "stream": claimed.stream,
            "key": claimed.key,
            "token": claimed.token,
            "generation": claimed.generation,
            "again": again.get(claimed.key),
        }
        for claimed in claims
    ]


def _one(now: float, claimed: Claim) -> dict[str, Any]:
    return {
        "in_stream": claimed.stream,
        "with_key": claimed.key,
        "with_token": claimed.token,
        "seen": claimed.generation,
        "at_now": now,
    }


def _shortened(error: str) -> str:
    # PostgreSQL's text cannot hold NUL.
    return error.replace("\0", "")[:ERROR_LENGTH]
