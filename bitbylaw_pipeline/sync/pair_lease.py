"""One run at a time on what a name stands for, a pair or its tasks: a short lease, renewed while the run goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from bitbylaw_pipeline.domain.errors import Transient
from bitbylaw_pipeline.inbox import run_leases
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable

log = structlog.get_logger(__name__)

LEASE_SECONDS = 90.0
"""How long a run that was killed keeps the next one from starting."""
RENEW_SECONDS = 20.0


@contextlib.asynccontextmanager
async def pair_lease(
    database: Database,
    pair: str,
    *,
    lease_seconds: float = LEASE_SECONDS,
    renew_seconds: float = RENEW_SECONDS,
) -> AsyncIterator[bool]:
    """True while nobody else has the pair (or what else is named); Transient where the lease is lost in the body."""
    token = await _taken(database, pair, lease_seconds)
    if token is None:
        yield False
        return
    is_lost = False

    async def renew(task: asyncio.Task[object]) -> None:
        nonlocal is_lost
        while True:
            await asyncio.sleep(renew_seconds)
            with contextlib.suppress(DatabaseUnavailable):
                if not await database.run(
                    lambda c: run_leases.renew(c, database.now(c), pair, token, lease_seconds)
                ):
                    is_lost = True
                    task.cancel()
                    return

    holder = asyncio.current_task()
    assert holder is not None  # noqa: S101  # a coroutine runs in a task
    renewing = asyncio.create_task(renew(holder))
    try:
        yield True
    except asyncio.CancelledError:
        if not is_lost:
            raise
        holder.uncancel()
        raise Transient("Another run has taken this pair over: a pass stood still for too long.") from None
    finally:
        renewing.cancel()
        with contextlib.suppress(DatabaseUnavailable):
            await database.run(lambda c: run_leases.release(c, pair, token))


async def _taken(database: Database, pair: str, seconds: float) -> str | None:
    taking = asyncio.ensure_future(database.run(lambda c: run_leases.take(c, database.now(c), pair, seconds)))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        # The statement goes on all the same: its lease, which nobody knew of, kept the next pass off for 90 s.
        with contextlib.suppress(DatabaseUnavailable):
            token = await taking
            if token is not None:
                await database.run(lambda c: run_leases.release(c, pair, token))
        raise
