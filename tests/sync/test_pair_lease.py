"""One pass over a pair at a time."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import delete

from bitbylaw_pipeline.domain.errors import Transient
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import sync_run_lease
from bitbylaw_pipeline.sync.pair_lease import pair_lease
from tests.conftest import FakeClock


def test_the_second_run_is_told_that_the_pair_is_in_hand(database: Database) -> None:
    """While one run holds the pair another gets False; another pair is free, and so is this one afterwards."""

    async def main() -> list[bool]:
        async with (
            pair_lease(database, "a") as first,
            pair_lease(database, "a") as second,
            pair_lease(database, "b") as other,
        ):
            pass
        async with pair_lease(database, "a") as again:
            pass
        return [first, second, other, again]

    assert asyncio.run(main()) == [True, False, True, True]


def test_a_killed_run_holds_the_pair_until_its_lease_ends(database: Database, clock: FakeClock) -> None:
    """A run that never renews is followed by the next one once its lease is over."""

    async def try_it() -> bool:
        async with pair_lease(database, "a") as is_free:
            return is_free

    async def main() -> list[bool]:
        async with pair_lease(database, "a", lease_seconds=90.0, renew_seconds=3600.0):
            found = []
            for seconds in (80.0, 20.0):
                clock.advance(seconds)
                found.append(await try_it())
            return found

    assert asyncio.run(main()) == [False, True]


def test_a_living_run_renews_its_lease(database: Database, clock: FakeClock) -> None:
    """However long it takes, nobody else gets the pair while it lives."""

    async def main() -> list[bool]:
        found = []
        async with pair_lease(database, "a", lease_seconds=90.0, renew_seconds=0.01):
            for _ in range(3):
                clock.advance(80.0)
                await asyncio.sleep(0.3)
                async with pair_lease(database, "a") as is_free:
                    found.append(is_free)
        return found

    assert asyncio.run(main()) == [False, False, False]


def test_a_run_whose_lease_is_lost_stops(database: Database) -> None:
    """Whoever took the pair over works on it now: the former run ends with Transient in the middle."""

    reached: list[str] = []

    async def main() -> None:
        async with pair_lease(database, "a", renew_seconds=0.01):
            await database.run(lambda c: c.execute(delete(sync_run_lease)))
            await asyncio.sleep(5)
            reached.append("the end")

    with pytest.raises(Transient):
        asyncio.run(main())
    assert not reached


def test_a_cancel_from_outside_stays_a_cancel(database: Database) -> None:
    """SIGTERM's cancel is passed on, and the pair is free again."""

    async def main() -> None:
        is_inside = asyncio.Event()

        async def body() -> None:
            async with pair_lease(database, "a"):
                is_inside.set()
                await asyncio.sleep(30)

        task = asyncio.create_task(body())
        await is_inside.wait()
        await _cancelled(task, database)

    asyncio.run(main())


def test_a_cancel_while_the_lease_is_being_taken_leaves_the_pair_free(database: Database) -> None:
    """SIGTERM in the instant of the first statement: what the database did all the same is undone."""

    async def main() -> None:
        task = asyncio.create_task(_hold_for_long(database))
        # One turn of the loop: the statement is on its way, and nothing more.
        await asyncio.sleep(0)
        await _cancelled(task, database)

    asyncio.run(main())


async def _hold_for_long(database: Database) -> None:
    async with pair_lease(database, "a"):
        await asyncio.sleep(30)


async def _cancelled(task: asyncio.Task[None], database: Database) -> None:
    """Cancels it, and sees that it ends by that and has left the pair free."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with pair_lease(database, "a") as is_free:
        assert is_free
