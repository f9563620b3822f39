"""The worker of one stream: claims what is ready, syncs many entities at once, records, completes, lingers.

It knows no Dagster: whoever runs it gives it a recorder (what to do with finished entities before their work is
called done) and a heartbeat. Whatever arrives for an entity while it is being synced leaves its row ready again.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.errors import Transient
from bitbylaw_pipeline.inbox import outages, work_queue
from bitbylaw_pipeline.inbox.batches import get_flag
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.inbox.work_queue import Claim
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.completion import Completion, Recorder
from bitbylaw_pipeline.sync.entity_pass import Finished, run_pass
from bitbylaw_pipeline.sync.feed import ChangeFeed
from bitbylaw_pipeline.sync.outage import OutageWatch
from bitbylaw_pipeline.sync.stream import Stream

log = structlog.get_logger(__name__)

DRAIN = "drain"
BEAT_SECONDS = 3.0

Beat = Callable[[str], Awaitable[bool]]
"""Told "working" or "idle"; False means that the stream's lease is lost and the batch must end."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a batch did, by result, and why it ended: lingered, rotated, stopped, drained or lost."""

    counts: dict[str, int]
    reason: str


@dataclass(slots=True)
class Worker:
    """Works on one stream in this process; good for one call of `work` or `work_keys`."""

    stream: Stream
    database: Database
    coordination: Coordination
    outage_watch: OutageWatch
    settings: Settings
    feed: ChangeFeed | None = None
    _held: dict[str, Claim] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _waiting: deque[Claim] = field(default_factory=deque)
    _something: asyncio.Event = field(default_factory=asyncio.Event)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _reason: str = "stopped"

    async def work(self, *, stop: asyncio.Event, record: Recorder, beat: Beat) -> Summary:
        """The whole lingering batch, until it is stopped, drained, quiet for long enough, old, or its lease is lost."""
        completion = self._completion(record)
        background = [
            self._keep_leases(),
            self._keep_beating(beat),
            self._heed(stop),
            self._listen(),
            completion.run(),
        ]
        if self.feed is not None and self.settings.feed_interval_seconds > 0:
            background.append(self._poll_feed(self.feed))
        await self._among(background, self._claim_until_quiet(completion), completion)
        return Summary(dict(completion.counts), self._reason)

    async def work_keys(
        self, keys: Sequence[str], *, stop: asyncio.Event, record: Recorder, wait_seconds: float
    ) -> list[Finished]:
        """Syncs just these keys, waiting a bounded time (seconds) for those that a batch holds; one result a key."""
        collected: dict[str, Finished] = {}

        def record_and_collect(finished: Sequence[Finished]) -> None:
            record(finished)
            collected.update((one.key, one) for one in finished)

        completion = self._completion(record_and_collect)
        background = [self._keep_leases(), self._heed(stop), completion.run()]
        await self._among(
            background, self._take_all(list(dict.fromkeys(keys)), wait_seconds, completion), completion
        )
        if self._stop.is_set():
            return list(collected.values())
        return [collected.get(key) or _not_free(key, wait_seconds) for key in dict.fromkeys(keys)]

    def _completion(self, record: Recorder) -> Completion:
        return Completion(
            database=self.database,
            ladder=self.settings.retry_ladder,
            record=record,
            is_busy=lambda: bool(self._tasks or self._waiting),
            let_go=self._let_go,
        )

    def _let_go(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._held.pop(key, None)
        self._something.set()

    async def _among(
        self, background: Sequence[Awaitable[None]], foreground: Awaitable[None], completion: Completion
    ) -> None:
        """Runs the foreground with its companions; a companion's failure ends both. Gives everything back at the end."""
        companions = [asyncio.ensure_future(each) for each in background]
        main = asyncio.ensure_future(foreground)
        try:
            done, _ = await asyncio.wait([main, *companions], return_when=asyncio.FIRST_COMPLETED)
            while main not in done and not any(each.exception() for each in done):
                rest = {main, *companions} - done
                more, _ = await asyncio.wait(rest, return_when=asyncio.FIRST_COMPLETED)
                done |= more
            for each in done:
                each.result()
        finally:
            main.cancel()
            await self._wind_down(completion)
            for each in companions:
                each.cancel()
            await asyncio.gather(main, *companions, return_exceptions=True)

    # claiming

    async def _claim_until_quiet(self, completion: Completion) -> None:
        born = quiet_since = time.monotonic()
        most = self.settings.sync_concurrency
        while not self._stop.is_set():
            self._something.clear()
            in_hand = len(self._tasks) + len(self._waiting)
            # A slot's worth ahead: one transaction then serves many documents.
            claimed = await self._claim(2 * most - in_hand, completion) if in_hand < 1.5 * most else 0
            now = time.monotonic()
            if self._held:
                quiet_since = now
            elif now - quiet_since >= self.settings.batch_linger_seconds:
                self._reason = "lingered"
                return
            if now - born >= self.settings.batch_rotate_seconds:
                self._reason = "rotated"
                await self._finish_tasks()
                return
            if not claimed:
                await self._rest(await self._seconds_until_due())

    async def _claim(self, limit: int, completion: Completion) -> int:
        """Claims and starts; returns how many. None while a system that the stream needs is down."""

        def claim(conn: Connection) -> tuple[list[Claim], dict[str, float], bool]:
            now = self.database.now(conn)
            if get_flag(conn, DRAIN) is not None:
                return [], {}, True
            # Also those whose time is over: the first thing after a pause is one probe, not sixteen documents.
            paused = {
                outage.system: outage.until - now
                for outage in outages.listing(conn)
                if outage.system in self.stream.systems
            }
            if paused:
                return [], paused, False
            return self._claim_ready(conn, now, limit), {}, False

        try:
            claims, paused, is_draining = await self.database.run(claim)
        except DatabaseUnavailable:
            log.warning("database_unavailable")
            return 0
        if is_draining:
            self._end("drained")
            return 0
        for system, seconds_left in paused.items():
            if seconds_left <= 0:
                await self.outage_watch.lift_if_back(system)
        self._hold(claims, completion)
        return len(claims)

    def _claim_ready(
        self, conn: Connection, now: float, limit: int, keys: Sequence[str] | None = None
    ) -> list[Claim]:
        return work_queue.claim(
            conn,
            now,
            self.stream.name,
            limit=limit,
            lease_seconds=self.settings.lease_seconds,
            keys=keys,
            new_token=lambda: uuid.uuid4().hex,
        )

    async def _take_all(self, keys: list[str], wait_seconds: float, completion: Completion) -> None:
        deadline = time.monotonic() + wait_seconds
        while not self._stop.is_set():
            self._something.clear()
            room = max(0, self.settings.sync_concurrency - len(self._tasks))
            claims = await self._seize(keys[:room]) if keys and room else []
            self._hold(claims, completion)
            taken = {claim.key for claim in claims}
            keys = [key for key in keys if key not in taken]
            if not keys and not self._held:
                return
            if not self._held and time.monotonic() > deadline:
                return
            # Those at the head may be held for long: let the others have their turn.
            keys = keys[room:] + keys[:room]
            await self._rest(0.2)

    async def _seize(self, keys: Sequence[str]) -> list[Claim]:
        """Wants and claims the keys that nobody holds, in one transaction: no batch can come in between."""

        def seize(conn: Connection) -> list[Claim]:
            now = self.database.now(conn)
            free = [key for key in keys if not self._is_leased(conn, now, key)]
            if not free:
                return []
            work_queue.want(conn, now, self.stream.name, free)
            return self._claim_ready(conn, now, len(free), free)

        return await self.database.run(seize)

    def _is_leased(self, conn: Connection, now: float, key: str) -> bool:
        row = work_queue.get(conn, self.stream.name, key)
        return row is not None and row.lease_until is not None and row.lease_until > now

    def _hold(self, claims: Sequence[Claim], completion: Completion) -> None:
        for claim in claims:
            self._held[claim.key] = claim
            self._waiting.append(claim)
        self._start_waiting(completion)

    def _start_waiting(self, completion: Completion) -> None:
        while self._waiting and len(self._tasks) < self.settings.sync_concurrency and not self._stop.is_set():
            claim = self._waiting.popleft()
            if self._held.get(claim.key) is claim:
                self._tasks[claim.key] = asyncio.create_task(self._pass(claim, completion))

    async def _pass(self, claim: Claim, completion: Completion) -> None:
        try:
            ended = await run_pass(self.stream, claim, self.outage_watch, self.settings.retry_ladder)
        finally:
            self._tasks.pop(claim.key, None)
        self._start_waiting(completion)
        completion.add(ended)
        self._something.set()

    # waiting

    async def _rest(self, seconds: float) -> None:
        """Waits until something happens here (a pass ended, a wake-up came, a stop), at most so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._something.wait()
        except TimeoutError:
            return

    async def _seconds_until_due(self) -> float:
        longest = self.settings.batch_poll_seconds
        if self._held:
            return longest

        def read(conn: Connection) -> float | None:
            due = work_queue.next_due(conn, self.database.now(conn), self.stream.name)
            return None if due is None else due - self.database.now(conn)

        try:
            due_in = await self.database.run(read)
        except DatabaseUnavailable:
            return longest
        # Never zero: while a system is paused, what is ready stays unclaimed.
        return longest if due_in is None else min(longest, max(0.1, due_in))

    async def _finish_tasks(self) -> None:
        while self._tasks and not self._stop.is_set():
            self._something.clear()
            await self._rest(1.0)

    # companions

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self.settings.lease_seconds / 4)
            claims = list(self._held.values())
            if not claims:
                continue
            try:
                still_ours = await self.database.run(
                    lambda conn, claims=claims: work_queue.renew(  # type: ignore[misc]
                        conn, self.database.now(conn), claims, self.settings.lease_seconds
                    )
                )
            except DatabaseUnavailable:
                continue
            for claim in claims:
                if claim.key not in still_ours and self._held.get(claim.key) is claim:
                    # Somebody else has it by now; two writers at once are what the lease is there against.
                    log.warning("lease_lost", stream=self.stream.name, key=claim.key)
                    del self._held[claim.key]
                    if task := self._tasks.get(claim.key):
                        task.cancel()

    async def _keep_beating(self, beat: Beat) -> None:
        while await beat("working" if self._held else "idle"):  # noqa: ASYNC110  # a heart beats by time
            await asyncio.sleep(BEAT_SECONDS)
        self._end("lost")
        await asyncio.Event().wait()

    async def _heed(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._end("stopped")
        await asyncio.Event().wait()

    async def _listen(self) -> None:
        wakeups = self.coordination.wakeups(self.stream.name)
        try:
            while True:
                if await wakeups.wait(60.0):
                    self._something.set()
        finally:
            await wakeups.aclose()

    async def _poll_feed(self, feed: ChangeFeed) -> None:
        while True:
            await feed.poll_quietly()
            await asyncio.sleep(self.settings.feed_interval_seconds)

    def _end(self, reason: str) -> None:
        if not self._stop.is_set():
            self._reason = reason
            self._stop.set()
            self._something.set()

    async def _wind_down(self, completion: Completion) -> None:
        """Cancels what is under way, settles what has ended, and gives every lease back."""
        self._stop.set()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await completion.flush()
        finally:
            if left := list(self._held.values()):
                try:
                    await self.database.run(
                        lambda conn: work_queue.release(conn, self.database.now(conn), left)
                    )
                except DatabaseUnavailable:
                    log.warning("leases_left", entities=len(left))
                self._held.clear()


def _not_free(key: str, wait_seconds: float) -> Finished:
    error = Transient(
        f"{key} is being synced by a batch and did not become free within {wait_seconds:.0f} s: "
        "launch the partition again, or leave it to the batch."
    )
    return Finished(key, None, error, is_parked=False, seconds=wait_seconds, calls=0)
