"""Begin and end of an event: read from a body, shown in a zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bitbylaw_pipeline.sandbox.google.calendar_data import Row
from bitbylaw_pipeline.sandbox.google.errors import api_error, invalid, required

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:[Zz]|[+-]\d\d:\d\d)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """One end of an event. `at` is seconds UTC; `zone` is "" for a day. `local` is the wall time in `zone`, or the day."""

    at: float
    zone: str
    local: datetime | date

    @property
    def is_day(self) -> bool:
        """Whether it is a whole day."""
        return not self.zone


def zone_of(name: str) -> ZoneInfo | None:
    """The IANA zone of that name, None if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def seconds_of(moment: datetime) -> float:
    """Seconds UTC of an aware moment."""
    return (moment - _EPOCH).total_seconds()


def day_begins(day: date, zone: ZoneInfo) -> float:
    """Seconds UTC of midnight."""
    return seconds_of(datetime(day.year, day.month, day.day, tzinfo=zone))


def shown_moment(seconds: float, zone: ZoneInfo) -> str:
    """RFC 3339 in that zone, `Z` for UTC."""
    text = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).isoformat(timespec="seconds")
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def read_moment(
    value: Any, which: str, calendar_zone: str, *, needs_zone: bool, drops_seconds: bool
) -> Moment:
    """`start` or `end` of a body. Raises ApiError (required, invalid)."""
    if not isinstance(value, dict):
        raise invalid(f"Invalid value for: {which} time.")
    day, moment, zone_name = value.get("date"), value.get("dateTime"), value.get("timeZone")
    if day is None and moment is None:
        raise required(f"Missing {which} time.")
    if day is not None and moment is not None:
        raise invalid("Start and end times must either both be date or both be dateTime.")
    if zone_name is not None and (not isinstance(zone_name, str) or zone_of(zone_name) is None):
        raise invalid(f"Invalid time zone definition for {which} time.")
    try:
        if day is not None:
            return _read_day(day, which, calendar_zone)
        if needs_zone and zone_name is None:
            raise required(f"Missing time zone definition for {which} time.")
        return _read_moment(moment, which, zone_name, calendar_zone, drops_seconds=drops_seconds)
    except (ValueError, OverflowError):
        raise invalid(f"Invalid {which} time.") from None


def _read_day(value: Any, which: str, calendar_zone: str) -> Moment:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise invalid(f"Invalid {which} time.")
    day = date.fromisoformat(value)
    return Moment(day_begins(day, ZoneInfo(calendar_zone)), "", day)


def _read_moment(
    value: Any, which: str, zone_name: str | None, calendar_zone: str, *, drops_seconds: bool
) -> Moment:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise invalid(f"Invalid {which} time.")
    # Milliseconds are dropped, not rounded.
    moment = datetime.fromisoformat(value.upper()).replace(microsecond=0)
    if drops_seconds:
        moment = moment.replace(second=0)
    if moment.tzinfo is None:
        if zone_name is None:
            raise required(f"Missing time zone definition for {which} time.")
        # A wall time in the gap of spring is read with the offset before it, one of autumn's two is the first.
        moment = moment.replace(tzinfo=ZoneInfo(zone_name))
    zone = zone_name or calendar_zone
    at = seconds_of(moment)
    return Moment(at, zone, (_EPOCH + timedelta(seconds=at)).astimezone(ZoneInfo(zone)))


def check_order(start: Moment, end: Moment, *, allows_empty: bool) -> None:
    """Raise ApiError for mixed kinds and for an end that is not after the start."""
    if start.is_day != end.is_day:
        raise invalid("Start and end times must either both be date or both be dateTime.")
    if end.at < start.at or (end.at == start.at and not allows_empty):
        raise api_error("timeRangeEmpty")


def shown_time(moment: Moment, zone: ZoneInfo) -> Row:
    """`start` or `end` as an answer has it: the offset is the reader's, `timeZone` the event's own."""
    if isinstance(moment.local, datetime):
        return {"dateTime": shown_moment(moment.at, zone), "timeZone": moment.zone}
    return {"date": moment.local.isoformat()}


def in_zone(shown: Row, zone: ZoneInfo) -> Row:
    """The same `start` or `end` with another reader's offset."""
    if "dateTime" not in shown:
        return shown
    at = seconds_of(datetime.fromisoformat(shown["dateTime"]))
    return {**shown, "dateTime": shown_moment(at, zone)}


def read_bound(value: str, parameter: str) -> float:
    """`timeMin`, `timeMax`, `updatedMin`: RFC 3339 with an offset, milliseconds ignored. Raises ApiError."""
    # A plus sign that was not percent-encoded arrives as a blank: refused, as at Google's.
    if not _MOMENT.fullmatch(value) or (value[-6:-5] not in ("+", "-") and value[-1] not in "Zz"):
        raise invalid("Bad Request", parameter=parameter)
    try:
        return seconds_of(datetime.fromisoformat(value.upper()).replace(microsecond=0))
    except (ValueError, OverflowError):
        raise invalid("Bad Request", parameter=parameter) from None
