"""An office whose receiver is served on loopback, and whose appointments are a stream of the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_connection import CalendarUser, GoogleConnection
from bitbylaw_pipeline.clients.http import open_transport
from bitbylaw_pipeline.inbox import calendar_channels, calendar_passes, events, work_queue
from bitbylaw_pipeline.inbox.calendar_channels import Channel
from bitbylaw_pipeline.inbox.calendar_passes import STREAM
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.work_queue import WorkRow
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.sync.outage import OutageWatch
from bitbylaw_pipeline.sync.stream import Stream
from bitbylaw_pipeline.sync.termine_channels import open_channels
from bitbylaw_pipeline.sync.termine_stream import TermineStream
from bitbylaw_pipeline.sync.worker import Worker
from tests.clients.sandboxes import served
from tests.conftest import ENCRYPTION_KEY
from tests.sync.termine.office import EMPLOYEES, Office, calendar_of, mail_of, open_office
from webhook_sensor_app.app import create_app

API_KEY = "key-of-the-calendar-program-91be"
SYNC = "/advoware/calendar/sync"


class Gate(httpx.AsyncBaseTransport):
    """The way to Google, on which new events are held while the gate is shut."""

    def __init__(self) -> None:
        self._way = open_transport()
        self._is_open = asyncio.Event()
        self._is_open.set()
        self.has_come = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request, when it may."""
        if request.method == "POST" and request.url.path.endswith("/events") and not self._is_open.is_set():
            self.has_come.set()
            await self._is_open.wait()
        return await self._way.handle_async_request(request)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._way.aclose()

    def shut(self) -> None:
        """The next new event is held."""
        self.has_come.clear()
        self._is_open.clear()

    def open(self) -> None:
        """What is held goes on."""
        self._is_open.set()


@dataclass(slots=True)
class ReceivingOffice:
    """What a test works with; open it with `in_receiving_office`."""

    office: Office
    receiver: httpx.AsyncClient
    settings: Settings
    coordination: Coordination
    stream: Stream
    gate: Gate
    google_url: str
    finished: list[Finished] = field(default_factory=list)

    async def work(self) -> None:
        """Batches, one after the other, until nothing is ready that nobody is at work on."""
        self.office.advance(1.0)
        database, google = self.office.database, self.office.pairs.google
        watch = OutageWatch(database, {"google": google.probe}, self.settings.outage_probe_seconds)
        is_ready = True
        # A batch that does not linger may end a moment before what its last pass left open is ready again.
        while is_ready:
            worker = Worker(self.stream, database, self.coordination, watch, self.settings)
            await worker.work(stop=asyncio.Event(), record=self.finished.extend, beat=_beats)
            is_ready = bool(await database.run(lambda c: work_queue.ready_count(c, database.now(c), STREAM)))

    async def ask(self, *kuerzel: str) -> str:
        """The reference of a request for these employees' passes; for none, all."""
        self.office.advance(1.0)
        body: dict[str, Any] = {"kuerzel": list(kuerzel)} if kuerzel else {}
        answer = await self.receiver.post(SYNC, json=body)
        assert answer.status_code == 202, answer.text
        reference: str = answer.json()["reference"]
        return reference

    async def told(self, reference: str) -> dict[str, Any]:
        """What became of a request."""
        answer = await self.receiver.get(f"{SYNC}/{reference}")
        assert answer.status_code == 200
        told: dict[str, Any] = answer.json()
        return told

    async def deliver(self) -> list[int]:
        """Google sends the messages that wait; the receiver's answers."""
        async with httpx.AsyncClient(base_url=self.google_url, timeout=30.0) as client:
            answer = await client.post("/sandbox/push", json={"deliver": True})
        return [one["status"] for one in answer.json()["delivered"]]

    async def schedule(self, *kuerzel: str) -> None:
        """The quarter-hourly schedule asks for everybody's passes, or these."""
        database = self.office.database
        await database.run(lambda c: calendar_passes.want_passes(c, database.now(c), kuerzel or EMPLOYEES))

    async def row(self, kuerzel: str = "AB") -> WorkRow:
        """The queue's row of an employee."""
        row = await self.office.database.run(lambda c: work_queue.get(c, STREAM, kuerzel))
        assert row is not None
        return row

    async def is_wanted(self, kuerzel: str = "AB") -> bool:
        """True if a pass is still to come."""
        row = await self.row(kuerzel)
        return row.wanted > row.done

    async def channels(self, kuerzel: str = "AB") -> list[Channel]:
        """The channels that we remember."""
        return await self.office.database.run(lambda c: calendar_channels.channels_of(c, kuerzel))

    async def messages(self) -> int:
        """How many messages of Google's were stored."""
        return len(await self.office.database.run(lambda c: events.listing(c, source="google", limit=10_000)))


async def _beats(_: str) -> bool:
    return True


def _settings(**given: Any) -> Settings:
    fixed: dict[str, Any] = {
        "advoware_api_key": "app",
        "advoware_api_base_url": "http://127.0.0.1:1",
        "state_encryption_key": ENCRYPTION_KEY,
        "api_keys": API_KEY,
        "google_push": True,
        "google_calendars": {one: {"user": mail_of(one), "calendar": calendar_of(one)} for one in EMPLOYEES},
        "batch_linger_seconds": 0.0,
        "batch_poll_seconds": 0.05,
        "retry_first_seconds": 5.0,
    }
    return Settings.load(_env_file=None, **(fixed | given))


def _client(office: Office, url: str, folder: Path, gate: Gate) -> Google:
    shown = office.google.settings(url, folder)
    connection = GoogleConnection(
        shown["google_service_account_file"],
        shown["google_api_base_url"],
        shown["google_token_url"],
        requests_per_minute_per_user=1_000_000,
        requests_per_minute=1_000_000,
    )
    users = [CalendarUser(one, mail_of(one)) for one in EMPLOYEES]
    return Google.open(connection, users=users, transport=gate, clock=office.clock)


@asynccontextmanager
async def receiving_office(
    folder: Path, *, google: dict[str, Any] | None = None, **given: Any
) -> AsyncIterator[ReceivingOffice]:
    """The office, its receiver and its stream; `google` are switches, `given` settings."""
    async with AsyncExitStack() as stack:
        switches = {"push_allows_http": True, **(google or {})}
        office = await stack.enter_async_context(open_office(folder, google=switches))
        gate, coordination = Gate(), Coordination(None)
        google_url = await stack.enter_async_context(served(office.google))
        client = _client(office, google_url, folder, gate)
        stack.push_async_callback(client.aclose)
        office.pairs.google = client
        receiver = create_app(_settings(**given), office.database, coordination, wait_seconds=30.0)
        url = await stack.enter_async_context(served(receiver))
        settings = _settings(**({"receiver_public_url": url} | given))
        stream = TermineStream(office.pairs, open_channels(settings, office.pairs))
        asking = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, headers={"x-api-key": API_KEY}, timeout=30.0)
        )
        yield ReceivingOffice(office, asking, settings, coordination, stream, gate, google_url)


def in_receiving_office(
    folder: Path, story: Callable[[ReceivingOffice], Awaitable[None]], **given: Any
) -> None:
    """Runs the story in a fresh office with a receiver."""

    async def main() -> None:
        async with receiving_office(folder, **given) as desk:
            await story(desk)

    asyncio.run(main())
