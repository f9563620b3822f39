"""Whatever goes wrong on our side, the sender is told to come again (503), and soon."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from tests.conftest import ENCRYPTION_KEY, FakeClock
from tests.receiver.conftest import Bench, client_of, register, writing_elsewhere
from tests.receiver.deliveries import BY_SECRET, DOCUMENT_UPDATE, UPDATE, listed, resent_by
from tests.servers import RedisServer, postgres_server
from webhook_sensor_app.app import create_app
from webhook_sensor_app.receiver import BODIES_AT_ONCE
from webhook_sensor_app.refusal import WAIT_SECONDS

BODY = listed("d1")


def _unreachable() -> Database:
    return Database.open(
        "postgresql://nobody@127.0.0.1:1/none", encryption_key=ENCRYPTION_KEY, wait_seconds=1.0
    )


@pytest.mark.parametrize("headers", [BY_SECRET, DOCUMENT_UPDATE.headers(BODY)], ids=["secret", "signature"])
def test_without_a_database_every_request_is_answered_503(headers: dict[str, str], clock: FakeClock) -> None:
    """Down is down for signed and secret requests alike; the process says that it is alive and not ready."""
    bench = Bench(_unreachable(), clock)
    response = bench.post(UPDATE, BODY, headers)
    assert response.status_code == 503
    assert "again" in response.json()["error"]
    assert bench.run(lambda client: client.get("/ready")).status_code == 503
    assert bench.run(lambda client: client.get("/health")).status_code == 200
    bench.database.close()


def test_without_a_database_forgers_are_refused_all_the_same(clock: FakeClock) -> None:
    """What is wrong on its face is 401 with or without a database."""
    bench = Bench(_unreachable(), clock)
    assert bench.post(UPDATE, BODY, BY_SECRET | {"x-webhook-secret": "wrong"}).status_code == 401
    assert bench.post(UPDATE, BODY, {"content-type": "application/json"}).status_code == 401
    bench.database.close()


def test_tables_that_are_missing_are_trouble_of_ours(tmp_path: Path, clock: FakeClock) -> None:
    """A database without our tables: 503 on webhooks and on readiness, no 500."""
    bench = Bench(
        Database.open(f"sqlite:///{tmp_path / 'empty.sqlite'}", encryption_key=ENCRYPTION_KEY), clock
    )
    assert bench.post(UPDATE, BODY, BY_SECRET).status_code == 503
    assert bench.run(lambda client: client.get("/ready")).status_code == 503
    bench.database.close()


def test_secrets_under_another_key_are_trouble_of_ours(bench: Bench, database_url: str) -> None:
    """A wrong STATE_ENCRYPTION_KEY lets no signature be judged: 503, so that nothing is lost meanwhile."""
    register(bench.database, DOCUMENT_UPDATE)
    other = Database.open(database_url, encryption_key="x" * 43 + "=", clock=bench.clock)
    response = Bench(other, bench.clock).post(UPDATE, BODY, DOCUMENT_UPDATE.headers(BODY))
    assert response.status_code == 503
    other.close()


def test_a_busy_database_is_waited_for_a_second(bench: Bench) -> None:
    """While somebody else holds the database a request waits a second and is told to come again; then it works."""

    async def main() -> None:
        async with client_of(bench.database, wait_seconds=WAIT_SECONDS) as client:
            with writing_elsewhere(bench.database):
                started_at = time.monotonic()
                response = await client.post(UPDATE, content=BODY, headers=BY_SECRET)
                assert response.status_code == 503
                # Without its own patience it is the database's that ends the wait, after 10 s.
                assert time.monotonic() - started_at < 9
            later = await resent_by(lambda: client.post(UPDATE, content=listed("d2"), headers=BY_SECRET))
            assert later.status_code == 202

    asyncio.run(main())
    assert "d2" in {row.entity_id for row in bench.stored()}


def test_too_many_at_once_are_refused_at_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Only so many requests wait for a commit; the others are told to come again without waiting."""
    caplog.set_level(logging.WARNING)

    async def main() -> list[httpx.Response]:
        async with client_of(bench.database, max_waiting=3, wait_seconds=WAIT_SECONDS) as client:
            with writing_elsewhere(bench.database):
                return await asyncio.gather(
                    *(client.post(UPDATE, content=listed(f"d{n}"), headers=BY_SECRET) for n in range(10))
                )

    assert {response.status_code for response in asyncio.run(main())} == {503}
    assert sum("reason=overload" in line for line in caplog.messages) == 7


def test_bodies_too_large_together_are_refused(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """What all requests together hold in memory is bounded: beyond it 503, and the room is given back."""
    limit = 2000
    caplog.set_level(logging.WARNING)

    async def main() -> None:
        go_on = asyncio.Event()
        taken = asyncio.Semaphore(0)

        async def body() -> AsyncIterator[bytes]:
            yield listed("d1").ljust(limit)
            taken.release()
            await go_on.wait()

        async with client_of(bench.database, receiver_max_body_bytes=limit) as client:
            held = [
                asyncio.create_task(client.post(UPDATE, content=body(), headers=BY_SECRET))
                for _ in range(BODIES_AT_ONCE)
            ]
            for _ in held:
                await taken.acquire()
            whole = listed("d1").ljust(limit)
            assert (await client.post(UPDATE, content=whole, headers=BY_SECRET)).status_code == 503
            go_on.set()
            assert {answer.status_code for answer in await asyncio.gather(*held)} == {202}
            assert (await client.post(UPDATE, content=whole, headers=BY_SECRET)).status_code == 202

    asyncio.run(main())
    assert sum("reason=too_many_bodies" in line for line in caplog.messages) == 1


def test_a_batch_is_woken_after_the_commit(bench: Bench) -> None:
    """Who waits for a stream hears of its new work over Redis, and finds it in the queue then."""
    server = RedisServer()
    server.start()
    settings = Settings.load(_env_file=None, redis_host=server.host, redis_port=server.port)

    async def main() -> None:
        coordination = Coordination.open(settings, socket_timeout=20.0)
        wakeups = coordination.wakeups("documents")
        try:
            assert not await wakeups.wait(0.1)
            async with client_of(bench.database, coordination) as client:
                woken = asyncio.create_task(wakeups.wait(20))
                assert (await client.post(UPDATE, content=BODY, headers=BY_SECRET)).status_code == 202
                assert await woken
                assert bench.ready("documents") == 1
        finally:
            await wakeups.aclose()
            await coordination.aclose()

    try:
        asyncio.run(main())
    finally:
        server.stop()


def test_a_hanging_redis_holds_nobody_up(bench: Bench) -> None:
    """With Redis hanging or dead requests are stored and acknowledged as ever."""
    server = RedisServer()
    server.start()
    settings = Settings.load(_env_file=None, redis_host=server.host, redis_port=server.port)

    async def main() -> None:
        coordination = Coordination.open(settings)
        async with client_of(bench.database, coordination) as client:
            for number, end in enumerate((server.freeze, server.thaw, server.kill)):
                end()
                answers = await asyncio.gather(
                    *(client.post(UPDATE, content=listed(f"d{number}"), headers=BY_SECRET) for _ in range(5))
                )
                assert {answer.status_code for answer in answers} == {202}
        await coordination.aclose()

    try:
        asyncio.run(main())
    finally:
        server.thaw() if server._process else None
        server.stop()
    assert len(bench.stored()) == 15


def test_ready_means_that_the_database_answers(bench: Bench) -> None:
    """Readiness takes the way that webhooks take: 503 while the database is held, 200 when it is free."""

    async def main() -> None:
        async with client_of(bench.database, wait_seconds=WAIT_SECONDS) as client:
            with writing_elsewhere(bench.database):
                assert (await client.get("/ready")).status_code == 503
                assert (await client.get("/health")).status_code == 200
            assert (await resent_by(lambda: client.get("/ready"))).status_code == 200

    asyncio.run(main())


def test_a_database_that_comes_later_is_taken_up(tmp_path: Path) -> None:
    """The receiver starts without its database, answers 503, makes its tables when there is one, and then works."""
    server = postgres_server()
    name = f"later_{tmp_path.name}"
    settings = Settings.load(
        _env_file=None,
        state_db_url=server.url(name),
        state_encryption_key=ENCRYPTION_KEY,
        webhook_shared_secret=BY_SECRET["x-webhook-secret"],
    )

    async def main() -> None:
        app = create_app(settings)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://receiver") as client,
        ):
            assert (await client.post(UPDATE, content=BODY, headers=BY_SECRET)).status_code == 503
            await asyncio.to_thread(server.execute, f'CREATE DATABASE "{name}"')
            assert (await resent_by(lambda: client.get("/ready"))).status_code == 200
            later = await resent_by(lambda: client.post(UPDATE, content=BODY, headers=BY_SECRET))
            assert later.status_code == 202

    asyncio.run(main())


def test_nothing_personal_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Accepted or refused, one line a request, with ids, counts and a digest, and never a value of the body."""
    caplog.set_level(logging.DEBUG)
    body = listed("d1", "d2", name="Erika Mustermann", secret="xai-abcdefghijkl")
    answer = bench.post(UPDATE, body, BY_SECRET)

    def lines(event: str) -> list[str]:
        return [message for message in caplog.messages if f"event={event}" in message]

    (line,) = lines("accepted")
    assert f"event_id={answer.json()['event']}" in line
    for fact in ("stream=documents", "keys=d1,d2", "items=2", "digest=", "path=/vmh/webhook/document/update"):
        assert fact in line
    bench.post(UPDATE, body[:-1], BY_SECRET)
    bench.post(UPDATE, body, BY_SECRET | {"x-webhook-secret": "wrong"})
    bench.post(UPDATE, listed("Erika Mustermann"), BY_SECRET)
    bench.post("/vmh/webhook/Mustermann/update", body, BY_SECRET)
    assert len(lines("refused")) == 4
    # httpx, the client of this test, logs addresses.
    ours = " ".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    for text in ("Mustermann", "xai-", BY_SECRET["x-webhook-secret"]):
        assert text not in ours
