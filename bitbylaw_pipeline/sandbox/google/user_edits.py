"""What users do in Google Calendar itself, as edits that a test orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bitbylaw_pipeline.sandbox.google.calendar_data import ROLES, Calendar, Row, StoredEvent
from bitbylaw_pipeline.sandbox.google.event_fields import merged
from bitbylaw_pipeline.sandbox.google.event_writes import EventWriting, writable
from bitbylaw_pipeline.sandbox.google.seeding import find_calendar, refusals_as_value_errors
from bitbylaw_pipeline.sandbox.google.series_edits import SeriesEdits
from bitbylaw_pipeline.sandbox.google.store import USER_STATES, Store
from bitbylaw_pipeline.sandbox.google.token_endpoint import TokenEndpoint

_Edit = Callable[[Calendar, Row], Any]


class UserEdits:
    """`POST /sandbox/edits`: `{"do": ..., "calendar": id, "event": id, ...}`, or a list of them.

    | do | more keys | what the user does |
    |---|---|---|
    | create | set, user, id | makes an event |
    | edit, move | set | changes fields, as by a patch (`move`: start and end) |
    | delete, undelete | | deletes it; takes it out of the bin again |
    | duplicate | set | a copy with an id of its own; private properties by the switch `duplicate_copies_private` |
    | make_private | visibility | hides the details from readers |
    | invite | organizer, set, id | a stranger's invitation arrives in the calendar |
    | add_guests | guests | invites people (their mails are the user's own and not noted) |
    | move_instance | original_start, set | drags one occurrence of a series |
    | cancel_instance | original_start | deletes one occurrence |
    | this_and_following | original_start, set | splits a series: the old one ends, a new one begins |
    | move_to_calendar | destination | puts it into another calendar |
    | delete_calendar | | |
    | set_role | user, role | forces a role on a user; `null` ends that |
    | revoke_access, restore_access | user, status | calls of the user on the calendar: 404 or 403 |
    | set_user | user, state | active, suspended (tokens end), no_calendar |
    | end_sync_tokens | | every sync token so far is 410 |
    | purge_tombstones | | deleted events disappear, their ids stay taken |
    """

    def __init__(self, store: Store, writing: EventWriting, tokens: TokenEndpoint) -> None:
        self._store = store
        self._writing = writing
        self._tokens = tokens
        series = SeriesEdits(writing, store)
        self._edits: dict[str, _Edit] = {
            "create": self._create,
            "edit": self._change,
            "move": self._change,
            "delete": self._delete,
            "undelete": self._undelete,
            "duplicate": self._duplicate,
            "make_private": self._make_private,
            "invite": self._invite,
            "add_guests": self._add_guests,
            "move_instance": series.move_instance,
            "cancel_instance": series.cancel_instance,
            "this_and_following": series.this_and_following,
            "move_to_calendar": self._move_to_calendar,
            "delete_calendar": self._delete_calendar,
            "set_role": self._set_role,
            "revoke_access": self._revoke_access,
            "restore_access": self._restore_access,
            "end_sync_tokens": self._end_sync_tokens,
            "purge_tombstones": self._purge_tombstones,
        }

    @property
    def names(self) -> list[str]:
        """What `do` may be."""
        return sorted([*self._edits, "set_user"])

    def edit(self, edits: Any) -> list[Any]:
        """Carry out one edit or a list; returns what each left: the event's row, or None. Raises ValueError."""
        done: list[Any] = []
        for item in edits if isinstance(edits, list) else [edits]:
            if not isinstance(item, dict) or item.get("do") not in {*self._edits, "set_user"}:
                raise ValueError(
                    f"An edit is an object whose do is one of {sorted([*self._edits, 'set_user'])}."
                )
            if item["do"] == "set_user":
                done.append(self._set_user(item))
                continue
            calendar = find_calendar(self._store, item.get("calendar"))
            with refusals_as_value_errors():
                done.append(self._edits[item["do"]](calendar, item))
        return done

    def _create(self, calendar: Calendar, item: Row) -> Row:
        event_id = item.get("id") or self._store.new_event_id()
        user = item.get("user") or calendar.owner
        return dict(self._writing.create(calendar, item.get("set", {}), user=user, event_id=event_id).data)

    def _change(self, calendar: Calendar, item: Row) -> Row:
        event = event_of(calendar, item)
        self._writing.change(calendar, event, merged(writable(event.data), item.get("set", {})))
        return dict(event.data)

    def _delete(self, calendar: Calendar, item: Row) -> None:
        self._writing.cancel(calendar, event_of(calendar, item))

    def _undelete(self, calendar: Calendar, item: Row) -> Row:
        event = event_of(calendar, item)
        if not event.is_cancelled:
            raise ValueError("Only a deleted event can be taken out of the bin.")
        self._writing.change(calendar, event, {**writable(event.alive or event.data), "status": "confirmed"})
        return dict(event.data)

    def _duplicate(self, calendar: Calendar, item: Row) -> Row:
        fields = writable(event_of(calendar, item).data)
        if not self._store.switches.duplicate_copies_private:
            kept = {
                kind: one for kind, one in fields.get("extendedProperties", {}).items() if kind != "private"
            }
            fields = {**fields, "extendedProperties": kept}
        fields = merged({**fields, "sequence": 0}, item.get("set", {}))
        event_id = self._store.new_event_id()
        return dict(self._writing.create(calendar, fields, user=calendar.owner, event_id=event_id).data)

    def _make_private(self, calendar: Calendar, item: Row) -> Row:
        return self._change(calendar, {**item, "set": {"visibility": item.get("visibility", "private")}})

    def _invite(self, calendar: Calendar, item: Row) -> Row:
        organizer = str(item.get("organizer", "mandantschaft@fremd.example"))
        guests = [
            {"email": organizer, "organizer": True, "responseStatus": "accepted"},
            {"email": calendar.id, "self": True, "responseStatus": "needsAction"},
        ]
        fixed = {"organizer": {"email": organizer}, "creator": {"email": organizer}, "attendees": guests}
        event_id = item.get("id") or self._store.new_event_id()
        fields = item.get("set", {})
        return dict(
            self._writing.create(calendar, fields, user=organizer, event_id=event_id, fixed=fixed).data
        )

    def _add_guests(self, calendar: Calendar, item: Row) -> Row:
        present = event_of(calendar, item).data.get("attendees", [])
        guests = [*present, *({"email": mail} for mail in item.get("guests", []))]
        return self._change(calendar, {**item, "set": {"attendees": guests}})

    def _move_to_calendar(self, calendar: Calendar, item: Row) -> Row:
        target = find_calendar(self._store, item.get("destination"))
        event = event_of(calendar, item)
        if event.id in target.burnt:
            raise ValueError("The other calendar has had an event of this id.")
        return dict(self._writing.move(calendar, event, target).data)

    def _delete_calendar(self, calendar: Calendar, _: Row) -> None:
        self._store.drop_calendar(calendar)

    def _set_role(self, calendar: Calendar, item: Row) -> None:
        user, role = str(item.get("user") or calendar.owner), item.get("role")
        if role is None:
            calendar.overrides.pop(user, None)
        elif role in ROLES:
            calendar.overrides[user] = role
        else:
            raise ValueError(f"A role is one of {list(ROLES)}.")
        self._rights_changed(calendar)

    def _revoke_access(self, calendar: Calendar, item: Row) -> None:
        status = item.get("status", 404)
        if status not in (403, 404):
            raise ValueError("Access is refused with 403 or 404.")
        calendar.denied[str(item.get("user") or calendar.owner)] = status
        self._rights_changed(calendar)

    def _restore_access(self, calendar: Calendar, item: Row) -> None:
        calendar.denied.pop(str(item.get("user") or calendar.owner), None)
        self._rights_changed(calendar)

    def _rights_changed(self, calendar: Calendar) -> None:
        if self._store.switches.acl_change_ends_tokens:
            calendar.token_generation += 1

    def _end_sync_tokens(self, calendar: Calendar, _: Row) -> None:
        calendar.token_generation += 1

    def _purge_tombstones(self, calendar: Calendar, _: Row) -> None:
        for event in [event for event in calendar.events.values() if event.is_cancelled]:
            master = calendar.events.get(event.master_id or "")
            # A cancelled occurrence is kept as long as its series lives.
            if master is None or master.is_cancelled:
                calendar.purge(event.id)

    def _set_user(self, item: Row) -> Row:
        user = self._store.users.get(str(item.get("user")))
        if user is None or item.get("state") not in USER_STATES:
            raise ValueError(f"set_user needs user, a known address, and a state of {list(USER_STATES)}.")
        user["state"] = item["state"]
        if item["state"] == "suspended":
            self._tokens.revoke(user["mail"])
        return dict(user)


def event_of(calendar: Calendar, item: Row) -> StoredEvent:
    """The event that an edit is about. Raises ValueError."""
    event = calendar.events.get(str(item.get("event")))
    if event is None:
        raise ValueError(f"There is no event {item.get('event')!r} in that calendar.")
    return event
