"""Taking work out of the queue: what is ready, or certain keys; nothing while a system that the stream needs is down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.batches import DRAIN, get_flag
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.inbox.work_queue import Claim
from bitbylaw_pipeline.sync.in_hand import InHand
from bitbylaw_pipeline.sync.outage import OutageWatch, Pauses
from bitbylaw_pipeline.sync.stream import Stream

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Catch:
    """What one look into the queue brought."""

    claims: Sequence[Claim] = ()
    pauses: Pauses = field(default_factory=Pauses)
    is_draining: bool = False
    due_in: float | None = None
    """Seconds until there may be something to claim, where there is nothing now and that is known."""


@dataclass(frozen=True, slots=True)
class Claiming:
    """Claims for one worker, straight into its hand."""

    stream: Stream
    database: Database
    outage_watch: OutageWatch
    lease_seconds: float
    hand: InHand

    async def ready(self, limit: int) -> Catch:
        """Claims up to `limit` ready rows; asks a system whether it is back where its pause is over."""

        def look(conn: Connection) -> Catch:
            now = self.database.now(conn)
            if get_flag(conn, DRAIN) is not None:
                return Catch(is_draining=True)
            pauses = self.outage_watch.look(conn, now, self.stream.systems)
            if not pauses.is_open:
                return Catch(pauses=pauses, due_in=pauses.seconds_left)
            claims = self._claim(conn, now, limit)
            due = None if claims else work_queue.next_due(conn, now, self.stream.name)
            return Catch(claims, due_in=None if due is None else due - now)

        try:
            catch = await self._take(look)
            await self.outage_watch.ask_paused(catch.pauses)
        except DatabaseUnavailable:
            log.warning("database_unavailable")
            return Catch()
        return catch

    async def seize(self, keys: Sequence[str]) -> Catch:
        """Wants and claims those of the keys that nobody holds, in one transaction: no batch can come in between.

        Raises DatabaseUnavailable.
        """

        def look(conn: Connection) -> Catch:
            now = self.database.now(conn)
            pauses = self.outage_watch.look(conn, now, self.stream.systems)
            free = [key for key in keys if not self._is_leased(conn, now, key)]
            if not pauses.is_open or not free:
                return Catch(pauses=pauses)
            work_queue.want(conn, now, self.stream.name, free)
            return Catch(self._claim(conn, now, len(free), free))

        catch = await self._take(look)
        await self.outage_watch.ask_paused(catch.pauses)
        return catch

    async def want(self, keys: Sequence[str]) -> None:
        """Leaves the keys to whoever works on the stream."""
        await self.database.run(
            lambda conn: work_queue.want(conn, self.database.now(conn), self.stream.name, keys)
        )

    async def _take(self, look: Callable[[Connection], Catch]) -> Catch:
        transaction = asyncio.ensure_future(self.database.run(look))
        try:
            catch = await asyncio.shield(transaction)
        except asyncio.CancelledError:
            # What it leases must be known, to be given back: else it stays leased until that runs out.
            self.hand.is_held_up = True
            self.hand.take((await transaction).claims)
            raise
        self.hand.take(catch.claims)
        return catch

    def _claim(
        self, conn: Connection, now: float, limit: int, keys: Sequence[str] | None = None
    ) -> list[Claim]:
        return work_queue.claim(
            conn, now, self.stream.name, limit=limit, lease_seconds=self.lease_seconds, keys=keys
        )

    def _is_leased(self, conn: Connection, now: float, key: str) -> bool:
        row = work_queue.get(conn, self.stream.name, key)
        return row is not None and row.lease_until is not None and row.lease_until > now
