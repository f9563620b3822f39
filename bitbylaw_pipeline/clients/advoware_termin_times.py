"""A Termin's begin and end as they lie in Advoware, Berlin's wall time, and as both calendars mean them. Pure.

A wall time cannot say which of two it is in the night in which the clocks go back, so what is written need not be what
is read: `stored_form` says beforehand what it becomes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from bitbylaw_pipeline.domain.termin_times import (
    BERLIN,
    DEFAULT_BEGIN,
    TerminTimes,
    all_day,
    from_berlin,
    moment_of,
    timed,
    to_berlin,
)

_LAST_MINUTE = time(23, 59)
"""Where a whole day ends in Advoware: a minute before midnight (`facts/advoware.md` 3.1)."""


@dataclass(frozen=True, slots=True)
class StoredTimes:
    """Berlin's days and clock times, None where Advoware has none; a clock's `fold` is 1 for the second of two.

    For a series `end_day` is its last day, and `end_clock` where each occurrence ends (`facts/advoware.md` 3.1).
    """

    day: date
    clock: time | None
    end_day: date | None
    end_clock: time | None
    is_all_day: bool

    def without_fold(self) -> StoredTimes:
        """As a wall time is kept: it does not say which of two it is."""
        return replace(self, clock=_first(self.clock), end_clock=_first(self.end_clock))

    def first_occurrence(self) -> StoredTimes:
        """Of a series: what its first day holds. One that ends before it begins ends on the next day."""
        wall = self.without_fold()
        begin = from_berlin(wall.day, wall.clock or DEFAULT_BEGIN)
        # Moments, not clocks: in the hour that a night in spring leaves out, a begin read from UTC is an hour later.
        crosses = wall.end_clock is not None and from_berlin(wall.day, wall.end_clock) < begin
        # The sheet caps an occurrence at 23:59 hours, so equal clocks are no whole day but no length at all.
        is_night = crosses and not self.is_all_day
        return replace(self, end_day=self.day + timedelta(days=1) if is_night else self.day)


def times_of(stored: StoredTimes) -> TerminTimes:
    """What the wall times mean. Raises OverflowError for a day at the end of all time."""
    end_day = stored.end_day or stored.day
    if stored.is_all_day:
        # The stored end lies on the last day, whether at 23:59 or, by a client that forgot the minute, at midnight:
        # a deadline's last day may not be lost.
        return all_day(stored.day, end_day)
    begin = from_berlin(stored.day, stored.clock or DEFAULT_BEGIN)
    if stored.end_clock is None:
        return timed(begin, begin)
    end = from_berlin(end_day, stored.end_clock)
    if end <= begin:
        # From half past two until quarter past two, in the night with two of them: the second quarter past.
        end = from_berlin(end_day, stored.end_clock.replace(fold=1))
    return timed(begin, end)


def wall_span(times: TerminTimes) -> tuple[datetime, datetime]:
    """Begin and end to write, aware, in Berlin; an end that is not after the begin is moved behind it first."""
    if times.is_all_day:
        first, last = date.fromisoformat(times.start), date.fromisoformat(times.end)
        return datetime.combine(first, time(), BERLIN), datetime.combine(
            max(first, last), _LAST_MINUTE, BERLIN
        )
    sound = timed(moment_of(times.start), moment_of(times.end))
    return to_berlin(sound.start), to_berlin(sound.end)


def stored_form(times: TerminTimes, *, keeps_fold: bool) -> TerminTimes:
    """What Advoware makes of `times`; `keeps_fold`: it keeps the two equal hours of a night apart."""
    begin, end = wall_span(times)
    stored = StoredTimes(begin.date(), begin.time(), end.date(), end.time(), times.is_all_day)
    return times_of(stored if keeps_fold else stored.without_fold())


def _first(clock: time | None) -> time | None:
    return None if clock is None else clock.replace(fold=0)
