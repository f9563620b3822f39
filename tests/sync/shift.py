"""A worker on a stream whose entities do as the test says: a real queue, real time, short settings."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bitbylaw_pipeline.domain.outcome import Outcome, Result
from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.work_queue import WorkRow
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.sync.feed import ChangeFeed
from bitbylaw_pipeline.sync.outage import OutageWatch, Probe
from bitbylaw_pipeline.sync.worker import Summary, Worker

STREAM = "documents"
PATIENCE = 15.0
SHORT: dict[str, Any] = {
    "sync_concurrency": 4,
    "lease_seconds": 15.0,
    "batch_poll_seconds": 0.1,
    "batch_linger_seconds": 30.0,
    "feed_interval_seconds": 0.0,
    "retry_first_seconds": 0.05,
    "retry_attempts": 3,
    "outage_probe_seconds": 0.2,
}

Script = Callable[[str], Awaitable[Outcome]]


async def do_nothing(key: str) -> Outcome:
    """A pass that finds nothing to do."""
    return Outcome(key, Result.UNCHANGED)


@dataclass(slots=True)
class Scripted:
    """A stream whose passes are scripts of the test's, by key; it notes who was under way when."""

    script: Script = do_nothing
    scripts: dict[str, Script] = field(default_factory=dict)
    name: str = STREAM
    systems: frozenset[str] = frozenset({"espocrm"})
    begun: list[str] = field(default_factory=list)
    ended: dict[str, float] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)
    most_at_once: int = 0
    doubled: list[str] = field(default_factory=list)

    def entity_lock(self, key: str) -> str:
        return f"document_sync:CDokumente:{key}"

    async def describe(self, key: str) -> list[str]:
        return [key]

    async def sync(self, key: str) -> Outcome:
        if key in self.under_way:
            self.doubled.append(key)
        self.begun.append(key)
        self.under_way.add(key)
        self.most_at_once = max(self.most_at_once, len(self.under_way))
        try:
            return await self.scripts.get(key, self.script)(key)
        except asyncio.CancelledError:
            self.cancelled.append(key)
            raise
        finally:
            self.under_way.discard(key)
            self.ended[key] = time.monotonic()


@dataclass(slots=True)
class Recorded:
    """A recorder that notes what it was told and when, and whether it was ever called twice at once."""

    finished: list[Finished] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)
    chunks: list[int] = field(default_factory=list)
    before: Callable[[Sequence[Finished]], None] = lambda _: None
    was_concurrent: bool = False
    _turn: Any = field(default_factory=threading.Lock)

    def __call__(self, finished: Sequence[Finished]) -> None:
        if not self._turn.acquire(blocking=False):
            self.was_concurrent = True
            return
        try:
            self.before(finished)
            self.finished += finished
            self.chunks.append(len(finished))
            self.times.update((one.key, time.monotonic()) for one in finished)
        finally:
            self._turn.release()

    def of(self, key: str) -> list[Finished]:
        """What was recorded of one entity."""
        return [one for one in self.finished if one.key == key]


@dataclass(slots=True)
class Shift:
    """One state database with a worker or more on it."""

    database: Database
    settings: Settings
    coordination: Coordination
    stream: Scripted = field(default_factory=Scripted)
    recorded: Recorded = field(default_factory=Recorded)
    probes: Mapping[str, Probe] = field(default_factory=dict)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    feed: ChangeFeed | None = None
    is_ours: bool = True
    activities: list[str] = field(default_factory=list)

    def worker(self, **given: Any) -> Worker:
        watch = OutageWatch(self.database, self.probes, self.settings.outage_probe_seconds)
        parts = {
            "stream": self.stream,
            "database": self.database,
            "coordination": self.coordination,
            "outage_watch": watch,
            "settings": self.settings,
            "feed": self.feed,
        }
        return Worker(**{**parts, **given})

    async def beat(self, activity: str) -> bool:
        self.activities.append(activity)
        return self.is_ours

    def start(self, **given: Any) -> asyncio.Task[Summary]:
        """A batch under way."""
        work = self.worker(**given).work(stop=self.stop, record=self.recorded, beat=self.beat)
        return asyncio.create_task(work)

    async def end(self, batch: asyncio.Task[Summary]) -> Summary:
        """Stops the batch and returns its summary."""
        self.stop.set()
        async with asyncio.timeout(PATIENCE):
            return await batch

    async def want(self, *keys: str, stream: str = STREAM) -> None:
        await self.database.run(lambda conn: work_queue.want(conn, self.database.now(conn), stream, keys))

    async def row(self, key: str) -> WorkRow:
        row = await self.database.run(lambda conn: work_queue.get(conn, STREAM, key))
        assert row is not None, key
        return row

    async def is_done(self, keys: Iterable[str]) -> bool:
        rows = [await self.row(key) for key in keys]
        return all(row.done == row.wanted and row.lease_token is None for row in rows)

    async def nothing_is_leased(self, *keys: str) -> bool:
        return all([(await self.row(key)).lease_token is None for key in keys])

    async def until(self, condition: Callable[[], bool | Awaitable[bool]], what: str = "") -> None:
        """Waits until the condition holds; fails after a generous time."""
        deadline = time.monotonic() + PATIENCE
        while True:
            holds = condition()
            if await holds if isinstance(holds, Awaitable) else holds:
                return
            assert time.monotonic() < deadline, what or "What was waited for did not come about."
            await asyncio.sleep(0.01)

    async def done(self, *keys: str) -> None:
        """Waits until all of them are done."""
        await self.until(lambda: self.is_done(keys), f"{keys} are not done.")


@asynccontextmanager
async def open_shift(url: str, **overrides: Any) -> AsyncIterator[Shift]:
    """A shift on the database at the URL, with short settings; nothing is at work yet."""
    settings = Settings(_env_file=None, **{**SHORT, **overrides})
    database = Database.open(url)
    coordination = Coordination.open(settings)
    try:
        yield Shift(database, settings, coordination)
    finally:
        await coordination.aclose()
        await database.aclose()


def run_shift(url: str, story: Callable[[Shift], Awaitable[None]], **overrides: Any) -> None:
    """Runs the story in a fresh shift."""

    async def run() -> None:
        async with asyncio.timeout(60), open_shift(url, **overrides) as shift:
            await story(shift)

    asyncio.run(run())
