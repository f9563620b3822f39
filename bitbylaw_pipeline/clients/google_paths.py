"""Paths of the Calendar API from checked parts: no id leaves `/calendars/{calendar}/events/{event}`."""

from __future__ import annotations

import re
from urllib.parse import quote

from bitbylaw_pipeline.clients.google_connection import SYSTEM
from bitbylaw_pipeline.domain.errors import Permanent

# An address, `primary`, or `de.german#holiday@group.v.calendar.google.com`. Not dots alone: they would climb.
_CALENDAR_ID = re.compile(r"(?!\.+$)[A-Za-z0-9._+#@'&=~-]{1,254}")
# Ours are [a-v0-9]; an occurrence's has _20260101T090000Z, a split series' _R20260101T090000; imported ones may differ.
_EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,1100}")
_OWN_EVENT_ID = re.compile(r"[a-v0-9]{5,1024}")


def calendar_path(calendar_id: str) -> str:
    """`/calendars/{id}`; Permanent("bad_name") for what cannot be one. The id may be a person's address."""
    if not _CALENDAR_ID.fullmatch(calendar_id):
        raise _bad("a calendar's id")
    return f"/calendars/{quote(calendar_id, safe='')}"


def event_path(calendar_id: str, event_id: str) -> str:
    """`/calendars/{id}/events/{id}`."""
    if not is_event_id(event_id):
        raise _bad("an event's id")
    return f"{calendar_path(calendar_id)}/events/{event_id}"


def is_event_id(event_id: str) -> bool:
    """True for what may be the id of an event that is there."""
    return _EVENT_ID.fullmatch(event_id) is not None


def checked_own_id(event_id: str) -> str:
    """An id that we may give to a new event (`facts/two_way_sync.md` 2: `[a-v0-9]{5,1024}`)."""
    if not _OWN_EVENT_ID.fullmatch(event_id):
        raise _bad("a new event's id")
    return event_id


def checked_etag(etag: str) -> str:
    """An etag for If-Match; never `*`, which would overwrite whatever is there."""
    if not etag or etag == "*" or not etag.isascii() or not etag.isprintable():
        raise _bad("an event's etag")
    return etag


def _bad(what: str) -> Permanent:
    # The value is not repeated: it may be anything, a name included.
    return Permanent(
        f"This cannot be {what} of Google Calendar; nothing was asked.", system=SYSTEM, reason="bad_name"
    )
