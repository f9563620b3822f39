"""The calls on single events: get, insert, update, patch, delete, move, instances."""

from __future__ import annotations

from bitbylaw_pipeline.sandbox.google.calendar_data import WRITING_ROLES, Calendar, Row, StoredEvent
from bitbylaw_pipeline.sandbox.google.calls import Answer, Call, matches
from bitbylaw_pipeline.sandbox.google.errors import api_error, invalid, required
from bitbylaw_pipeline.sandbox.google.event_view import EventView
from bitbylaw_pipeline.sandbox.google.event_writes import (
    EventWriting,
    check_body,
    check_event_type,
    check_organizer,
    checked_id,
    no_content,
    patched,
)
from bitbylaw_pipeline.sandbox.google.mails import note_mails
from bitbylaw_pipeline.sandbox.google.occurrences import Occurrence, find_occurrence, is_series
from bitbylaw_pipeline.sandbox.google.store import Store


class EventRoutes:
    """Handlers by operation; each may raise ApiError."""

    def __init__(self, store: Store, writing: EventWriting) -> None:
        self._store = store
        self._writing = writing

    def get(self, call: Call) -> Answer:
        """A deleted event is answered with 200 and status cancelled."""
        calendar, event_id = call.known_calendar, call.ids["eventId"]
        event = calendar.events.get(event_id)
        data = event.data if event is not None else self._plain_occurrence(calendar, event_id).data
        known = call.header(b"if-none-match")
        if known and matches(known, data["etag"]):
            return Answer(None, 304, {"ETag": data["etag"]})
        return self._answer(call, data)

    def insert(self, call: Call) -> Answer:
        """200 with the event; nothing keeps two inserts of one id from being told apart but the 409."""
        calendar = call.known_calendar
        body = check_body(call, self._store)
        check_event_type(body)
        if body.get("status") == "cancelled":
            raise invalid("Invalid event status.")
        view = EventView(call, self._store.switches)
        event = self._writing.create(
            calendar, body, user=call.user, event_id=checked_id(body, calendar, self._store)
        )
        note_mails(self._store, call, None, event.data)
        return self._answer(call, event.data, view)

    def update(self, call: Call) -> Answer:
        """PUT: what is not sent is gone; a deleted event comes back, because status is confirmed unless sent."""
        event = self._for_writing(call)
        body = check_body(call, self._store)
        if event.is_cancelled and self._store.switches.patch_cancelled == "refused":
            raise api_error("forbidden")
        return self._changed(call, event, {name: value for name, value in body.items() if value is not None})

    def patch(self, call: Call) -> Answer:
        """Merged into what is there; null removes, arrays are replaced."""
        event = self._for_writing(call)
        body = check_body(call, self._store)
        if event.is_cancelled:
            mode = self._store.switches.patch_cancelled
            if mode == "refused":
                raise api_error("forbidden")
            if mode == "undelete_always":
                body = {"status": "confirmed", **body}
        return self._changed(call, event, patched(event, body))

    def delete(self, call: Call) -> Answer:
        """204; 410 for an event that is deleted already."""
        event = self._for_writing(call, deleting=True)
        if event.is_cancelled:
            raise api_error("deleted")
        before = event.data
        note_mails(self._store, call, before, None)
        self._writing.cancel(call.known_calendar, event)
        return no_content()

    def move(self, call: Call) -> Answer:
        """To another calendar; the answer says cancelled although it worked (switch `move_answers`)."""
        event = self._for_writing(call)
        target = self._store.calendars.get(self._calendar_id(call))
        if target is None or target.role_of(call.user) not in WRITING_ROLES:
            raise api_error("notFound")
        if event.is_cancelled:
            raise api_error("deleted")
        if not event.data["organizer"].get("self"):
            raise api_error("forbiddenForNonOrganizer")
        if event.data.get("eventType", "default") != "default" or event.master_id is not None:
            raise invalid("This event cannot be moved.")
        if event.id in target.burnt:
            raise api_error("duplicate")
        moved = self._writing.move(call.known_calendar, event, target)
        note_mails(self._store, call, event.alive, moved.data)
        return self._answer(
            call, event.data if self._store.switches.move_answers == "cancelled" else moved.data
        )

    def _calendar_id(self, call: Call) -> str:
        destination = call.text("destination")
        if not destination:
            raise required("Required parameter: destination")
        return call.user if destination == "primary" else destination

    def _for_writing(self, call: Call, *, deleting: bool = False) -> StoredEvent:
        """The event of a write, after If-Match. An occurrence that is stored nowhere becomes an exception."""
        calendar, event_id = call.known_calendar, call.ids["eventId"]
        event = calendar.events.get(event_id)
        if event is not None:
            if deleting and event.is_cancelled and self._store.switches.deleted_again == 410:
                raise api_error("deleted")
            call.check_if_match(event.data["etag"])
            if not deleting and call.role == "writerWithoutPrivateAccess" and _is_private(event.data):
                raise api_error("requiredAccessLevel")
            return event
        occurrence = self._plain_occurrence(calendar, event_id)
        call.check_if_match(occurrence.data["etag"])
        return StoredEvent(event_id, occurrence.plain, occurrence.start, occurrence.end)

    def _plain_occurrence(self, calendar: Calendar, event_id: str) -> Occurrence:
        found = find_occurrence(calendar, event_id)
        if found is None:
            raise api_error("notFound")
        return found[1]

    def _changed(self, call: Call, event: StoredEvent, fields: Row) -> Answer:
        calendar, switches = call.known_calendar, self._store.switches
        check_organizer(event, fields)
        view = EventView(call, switches)
        before = event.data
        if fields.get("status") == "cancelled" and not event.is_cancelled:
            note_mails(self._store, call, before, None)
            self._writing.cancel(calendar, event)
            return self._answer(call, event.data, view)
        self._writing.change(calendar, event, fields, bumps=switches.no_op_patch == "bumps")
        if is_series(before):
            self._drop_orphans(calendar, event)
        note_mails(self._store, call, before, event.data)
        return self._answer(call, event.data, view)

    def _drop_orphans(self, calendar: Calendar, master: StoredEvent) -> None:
        """Exceptions whose place the series no longer has go with it."""
        for one in list(calendar.exceptions_of(master.id)):
            if not one.is_cancelled and find_occurrence(calendar, one.id) is None:
                self._writing.cancel(calendar, one)

    def _answer(self, call: Call, data: Row, view: EventView | None = None) -> Answer:
        view = view or EventView(call, self._store.switches)
        return Answer(view.shown(data), 200, {"ETag": data["etag"]})


def _is_private(data: Row) -> bool:
    return data.get("visibility") in ("private", "confidential")
