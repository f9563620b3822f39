"""The quota: who comes too often waits, in turn, by a clock that is handed in."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.clients.google_quota import Quota, SlidingWindow
from bitbylaw_pipeline.clients.google_session import quota_user
from tests.clients.google.office import ANNA, CARL, Clock


def test_a_burst_goes_through_at_once_and_the_rest_waits_for_the_window() -> None:
    """Three of five fit; the other two wait until the first have left the window, in two sleeps and no more."""
    clock = Clock(0.0)
    window = SlidingWindow(3, clock, clock.sleep)

    async def main() -> list[float]:
        waits = []
        for step in (0.0, 10.0, 10.0, 0.0, 0.0):
            clock.now += step
            waits.append(await window.take())
        return waits

    assert asyncio.run(main()) == [0.0, 0.0, 0.0, 40.0, 10.0]
    assert clock.slept == [40.0, 10.0]


def test_a_patch_weighs_three() -> None:
    """Its units are counted together, and it waits until as many are free."""
    clock = Clock(0.0)
    window = SlidingWindow(6, clock, clock.sleep)

    async def main() -> list[float]:
        waits = [await window.take(3)]
        clock.now += 5
        waits += [await window.take(1), await window.take(3)]
        return waits

    assert asyncio.run(main()) == [0.0, 0.0, 55.0]


def test_more_than_the_limit_at_once_does_not_wait_for_ever() -> None:
    """A call that weighs more than the whole window takes all of it."""
    clock = Clock(0.0)
    window = SlidingWindow(2, clock, clock.sleep)

    async def main() -> list[float]:
        return [await window.take(3), await window.take(3)]

    assert asyncio.run(main()) == [0.0, 60.0]


def test_those_who_wait_go_in_the_order_of_coming() -> None:
    """Nobody is overtaken by one who came later."""
    clock = Clock(0.0)
    window = SlidingWindow(1, clock, clock.sleep)
    order: list[int] = []

    async def one(number: int) -> None:
        await window.take()
        order.append(number)

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(5)))

    asyncio.run(main())
    assert order == [0, 1, 2, 3, 4]
    assert clock.now == 240.0


def test_one_who_gives_up_waiting_spends_nothing() -> None:
    """A cancelled wait leaves the place to the next."""
    clock = Clock(0.0)
    asleep = asyncio.Event()

    async def main() -> float:
        async def sleep(seconds: float) -> None:
            asleep.set()
            await asyncio.Event().wait()

        window = SlidingWindow(1, clock, sleep)
        await window.take()
        waiting = asyncio.create_task(window.take())
        await asleep.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        clock.now += 60
        return await window.take()

    assert asyncio.run(main()) == 0.0


def test_one_users_wait_is_nobody_elses() -> None:
    """A user who has used up their share waits; another goes through at the same time."""
    clock = Clock(0.0)
    asleep = asyncio.Event()

    async def main() -> tuple[float, bool]:
        async def sleep(seconds: float) -> None:
            asleep.set()
            await asyncio.Event().wait()

        quota = Quota(1, 100, ticks=clock, sleep=sleep)
        await quota.take(ANNA.email)
        waiting = asyncio.create_task(quota.take(ANNA.email))
        await asleep.wait()
        other = await quota.take(CARL.email)
        is_waiting = not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return other, is_waiting

    assert asyncio.run(main()) == (0.0, True)


def test_the_project_has_a_limit_of_its_own() -> None:
    """Many users together wait although none has used up their own share."""
    clock = Clock(0.0)
    quota = Quota(10, 3, ticks=clock, sleep=clock.sleep)

    async def main() -> list[float]:
        return [await quota.take(f"user{number}") for number in range(5)]

    assert asyncio.run(main()) == [0.0, 0.0, 0.0, 60.0, 0.0]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 3)), max_size=60))
def test_no_window_ever_holds_more_than_its_limit(steps: list[tuple[float, int]]) -> None:
    """Whatever comes when: in no 60 s more units are let through than allowed."""
    clock = Clock(0.0)
    window = SlidingWindow(5, clock, clock.sleep)
    let_through: list[tuple[float, int]] = []

    async def main() -> None:
        for step, units in steps:
            clock.now += step
            await window.take(units)
            let_through.append((clock.now, units))

    asyncio.run(main())
    for at, _ in let_through:
        assert sum(units for other, units in let_through if at <= other < at + 60.0) <= 5


def test_the_quota_user_is_a_hash() -> None:
    """Forty characters, the same each time, another for each user, and no address."""
    names = {quota_user(user.email) for user in (ANNA, CARL)}
    assert len(names) == 2
    assert all(len(name) == 40 and "@" not in name for name in names)
