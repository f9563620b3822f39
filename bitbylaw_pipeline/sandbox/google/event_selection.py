"""Which events a listing answers with: the filters of `events.list`, full and since a position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.sandbox.google.calendar_data import Calendar, Row, StoredEvent
from bitbylaw_pipeline.sandbox.google.calls import Call
from bitbylaw_pipeline.sandbox.google.errors import ApiError, api_error, invalid
from bitbylaw_pipeline.sandbox.google.event_times import read_bound
from bitbylaw_pipeline.sandbox.google.list_tokens import Parameters
from bitbylaw_pipeline.sandbox.google.occurrences import HORIZON_SECONDS, is_series, occurrences_of, touches
from bitbylaw_pipeline.sandbox.google.store import Store

Window = tuple[float | None, float | None]
EVENT_TYPES = ("birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation")
# Deleting a series answers with the cancelled occurrences of about half a year (facts/two_way_sync.md 2).
_CANCELLED_SECONDS = 183 * 86_400.0


def window_of(parameters: Parameters) -> Window:
    """`timeMin` and `timeMax` as seconds UTC. Raises ApiError."""
    bounds: list[float | None] = [
        read_bound(parameters[name][-1], name) if name in parameters else None
        for name in ("timeMin", "timeMax")
    ]
    after, before = bounds
    if after is not None and before is not None and after >= before:
        raise api_error("timeRangeEmpty", parameter="timeMax")
    return after, before


def list_selection(call: Call, store: Store) -> Selection:
    """The filters of a listing. Raises ApiError."""
    order = call.choice("orderBy", ("startTime", "updated"))
    is_single = call.flag("singleEvents")
    if order == "startTime" and not is_single:
        raise invalid(
            "The requested ordering is not available for the particular query.", parameter="orderBy"
        )
    call.flag("showHiddenInvitations")
    for kind in call.query.get("eventTypes", ()):
        if kind not in EVENT_TYPES:
            raise invalid(f"Invalid string value: '{kind}'.", parameter="eventTypes")
    updated_min = call.text("updatedMin")
    oldest = None if updated_min is None else read_bound(updated_min, "updatedMin")
    if oldest is not None and oldest < store.now() - store.switches.updated_min_days * 86_400:
        raise api_error("updatedMinTooLongAgo")
    return Selection(
        now=store.now(),
        window=window_of(call.query),
        is_single=is_single,
        shows_deleted=call.flag("showDeleted"),
        updated_min=oldest,
        order=order,
        words=(call.text("q") or "").lower().split(),
        ical_uid=call.text("iCalUID"),
        event_types=tuple(call.query.get("eventTypes", ())),
        properties=tuple(_property(call, kind) for kind in ("private", "shared")),
        all_properties=store.switches.repeated_property_filter == "and",
    )


def _property(call: Call, kind: str) -> tuple[str, list[tuple[str, str]]]:
    name = f"{kind}ExtendedProperty"
    pairs: list[tuple[str, str]] = []
    for item in call.query.get(name, ()):
        key, equals, value = item.partition("=")
        if not equals:
            raise invalid("Invalid extended property constraint.", parameter=name)
        pairs.append((key, value))
    return kind, pairs


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters of one listing; times in seconds UTC."""

    now: float
    window: Window
    is_single: bool
    shows_deleted: bool
    updated_min: float | None
    order: str | None
    words: list[str]
    ical_uid: str | None
    event_types: tuple[str, ...]
    properties: tuple[tuple[str, list[tuple[str, str]]], ...]
    all_properties: bool

    def full(self, calendar: Calendar) -> list[Row]:
        """Rows of a listing without a sync token."""
        found: list[tuple[float, float, Row]] = []
        for event in list(calendar.events.values()):
            for start, row in self._rows(calendar, event):
                if self._fits(row):
                    found.append((start, event.updated_at, row))
        if self.order == "startTime":
            found.sort(key=_by_start)
        elif self.order == "updated":
            found.sort(key=_by_update)
        return [row for _, _, row in found]

    def delta(self, calendar: Calendar, since: int, window: Window, *, as_deleted: bool) -> list[Row]:
        """Rows changed after a position; `window` is that of the first listing where it still counts."""
        found: dict[str, Row] = {}
        for event in calendar.changed_since(since):
            for row in self._changed_rows(calendar, event, window, as_deleted=as_deleted):
                found[row["id"]] = row
        return list(found.values())

    def _rows(self, calendar: Calendar, event: StoredEvent) -> list[tuple[float, Row]]:
        """The rows of one event that are in the window and, if deleted, are to be seen."""
        if self.updated_min is not None and event.updated_at < self.updated_min:
            return []
        if event.is_cancelled and not self._shows_cancelled(calendar, event):
            return []
        if is_series(event.data) and not event.is_cancelled:
            if not self.is_single:
                return [(event.start, event.data)] if self._touches(calendar, event, self.window) else []
            return self._expanded(calendar, event, self.window)
        if self.is_single and is_series(event.data):
            # A deleted master is never among single events.
            return []
        return [(event.start, event.data)] if is_in(event.start, event.end, self.window) else []

    def _shows_cancelled(self, calendar: Calendar, event: StoredEvent) -> bool:
        if self.shows_deleted or self.updated_min is not None:
            return True
        master = calendar.events.get(event.master_id or "")
        return not self.is_single and master is not None and not master.is_cancelled

    def _expanded(self, calendar: Calendar, event: StoredEvent, window: Window) -> list[tuple[float, Row]]:
        until = window[1] if window[1] is not None else max(self.now, event.start) + HORIZON_SECONDS
        return [
            (one.start, one.data)
            for one in occurrences_of(calendar, event, until)
            # Exceptions come by themselves: one may have been dragged here from far away.
            if one.data is one.plain and is_in(one.start, one.end, window)
        ]

    def _touches(self, calendar: Calendar, event: StoredEvent, window: Window) -> bool:
        if window == (None, None):
            return True
        try:
            return touches(calendar, event, window)
        except ApiError:
            # A rule that is not expanded here: rather listed than lost.
            return True

    def _changed_rows(
        self, calendar: Calendar, event: StoredEvent, window: Window, *, as_deleted: bool
    ) -> list[Row]:
        if self.is_single and is_series(event.data):
            return self._changed_series(calendar, event, window)
        is_inside = event.is_cancelled or window == (None, None)
        if not is_inside and is_series(event.data):
            is_inside = self._touches(calendar, event, window)
        elif not is_inside:
            is_inside = is_in(event.start, event.end, window)
        if is_inside:
            return [event.data]
        return [{**event.data, "status": "cancelled"}] if as_deleted else []

    def _changed_series(self, calendar: Calendar, event: StoredEvent, window: Window) -> list[Row]:
        if not event.is_cancelled:
            return [row for _, row in self._expanded(calendar, event, window)]
        until = self.now + _CANCELLED_SECONDS
        return [
            {**one.plain, "status": "cancelled"}
            for one in occurrences_of(calendar, event, until)
            if one.start >= self.now
        ]

    def _fits(self, row: Row) -> bool:
        if self.ical_uid is not None and row.get("iCalUID") != self.ical_uid:
            return False
        if self.event_types and row.get("eventType") not in self.event_types:
            return False
        if self.words and not self._has_words(row):
            return False
        return all(self._has_properties(row, kind, pairs) for kind, pairs in self.properties if pairs)

    def _has_words(self, row: Row) -> bool:
        people = [row.get("organizer", {}), *row.get("attendees", ())]
        texts = [row.get(name, "") for name in ("summary", "description", "location")]
        texts += [person.get(name, "") for person in people for name in ("displayName", "email")]
        whole = " ".join(texts).lower()
        return all(word in whole for word in self.words)

    def _has_properties(self, row: Row, kind: str, pairs: list[tuple[str, str]]) -> bool:
        present = row.get("extendedProperties", {}).get(kind, {})
        hits = [present.get(key) == value for key, value in pairs]
        return all(hits) if self.all_properties else any(hits)


def is_in(start: float, end: float, window: Window) -> bool:
    """Whether an event ends after the window's begin and begins before its end, both exclusive."""
    after, before = window
    return (after is None or end > after) and (before is None or start < before)


def _by_start(found: tuple[float, float, Any]) -> float:
    return found[0]


def _by_update(found: tuple[float, float, Any]) -> float:
    return found[1]
