"""Calendars, the user's list of them, and who may do what with one."""

from __future__ import annotations

from bitbylaw_pipeline.sandbox.google.calendar_data import ROLES, Calendar, Row
from bitbylaw_pipeline.sandbox.google.calls import Answer, Call
from bitbylaw_pipeline.sandbox.google.errors import api_error, invalid, required
from bitbylaw_pipeline.sandbox.google.event_times import in_zone, zone_of
from bitbylaw_pipeline.sandbox.google.event_writes import no_content
from bitbylaw_pipeline.sandbox.google.quotas import UseLimits
from bitbylaw_pipeline.sandbox.google.store import Store

_WRITABLE = ("summary", "description", "location", "timeZone")
_IGNORED = frozenset({"kind", "etag", "id", "conferenceProperties", "dataOwner", "autoAcceptInvitations"})


def calendar_row(calendar: Calendar) -> Row:
    """A calendar as `calendars.get` shows it."""
    row: Row = {
        "kind": "calendar#calendar",
        "etag": calendar.etag,
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    }
    if not calendar.is_primary:
        row["dataOwner"] = calendar.owner
    return {
        **row,
        **{name: value for name in ("description", "location") if (value := getattr(calendar, name))},
    }


def set_zone(calendar: Calendar, name: str) -> None:
    """Give a calendar another zone: every stored time is shown with other offsets from then on."""
    zone = zone_of(name)
    if zone is None:
        raise invalid("Invalid time zone.")
    calendar.time_zone = name
    for event in calendar.events.values():
        times = ("start", "end", "originalStartTime")
        event.data = {
            **event.data,
            **{key: in_zone(event.data[key], zone) for key in times if key in event.data},
        }


class CalendarRoutes:
    """Handlers of `calendars` and `calendarList`; each may raise ApiError."""

    def __init__(self, store: Store, limits: UseLimits) -> None:
        self._store = store
        self._limits = limits

    def get(self, call: Call) -> Answer:
        """calendars.get."""
        return _answer(calendar_row(call.known_calendar))

    def insert(self, call: Call) -> Answer:
        """calendars.insert: a secondary calendar of the caller, who becomes its owner."""
        body = self._body(call)
        if not body.get("summary"):
            raise required("Missing title.")
        zone = body.get("timeZone") or "UTC"
        if zone_of(zone) is None:
            raise invalid("Invalid time zone.")
        self._limits.count_calendar(call.user)
        calendar = self._store.add_calendar(call.user, body["summary"], time_zone=zone, by_app=True)
        self._apply(calendar, body)
        return _answer(calendar_row(calendar))

    def patch(self, call: Call) -> Answer:
        """calendars.patch: a change of nothing keeps the etag."""
        self._check_owner(call)
        call.check_if_match(call.known_calendar.etag)
        self._apply(call.known_calendar, self._body(call))
        return _answer(calendar_row(call.known_calendar))

    def update(self, call: Call) -> Answer:
        """calendars.update: description and location are emptied unless sent."""
        self._check_owner(call)
        call.check_if_match(call.known_calendar.etag)
        body = self._body(call)
        if not body.get("summary"):
            raise required("Missing title.")
        self._apply(call.known_calendar, {"description": None, "location": None, **body})
        return _answer(calendar_row(call.known_calendar))

    def delete(self, call: Call) -> Answer:
        """calendars.delete: secondary calendars only."""
        self._check_owner(call)
        if call.known_calendar.is_primary:
            raise api_error("forbidden", "Cannot delete primary calendar.")
        self._store.drop_calendar(call.known_calendar)
        return no_content()

    def _check_owner(self, call: Call) -> None:
        if call.role != "owner":
            raise api_error("requiredAccessLevel", "You need to have owner access to this calendar.")

    def _body(self, call: Call) -> Row:
        body = call.json_object()
        for name, value in body.items():
            if name in _WRITABLE and not isinstance(value, str) and value is not None:
                raise invalid(f"Invalid value for: {name}.")
            if name not in _WRITABLE and name not in _IGNORED and self._store.switches.strict:
                raise invalid(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
        return body

    def _apply(self, calendar: Calendar, body: Row) -> None:
        before = calendar_row(calendar)
        zone = body.get("timeZone")
        if zone and zone != calendar.time_zone:
            set_zone(calendar, zone)
        for name in ("summary", "description", "location"):
            if name in body and (body[name] or name != "summary"):
                setattr(calendar, name, body[name] or "")
        if calendar_row(calendar) != before:
            calendar.etag = self._store.next_etag()

    def list(self, call: Call) -> Answer:
        """calendarList.list: what the user has in the list and may still see; never what was merely shared."""
        smallest = call.choice("minAccessRole", ROLES[1:])
        wanted = ROLES.index(smallest) if smallest else 1
        if call.text("syncToken") is not None:
            raise api_error("notImplemented", "The stand-in has no sync tokens for calendar lists.")
        rows: list[Row] = []
        for calendar_id in list(self._store.listed.get(call.user, ())):
            calendar = self._store.calendars[calendar_id]
            role = calendar.role_of(call.user)
            if call.user not in calendar.denied and ROLES.index(role) >= wanted:
                rows.append(self._entry(call.user, calendar, role))
        size = call.number("maxResults", 100, 250)
        token = call.text("pageToken") or "0"
        if not token.isdigit():
            raise invalid("Invalid page token value.", parameter="pageToken")
        start = int(token)
        answer: Row = {
            "kind": "calendar#calendarList",
            "etag": '"p32clist"',
            "items": rows[start : start + size],
        }
        if start + size < len(rows):
            answer["nextPageToken"] = str(start + size)
        else:
            answer["nextSyncToken"] = "calendar-lists-have-no-deltas-here"
        return _answer(answer)

    def list_get(self, call: Call) -> Answer:
        """calendarList.get: 404 for a calendar that is not in the list."""
        calendar = call.known_calendar
        if calendar.id not in self._store.listed.get(call.user, ()):
            raise api_error("notFound")
        return _answer(self._entry(call.user, calendar, call.role))

    def list_insert(self, call: Call) -> Answer:
        """calendarList.insert: puts a calendar that is shared with the user into the list."""
        calendar_id = call.json_object().get("id")
        if not isinstance(calendar_id, str):
            raise required("Missing calendar id.")
        calendar = self._store.calendars.get(calendar_id)
        role = calendar.role_of(call.user) if calendar else "none"
        if calendar is None or role == "none" or call.user in calendar.denied:
            raise api_error("notFound")
        self._store.listed.setdefault(call.user, {}).setdefault(calendar.id, {})
        return _answer(self._entry(call.user, calendar, role))

    def list_delete(self, call: Call) -> Answer:
        """calendarList.delete: out of the list, the calendar itself stays."""
        if self._store.listed.get(call.user, {}).pop(call.known_calendar.id, None) is None:
            raise api_error("notFound")
        return no_content()

    def _entry(self, user: str, calendar: Calendar, role: str) -> Row:
        row = calendar_row(calendar)
        row |= {
            "kind": "calendar#calendarListEntry",
            "accessRole": role,
            "backgroundColor": "#9fe1e7",
            "foregroundColor": "#000000",
            "colorId": "14",
            "selected": True,
            "defaultReminders": [],
        }
        if calendar.is_primary and calendar.id == user:
            row["primary"] = True
        return row


def _answer(row: Row) -> Answer:
    return Answer(row, 200, {"ETag": row["etag"]})
