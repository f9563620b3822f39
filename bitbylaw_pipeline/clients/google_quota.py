"""Calls are held back until they are within the quota, instead of being refused (`facts/two_way_sync.md` 2, Quotas)."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

WINDOW_SECONDS = 60.0


@dataclass(slots=True)
class SlidingWindow:
    """At most `limit` units in any `seconds`; who comes later waits, in the order of coming.

    `ticks` are seconds of any clock that only goes forward.
    """

    limit: int
    ticks: Callable[[], float]
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    seconds: float = WINDOW_SECONDS
    _spent: deque[tuple[float, int]] = field(default_factory=deque)
    _sum: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self, units: int = 1) -> float:
        """Returns once the units fit, and the seconds waited; more units than the limit count as the limit."""
        units = min(units, self.limit)
        came = self.ticks()
        async with self._turn:
            while (wait := self._wait(units)) > 0:
                await self.sleep(wait)
            self._spent.append((self.ticks(), units))
            self._sum += units
        return self.ticks() - came

    def _wait(self, units: int) -> float:
        """Seconds until so many units fit, as far as is known now."""
        now = self.ticks()
        while self._spent and self._spent[0][0] + self.seconds <= now:
            self._sum -= self._spent.popleft()[1]
        excess = self._sum + units - self.limit
        for at, spent in self._spent:
            if excess <= 0:
                break
            excess -= spent
            if excess <= 0:
                # Never nothing: a clock's rounding must not make this a busy loop.
                return max(at + self.seconds - now, 0.001)
        return 0.0


class Quota:
    """The windows of each user and of the whole project; one process's share is all that it knows of."""

    def __init__(
        self,
        per_user: int,
        per_project: int,
        *,
        ticks: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._per_user = max(1, per_user)
        self._ticks = ticks
        self._sleep = sleep
        self._project = SlidingWindow(max(1, per_project), ticks, sleep)
        self._users: dict[str, SlidingWindow] = {}

    async def take(self, user: str, units: int = 1) -> float:
        """Returns once the units fit into both windows, and the seconds waited; one user's wait is nobody else's."""
        window = self._users.get(user)
        if window is None:
            window = self._users[user] = SlidingWindow(self._per_user, self._ticks, self._sleep)
        # The user's first: who waits for their own share must not hold a place in everybody's.
        return await window.take(units) + await self._project.take(units)
