"""Dates and times as .NET writes and reads them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
# .NET's DateTime.MinValue means "none" everywhere (`facts/advoware.md` 3.1).
NO_DATE = "0001-01-01T00:00:00Z"
TICKS_PER_SECOND = 10_000_000

_FRACTION = re.compile(r"\.(\d{1,6})\d*")


def stamp(seconds: float, digits: int = 7) -> str:
    """Seconds UTC as `2026-01-29T14:04:26.7955547Z`, with 0 to 7 `digits` behind the point."""
    moment = datetime.fromtimestamp(seconds, UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    # .NET counts in 100 ns. The seventh digit is never 0, so that a reader who drops it is told from one who fails.
    fraction = f"{moment.microsecond:06d}7"[:digits]
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def parse_moment(text: str) -> datetime:
    """An aware datetime from ISO text with any fraction and any offset (none: UTC). Raises ValueError."""
    cut = _FRACTION.sub(lambda found: "." + found[1].ljust(6, "0"), text.strip())
    moment = datetime.fromisoformat(cut)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_day(text: object) -> date | None:
    """The date part of ISO text; None for null, "" and MinValue. Raises ValueError for anything else."""
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise ValueError("A date is a text.")
    day = date.fromisoformat(text[:10])
    return None if day.year == 1 else day


def day_text(day: date | None) -> str:
    """A date as a .NET DateTime at midnight, MinValue for None."""
    return NO_DATE if day is None else f"{day.isoformat()}T00:00:00Z"


def to_utc(day: date, clock: time) -> datetime:
    """Berlin's date and time as an instant in UTC."""
    return datetime.combine(day, clock, BERLIN).astimezone(UTC)


def to_berlin(moment: datetime) -> datetime:
    """An instant as Berlin's wall time, naive."""
    return moment.astimezone(BERLIN).replace(tzinfo=None)


def ticks(clock: time) -> int:
    """A time of day as a .NET TimeSpan's ticks."""
    return (clock.hour * 3600 + clock.minute * 60 + clock.second) * TICKS_PER_SECOND


def from_ticks(value: int) -> time:
    """The time of day; whole days are dropped."""
    seconds = value // TICKS_PER_SECOND % 86_400
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60)
