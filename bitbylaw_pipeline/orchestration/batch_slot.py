"""The slot of a stream that a batch run holds: the one sign by which the sensor knows that a batch is alive."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable

REQUEST_SECONDS = 60.0
"""From request to first claim a run takes 6 to 10 s, more on a loaded machine: until then no tick asks for another."""

HEARTBEAT_SECONDS = 20.0
"""A slot without a heartbeat for this long is free: its process is dead or cannot reach the database."""

FAILURE_PAUSE_SECONDS = 60.0
"""A batch that failed keeps its slot for so long: without it a batch that fails at once was started anew every tick."""


@dataclass(slots=True)
class HeldSlot:
    """A slot that this run holds, with the token by which it holds it."""

    database: Database
    stream: str
    slot: int
    token: str
    _heard_at: float = field(default_factory=time.monotonic)

    async def beat(self, activity: str, seconds: float = HEARTBEAT_SECONDS) -> bool:
        """Says that the batch is alive and "working" or "idle"; False if the slot has been lost to another.

        A database that does not answer is no loss until the last heartbeat has run out: a restart of PostgreSQL takes
        less, and ending the batch for it would cost a cold start.
        """
        try:
            is_ours = await self.database.run(
                lambda conn: batches.beat(
                    conn, self.database.now(conn), self.stream, self.slot, self.token, activity, seconds
                )
            )
        except DatabaseUnavailable:
            return time.monotonic() - self._heard_at < HEARTBEAT_SECONDS
        self._heard_at = time.monotonic()
        return is_ours

    async def end(self) -> None:
        """Gives the slot back."""
        await self.database.run(lambda conn: batches.end(conn, self.stream, self.slot, self.token))


@asynccontextmanager
async def hold_slot(
    database: Database, stream: str, token: str | None, run_id: str, *, slots: int = 1
) -> AsyncIterator[HeldSlot | None]:
    """Takes over the slot that the sensor requested under `token`, or a free one of `slots`; None if it is held.

    Given back at the end, so that the next tick need not wait for the heartbeat to run out; after a failure it is kept
    for FAILURE_PAUSE_SECONDS.
    """
    taken = await database.run(
        lambda conn: batches.take_over(
            conn, database.now(conn), stream, token, run_id, HEARTBEAT_SECONDS, slots=slots
        )
    )
    if taken is None:
        yield None
        return
    held = HeldSlot(database, stream, taken, token or run_id)
    try:
        yield held
    except Exception:
        await held.beat(batches.IDLE, seconds=FAILURE_PAUSE_SECONDS)
        raise
    except BaseException:
        await held.end()
        raise
    else:
        await held.end()
