"""The worker of one stream: claims what is ready, syncs many entities at once, records, completes, lingers.

It knows no Dagster: whoever runs it gives it a recorder (what to do with finished entities before their work is
called done) and a heartbeat. Whatever arrives for an entity while it is being synced leaves its row ready again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from bitbylaw_pipeline.domain.errors import Transient
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.work_queue import Claim
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.claiming import Catch, Claiming
from bitbylaw_pipeline.sync.completion import Completion, Recorder
from bitbylaw_pipeline.sync.entity_pass import Finished, run_pass
from bitbylaw_pipeline.sync.feed import ChangeFeed
from bitbylaw_pipeline.sync.in_hand import InHand
from bitbylaw_pipeline.sync.outage import OutageWatch
from bitbylaw_pipeline.sync.stream import Stream

log = structlog.get_logger(__name__)

BEAT_SECONDS = 3.0
MOST_HELD = 1000
"""Beyond this the recorder is behind: claiming more would only fill the memory."""

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
    _something: asyncio.Event = field(default_factory=asyncio.Event)
    _reason: str = "stopped"
    _is_down: bool = False
    _hand: InHand = field(init=False)
    _claiming: Claiming = field(init=False)
    _completion: Completion = field(init=False)

    async def work(self, *, stop: asyncio.Event, record: Recorder, beat: Beat) -> Summary:
        """The whole lingering batch, until it is stopped, drained, quiet for long enough, old, or its lease is lost.

        Raises what the recorder, the heartbeat or the feed raise beyond the outside systems' errors; every lease is
        given back first.
        """
        self._begin(record)
        companions = [self._keep_beating(beat), self._heed(stop), self._listen()]
        if self.feed is not None and self.settings.feed_interval_seconds > 0:
            companions.append(self._poll_feed(self.feed))
        await self._among(companions, self._claim_until_quiet())
        return Summary(dict(self._completion.counts), self._reason)

    async def work_keys(
        self, keys: Sequence[str], *, stop: asyncio.Event, record: Recorder, wait_seconds: float
    ) -> list[Finished]:
        """Syncs just these keys, waiting a bounded time (seconds) for those that a batch holds; one result a key.

        After a stop only what was finished by then.
        """
        collected: dict[str, Finished] = {}

        def record_and_collect(finished: Sequence[Finished]) -> None:
            record(finished)
            collected.update((one.key, one) for one in finished)

        self._begin(record_and_collect)
        asked_for = list(dict.fromkeys(keys))
        await self._among([self._heed(stop)], self._take_all(list(asked_for), wait_seconds))
        if stop.is_set():
            return list(collected.values())
        return [collected.get(key) or self._not_done(key, wait_seconds) for key in asked_for]

    def _not_done(self, key: str, wait_seconds: float) -> Finished:
        why = (
            f"{key} needs a system that is down and was not back within {wait_seconds:.0f} s (see bitbylaw status)"
            if self._is_down
            else f"{key} is being synced by a batch and did not become free within {wait_seconds:.0f} s"
        )
        error = Transient(f"{why}: launch the partition again, or leave it to the batch.")
        return Finished(key, None, error, is_parked=False, seconds=wait_seconds, calls=0)

    # the frame

    def _begin(self, record: Recorder) -> None:
        settings = self.settings
        self._hand = InHand(
            self.database, self._pass, settings.sync_concurrency, settings.lease_seconds, self._something
        )
        self._claiming = Claiming(
            self.stream, self.database, self.outage_watch, settings.lease_seconds, self._hand
        )
        self._completion = Completion(
            database=self.database,
            ladder=settings.retry_ladder,
            record=record,
            is_busy=lambda: self._hand.unfinished > 0,
            let_go=self._hand.let_go,
        )

    async def _among(
        self, companions: Sequence[Coroutine[Any, Any, None]], foreground: Coroutine[Any, Any, None]
    ) -> None:
        """Runs the foreground until it ends or a companion does, and gives everything back; raises what failed."""
        main = asyncio.create_task(foreground)
        beside = [
            asyncio.create_task(each)
            for each in (*companions, self._hand.keep_leases(), self._completion.run())
        ]
        try:
            done, _ = await asyncio.wait([main, *beside], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self._wind_down(main, beside)

    async def _wind_down(self, main: asyncio.Task[None], beside: Sequence[asyncio.Task[None]]) -> None:
        """Cancels what is under way, settles what has ended, and gives every lease back."""
        try:
            await _cancelled(main)
            await self._hand.cancel()
            await self._completion.flush()
        finally:
            try:
                await self._hand.give_back_all()
            finally:
                await _cancelled(*beside)

    async def _pass(self, claim: Claim) -> None:
        ended = await run_pass(self.stream, claim, self.outage_watch, self.settings.retry_ladder)
        if ended.pause is not None:
            # What was claimed ahead would only run into the same wall.
            self._hand.is_held_up = True
        self._completion.add(ended)

    # the foreground

    async def _claim_until_quiet(self) -> None:
        born = quiet_since = time.monotonic()
        most = self.settings.sync_concurrency
        while time.monotonic() - born < self.settings.batch_rotate_seconds:
            self._something.clear()
            await self._put_back()
            # A slot's worth ahead: one transaction then serves many documents.
            room = min(2 * most - self._hand.unfinished, MOST_HELD - len(self._hand))
            catch = await self._claiming.ready(room) if 2 * room > most else Catch()
            if len(self._hand):
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since >= self.settings.batch_linger_seconds:
                self._reason = "lingered"
                break
            if catch.is_draining:
                self._reason = "drained"
                break
            if not catch.claims:
                await self._rest(catch.due_in)
        else:
            self._reason = "rotated"
        self._hand.is_held_up = True
        await self._hand.give_back_waiting()
        await self._hand.finish()

    async def _take_all(self, keys: list[str], wait_seconds: float) -> None:
        deadline = time.monotonic() + wait_seconds
        while keys or len(self._hand):
            self._something.clear()
            await self._put_back()
            room = max(0, self.settings.sync_concurrency - self._hand.unfinished)
            catch = await self._claiming.seize(keys[:room]) if keys and room else Catch()
            taken = {claim.key for claim in catch.claims}
            # Those at the head may be held for long: let the others have their turn.
            keys = [key for key in keys[room:] + keys[:room] if key not in taken]
            if not len(self._hand) and time.monotonic() > deadline:
                self._is_down = not catch.pauses.is_open
                await self._claiming.want(keys)
                return
            if not taken:
                await self._rest(0.2)

    async def _put_back(self) -> None:
        if self._hand.is_held_up:
            await self._hand.give_back_waiting()
            self._hand.is_held_up = False

    async def _rest(self, due_in: float | None) -> None:
        """Waits until something happens here (a pass ended, a wake-up came), at most until something is due."""
        longest = self.settings.batch_poll_seconds
        # Never nothing: a row that is due may be in somebody else's hands.
        seconds = longest if due_in is None else min(max(due_in, 0.02), longest)
        try:
            async with asyncio.timeout(seconds):
                await self._something.wait()
        except TimeoutError:
            return

    # companions: the batch ends when one of them does

    async def _keep_beating(self, beat: Beat) -> None:
        while await beat("working" if len(self._hand) else "idle"):  # noqa: ASYNC110  # a heart beats by time
            await asyncio.sleep(BEAT_SECONDS)
        self._reason = "lost"

    async def _heed(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._reason = "stopped"

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
            found = await feed.poll_quietly()
            if found.changed:
                self._something.set()
            if not found.is_behind:
                await asyncio.sleep(self.settings.feed_interval_seconds)


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
