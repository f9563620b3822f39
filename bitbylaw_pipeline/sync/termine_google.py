"""One employee's own Google calendar, as the right side of the pair with Advoware's Termine.

Never written: guests, and any event that is not ours to write: a stranger's invitation, a private one, one of another
kind. Never sent: a mail (`facts/two_way_sync.md` 2, sendUpdates).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bitbylaw_pipeline.clients.google_bodies import EventBody
from bitbylaw_pipeline.clients.google_calendar import EmployeeCalendar
from bitbylaw_pipeline.clients.google_errors import AlreadyExists
from bitbylaw_pipeline.clients.google_events import GoogleEvent
from bitbylaw_pipeline.domain.errors import NotFound, Unexpected
from bitbylaw_pipeline.domain.event_text import as_description, plain_text
from bitbylaw_pipeline.domain.termin_kind import MASKED, TITLES, TerminKind
from bitbylaw_pipeline.domain.three_way import Fields
from bitbylaw_pipeline.domain.two_way_link import Capabilities, Observation, Record, Settled
from bitbylaw_pipeline.sync.termine_event_times import event_times, times_of_event
from bitbylaw_pipeline.sync.termine_mirror import CalendarMirror
from bitbylaw_pipeline.sync.termine_policy import FIELDS, WHEN
from bitbylaw_pipeline.sync.two_way_adapter import Taken

OWN_ID, KEY, NONCE, FR_NR, KIND = (
    "bitbylaw_event", "bitbylaw_key", "bitbylaw_nonce", "bitbylaw_frnr", "bitbylaw_art",
)  # fmt: skip
"""Our private properties. A copy that somebody makes of an event carries them along (G18): they count only where the
id that stands in them is the event's own."""
NO_COUNTERPART = "serie_ohne_gegenstueck"
EXCEPTION = "ausnahme"
PRIVATE_THERE = "privat_in_google"
_TEXTS = {"text": "summary", "notiz": "description", "ort": "location"}


class GoogleTermineSide:
    """The events of one employee's calendar. Raises the errors of `clients.google_calendar`."""

    capabilities = Capabilities(client_key=True, marker=True, notes_partner=True)

    def __init__(self, calendar: EmployeeCalendar, mirror: CalendarMirror, pair: str, *, masks: bool) -> None:
        self._calendar = calendar
        self._mirror = mirror
        self._pair = pair
        self._masks = masks

    @property
    def system(self) -> str:
        """Google."""
        return "google"

    def put(self, field: str, value: Any) -> Any:
        """What Google is told of the value, and what it makes of that."""
        if field == "notiz":
            return None if self._masks else plain_text(value)
        if field == "text":
            return MASKED if self._masks else _trimmed(value)
        if field == "ort":
            return None if self._masks else _trimmed(value)
        return value

    async def observe(self, known: Mapping[str, Settled]) -> Observation:
        """What the calendar holds; one list call where nothing has changed."""
        seen = await self._mirror.read_on()
        items: dict[str, Record] = {}
        withheld = dict.fromkeys(seen.unreadable, "unreadable")
        for event in seen.events.values():
            why = self._why_withheld(event, known)
            if why is None:
                items[event.id] = self._record(event)
            elif why:
                withheld[event.id] = why
        return Observation(items, withheld=withheld)

    async def get(self, record_id: str) -> Record | None:
        """The event as it is now; None for a deleted one."""
        try:
            event = await self._calendar.get(record_id)
        except NotFound:
            return None
        if event.is_cancelled:
            return None
        self._mirror.note_missing(record_id)
        return self._record(event)

    async def find_by_key(self, key: str) -> Taken | None:
        """The event whose id was made of the key, alive or deleted."""
        return await self._under(self._event_id(key))

    async def create(self, key: str, fields: Fields, nonce: str, origin: Record) -> Record | Taken:
        """An event under an id made of the key: sent twice, it is there once."""
        event_id = self._event_id(key)
        kind = str(fields.get("art") or TerminKind.TERMIN)
        private = {OWN_ID: event_id, KEY: key, NONCE: nonce, FR_NR: origin.id, KIND: kind}
        body = self._body(fields, kind, private)
        try:
            return self._record(await self._calendar.insert(event_id, body))
        except AlreadyExists:
            taken = await self._under(event_id)
            if taken is None:
                raise Unexpected(
                    f"google says that the event {event_id} is there and does not show it.",
                    system=self.system,
                ) from None
            return taken

    async def update(self, expected: Record, patch: Fields, nonce: str) -> Record:
        """Changes exactly what the patch names, if nobody has touched the event since."""
        after = {**expected.fields, **patch}
        kind = str(after.get("art") or TerminKind.TERMIN)
        private = {OWN_ID: expected.id, NONCE: nonce, KIND: kind}
        told = dict(patch)
        if any(name in patch for name in WHEN):
            told |= {name: after.get(name) for name in WHEN}
        if "art" in patch and self._masks and after.get("text") == MASKED:
            told["text"] = MASKED
        etag = expected.version or ""
        return self._record(
            await self._calendar.patch(expected.id, self._body(told, kind, private), etag=etag)
        )

    async def delete(self, expected: Record) -> None:
        """Deletes the event, if nobody has touched it since."""
        await self._calendar.delete(expected.id, etag=expected.version or "")

    async def link_back(self, record: Record, partner: Record) -> None:
        """Notes the Termin's number, out of sight of the calendar's user, if it is not there yet or others take part."""
        if record.readonly_fields or record.partner == partner.id:
            return
        private = {OWN_ID: record.id, FR_NR: partner.id}
        await self._calendar.patch(record.id, EventBody(private=private), etag=record.version or "")

    # -- inner parts

    def _event_id(self, key: str) -> str:
        """Google's alphabet for ids is that of base32hex, in small letters."""
        digest = hashlib.sha256(f"{self._pair}\n{key}".encode()).digest()
        return base64.b32hexencode(digest).decode().rstrip("=").lower()

    async def _under(self, event_id: str) -> Taken | None:
        try:
            event = await self._calendar.get(event_id)
        except NotFound:
            return None
        return Taken(event.id, is_alive=not event.is_cancelled)

    def _why_withheld(self, event: GoogleEvent, known: Mapping[str, Settled]) -> str | None:
        """None for one that can be kept in step; empty for one that is nobody's business."""
        if event.id in known and _is_private(event):
            # Ours, hidden by the calendar's user: it is left alone from now on, and must not be so in silence.
            return PRIVATE_THERE
        if event.recurring_event_id is not None:
            # One occurrence, moved or cancelled: of a series of ours a person hears, a series without a counterpart
            # is told of as a whole.
            return EXCEPTION if event.recurring_event_id in known else ""
        if event.recurrence and event.id not in known and not _is_ours(event):
            return NO_COUNTERPART
        return None

    def _record(self, event: GoogleEvent) -> Record:
        is_ours = _is_ours(event)
        kind = event.private.get(KIND, TerminKind.TERMIN.value) if is_ours else TerminKind.TERMIN.value
        times = times_of_event(event)
        title = _trimmed(event.summary)
        return Record(
            id=event.id,
            fields={
                "text": MASKED if self._masks and title == TITLES.get(kind) else title,
                "notiz": plain_text(event.description),
                "ort": _trimmed(event.location),
                "start": times.start,
                "end": times.end,
                "ganztags": times.is_all_day,
                "serie": "\n".join(event.recurrence) or None,
                "art": kind,
            },
            version=event.etag,
            claim=event.private.get(KEY) if is_ours else None,
            partner=event.private.get(FR_NR) if is_ours else None,
            nonce=event.private.get(NONCE) if is_ours else None,
            updated=event.updated.timestamp() if event.updated else None,
            is_in_scope=_is_in_scope(event),
            readonly_fields=frozenset(FIELDS) if event.has_guests or event.is_locked else frozenset(),
            can_delete=not event.has_guests,
        )

    def _body(self, fields: Fields, kind: str, private: Mapping[str, str | None]) -> EventBody:
        body = EventBody(private=private)
        for name, member in _TEXTS.items():
            if name in fields:
                value = fields[name]
                if name == "text" and self._masks:
                    value = TITLES.get(kind, TITLES[TerminKind.TERMIN])
                elif self._masks:
                    value = None
                elif name == "notiz":
                    value = as_description(value)
                body = replace(body, **{member: value})
        if any(name in fields for name in WHEN):
            start, end = event_times(fields)
            rule = fields.get("serie")
            body = replace(body, start=start, end=end, recurrence=rule.split("\n") if rule else None)
        return body


def _is_ours(event: GoogleEvent) -> bool:
    return event.private.get(OWN_ID) == event.id


def _is_in_scope(event: GoogleEvent) -> bool:
    return event.organizer_is_self and event.event_type == "default" and not _is_private(event)


def _is_private(event: GoogleEvent) -> bool:
    return event.visibility in ("private", "confidential")


def _trimmed(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
