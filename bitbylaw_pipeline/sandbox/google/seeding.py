"""Users, calendars and events put into the stand-in, and everything in it as one document."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from bitbylaw_pipeline.sandbox.google.calendar_data import ROLES, Calendar, Row
from bitbylaw_pipeline.sandbox.google.errors import ApiError
from bitbylaw_pipeline.sandbox.google.event_times import zone_of
from bitbylaw_pipeline.sandbox.google.event_writes import EventWriting
from bitbylaw_pipeline.sandbox.google.store import ZONE, Store

_KEYS = {
    "users": {"mail", "name", "time_zone", "state"},
    "calendars": {"id", "owner", "summary", "time_zone", "acl", "by_app"},
}


class Seeding:
    """`POST /sandbox/seed` and `GET /sandbox/state`."""

    def __init__(self, store: Store, writing: EventWriting) -> None:
        self._store = store
        self._writing = writing

    def seed(self, document: Mapping[str, Any]) -> dict[str, int]:
        """Add what the document has; returns how many of each. Raises ValueError with one sentence.

        `users`: `mail`, `name`, `time_zone`, `state`; each gets a primary calendar whose id is the address.
        `calendars`: `owner`, `summary`, and if wanted `id`, `time_zone`, `acl` (role by scope), `by_app`.
        `events`: an event as for `events.insert` and `calendar`. `"reset": true` forgets what was there.
        """
        if unknown := sorted(set(document) - {"reset", "users", "calendars", "events"}):
            raise ValueError(
                f"The seed has unknown keys {unknown}; it has users, calendars, events and reset."
            )
        if document.get("reset"):
            self._store.clear()
        counts: dict[str, int] = {}
        adders = {"users": self._add_user, "calendars": self._add_calendar, "events": self._add_event}
        for table, add in adders.items():
            rows = document.get(table, [])
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ValueError(f"{table} must be a list of objects.")
            for row in rows:
                if table in _KEYS and (wrong := sorted(set(row) - _KEYS[table])):
                    raise ValueError(f"A row of {table} has no {wrong}; it has {sorted(_KEYS[table])}.")
                with refusals_as_value_errors():
                    add(row)
            counts[table] = len(rows)
        return counts

    def _add_user(self, row: Row) -> None:
        zone = str(row.get("time_zone", ZONE))
        if zone_of(zone) is None:
            raise ValueError(f"There is no time zone {zone}.")
        self._store.add_user(str(row.get("mail", "")), row.get("name", ""), zone, row.get("state", "active"))

    def _add_calendar(self, row: Row) -> None:
        owner, zone = str(row.get("owner", "")), str(row.get("time_zone", ZONE))
        if owner not in self._store.users or zone_of(zone) is None:
            raise ValueError("A calendar needs owner, a user's mail address, and a time zone that exists.")
        rules = row.get("acl", {})
        if not isinstance(rules, dict) or not set(rules.values()) <= set(ROLES):
            raise ValueError(f"A calendar's acl has roles of {list(ROLES)} by scope.")
        calendar = self._store.add_calendar(
            owner,
            row.get("summary", "Termine"),
            time_zone=zone,
            calendar_id=row.get("id", ""),
            by_app=bool(row.get("by_app", False)),
        )
        calendar.acl |= rules

    def _add_event(self, row: Row) -> None:
        calendar = find_calendar(self._store, row.get("calendar"))
        body = {name: value for name, value in row.items() if name not in ("calendar", "id")}
        event_id = row.get("id") or self._store.new_event_id()
        if event_id in calendar.burnt:
            raise ValueError(f"There is or was an event {event_id} already.")
        self._writing.create(calendar, body, user=calendar.owner, event_id=event_id)

    def state(self) -> Row:
        """Users, calendars with all events (deleted ones too), and the mails that would have been sent."""
        return {
            "users": list(self._store.users.values()),
            "calendars": [_calendar_state(calendar) for calendar in self._store.calendars.values()],
            "mails": list(self._store.mails),
        }


def _calendar_state(calendar: Calendar) -> Row:
    return {
        "id": calendar.id,
        "summary": calendar.summary,
        "owner": calendar.owner,
        "time_zone": calendar.time_zone,
        "acl": dict(calendar.acl),
        "events": [event.data for event in calendar.events.values()],
    }


def find_calendar(store: Store, calendar_id: Any) -> Calendar:
    """The calendar of that id. Raises ValueError."""
    calendar = store.calendars.get(str(calendar_id))
    if calendar is None:
        raise ValueError(f"There is no calendar {calendar_id!r}.")
    return calendar


@contextlib.contextmanager
def refusals_as_value_errors() -> Iterator[None]:
    """Turn what the API would refuse into the error of a control route."""
    try:
        yield
    except ApiError as error:
        raise ValueError(error.payload["error"]["message"]) from None
