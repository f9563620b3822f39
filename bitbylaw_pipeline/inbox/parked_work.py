"""Parked work by stream and reason: counts and the first ids, whatever their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from bitbylaw_pipeline.inbox.schema import IS_PARKED, work

SAMPLE = 10


@dataclass(frozen=True, slots=True)
class ParkedGroup:
    """What is parked in one stream for one reason; `keys` are the ten that are so longest."""

    stream: str
    reason: str
    count: int
    keys: Sequence[str]


def groups(connection: Connection) -> list[ParkedGroup]:
    """All of them, by stream and reason."""
    counted = connection.execute(
        select(work.c.stream, work.c.park_reason, func.count().label("parked"))
        .where(IS_PARKED)
        .group_by(work.c.stream, work.c.park_reason)
        .order_by(work.c.stream, work.c.park_reason)
    ).all()
    found = []
    for row in counted:
        sample = connection.execute(
            select(work.c.key)
            .where(
                IS_PARKED,
                work.c.stream == row.stream,
                work.c.park_reason.is_not_distinct_from(row.park_reason),
            )
            .order_by(work.c.parked_at, work.c.key)
            .limit(SAMPLE)
        )
        found.append(
            ParkedGroup(row.stream, row.park_reason or "unknown", row.parked, list(sample.scalars()))
        )
    return found


def keys(connection: Connection) -> dict[str, set[str]]:
    """All parked keys by stream."""
    found: dict[str, set[str]] = {}
    for row in connection.execute(select(work.c.stream, work.c.key).where(IS_PARKED)):
        found.setdefault(row.stream, set()).add(row.key)
    return found
