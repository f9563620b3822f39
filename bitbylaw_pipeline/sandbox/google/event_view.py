"""What a caller is shown of an event: by role, zone and the switches that coerce answers."""

from __future__ import annotations

import html
import re
from zoneinfo import ZoneInfo

from bitbylaw_pipeline.sandbox.google.calendar_data import Row
from bitbylaw_pipeline.sandbox.google.calls import Call
from bitbylaw_pipeline.sandbox.google.errors import invalid
from bitbylaw_pipeline.sandbox.google.event_times import in_zone, zone_of
from bitbylaw_pipeline.sandbox.google.switches import Switches

_TAG = re.compile(r"<[a-zA-Z/]")
_BUSY = (
    "kind", "etag", "id", "status", "start", "end", "recurrence", "recurringEventId", "originalStartTime", "iCalUID",
    "eventType",
)  # fmt: skip
_OCCURRENCE = ("kind", "etag", "id", "status", "recurringEventId", "originalStartTime")
_TOMBSTONE = ("kind", "etag", "id", "status")
_PRIVATE = ("private", "confidential")


class EventView:
    """How events are shown in one answer. Raises ApiError for a wrong `timeZone` or `maxAttendees`."""

    def __init__(self, call: Call, switches: Switches) -> None:
        calendar = call.known_calendar
        self._role = call.role
        self._user = call.user
        self._bare = switches.tombstones == "bare"
        self._form = switches.description_form
        self._most_guests = call.number("maxAttendees", 0, 10_000)
        asked = call.text("timeZone")
        if asked is not None and zone_of(asked) is None:
            raise invalid("Invalid time zone.", parameter="timeZone")
        name = switches.answer_zone or asked
        self._zone = zone_of(name) if name and name != calendar.time_zone else None
        self._sees_all = call.role in ("writer", "owner")
        self._is_plain = (
            self._sees_all and self._zone is None and self._form == "as_written" and not self._most_guests
        )

    def shown(self, data: Row) -> Row:
        """One event; the row is never to be changed."""
        if data["status"] == "cancelled":
            return self._tombstone(data)
        if self._is_plain:
            return data
        if not self._sees_all and self._is_hidden(data):
            data = {**{name: data[name] for name in _BUSY if name in data}, "visibility": "private"}
        data = self._in_zone(data)
        if "description" in data and self._form != "as_written":
            data = {**data, "description": _formed(data["description"], self._form)}
        guests = data.get("attendees", ())
        if self._most_guests and len(guests) > self._most_guests:
            own = [guest for guest in guests if guest["email"] == self._user]
            data = {**data, "attendees": own, "attendeesOmitted": True}
        return data

    def _is_hidden(self, data: Row) -> bool:
        return self._role == "freeBusyReader" or data.get("visibility") in _PRIVATE

    def _in_zone(self, data: Row) -> Row:
        zone: ZoneInfo | None = self._zone
        if zone is None:
            return data
        times = ("start", "end", "originalStartTime")
        return {**data, **{name: in_zone(data[name], zone) for name in times if name in data}}

    def _tombstone(self, data: Row) -> Row:
        if "recurringEventId" in data:
            kept = {name: data[name] for name in _OCCURRENCE if name in data}
            return self._in_zone(kept)
        own = data.get("organizer", {}).get("self")
        if self._bare or not own or not self._sees_all:
            return {name: data[name] for name in _TOMBSTONE}
        return self._in_zone(data)


def _formed(text: str, form: str) -> str:
    """A description as the web page would have stored it, or with other line ends."""
    if form == "crlf":
        return text.replace("\r\n", "\n").replace("\n", "\r\n")
    if _TAG.search(text):
        return text
    return html.escape(text, quote=False).replace("\r\n", "\n").replace("\n", "<br>")
