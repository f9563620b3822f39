"""`/status` waits for nobody for long, and nobody waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, text

from bitbylaw_pipeline.domain.alert import TroubleKind
from bitbylaw_pipeline.inbox import alerts
from bitbylaw_pipeline.inbox.database import Database
from tests.conftest import ENCRYPTION_KEY, FakeClock
from tests.receiver.conftest import Bench, client_of, writing_elsewhere
from tests.receiver.deliveries import BY_SECRET, UPDATE, listed, resent_by
from tests.receiver.firms import FIRM, alert, make_well
from tests.receiver.receiver_settings import receiver_settings
from tests.receiver.status_pages import BY_KEY, get, headline, words
from webhook_sensor_app.status_page import PATH
from webhook_sensor_app.status_reading import KEEP_SECONDS, StatusReading


def test_without_a_database_the_page_says_so_in_time(clock: FakeClock) -> None:
    """503 as a page and as JSON, with what to do; the password is still asked for first."""
    url = "postgresql://nobody@127.0.0.1:1/none"
    bench = Bench(Database.open(url, encryption_key=ENCRYPTION_KEY, wait_seconds=1.0), clock)
    answer = get(bench)
    assert answer.status_code == 503
    assert headline(answer.text) == "The status cannot be shown"
    assert "reload in a minute" in words(answer.text)
    assert int(answer.headers["retry-after"]) > 0
    assert "reload" in get(bench, {**BY_KEY, "accept": "application/json"}).json()["error"]
    assert get(bench, {}).status_code == 401
    bench.database.close()


def test_tables_that_are_missing_are_told_without_details(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A database without our tables is a fault: 503 with one sentence, and the error's type alone in the log."""
    database.run_sync(lambda connection: connection.execute(text("DROP TABLE reconciliation")))
    answer = get(Bench(database, FakeClock()))
    assert answer.status_code == 503
    assert "bitbylaw status" in words(answer.text)
    assert any("reason=unexpected" in line for line in caplog.messages)
    assert "SELECT" not in answer.text + caplog.text


@contextmanager
def hanging(database: Database) -> Iterator[Callable[[], int]]:
    """Every read of the page's hangs until the end; yields how many were begun."""
    go_on, begun = threading.Event(), [0]

    def wait(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM reconciliation" in statement:
            begun[0] += 1
            go_on.wait(30)

    event.listen(database.engine, "before_cursor_execute", wait)
    try:
        yield lambda: begun[0]
    finally:
        go_on.set()
        event.remove(database.engine, "before_cursor_execute", wait)


def test_a_hanging_read_hurts_no_webhook(bench: Bench) -> None:
    """Forty looks at a page that hangs are 503 in time and one read of the database; webhooks are stored all the while."""

    async def main() -> None:
        with hanging(bench.database) as begun:
            async with client_of(bench.database, wait_seconds=1.0, **FIRM) as client:
                looks = [asyncio.create_task(client.get(PATH, headers=BY_KEY)) for _ in range(40)]
                hook = await resent_by(lambda: client.post(UPDATE, content=listed("d1"), headers=BY_SECRET))
                answers = await asyncio.gather(*looks)
                assert hook.status_code == 202
                assert {answer.status_code for answer in answers} == {503}
                assert begun() == 1

    asyncio.run(main())


def test_a_writer_elsewhere_does_not_keep_the_page_waiting(bench: Bench) -> None:
    """While another process is in the middle of writing the page is shown: it reads beside the writer."""
    make_well(bench.database)

    async def main() -> int:
        async with client_of(bench.database, **FIRM) as client:
            with writing_elsewhere(bench.database):
                return (await client.get(PATH, headers=BY_KEY)).status_code

    assert asyncio.run(main()) == 200


def test_under_load_the_state_is_read_once_in_two_seconds(bench: Bench) -> None:
    """Two hundred looks at once are one read; what is shown is two seconds old at most."""
    settings = receiver_settings(**FIRM)
    clock = FakeClock()
    reading = StatusReading(settings, bench.database, wait_seconds=30.0, clock=clock)

    async def looks(number: int) -> list[int]:
        facts = await asyncio.gather(*(reading.facts() for _ in range(number)))
        assert len({id(one) for one in facts}) == 1
        return [len(facts[0].alerts)]

    def add(subject: str) -> None:
        one = alert(1.0, TroubleKind.DRIFT, subject, "Says.")
        bench.database.run_sync(lambda c: alerts.put(c, [one]))

    async def main() -> None:
        assert await looks(200) == [0]
        add("one")
        clock.advance(KEEP_SECONDS)
        assert await looks(50) == [0]
        clock.advance(0.1)
        assert await looks(50) == [1]

    asyncio.run(main())
