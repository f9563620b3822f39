"""An event as Google's own JSON again, for keeping it: what is read of it later is what was read of it first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bitbylaw_pipeline.clients.google_events import EventTime, GoogleEvent


def event_row(event: GoogleEvent) -> dict[str, Any]:
    """The event as `google_events.parse_event` reads it; empty members are left out."""
    row: dict[str, Any] = {
        "id": event.id,
        "etag": event.etag,
        "status": event.status.value,
        "updated": None if event.updated is None else _moment(event.updated),
        "summary": event.summary,
        "description": event.description,
        "location": event.location,
        "start": _time(event.start),
        "end": _time(event.end),
        "recurrence": list(event.recurrence),
        "recurringEventId": event.recurring_event_id,
        "originalStartTime": _time(event.original_start),
        "visibility": None if event.visibility == "default" else event.visibility,
        "eventType": None if event.event_type == "default" else event.event_type,
        "organizer": {"self": True} if event.organizer_is_self else None,
        # Who they are is nobody's business here.
        "attendeesOmitted": event.has_guests,
        "locked": event.is_locked,
        "extendedProperties": {"private": dict(event.private)} if event.private else None,
    }
    return {name: value for name, value in row.items() if value}


def _time(given: EventTime | None) -> dict[str, str] | None:
    if given is None:
        return None
    is_moment = isinstance(given.value, datetime)
    found = {("dateTime" if is_moment else "date"): given.value.isoformat()}
    return {**found, "timeZone": given.time_zone} if given.time_zone else found


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
