"""A receiver in this process, on a fresh database of either kind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, func, select

from bitbylaw_pipeline.inbox import events, webhooks, work_queue
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import WRITERS_LOCK, Database
from bitbylaw_pipeline.inbox.events import InboxEvent
from bitbylaw_pipeline.sandbox.serving import serving
from tests.conftest import ENCRYPTION_KEY, FakeClock, migrated_url
from tests.receiver.deliveries import REPLACED_LATELY, REPLACED_LONG_AGO, SIGNERS, Signer
from tests.receiver.firms import make_well
from tests.receiver.proxies import ROWS, ProxyBench, WatchedAdvoware
from tests.receiver.receiver_settings import PATIENT_SECONDS, receiver_settings
from webhook_sensor_app.app import create_app
from webhook_sensor_app.registrations import GRACE_SECONDS


def register(database: Database, *signers: Signer) -> None:
    """Stores webhooks as `setup-espocrm --apply` does."""

    def put(connection: Connection) -> None:
        now, cipher, url = database.now(connection), database.cipher, "https://receiver.example/vmh/webhook"
        for signer in signers:
            webhooks.put(
                connection, now, cipher, signer.webhook_id, event=signer.event, url=url, secret=signer.secret
            )

    database.run_sync(put)


def retire(database: Database, signer: Signer) -> None:
    """Marks a webhook as replaced by another."""
    database.run_sync(
        lambda connection: webhooks.retire(connection, database.now(connection), signer.webhook_id)
    )


@contextlib.contextmanager
def writing_elsewhere(database: Database) -> Iterator[None]:
    """Another process is in the middle of a transaction that does not end."""
    with database.engine.connect() as connection, connection.begin():
        if not database.is_sqlite:
            # Our connections are cut off after 5 s of doing nothing in a transaction: the lock would go in the middle.
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            connection.execute(select(func.pg_advisory_xact_lock(WRITERS_LOCK)))
        yield


@dataclass(frozen=True, slots=True)
class Bench:
    """A database and what a test asks about it."""

    database: Database
    clock: FakeClock

    def run(
        self,
        use: Callable[[httpx.AsyncClient], Awaitable[Any]],
        *,
        coordination: Coordination | None = None,
        **given: Any,
    ) -> Any:
        """Lets a client use a receiver on this database; `given` are settings, or `client_of`'s."""

        async def main() -> Any:
            async with client_of(self.database, coordination, **given) as client:
                return await use(client)

        return asyncio.run(main())

    def post(self, path: str, body: bytes | None, headers: Any, **given: Any) -> httpx.Response:
        """One request to a fresh receiver."""
        response: httpx.Response = self.run(
            lambda client: client.post(path, content=body, headers=headers), **given
        )
        return response

    def stored(self) -> list[InboxEvent]:
        """Every stored event."""
        return self.database.read(lambda connection: events.listing(connection, limit=10_000))

    def wanted(self, stream: str, keys: Sequence[str]) -> list[int]:
        """How often each key was wanted, 0 for never."""

        def read(connection: Connection) -> list[int]:
            rows = [work_queue.get(connection, stream, key) for key in keys]
            return [row.wanted if row else 0 for row in rows]

        return self.database.read(read)

    def ready(self, stream: str) -> int:
        """How many keys of the stream could be claimed."""
        return self.database.read(
            lambda connection: work_queue.ready_count(connection, self.database.now(connection), stream)
        )

    def is_untouched(self) -> bool:
        """True if nothing at all was stored."""
        return not self.stored() and self.ready("documents") == self.ready("collections") == 0


@contextlib.asynccontextmanager
async def client_of(
    database: Database,
    coordination: Coordination | None = None,
    *,
    max_waiting: int = 512,
    wait_seconds: float = PATIENT_SECONDS,
    **given: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a receiver on the database; `given` are settings."""
    app = create_app(
        receiver_settings(**given),
        database,
        coordination or Coordination(None),
        max_waiting=max_waiting,
        wait_seconds=wait_seconds,
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://receiver") as client,
    ):
        yield client


@pytest.fixture
def bench(database: Database, clock: FakeClock) -> Bench:
    """A database without registered webhooks."""
    return Bench(database, clock)


@pytest.fixture
def signed_bench(bench: Bench) -> Bench:
    """A database with all signers registered, one of them replaced lately and one long ago."""
    database = bench.database
    register(database, *SIGNERS)
    for signer, later in ((REPLACED_LONG_AGO, GRACE_SECONDS + 1), (REPLACED_LATELY, GRACE_SECONDS - 1)):
        retire(database, signer)
        bench.clock.advance(later)
    return bench


@pytest.fixture(scope="session")
def advoware() -> Iterator[tuple[WatchedAdvoware, str]]:
    """One sandbox of Advoware on a loopback port, and its address."""
    watched = WatchedAdvoware()
    with serving(watched) as (url,):
        yield watched, url


def _proxy_bench(advoware: tuple[WatchedAdvoware, str], database: Database) -> ProxyBench:
    watched, url = advoware
    watched.sandbox.reset()
    watched.sandbox.seed(ROWS)
    watched.heads.clear()
    return ProxyBench(watched, url, database)


@pytest.fixture
def audited(advoware: tuple[WatchedAdvoware, str], database: Database) -> ProxyBench:
    """A proxy's surroundings: the sandbox with a few rows, and a fresh database of either kind."""
    return _proxy_bench(advoware, database)


@pytest.fixture
def proxied(advoware: tuple[WatchedAdvoware, str], tmp_path: Path) -> Iterator[ProxyBench]:
    """The same on SQLite alone, for what the database has no part in."""
    database = Database.open(migrated_url("sqlite", tmp_path), encryption_key=ENCRYPTION_KEY)
    yield _proxy_bench(advoware, database)
    database.close()


@pytest.fixture
def door(tmp_path: Path, clock: FakeClock) -> Iterator[Bench]:
    """A firm in which all is well, on SQLite alone: for what the database has no part in."""
    database = Database.open(migrated_url("sqlite", tmp_path), clock=clock, encryption_key=ENCRYPTION_KEY)
    make_well(database)
    yield Bench(database, clock)
    database.close()
