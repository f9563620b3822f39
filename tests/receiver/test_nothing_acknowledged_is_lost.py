"""Crashes under load: what was acknowledged is stored, and while the database is away there is 503 and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import select

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import inbox_event
from tests.conftest import migrated_url
from tests.receiver.deliveries import BY_SECRET, UPDATE, listed
from tests.receiver.processes import ReceiverProcess
from tests.servers import PostgresServer

SENDERS = 8


@dataclass(slots=True)
class Load:
    """Senders that keep on sending, and what became of it."""

    acknowledged: set[str] = field(default_factory=set)
    answers: Counter[int | str] = field(default_factory=Counter)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def send(self, session: aiohttp.ClientSession, receiver: ReceiverProcess) -> None:
        """One sender."""
        while not self.stop.is_set():
            record_id = f"d{next(self.numbers)}"
            try:
                async with session.post(
                    receiver.url + UPDATE, data=listed(record_id), headers=BY_SECRET
                ) as response:
                    self.answers[response.status] += 1
                    if response.status == 202:
                        self.acknowledged.add(record_id)
            except aiohttp.ClientError as error:
                self.answers[type(error).__name__] += 1
                await asyncio.sleep(0.01)

    async def acknowledge(self, count: int) -> None:
        """Waits for so many further acknowledgements."""
        goal = len(self.acknowledged) + count
        while len(self.acknowledged) < goal:  # noqa: ASYNC110 - polled, so that the senders stay simple
            await asyncio.sleep(0.01)


def _missing(url: str, acknowledged: set[str]) -> set[str]:
    """What was acknowledged and is not in the inbox, or not in the queue."""
    database = Database.open(url)
    stored = set(
        database.read(lambda connection: connection.execute(select(inbox_event.c.entity_id)).scalars().all())
    )
    ready = database.read(
        lambda connection: work_queue.ready_count(
            connection, database.now(connection), "documents", 1_000_000
        )
    )
    database.close()
    assert ready >= len(acknowledged)
    return acknowledged - stored


@pytest.mark.slow
def test_a_database_that_restarts_costs_nothing_but_503(tmp_path: Path) -> None:
    """PostgreSQL stopped fast, at once, and killed, under load: only 202 and 503, no reset, nothing lost."""
    server = PostgresServer()
    server.start()
    url = server.url(server.create_database())

    async def main(receiver: ReceiverProcess) -> Load:
        load = Load()
        async with aiohttp.ClientSession() as session:
            senders = [asyncio.create_task(load.send(session, receiver)) for _ in range(SENDERS)]
            await load.acknowledge(100)
            for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                await asyncio.to_thread(server.stop, how)
                refused = load.answers[503]
                while load.answers[503] < refused + 20:  # noqa: ASYNC110 - the senders count
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(server.start)
                await load.acknowledge(100)
            load.stop.set()
            await asyncio.gather(*senders)
        return load

    try:
        with ReceiverProcess(url, tmp_path) as receiver:
            load = asyncio.run(main(receiver))
            assert set(load.answers) == {202, 503}
        assert not _missing(url, load.acknowledged)
    finally:
        server.remove()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_receiver_that_is_killed_has_kept_its_word(kind: str, tmp_path: Path) -> None:
    """SIGKILL in the middle of the load, three times: everything acknowledged is in the inbox and in the queue."""
    url = migrated_url(kind, tmp_path)

    async def main(receiver: ReceiverProcess) -> Load:
        load = Load()
        async with aiohttp.ClientSession() as session:
            senders = [asyncio.create_task(load.send(session, receiver)) for _ in range(SENDERS)]
            for _ in range(3):
                await load.acknowledge(100)
                receiver.kill()
                await asyncio.to_thread(receiver.start)
            await load.acknowledge(50)
            load.stop.set()
            await asyncio.gather(*senders)
        return load

    with ReceiverProcess(url, tmp_path) as receiver:
        load = asyncio.run(main(receiver))
    assert len(load.acknowledged) >= 350
    assert not _missing(url, load.acknowledged)
