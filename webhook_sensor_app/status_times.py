"""Times and durations as a person in the firm reads them: by the clock on the wall in Germany."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def whole_moment(at: float) -> str:
    """Day and time of UTC epoch seconds: `23 Nov 2026, 19:58:02`."""
    local = _local(at)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year}, {local:%H:%M:%S}"


def moment(at: float, now: float) -> str:
    """The time if it was (or is) today, with the day otherwise: `19:58`, `21 Nov, 19:58`, `21 Nov 2025, 19:58`."""
    local, today = _local(at), _local(now)
    if local.date() == today.date():
        return f"{local:%H:%M}"
    year = "" if local.year == today.year else f" {local.year}"
    return f"{local.day} {_MONTHS[local.month - 1]}{year}, {local:%H:%M}"


def span(seconds: float) -> str:
    """A duration in its largest unit: `12 s`, `5 min`, `3 h`, `2 days`."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h"
    return f"{whole // _DAY} days"


def iso(at: float) -> str:
    """UTC, for a program: `2026-11-23T18:58:02Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(at, BERLIN)
