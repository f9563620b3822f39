"""Quotas per user and project in a sliding window, and Calendar's own use limits (`facts/two_way_sync.md` 2, Quotas)."""

from __future__ import annotations

from collections import deque

from bitbylaw_pipeline.sandbox.google.calls import Call
from bitbylaw_pipeline.sandbox.google.errors import ApiError, api_error
from bitbylaw_pipeline.sandbox.google.store import Store

_MINUTE, _DAY = 60.0, 86_400.0


class _Window:
    """Units spent in the last so many seconds."""

    __slots__ = ("_seconds", "_spent", "total")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._spent: deque[tuple[float, int]] = deque()
        self.total = 0

    def has_room(self, now: float, units: int, limit: int) -> bool:
        """Whether so many units more are within the limit; what is too old is forgotten."""
        while self._spent and self._spent[0][0] <= now - self._seconds:
            self.total -= self._spent.popleft()[1]
        return self.total + units <= limit

    def spend(self, now: float, units: int) -> None:
        """Note units."""
        self._spent.append((now, units))
        self.total += units


class _Windows:
    """One window per name."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._by_name: dict[str, _Window] = {}

    def clear(self) -> None:
        """Forget all."""
        self._by_name.clear()

    def of(self, name: str) -> _Window:
        """The window of that name."""
        if name not in self._by_name:
            self._by_name[name] = _Window(self._seconds)
        return self._by_name[name]


class Quotas:
    """Checked before anything else is done for a call. A call that is refused costs nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._requests = _Windows(_MINUTE)
        self._writes = _Windows(_MINUTE)

    def clear(self) -> None:
        """Forget what was spent."""
        self._requests.clear()
        self._writes.clear()

    def spend(self, call: Call) -> None:
        """Count a call. Raises ApiError: 403 userRateLimitExceeded or rateLimitExceeded, or 429."""
        switches, now = self._store.switches, self._store.now()
        units = switches.patch_units if call.operation.id == "events.patch" else 1
        due: list[_Window] = []
        # A name with a blank is no mail address: the project's window is nobody's.
        limits = (
            (switches.user_quota_per_minute, call.text("quotaUser") or call.user, "userRateLimitExceeded"),
            (switches.project_quota_per_minute, "the project", "rateLimitExceeded"),
        )
        for limit, name, reason in limits:
            if limit:
                window = self._requests.of(name)
                if not window.has_room(now, units, limit):
                    raise self._refusal(reason)
                due.append(window)
        for window in due:
            window.spend(now, units)

    def spend_write(self, call: Call) -> None:
        """Count a write to a calendar. Raises ApiError where too many come in quick succession."""
        limit, now = self._store.switches.calendar_writes_per_minute, self._store.now()
        if limit:
            window = self._writes.of(call.known_calendar.id)
            if not window.has_room(now, 1, limit):
                raise self._refusal("rateLimitExceeded")
            window.spend(now, 1)

    def _refusal(self, reason: str) -> ApiError:
        return api_error(reason if self._store.switches.quota_answer == 403 else "tooManyRequests")


class UseLimits:
    """Calendar's limits against abuse, per user and day: 403 quotaExceeded, which deleting does not undo."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._calendars = _Windows(_DAY)
        self._events = _Windows(_DAY)

    def clear(self) -> None:
        """Forget what was made."""
        self._calendars.clear()
        self._events.clear()

    def count_calendar(self, user: str) -> None:
        """A new calendar. Raises ApiError."""
        self._count(self._calendars.of(user), self._store.switches.new_calendars_per_day)

    def count_event(self, user: str) -> None:
        """A new event. Raises ApiError."""
        self._count(self._events.of(user), self._store.switches.new_events_per_day)

    def _count(self, window: _Window, limit: int) -> None:
        now = self._store.now()
        if limit and not window.has_room(now, 1, limit):
            raise api_error("quotaExceeded")
        if limit:
            window.spend(now, 1)
