"""Waiting, by our own state, until everything that was asked for has been carried out."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, or_, select

from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import work

PATIENCE_SECONDS = 180.0
STREAMS = ("documents", "collections")


@dataclass(frozen=True, slots=True)
class OpenWork:
    """Rows that are due or leased, rows that are due later (a look at the indexing), and rows set aside."""

    now: int
    later: int
    parked: int


def read_open_work(database: Database) -> OpenWork:
    """As the queue stands."""

    def read(conn: Connection) -> OpenWork:
        now = database.now(conn)
        is_open = and_(work.c.wanted > work.c.done, work.c.parked_at.is_(None))
        is_now = or_(work.c.lease_token.is_not(None), work.c.not_before <= now)
        row = conn.execute(
            select(
                func.count().filter(and_(is_open, is_now)),
                func.count().filter(and_(is_open, ~is_now)),
                func.count().filter(work.c.parked_at.is_not(None)),
            ).select_from(work)
        ).one()
        return OpenWork(*row)

    return database.read(read)


async def until_quiet(database: Database, *, also_later: bool = False, every_seconds: float = 0.05) -> None:
    """Returns when nothing is due or under way, with `also_later` when nothing is open at all.

    Raises BenchProblem for anything parked, or after three minutes.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = await asyncio.to_thread(read_open_work, database)
        if found.parked:
            raise BenchProblem(f"FAILED: {found.parked} entities were parked.")
        if not found.now and not (also_later and found.later):
            return
        if time.monotonic() > deadline:
            raise BenchProblem(f"FAILED: {found.now} entities are still open after {PATIENCE_SECONDS:.0f} s.")
        await asyncio.sleep(every_seconds)


async def until_no_batch(database: Database) -> None:
    """Returns when no batch runs on any stream."""
    deadline = time.monotonic() + PATIENCE_SECONDS

    def is_alive(conn: Connection) -> bool:
        now = database.now(conn)
        return any(batches.live(conn, now, stream) for stream in STREAMS)

    while await asyncio.to_thread(database.read, is_alive):
        if time.monotonic() > deadline:
            raise BenchProblem("The batches did not end.")
        await asyncio.sleep(0.1)
