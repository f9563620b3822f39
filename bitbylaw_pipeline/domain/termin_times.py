"""An appointment's times, as both calendars mean them: instants in UTC, or whole days. Pure.

A timed one is "2026-03-29T01:30:00Z" to "2026-03-29T02:30:00Z": an instant needs no zone, and the two half past twos of
the night in which the clocks go back are two instants. An all-day one is "2026-12-24" to "2026-12-26", the last day
included: it has no zone at all, and is the same day for a reader in Honolulu.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
SHORTEST = timedelta(minutes=15)
"""What an appointment without a length gets: one that ends before it begins is taken by no calendar."""
DEFAULT_BEGIN = time(9)
"""The begin of an appointment without a time that is no all-day one (as the old sync had it)."""


@dataclass(frozen=True, slots=True)
class TerminTimes:
    """Neutral begin and end: both instants ("...Z"), or both days, the last one included."""

    start: str
    end: str
    is_all_day: bool


def all_day(first: date, last: date) -> TerminTimes:
    """Whole days; a last one before the first is the first."""
    return TerminTimes(first.isoformat(), max(first, last).isoformat(), is_all_day=True)


def timed(begin: datetime, end: datetime) -> TerminTimes:
    """Two aware moments; an end that is not after the begin is `SHORTEST` after it."""
    # In UTC: two moments of one zone are compared by their wall time, of which an hour may be none, or two.
    first, last = begin.astimezone(UTC), end.astimezone(UTC)
    if last <= first:
        last = first + SHORTEST
    return TerminTimes(instant(first), instant(last), is_all_day=False)


def instant(moment: datetime) -> str:
    """An aware moment in neutral form, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def moment_of(text: str) -> datetime:
    """The aware moment (UTC) of a neutral instant."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def from_berlin(day: date, clock: time) -> datetime:
    """The moment of a wall time in Berlin; one that does not exist is an hour later, of two the one that `fold` says."""
    # zoneinfo reads a time in the gap with the offset before it: half past two becomes half past three of summer.
    return datetime.combine(day, clock, BERLIN).astimezone(UTC)


def to_berlin(text: str) -> datetime:
    """A neutral instant as Berlin's wall time, aware."""
    return moment_of(text).astimezone(BERLIN)


def first_of_two(text: str) -> str:
    """What is left of an instant that went through a wall time without a zone: of two equal ones the first."""
    local = to_berlin(text)
    return instant(from_berlin(local.date(), local.time().replace(fold=0)))


def days_touched(times: TerminTimes) -> tuple[date, date]:
    """The first and the last day in Berlin."""
    if times.is_all_day:
        return date.fromisoformat(times.start), date.fromisoformat(times.end)
    return to_berlin(times.start).date(), to_berlin(times.end).date()
