"""Advoware's series as a recurrence rule (RFC 5545), where there is one that means the same. Pure.

Advoware has an interval, one of four periods and a last day: no count, no exceptions, no lists of weekdays, and the
year 2037 for no end (`facts/advoware.md` 3.1). The rule is read in Europe/Berlin and begins on the first day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date

from bitbylaw_pipeline.clients.advoware_termin_times import StoredTimes
from bitbylaw_pipeline.domain.termin_times import BERLIN, DEFAULT_BEGIN, from_berlin

OPEN_END_YEAR = 2037
"""A series that ends in this year or later has no end."""

_PERIODS = {1: "DAILY", 2: "WEEKLY", 3: "MONTHLY", 4: "YEARLY"}
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_LAST_DAY_OF_EVERY_MONTH = 28


@dataclass(frozen=True, slots=True)
class TerminSeries:
    """`rrule` is "RRULE:FREQ=...", None where no rule means the same; `reason` then says why, else it is None."""

    rrule: str | None
    reason: str | None = None


def series_of(stored: StoredTimes, turnus: int | None, turnus_art: int | None) -> TerminSeries:
    """The rule of a series that begins at `stored`; `turnus` is the interval, `turnus_art` the period (1 to 4)."""
    period = _PERIODS.get(turnus_art or 0)
    if period is None or turnus is None or turnus < 1:
        return TerminSeries(None, "unknown_turnus")
    if (
        period in ("MONTHLY", "YEARLY")
        and stored.day.day > _LAST_DAY_OF_EVERY_MONTH
        and not _is_safe(stored, period)
    ):
        # A rule leaves out the months without a 31st; whether Advoware takes their last day instead is not known.
        return TerminSeries(None, "end_of_month")
    last = None if stored.end_day is None or stored.end_day.year >= OPEN_END_YEAR else stored.end_day
    if last is not None and last < stored.day:
        return TerminSeries(None, "ends_before_it_begins")
    parts = [f"FREQ={period}"]
    if turnus > 1:
        parts.append(f"INTERVAL={turnus}")
    if period == "WEEKLY":
        parts.append(f"BYDAY={_WEEKDAYS[stored.day.weekday()]}")
    if last is not None:
        parts.append(f"UNTIL={_until(stored, last)}")
    return TerminSeries("RRULE:" + ";".join(parts))


def _is_safe(stored: StoredTimes, period: str) -> bool:
    # Of the yearly ones only 29 February is missing in some years.
    return period == "YEARLY" and (stored.day.month, stored.day.day) != (2, 29)


def _until(stored: StoredTimes, last: date) -> str:
    # A date where the events have dates, else the last possible begin in UTC (RFC 5545 3.3.10).
    if stored.is_all_day:
        return f"{last:%Y%m%d}"
    # The rule repeats the first begin as it really is: one in the hour that a night in spring leaves out is an hour
    # later, and an end by the clock that is written there would cut off the last occurrence.
    first = from_berlin(stored.day, stored.clock or DEFAULT_BEGIN).astimezone(BERLIN)
    return f"{from_berlin(last, first.time().replace(fold=0)).astimezone(UTC):%Y%m%dT%H%M%SZ}"
