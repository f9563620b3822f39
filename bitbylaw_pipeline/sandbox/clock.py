"""The time that a stand-in goes by: statuses, schedules and time stamps depend on it alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


class SandboxClock:
    """Wall time plus an offset that can be advanced, or a pinned moment that stands still.

    All values are seconds since 1970-01-01 UTC. Advancing is how a test makes a document indexed or a
    webhook due without waiting. Callbacks given to `subscribe` run after each change (on the caller's
    thread), so that a stand-in that sleeps until something is due can look again.
    """

    __slots__ = ("_listeners", "_offset", "_pinned", "_wall")

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._offset = 0.0
        self._pinned: float | None = None
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        """Seconds UTC as the stand-in sees them."""
        return self._wall() + self._offset if self._pinned is None else self._pinned

    def now_datetime(self) -> datetime:
        """`now()` as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    @property
    def pinned(self) -> bool:
        """True while the clock stands still."""
        return self._pinned is not None

    @property
    def is_moved(self) -> bool:
        """True where it is not the wall's."""
        return self._pinned is not None or self._offset != 0.0

    def advance(self, seconds: float) -> None:
        """Move the clock (or its pinned moment) by `seconds`."""
        if self._pinned is None:
            self._offset += seconds
        else:
            self._pinned += seconds
        self._changed()

    def pin(self, at: float | None) -> None:
        """Stand still at `at` (seconds UTC); None lets the clock run on from where it stood."""
        if at is None and self._pinned is not None:
            self._offset = self._pinned - self._wall()
        self._pinned = at
        self._changed()

    def reset(self) -> None:
        """Back to wall time."""
        self._offset, self._pinned = 0.0, None
        self._changed()

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` after every advance, pin and reset."""
        self._listeners.append(callback)

    def _changed(self) -> None:
        for callback in self._listeners:
            callback()
