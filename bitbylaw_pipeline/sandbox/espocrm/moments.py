"""Where types about time: `dateTime: true` with a zone, and relative ones such as today or lastXDays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError
from bitbylaw_pipeline.sandbox.espocrm.php import intval

_DAYS = {"lastXDays", "nextXDays", "olderThanXDays", "afterXDays"}
_SPANS = {
    "currentMonth": (0, 1),
    "lastMonth": (-1, 1),
    "nextMonth": (1, 1),
    "currentQuarter": (0, 3),
    "lastQuarter": (-3, 3),
    "currentYear": (0, 12),
    "lastYear": (-12, 12),
}
RELATIVE_TYPES = frozenset({"today", "past", "future", "lastSevenDays"}) | _DAYS | frozenset(_SPANS)


def resolved(item: dict[str, Any], attribute: str, now: float) -> dict[str, Any]:
    """The same condition with plain UTC values. Raises ApiError 400 for a bad zone or date."""
    kind, value = item["type"], item.get("value")
    try:
        zone: tzinfo = ZoneInfo(item.get("timeZone") or "UTC")
    except (KeyError, ValueError, OSError):
        raise ApiError(400, "Bad timezone") from None
    moment = datetime.fromtimestamp(now, UTC).astimezone(zone)
    if kind in RELATIVE_TYPES:
        shown = _stamp if item.get("dateTime") else _day
        plain_kind, plain_value = _relative(kind, value, moment, shown)
    elif item.get("dateTime"):
        plain_kind, plain_value = _absolute(kind, value, zone)
    else:
        plain_kind, plain_value = kind, value
    return {"type": plain_kind, "attribute": attribute, "value": plain_value}


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def _relative(kind: str, value: Any, now: datetime, shown: Any) -> tuple[str, Any]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = timedelta(days=7 if kind == "lastSevenDays" else intval(value if value is not None else 0))
    last_second = timedelta(days=1, seconds=-1)
    match kind:
        case "today":
            return "between", [shown(midnight), shown(midnight + last_second)]
        case "past":
            return "lessThan", shown(now)
        case "future":
            return "greaterThan", shown(now)
        case "lastSevenDays" | "lastXDays":
            return "between", [shown(midnight - days), shown(now)]
        case "nextXDays":
            return "between", [shown(now), shown(midnight + days + last_second)]
        case "olderThanXDays":
            return "lessThan", shown(midnight - days)
        case "afterXDays":
            return "greaterThanOrEquals", shown(midnight + days)
        case _:
            return "between", _span(kind, midnight, shown)


def _span(kind: str, midnight: datetime, shown: Any) -> list[str]:
    shift, months = _SPANS[kind]
    first = 0 if months == 12 else (midnight.month - 1) // months * months
    start = _plus_months(midnight.replace(day=1, month=1), first + shift)
    return [shown(start), shown(_plus_months(start, months) - timedelta(seconds=1))]


def _plus_months(moment: datetime, months: int) -> datetime:
    years, month = divmod(moment.month - 1 + months, 12)
    return moment.replace(year=moment.year + years, month=month + 1)


def _absolute(kind: str, value: Any, zone: tzinfo) -> tuple[str, Any]:
    if kind in ("on", "before", "after") and not value:
        raise ApiError(400, "Bad where item. Empty value.")
    last_second = timedelta(days=1, seconds=-1)
    match kind:
        case "on":
            start = _parsed(value, zone)
            return "between", [
                _stamp(start),
                _stamp(start + (last_second if len(value) <= 10 else timedelta())),
            ]
        case "before":
            return "lessThan", _stamp(_parsed(value, zone))
        case "after":
            return "greaterThan", _stamp(
                _parsed(value, zone) + (last_second if len(value) <= 10 else timedelta())
            )
        case "between":
            if not isinstance(value, list) or len(value) < 2:
                raise ApiError(400, "Bad where item. Bad value.")
            end = _parsed(value[1], zone) + (last_second if len(value[1]) <= 10 else timedelta())
            return "between", [_stamp(_parsed(value[0], zone)), _stamp(end)]
        case _:
            return kind, value


def _parsed(value: Any, zone: tzinfo) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ApiError(400, "Bad date value or timezone.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
