"""Insert, update, patch and delete of events."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from bitbylaw_pipeline.sandbox.google.calendar_data import Calendar, Row, StoredEvent
from bitbylaw_pipeline.sandbox.google.calls import Answer, Call
from bitbylaw_pipeline.sandbox.google.errors import api_error, invalid, required
from bitbylaw_pipeline.sandbox.google.event_fields import (
    READ_ONLY,
    TIMES,
    check_names,
    merged,
    written_fields,
)
from bitbylaw_pipeline.sandbox.google.event_times import Moment, check_order, read_moment, shown_time
from bitbylaw_pipeline.sandbox.google.recurrence import check_recurrence
from bitbylaw_pipeline.sandbox.google.store import Store, timestamp

_ID = re.compile(r"[a-v0-9]{5,1024}")
_CREATABLE = ("default", "focusTime", "outOfOffice", "workingLocation", "birthday")
# What each guest has for itself; the rest of an event belongs to its organizer.
_OWN_FIELDS = frozenset(
    {"extendedProperties", "reminders", "colorId", "eventLabelId", "transparency", "visibility"}
)


def organizer_of(calendar: Calendar, name: str) -> Row:
    """The organizer of an event made in this calendar."""
    if calendar.is_primary:
        return {"email": calendar.id, "self": True}
    return {"email": calendar.id, "displayName": name, "self": True}


class EventWriting:
    """Makes and changes stored events; knows nothing of HTTP but the errors."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def times(self, calendar: Calendar, fields: Row) -> tuple[Row, Moment, Moment]:
        """The times of a body as they are stored, and start and end. Raises ApiError."""
        switches = self._store.switches
        recurrence = fields.get("recurrence") or None
        if recurrence is not None:
            check_recurrence(recurrence)
        moments: list[Moment] = []
        for which in ("start", "end"):
            value = fields.get(which)
            if value is None:
                raise required(f"Missing {which} time.")
            moments.append(
                read_moment(
                    value,
                    which,
                    calendar.time_zone,
                    needs_zone=recurrence is not None,
                    drops_seconds=switches.drops_seconds,
                )
            )
        start, end = moments
        check_order(start, end, allows_empty=switches.zero_length == "accepted")
        zone = ZoneInfo(calendar.time_zone)
        shown: Row = {"start": shown_time(start, zone), "end": shown_time(end, zone)}
        if recurrence is not None:
            shown["recurrence"] = list(recurrence)
        return shown, start, end

    def create(
        self, calendar: Calendar, body: Row, *, user: str, event_id: str, fixed: Row | None = None
    ) -> StoredEvent:
        """Store a new event; `fixed` overrides what is given to every new one. Raises ApiError."""
        shown, start, end = self.times(calendar, body)
        now = self._store.now()
        stamp = timestamp(now)
        creator: Row = {"email": user}
        if calendar.id == user:
            creator["self"] = True
        data: Row = {
            "kind": "calendar#event",
            "etag": self._store.next_etag(),
            "id": event_id,
            "status": "confirmed",
            "htmlLink": f"https://www.google.com/calendar/event?eid={event_id}",
            "created": stamp,
            "updated": stamp,
            "creator": creator,
            "organizer": organizer_of(calendar, calendar.summary),
            "iCalUID": body.get("iCalUID") or f"{event_id}@google.com",
            "sequence": 0,
            "reminders": {"useDefault": True},
            "eventType": body.get("eventType") or "default",
            **written_fields(body, self._store.switches),
            **shown,
            **(fixed or {}),
        }
        event = StoredEvent(event_id, data, start.at, end.at)
        calendar.put(event, now)
        return event

    def change(self, calendar: Calendar, event: StoredEvent, fields: Row, *, bumps: bool = True) -> bool:
        """Give a stored event these writable fields, all others of them are gone; returns whether anything changed.

        Raises ApiError.
        """
        before = event.data
        shown, start, end = self.times(calendar, fields)
        kept = {name: value for name, value in before.items() if name in READ_ONLY}
        written = written_fields(fields, self._store.switches)
        sequence = written.pop("sequence", before["sequence"])
        if sequence < before["sequence"]:
            raise invalid("Invalid sequence value.")
        data: Row = {**kept, "status": "confirmed", "reminders": {"useDefault": True}, **written, **shown}
        is_moved = any(before.get(name) != data.get(name) for name in TIMES)
        data["sequence"] = max(sequence, before["sequence"] + 1) if is_moved else sequence
        different = {name for name in {*before, *data} if before.get(name) != data.get(name)}
        if not different and not bumps:
            return False
        now = self._store.now()
        data["etag"] = self._store.next_etag()
        if different != {"reminders"}:
            data["updated"] = timestamp(now)
        if data["status"] == "cancelled" and before["status"] != "cancelled":
            event.alive = before
        event.data, event.start, event.end = data, start.at, end.at
        calendar.put(event, now)
        return bool(different)

    def move(self, calendar: Calendar, event: StoredEvent, target: Calendar) -> StoredEvent:
        """The event in the other calendar, under the same id; in its own it is deleted. Raises ApiError."""
        kept = {name: event.data[name] for name in ("created", "creator", "iCalUID", "sequence", "eventType")}
        new = self.create(target, writable(event.data), user="", event_id=event.id, fixed=kept)
        self.cancel(calendar, event)
        return new

    def cancel(self, calendar: Calendar, event: StoredEvent) -> None:
        """Delete an event: what is left is a tombstone. The exceptions of a series go with it."""
        now = self._store.now()
        for one in (event, *list(calendar.exceptions_of(event.id))):
            if one.is_cancelled:
                continue
            one.alive = one.data
            one.data = {
                **one.data,
                "etag": self._store.next_etag(),
                "status": "cancelled",
                "updated": timestamp(now),
            }
            calendar.put(one, now)


def writable(data: Row) -> Row:
    """What of an event an update would have to repeat."""
    return {name: value for name, value in data.items() if name not in READ_ONLY}


def checked_id(body: Row, calendar: Calendar, store: Store) -> str:
    """The id for a new event. Raises ApiError (invalid, duplicate: ids of deleted events stay taken)."""
    event_id = body.get("id")
    if event_id is None or event_id == "":
        return store.new_event_id()
    if not isinstance(event_id, str) or not _ID.fullmatch(event_id):
        raise invalid("Invalid resource id value.")
    if body.get("iCalUID") not in (None, "", f"{event_id}@google.com"):
        raise invalid("Only one of id and iCalUID may be given.")
    if event_id in calendar.burnt:
        raise api_error("duplicate")
    return event_id


def check_event_type(body: Row) -> None:
    """Raise ApiError for a type that nobody can create."""
    if body.get("eventType") not in (None, *_CREATABLE):
        raise invalid("Invalid event type.")


def check_organizer(event: StoredEvent, fields: Row) -> None:
    """Raise 403 forbiddenForNonOrganizer where somebody else's event would change for everyone."""
    data = event.data
    if data["organizer"].get("self") or data.get("guestsCanModify"):
        return
    present = writable(data)
    for name in {*present, *fields} - _OWN_FIELDS - {"sequence", "status", "attendees"}:
        if present.get(name) != fields.get(name):
            raise api_error("forbiddenForNonOrganizer")


def patched(event: StoredEvent, body: Row) -> Row:
    """The writable fields after a patch."""
    return merged(writable(event.data), body)


def check_body(call: Call, store: Store) -> Row:
    """The body of a write. Raises ApiError."""
    body = call.json_object()
    check_names(body, store.switches)
    if body.get("attendees") and not call.grant.is_delegated:
        raise api_error("forbiddenForServiceAccounts")
    return body


def no_content() -> Answer:
    """204 without a body."""
    return Answer(None, 204)
