"""Events as Google Calendar shows them (`facts/two_way_sync.md` 2, Event fields), checked.

An answer that is not what an event must be raises NotAnEvent; the calendar's client knows whose answer it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from bitbylaw_pipeline.clients.google_paths import is_event_id

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})?", re.ASCII
)
_FRACTION = re.compile(r"\.\d+")
_ZONE = re.compile(r"[A-Za-z0-9_+./-]{1,64}")


class NotAnEvent(Exception):
    """What should be an event is none; the message says why in words without any of its values."""


class Status(StrEnum):
    """Whether an event takes place; a deleted one is cancelled."""

    CONFIRMED = "confirmed"
    TENTATIVE = "tentative"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class EventTime:
    """A begin or an end: a day (all-day, the end exclusive), or an aware moment with the zone it was given in."""

    value: date | datetime
    time_zone: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.value, datetime) and self.value.tzinfo is None:
            raise ValueError("a moment without an offset")

    @property
    def is_all_day(self) -> bool:
        """True for a day."""
        return not isinstance(self.value, datetime)


@dataclass(frozen=True, slots=True)
class GoogleEvent:
    """An event. Of a cancelled one only the id is certain; texts are None where they are empty, and raw (may be HTML).

    `recurrence` are RFC 5545 lines (a series), `recurring_event_id` the series that this is an occurrence of.
    `has_guests`: somebody else takes part, who would be written to.
    """

    id: str
    etag: str
    status: Status
    updated: datetime | None = None
    summary: str | None = field(default=None, repr=False)
    description: str | None = field(default=None, repr=False)
    location: str | None = field(default=None, repr=False)
    start: EventTime | None = None
    end: EventTime | None = None
    recurrence: tuple[str, ...] = ()
    recurring_event_id: str | None = None
    original_start: EventTime | None = None
    visibility: str = "default"
    event_type: str = "default"
    organizer_is_self: bool = False
    has_guests: bool = False
    is_locked: bool = False
    private: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """The extended properties of this calendar's own copy. A person's copy of an event carries them along."""

    @property
    def is_cancelled(self) -> bool:
        """True if it has been deleted, or is an occurrence that does not take place."""
        return self.status is Status.CANCELLED

    def times(self) -> tuple[EventTime, EventTime]:
        """Begin and end of an event that is not cancelled. Raises ValueError for another."""
        if self.start is None or self.end is None:
            raise ValueError("a cancelled event has no times")
        return self.start, self.end


def event_id(row: Any) -> str:
    """The id of whatever should be an event; NotAnEvent if it has none."""
    found = row.get("id") if isinstance(row, dict) else None
    if not isinstance(found, str) or not is_event_id(found):
        raise NotAnEvent("an event without an id")
    return found


def parse_event(row: Any) -> GoogleEvent:
    """The event of a JSON object. Raises NotAnEvent."""
    own_id = event_id(row)
    status = _choice(row, "status")
    is_cancelled = status is Status.CANCELLED
    start, end = _event_time(row, "start"), _event_time(row, "end")
    if not is_cancelled:
        if start is None or end is None:
            raise NotAnEvent("an event without begin or end")
        if start.is_all_day != end.is_all_day:
            raise NotAnEvent("an event that is half a day and half a time")
        if not all(1 < one.value.year < 9999 for one in (start, end)):
            # No day can be taken from the first, none be added to the last.
            raise NotAnEvent("an event in a year that no calendar has")
    return GoogleEvent(
        id=own_id,
        etag=_etag(row, is_cancelled),
        status=status,
        updated=_updated(row),
        summary=_text(row, "summary"),
        description=_text(row, "description"),
        location=_text(row, "location"),
        start=start,
        end=end,
        recurrence=_recurrence(row),
        recurring_event_id=_text(row, "recurringEventId"),
        original_start=_event_time(row, "originalStartTime"),
        visibility=_text(row, "visibility") or "default",
        event_type=_text(row, "eventType") or "default",
        organizer_is_self=_flag(_object(row, "organizer"), "self"),
        has_guests=_has_guests(row),
        is_locked=_flag(row, "locked"),
        private=_private(row),
    )


def _choice(row: Mapping[str, Any], name: str) -> Status:
    try:
        return Status(str(row.get(name)))
    except ValueError:
        raise NotAnEvent(f"no {name} that is known") from None


def _text(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise NotAnEvent(f"a {name} that is no text")
    return value or None


def _flag(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name, False)
    if not isinstance(value, bool):
        raise NotAnEvent(f"a {name} that is neither true nor false")
    return value


def _object(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = row.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotAnEvent(f"a {name} that is no object")
    return value


def _list(row: Mapping[str, Any], name: str) -> list[Any]:
    value = row.get(name)
    if value is not None and not isinstance(value, list):
        raise NotAnEvent(f"a {name} that is no list")
    return value or []


def _etag(row: Mapping[str, Any], is_cancelled: bool) -> str:
    etag = _text(row, "etag") or ""
    if (not etag and not is_cancelled) or not etag.isascii() or not (etag.isprintable() or not etag):
        raise NotAnEvent("no etag")
    return etag


def _updated(row: Mapping[str, Any]) -> datetime | None:
    text = _text(row, "updated")
    return None if text is None else _moment(text, None)


def _recurrence(row: Mapping[str, Any]) -> tuple[str, ...]:
    lines = _list(row, "recurrence")
    if not all(isinstance(line, str) for line in lines):
        raise NotAnEvent("a recurrence that is no list of texts")
    return tuple(lines)


def _has_guests(row: Mapping[str, Any]) -> bool:
    guests = _list(row, "attendees")
    if not all(isinstance(guest, dict) for guest in guests):
        raise NotAnEvent("attendees that are no list of objects")
    return _flag(row, "attendeesOmitted") or any(not _flag(guest, "self") for guest in guests)


def _private(row: Mapping[str, Any]) -> Mapping[str, str]:
    found = _object(_object(row, "extendedProperties"), "private")
    if not all(isinstance(value, str) for value in found.values()):
        raise NotAnEvent("a private property that is no text")
    return MappingProxyType(dict(found))


def _event_time(row: Mapping[str, Any], name: str) -> EventTime | None:
    if row.get(name) is None:
        return None
    found = _object(row, name)
    day, moment, zone = (_text(found, key) for key in ("date", "dateTime", "timeZone"))
    if (day is None) == (moment is None):
        raise NotAnEvent(f"a {name} that is not either a day or a time")
    if day is not None:
        return EventTime(_day(day), zone)
    return EventTime(_moment(moment or "", zone), zone)


def _day(text: str) -> date:
    try:
        # fromisoformat takes 20260320 and 2026-W12-5, too.
        return date.fromisoformat(text if _DATE.fullmatch(text) else "")
    except ValueError:
        raise NotAnEvent("a day that is none") from None


def _moment(text: str, zone: str | None) -> datetime:
    """An RFC 3339 moment, aware; one without an offset is in its zone."""
    if not _MOMENT.fullmatch(text):
        raise NotAnEvent("a moment that is none")
    try:
        # More digits than Python knows are cut.
        found = datetime.fromisoformat(_FRACTION.sub(lambda match: match[0][:7], text.upper()))
    except ValueError:
        raise NotAnEvent("a moment that is none") from None
    if found.tzinfo is not None:
        return found
    if zone is None or not _ZONE.fullmatch(zone):
        raise NotAnEvent("a moment without an offset")
    try:
        return found.replace(tzinfo=ZoneInfo(zone))
    except (KeyError, ValueError, OSError):
        raise NotAnEvent("a moment in a zone that is not known") from None
