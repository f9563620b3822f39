"""The worker with a real Redis: woken at once, and at work by polling when Redis dies."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import migrated_url
from tests.servers import RedisServer
from tests.sync.shift import Shift, run_shift


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A running redis-server of the test's own."""
    server = RedisServer()
    server.start()
    yield server
    server.stop()


async def _want_and_wake(shift: Shift, key: str) -> float:
    """Seconds from the wake-up to the begin of the pass."""
    await shift.want(key)
    began = time.monotonic()
    await shift.coordination.wake("documents")
    await shift.until(lambda: key in shift.stream.ended)
    return shift.stream.ended[key] - began


def test_a_wake_up_starts_work_long_before_the_next_poll(tmp_path: Path, redis_server: RedisServer) -> None:
    """A waiting batch polls every ten seconds here, and yet an entity is synced at once."""

    async def story(shift: Shift) -> None:
        batch = shift.start()
        await _want_and_wake(shift, "first")
        waits = sorted([await _want_and_wake(shift, f"d{number}") for number in range(20)])
        assert waits[10] < 3.0
        await shift.end(batch)

    run_shift(
        migrated_url("sqlite", tmp_path),
        story,
        redis_host=redis_server.host,
        redis_port=redis_server.port,
        batch_poll_seconds=10.0,
    )


def test_work_goes_on_when_redis_dies_and_comes_back(
    tmp_path: Path, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed in the middle: found by polling, one warning for the outage; back again: woken as before."""

    async def story(shift: Shift) -> None:
        batch = shift.start()
        await _want_and_wake(shift, "before")
        redis_server.kill()
        for number in range(3):
            await _want_and_wake(shift, f"without{number}")
        redis_server.start()
        await shift.until(lambda: shift.coordination.rest_seconds == 0, "Redis was not taken up again.")
        await _want_and_wake(shift, "after")
        await shift.done("before", "without0", "without1", "without2", "after")
        await shift.end(batch)

    caplog.set_level(logging.INFO)
    run_shift(
        migrated_url("sqlite", tmp_path), story, redis_host=redis_server.host, redis_port=redis_server.port
    )
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert ["redis_unavailable" in record.getMessage() for record in warnings] == [True]
