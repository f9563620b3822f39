"""Pauses: how long, who asks whether it is over, and what counts against an entity."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from bitbylaw_pipeline.clients.http import System
from bitbylaw_pipeline.domain.errors import AuthFailed, NotFound, Permanent, RateLimited, Transient
from bitbylaw_pipeline.inbox import outages
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.outage import LONGEST_PAUSE_SECONDS, OutageWatch
from tests.conftest import FakeClock

SYSTEM = "xai-files"


@dataclass(slots=True)
class Probing:
    """A probe that answers what it is told, and how often it was asked."""

    error: Exception | None = None
    asked: int = 0
    seconds: float = 0.0

    async def __call__(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error


def _watch(database: Database, probing: Probing) -> OutageWatch:
    return OutageWatch(database, {SYSTEM: probing}, 10.0)


async def _until(database: Database) -> float | None:
    listed = await database.run(outages.listing)
    return next((outage.until for outage in listed if outage.system == SYSTEM), None)


def _run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("90", 90.0),
        (None, 5.0),
        ("-5", 5.0),
        ("soon", 5.0),
        ("864000", LONGEST_PAUSE_SECONDS),
        ("date:120", 120.0),
        ("date:864000", LONGEST_PAUSE_SECONDS),
    ],
)
def test_a_429_pauses_for_as_long_as_it_asks_for(
    database: Database, clock: FakeClock, header: str | None, seconds: float
) -> None:
    """Seconds or a date, never earlier than asked; ten days are four hours; nonsense is the default."""

    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"Date": formatdate(clock(), usegmt=True)}
        if header is not None:
            after = header.removeprefix("date:")
            is_date = header.startswith("date:")
            headers["Retry-After"] = formatdate(clock() + float(after), usegmt=True) if is_date else after
        return httpx.Response(429, headers=headers)

    async def story() -> None:
        system = System(SYSTEM, "http://files.test", {}, transport=httpx.MockTransport(answer), clock=clock)
        with pytest.raises(RateLimited) as caught:
            await system.call("GET", "/x", operation="x")
        assert await _watch(database, Probing()).judge(caught.value) == pytest.approx(seconds, abs=1.0)
        until = await _until(database)
        assert until == pytest.approx(clock() + seconds, abs=1.0)

    _run(story())


def test_a_fault_of_one_entity_pauses_nothing(database: Database) -> None:
    """The system's probe answers: it is the entity's own trouble. Refusals need no probe at all."""

    async def story() -> None:
        probing = Probing()
        watch = _watch(database, probing)
        assert await watch.judge(Transient("500", system=SYSTEM)) is None
        assert probing.asked == 1
        for error in (Permanent("no"), NotFound("no"), Transient("bug", system="pipeline")):
            assert await watch.judge(error) is None
        assert probing.asked == 1
        assert await _until(database) is None

    _run(story())


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Transient("503", system=SYSTEM), 10.0),
        (Transient("503", system=SYSTEM, retry_after=600.0), 600.0),
        (RateLimited("429", system=SYSTEM, retry_after=77.0), 77.0),
        (AuthFailed("401", system=SYSTEM), 60.0),
        (ValueError("a bug in the probe"), 10.0),
    ],
)
def test_what_the_probe_is_told_decides_the_pause(
    database: Database, clock: FakeClock, error: Exception, seconds: float
) -> None:
    """The document met a 500, the probe a 429 with a time: the time counts, for now and when it is asked again."""

    async def story() -> None:
        probing = Probing(error)
        watch = _watch(database, probing)
        assert await watch.judge(Transient("500", system=SYSTEM)) == seconds
        assert await _until(database) == clock() + seconds
        clock.advance(seconds)
        fresh = _watch(database, probing)
        assert not await fresh.may_call((SYSTEM,))
        assert await _until(database) == clock() + seconds
        probing.error = None
        clock.advance(seconds)
        assert await _watch(database, probing).may_call((SYSTEM,))
        assert await _until(database) is None

    _run(story())


def test_many_failures_at_once_share_one_probe(database: Database) -> None:
    """Sixteen documents under way fail together: the system in trouble is not asked sixteen times."""

    async def story() -> None:
        probing = Probing(Transient("down", system=SYSTEM), seconds=0.02)
        watch = _watch(database, probing)
        errors = [Transient("500", system=SYSTEM) for _ in range(16)]
        assert await asyncio.gather(*(watch.judge(error) for error in errors)) == [10.0] * 16
        assert probing.asked == 1
        probing.error = None
        watch = _watch(database, probing)
        probing.asked = 0
        assert await asyncio.gather(*(watch.judge(error) for error in errors)) == [None] * 16
        assert probing.asked <= 2

    _run(story())


def test_good_news_from_before_a_failure_proves_nothing(database: Database) -> None:
    """The system answered a moment ago and is down now: the failure is not laid at the document's door."""

    async def story() -> None:
        probing = Probing()
        watch = _watch(database, probing)
        error = Transient("500", system=SYSTEM)
        assert await watch.judge(error) is None
        probing.error = error
        assert await watch.judge(error) == 10.0

    _run(story())


def test_one_process_asks_when_the_time_is_over(database: Database, clock: FakeClock) -> None:
    """Of three batches that find the pause over one asks; the others go on waiting."""

    async def story() -> None:
        probing = Probing(Transient("still down", system=SYSTEM), seconds=0.05)
        await database.run(lambda conn: outages.pause(conn, clock(), SYSTEM, 5.0, "is down"))
        watches = [_watch(database, probing) for _ in range(3)]
        assert await asyncio.gather(*(watch.may_call((SYSTEM,)) for watch in watches)) == [False] * 3
        assert probing.asked == 0
        clock.advance(5.0)
        assert await asyncio.gather(*(watch.may_call((SYSTEM,)) for watch in watches)) == [False] * 3
        assert probing.asked == 1
        # Should the one that asks die over it, another asks after the next interval.
        clock.advance(10.0)
        probing.error = None
        watches = [_watch(database, probing) for _ in range(3)]
        assert True in await asyncio.gather(*(watch.may_call((SYSTEM,)) for watch in watches))
        assert probing.asked == 2

    _run(story())


def test_a_longer_pause_that_came_in_meanwhile_stands(database: Database, clock: FakeClock) -> None:
    """A call under way is told to keep away for an hour while our probe is answered: nobody calls for an hour."""

    async def story() -> None:
        probing = Probing(seconds=0.05)
        watch = _watch(database, probing)
        await database.run(lambda conn: outages.pause(conn, clock(), SYSTEM, 5.0, "is down"))
        clock.advance(5.0)
        asking = asyncio.create_task(watch.may_call((SYSTEM,)))
        while not probing.asked:  # noqa: ASYNC110  # another task's doing
            await asyncio.sleep(0)
        await watch.judge(RateLimited("429", system=SYSTEM, retry_after=3600.0))
        assert not await asking
        assert await _until(database) == clock() + 3600.0
        shorter = RateLimited("429", system=SYSTEM, retry_after=1.0)
        await watch.judge(shorter)
        assert await _until(database) == clock() + 3600.0

    _run(story())


def test_a_system_of_another_stream_holds_nobody_up(database: Database, clock: FakeClock) -> None:
    """Only the systems that a stream needs are looked at."""

    async def story() -> None:
        await database.run(lambda conn: outages.pause(conn, clock(), SYSTEM, 50.0, "is down"))
        watch = _watch(database, Probing())
        assert await watch.may_call(("espocrm",))
        assert not await watch.may_call(("espocrm", SYSTEM))

    _run(story())
