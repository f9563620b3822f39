"""Nobody else at work on what is being erased: the leases of its rows in the work queue, its locks, and its pairs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection, and_, delete

from bitbylaw_pipeline.domain.errors import Transient
from bitbylaw_pipeline.inbox import feed_cursors, work_queue
from bitbylaw_pipeline.inbox.database import DatabaseUnavailable
from bitbylaw_pipeline.inbox.schema import work
from bitbylaw_pipeline.inbox.work_queue import Claim
from bitbylaw_pipeline.sync.erasure_tools import ErasureTools
from bitbylaw_pipeline.sync.feed import HOLD_SECONDS
from bitbylaw_pipeline.sync.pair_lease import pair_lease

LOOK_SECONDS = 0.2
Row = tuple[str, str]


@dataclass(slots=True)
class Hold:
    """Asked before each step: a process that stood still for too long has lost its leases to somebody else.

    `made` are the rows that were not there before they were held.
    """

    lost: set[str] = field(default_factory=set)
    made: set[Row] = field(default_factory=set)

    def check(self) -> None:
        """Raises Transient once a lease is lost; what was erased until then stays erased."""
        if self.lost:
            raise Transient("This stood still for too long and others have taken over: run it again.")


@contextlib.asynccontextmanager
async def held(tools: ErasureTools, rows: Iterable[Row], pairs: Iterable[str]) -> AsyncIterator[Hold]:
    """Holds the work rows (stream, key), their entity locks and the pairs. Raises Transient with one sentence if it
    cannot within `wait_seconds`.
    """
    wanted = sorted(set(rows))
    hold = Hold()
    async with contextlib.AsyncExitStack() as stack:
        for pair in sorted(set(pairs)):
            await _enter_pair(tools, stack, pair)
        claims = await _claim(tools, wanted, hold)
        renewing = asyncio.create_task(_renew(tools, claims, hold))
        try:
            for stream, key in wanted:
                await _enter_lock(tools, stack, stream, key)
            yield hold
        finally:
            renewing.cancel()
            with contextlib.suppress(DatabaseUnavailable):
                await tools.database.run(partial(_give_back, tools, claims, hold.made))


@contextlib.asynccontextmanager
async def feeds_held(tools: ErasureTools, entity_types: Iterable[str]) -> AsyncIterator[None]:
    """Nobody reads the change feeds of these meanwhile: a poll under way would store the marks that it began with.

    Raises Transient if somebody is at it for `wait_seconds`.
    """
    async with contextlib.AsyncExitStack() as stack:
        for entity_type in sorted(entity_types):
            await _hold_feed(tools, entity_type)
            stack.push_async_callback(_release_feed, tools, entity_type)
        yield


async def _hold_feed(tools: ErasureTools, entity_type: str) -> None:
    deadline = asyncio.get_running_loop().time() + tools.wait_seconds

    def hold(conn: Connection) -> bool:
        return feed_cursors.hold(conn, tools.database.now(conn), entity_type, HOLD_SECONDS)

    while not await tools.database.run(hold):
        if asyncio.get_running_loop().time() >= deadline:
            raise _busy(tools)
        await asyncio.sleep(LOOK_SECONDS)


async def _release_feed(tools: ErasureTools, entity_type: str) -> None:
    with contextlib.suppress(DatabaseUnavailable):
        await tools.database.run(partial(feed_cursors.release, entity_type=entity_type))


def _give_back(tools: ErasureTools, claims: list[Claim], made: set[Row], conn: Connection) -> None:
    """Releases what was not erased; a row that was made for the lease alone goes, unless something was wanted since."""
    work_queue.release(conn, tools.database.now(conn), claims)
    for stream, key in sorted(made):
        is_ours = and_(work.c.stream == stream, work.c.key == key, work.c.wanted == 1, work.c.done == 0)
        conn.execute(delete(work).where(is_ours, work.c.lease_token.is_(None)))


async def _claim(tools: ErasureTools, wanted: list[Row], hold: Hold) -> list[Claim]:
    deadline = asyncio.get_running_loop().time() + tools.wait_seconds
    while True:
        taken = await tools.database.run(_claiming(tools, wanted))
        if taken is not None:
            claims, hold.made = taken
            return claims
        if asyncio.get_running_loop().time() >= deadline:
            raise _busy(tools)
        await asyncio.sleep(LOOK_SECONDS)


def _claiming(
    tools: ErasureTools, wanted: list[Row]
) -> Callable[[Connection], tuple[list[Claim], set[Row]] | None]:
    """All of them or none, so that two erasures cannot wait for each other; and which rows were not there before."""

    def claim(conn: Connection) -> tuple[list[Claim], set[Row]] | None:
        now, made = tools.database.now(conn), set()
        for stream, key in wanted:
            row = work_queue.get(conn, stream, key)
            if row is not None and row.lease_until is not None and row.lease_until > now:
                return None
            if row is None:
                made.add((stream, key))
        claims: list[Claim] = []
        for stream in sorted({stream for stream, _ in wanted}):
            keys = [key for of, key in wanted if of == stream]
            work_queue.want(conn, now, stream, keys)
            claims += work_queue.claim(
                conn,
                now,
                stream,
                limit=len(keys),
                lease_seconds=tools.settings.lease_seconds,
                keys=keys,
            )
        return claims, made

    return claim


async def _renew(tools: ErasureTools, claims: list[Claim], hold: Hold) -> None:
    seconds, database = tools.settings.lease_seconds, tools.database
    while claims:
        await asyncio.sleep(seconds / 4)
        with contextlib.suppress(DatabaseUnavailable):
            kept = await database.run(
                lambda conn: {
                    (stream, key)
                    for stream in {claim.stream for claim in claims}
                    for key in work_queue.renew(
                        conn,
                        database.now(conn),
                        [claim for claim in claims if claim.stream == stream],
                        seconds,
                    )
                }
            )
            hold.lost = {claim.key for claim in claims if (claim.stream, claim.key) not in kept}


async def _enter_lock(tools: ErasureTools, stack: contextlib.AsyncExitStack, stream: str, key: str) -> None:
    if stream not in tools.streams:
        return
    name = tools.streams[stream].entity_lock(key)
    lock = tools.coordination.lock(name, max(tools.settings.lease_seconds, 60.0), wait=tools.wait_seconds)
    if not await stack.enter_async_context(lock):
        raise _busy(tools)


async def _enter_pair(tools: ErasureTools, stack: contextlib.AsyncExitStack, pair: str) -> None:
    deadline = asyncio.get_running_loop().time() + tools.wait_seconds
    while not await stack.enter_async_context(pair_lease(tools.database, pair)):
        if asyncio.get_running_loop().time() >= deadline:
            raise _busy(tools)
        await asyncio.sleep(LOOK_SECONDS)


def _busy(tools: ErasureTools) -> Transient:
    return Transient(
        f"Somebody else was at work on it for {tools.wait_seconds:.0f} s (see bitbylaw status): run it again in a minute."
    )
