"""Locks, wake-ups and the cache over a real Redis, without Redis, and while it dies and comes back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from bitbylaw_pipeline.inbox.coordination import REST_SECONDS, Coordination
from bitbylaw_pipeline.settings import Settings
from tests.conftest import FakeClock
from tests.servers import RedisServer


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A running redis-server of the test's own."""
    server = RedisServer()
    server.start()
    yield server
    server.stop()


def settings_for(server: RedisServer) -> Settings:
    return Settings.load(
        redis_host=server.host, redis_port=server.port, redis_password=SecretStr(""), _env_file=None
    )


def patient(server: RedisServer) -> Coordination:
    """For what is about a Redis that answers: in its own second a loaded machine may not, and all is granted then."""
    return Coordination.open(settings_for(server), socket_timeout=20.0)


def test_lock_is_held_by_one_at_a_time(redis_server: RedisServer) -> None:
    """The second asker is refused while the first holds the lock, and granted it afterwards."""

    async def main() -> None:
        first, second = patient(redis_server), patient(redis_server)
        async with first.lock("document_sync:CDokumente:1", 10) as is_granted:
            assert is_granted
            async with second.lock("document_sync:CDokumente:1", 10, wait=0.1) as is_granted_too:
                assert not is_granted_too
            async with second.lock("document_sync:CDokumente:2", 10) as is_other_granted:
                assert is_other_granted
        async with second.lock("document_sync:CDokumente:1", 10) as is_granted_now:
            assert is_granted_now
        await first.aclose()
        await second.aclose()

    asyncio.run(main())


def test_waiting_for_a_lock_gets_it_when_it_is_given_back(redis_server: RedisServer) -> None:
    """An asker with patience gets the lock as soon as its holder gives it back."""

    async def main() -> None:
        coordination = patient(redis_server)
        is_held, may_go = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with coordination.lock("a", 10):
                is_held.set()
                await may_go.wait()

        holder = asyncio.create_task(hold())
        await is_held.wait()
        asyncio.get_running_loop().call_later(0.1, may_go.set)
        async with coordination.lock("a", 10, wait=5) as is_granted:
            assert is_granted
        await holder
        await coordination.aclose()

    asyncio.run(main())


def test_lock_that_ran_out_is_not_taken_from_its_new_holder(redis_server: RedisServer) -> None:
    """Leaving the block after the lock ran out leaves the next holder's lock alone and raises nothing."""

    async def main() -> None:
        coordination = patient(redis_server)
        async with coordination.lock("a", 0.05), coordination.lock("a", 10, wait=5) as is_granted:
            assert is_granted
            async with coordination.lock("a", 10) as is_third_granted:
                assert not is_third_granted
        async with coordination.lock("b", 0.05), coordination.lock("b", 10, wait=5) as is_granted:
            pass
        async with coordination.lock("b", 10) as is_granted:
            assert is_granted
        await coordination.aclose()

    asyncio.run(main())


def test_wakeup_ends_the_wait_at_once_and_many_count_as_one(redis_server: RedisServer) -> None:
    """A wake-up published during or before the wait ends it; a burst of them ends one wait only."""

    async def main() -> None:
        coordination = patient(redis_server)
        wakeups = coordination.wakeups("documents")
        assert not await wakeups.wait(0.05)
        for _ in range(20):
            await coordination.wake("documents")
        await coordination.wake("collections")
        coordination.wake_sync("documents")
        woken = [await wakeups.wait(30)]
        while await wakeups.wait(0.05):
            woken.append(True)
        assert woken[0]
        assert len(woken) < 10
        waiting = asyncio.create_task(wakeups.wait(30))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await asyncio.to_thread(coordination.wake_sync, "documents")
        assert await waiting
        assert time.monotonic() - began < 10
        await wakeups.aclose()
        await coordination.aclose()

    asyncio.run(main())


def test_cache_keeps_text_for_its_time(redis_server: RedisServer) -> None:
    """Cached text is found until its time is over."""

    async def main() -> None:
        coordination = patient(redis_server)
        assert await coordination.cache_get("metadata") is None
        await coordination.cache_put("metadata", "ä" * 10, 60)
        await coordination.cache_put("short", "x", 0.01)
        await coordination.cache_put("never", "x", 0)
        assert await coordination.cache_get("metadata") == "ä" * 10
        assert await coordination.cache_get("never") is None
        await asyncio.sleep(0.1)
        assert await coordination.cache_get("short") is None
        await coordination.aclose()

    asyncio.run(main())


def test_without_redis_everything_is_granted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Without REDIS_HOST locks are granted, waits just sleep, nothing is cached, and one warning says so."""

    async def main() -> None:
        coordination = Coordination.open(None)
        async with coordination.lock("a", 10) as first, coordination.lock("a", 10) as second:
            assert first
            assert second
        await coordination.wake("documents")
        coordination.wake_sync("documents")
        wakeups = coordination.wakeups("documents")
        assert not await wakeups.wait(0.01)
        await wakeups.aclose()
        await coordination.cache_put("key", "text", 60)
        assert await coordination.cache_get("key") is None
        await coordination.aclose()

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert len(caplog.records) == 1


def test_redis_killed_and_restarted_in_the_middle(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """While Redis is dead everything is granted with one warning; when it is back, locks and wake-ups work again."""

    async def main() -> None:
        clock = FakeClock(0.0)
        coordination = Coordination(patient(redis_server)._options, clock)
        wakeups = coordination.wakeups("documents")
        assert not await wakeups.wait(0.02)
        async with coordination.lock("a", 10) as is_granted:
            assert is_granted
            redis_server.kill()
        for _ in range(3):
            async with coordination.lock("a", 10) as first, coordination.lock("a", 10) as second:
                assert first
                assert second
            assert not await wakeups.wait(0.02)
            await coordination.wake("documents")
            coordination.wake_sync("documents")
            assert await coordination.cache_get("key") is None
            clock.advance(REST_SECONDS + 1)
        redis_server.start()
        async with coordination.lock("a", 10) as first, coordination.lock("a", 10) as second:
            assert first
            assert not second
        waiting = asyncio.create_task(wakeups.wait(60))
        # Again and again: a wake-up that is sent before the wait has subscribed anew is lost.
        while not waiting.done():
            await coordination.wake("documents")
            await asyncio.wait([waiting], timeout=0.1)
        assert await waiting
        await wakeups.aclose()
        await coordination.aclose()

    with caplog.at_level(logging.WARNING, logger="bitbylaw_pipeline"):
        asyncio.run(main())
    assert [record.getMessage().split()[0] for record in caplog.records] == ["event=redis_unavailable"]


def test_long_wait_hears_again_after_redis_came_back(redis_server: RedisServer) -> None:
    """A wait that began before Redis died is woken by a message sent after it came back."""

    async def main() -> None:
        coordination = patient(redis_server)
        wakeups = coordination.wakeups("documents")
        assert not await wakeups.wait(0.02)
        waiting = asyncio.create_task(wakeups.wait(60))
        await asyncio.sleep(0.05)
        redis_server.restart()
        while not waiting.done():
            await asyncio.to_thread(coordination.wake_sync, "documents")
            await asyncio.sleep(0.1)
        assert await waiting
        await wakeups.aclose()
        await coordination.aclose()

    asyncio.run(main())


def test_hanging_redis_holds_nobody_up_for_long(redis_server: RedisServer) -> None:
    """A Redis that accepts and never answers costs one timeout, then it is left alone for a while."""

    async def main() -> None:
        coordination = Coordination.open(settings_for(redis_server))
        async with coordination.lock("a", 10):
            pass
        redis_server.freeze()
        began = time.monotonic()
        for _ in range(50):
            async with coordination.lock("a", 10) as is_granted:
                assert is_granted
        assert time.monotonic() - began < 30
        redis_server.thaw()
        await coordination.aclose()

    asyncio.run(main())
