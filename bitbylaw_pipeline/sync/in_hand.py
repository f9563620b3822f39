"""What a worker has in hand: claims that wait for a slot, are under way, or have ended and are not yet settled.

Each is a lease that must be renewed while it is held and given back when it is not wanted any more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.inbox.work_queue import Claim

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class InHand:
    """The claims of one worker; at most `slots` of them are under way at a time."""

    database: Database
    work: Callable[[Claim], Awaitable[None]]
    """One pass, with whatever is to be done at its end."""
    slots: int
    lease_seconds: float
    something: asyncio.Event
    """Set whenever anything here has changed."""
    is_held_up: bool = False
    """Nothing new is started: a system is down, or the worker ends."""
    _held: dict[str, Claim] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _waiting: deque[Claim] = field(default_factory=deque)

    def __len__(self) -> int:
        """How many claims are held, those included that have ended and are not settled."""
        return len(self._held)

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    @property
    def unfinished(self) -> int:
        """How many are under way or wait for a slot."""
        return len(self._tasks) + len(self._waiting)

    def take(self, claims: Iterable[Claim]) -> None:
        """Takes claims in and starts as many as there are slots for."""
        for claim in claims:
            self._held[claim.key] = claim
            self._waiting.append(claim)
        self._start()

    def let_go(self, claims: Iterable[Claim]) -> None:
        """Forgets claims whose rows are settled."""
        for claim in claims:
            if self._held.get(claim.key) is claim:
                del self._held[claim.key]
        self.something.set()

    async def give_back_waiting(self) -> None:
        """Gives back what has not been started, and starts nothing before that is done."""
        unstarted = [claim for claim in self._waiting if self._held.get(claim.key) is claim]
        self._waiting.clear()
        await self._release(unstarted)

    async def give_back_all(self) -> None:
        """Gives every lease back; nothing may be under way any more."""
        self._waiting.clear()
        await self._release(list(self._held.values()))

    async def finish(self) -> None:
        """Waits until nothing is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def cancel(self) -> None:
        """Cancels what is under way and waits for its clean-up; starts nothing more."""
        self.is_held_up = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def keep_leases(self) -> None:
        """Renews for ever; a pass whose lease is lost is cancelled."""
        while True:
            await asyncio.sleep(self.lease_seconds / 4)
            claims = list(self._held.values())
            if not claims:
                continue
            try:
                still_ours = await self.database.run(partial(self._renew, claims=claims))
            except DatabaseUnavailable:
                continue
            for claim in claims:
                if claim.key not in still_ours and self._held.get(claim.key) is claim:
                    self._drop_lost(claim)

    def _drop_lost(self, claim: Claim) -> None:
        # Somebody else has it by now; two writers at once are what the lease is there against.
        log.warning("lease_lost", stream=claim.stream, key=claim.key)
        del self._held[claim.key]
        if task := self._tasks.get(claim.key):
            task.cancel()

    def _renew(self, conn: Connection, claims: Sequence[Claim]) -> set[str]:
        return work_queue.renew(conn, self.database.now(conn), claims, self.lease_seconds)

    def _start(self) -> None:
        while self._waiting and len(self._tasks) < self.slots and not self.is_held_up:
            claim = self._waiting.popleft()
            if self._held.get(claim.key) is claim:
                self._tasks[claim.key] = asyncio.create_task(self._run(claim))

    async def _run(self, claim: Claim) -> None:
        try:
            await self.work(claim)
        finally:
            if self._tasks.get(claim.key) is asyncio.current_task():
                del self._tasks[claim.key]
            self._start()
            self.something.set()

    async def _release(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self._held.pop(claim.key, None)
        if not claims:
            return
        try:
            await self.database.run(lambda conn: work_queue.release(conn, self.database.now(conn), claims))
        except DatabaseUnavailable:
            log.warning("leases_left", entities=len(claims))
