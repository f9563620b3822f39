"""Answers of the Calendar API that hold events: a list's pages, and single ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.clients.google_events import GoogleEvent, NotAnEvent, event_id, parse_event

PAGE_SIZE: Final = 2500
"""The most that Google gives at once."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of a list. `next_sync_token` stands on the last one alone: without it the list did not end.

    `unreadable` are events that are there and cannot be understood: withheld, not missing. `access_role` is ours on
    this calendar; below "writer" details are hidden, not empty.
    """

    events: tuple[GoogleEvent, ...]
    unreadable: frozenset[str]
    access_role: str
    time_zone: str
    next_sync_token: str | None = field(default=None, repr=False)


def list_params(
    sync_token: str | None, time_min: datetime | None, time_max: datetime | None
) -> dict[str, str]:
    """What each page of a list is asked with; ValueError for bounds that Google would not take."""
    params = {"maxResults": str(PAGE_SIZE), "singleEvents": "false", "showDeleted": "true"}
    bounds = {"timeMin": time_min, "timeMax": time_max}
    for name, moment in bounds.items():
        if moment is None:
            continue
        if sync_token is not None or moment.tzinfo is None:
            raise ValueError("A list is bounded by aware moments, and not together with a sync token.")
        params[name] = moment.isoformat(timespec="seconds")
    return params if sync_token is None else {**params, "syncToken": sync_token}


def page_of(answer: Answer) -> tuple[EventPage, str]:
    """The page, and the next one's token ("" for none)."""
    data = answer.mapping()
    rows = answer.rows("items") if data.get("items") is not None else []
    tokens = [data.get("nextPageToken"), data.get("nextSyncToken")]
    if sum(isinstance(token, str) and bool(token) for token in tokens) != 1:
        # Both or neither: whether the list has ended is unknown, and what is missing from it would be deleted.
        raise answer.nonsense("a list that neither goes on nor ends")
    events, unreadable = [], set()
    for row in rows:
        try:
            found = event_id(row)
        except NotAnEvent:
            raise answer.nonsense("an event without an id") from None
        try:
            events.append(parse_event(row))
        except NotAnEvent:
            unreadable.add(found)
    page_token, sync_token = tokens
    page = EventPage(
        events=tuple(events),
        unreadable=frozenset(unreadable),
        access_role=str(data.get("accessRole") or ""),
        time_zone=str(data.get("timeZone") or ""),
        next_sync_token=sync_token if isinstance(sync_token, str) and sync_token else None,
    )
    return page, page_token if isinstance(page_token, str) else ""


def event_of(answer: Answer, event: str) -> GoogleEvent:
    """The event of an answer to a call that named it. Raises Unexpected, for a write OutcomeUnknown."""
    try:
        found = parse_event(answer.data)
    except NotAnEvent as error:
        raise answer.nonsense(str(error)) from None
    if found.id != event:
        raise answer.nonsense("another event than was asked for")
    return found
