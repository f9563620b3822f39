"""The office's passes through the real work queue: one worker on the stream, by the office's clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bitbylaw_pipeline.clients.advoware_records import Records
from bitbylaw_pipeline.domain.two_way_link import Link
from bitbylaw_pipeline.inbox import calendar_passes, outages, work_queue
from bitbylaw_pipeline.inbox.calendar_passes import STREAM, CalendarPasses
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.outages import Outage
from bitbylaw_pipeline.inbox.work_queue import WorkRow
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.sync.outage import OutageWatch
from bitbylaw_pipeline.sync.termine_stream import TermineStream
from bitbylaw_pipeline.sync.worker import Worker
from tests.sync.termine.office import EMPLOYEES, Office, Row
from tests.sync.termine.wire import Wire, open_wire

SHORT: dict[str, Any] = {
    "batch_poll_seconds": 0.02,
    "batch_linger_seconds": 0.05,
    "feed_interval_seconds": 0.0,
    "retry_first_seconds": 10.0,
    "outage_probe_seconds": 60.0,
}
QUARTER = 900.0


@dataclass(slots=True, kw_only=True)
class Shift:
    """An office whose passes are asked for and made by a worker."""

    wire: Wire
    office: Office
    settings: Settings
    coordination: Coordination
    finished: dict[str, Finished] = field(default_factory=dict)

    async def quarter(self, *keys: str) -> dict[str, Finished]:
        """A quarter of an hour later everybody's passes (or these) are asked for, and a batch makes them."""
        self.office.advance(QUARTER)
        await self.ask(keys or EMPLOYEES)
        return await self.batch()

    async def ask(self, keys: Iterable[str]) -> list[str]:
        """What the schedule does; returns who was asked for."""
        database, asked = self.office.database, list(keys)
        return await database.run(lambda c: calendar_passes.want_passes(c, database.now(c), asked))

    async def want(self, key: str) -> None:
        """A person wants a pass now."""
        database = self.office.database
        await database.run(lambda c: work_queue.want(c, database.now(c), STREAM, [key]))

    async def batch(self) -> dict[str, Finished]:
        """A batch until nothing is ready any more; what it finished, by key."""
        self.finished = {}
        worker = Worker(
            stream=TermineStream(self.office.pairs),
            database=self.office.database,
            coordination=self.coordination,
            outage_watch=OutageWatch(
                self.office.database,
                {
                    "google": self.office.pairs.google.probe,
                    "advoware": Records(self.office.pairs.termine.connection).probe,
                },
                self.settings.outage_probe_seconds,
            ),
            settings=self.settings,
        )
        summary = await worker.work(stop=asyncio.Event(), record=self._record, beat=_beat)
        assert summary.reason == "lingered"
        return self.finished

    async def row(self, key: str) -> WorkRow:
        """The key's row in the queue."""
        row = await self.office.database.run(lambda c: work_queue.get(c, STREAM, key))
        assert row is not None
        return row

    async def note(self, key: str) -> CalendarPasses:
        """What is noted of the key's last passes."""
        found = await self.office.database.run(lambda c: calendar_passes.get(c, key))
        assert found is not None
        return found

    async def outages(self) -> list[Outage]:
        """Systems that are paused."""
        return list(await self.office.database.run(outages.listing))

    async def links(self, key: str) -> list[Link]:
        """What is remembered of an employee's appointments."""
        return sorted((await self.office.pairs.store(key).load()).links, key=_link_id)

    def stands(self, kuerzel: str) -> tuple[list[Row], list[Row]]:
        """Everything that an employee has on both sides."""
        return [row for row in self.office.termine() if row["anwalt"] == kuerzel], self.office.events(kuerzel)

    def _record(self, finished: Sequence[Finished]) -> None:
        self.finished.update((one.key, one) for one in finished)


def _link_id(link: Link) -> str:
    return link.link_id


async def _beat(_: str) -> bool:
    return True


@asynccontextmanager
async def open_shift(folder: Path, **given: Any) -> AsyncIterator[Shift]:
    """A shift in a fresh office."""
    settings = Settings(_env_file=None, **SHORT)
    coordination = Coordination.open(settings)
    try:
        async with open_wire(folder, **given) as wire:
            yield Shift(wire=wire, office=wire.office, settings=settings, coordination=coordination)
    finally:
        await coordination.aclose()


def on_shift(folder: Path, story: Callable[[Shift], Awaitable[None]], **given: Any) -> None:
    """Runs the story in a fresh shift."""

    async def main() -> None:
        async with open_shift(folder, **given) as shift:
            await story(shift)

    asyncio.run(main())
