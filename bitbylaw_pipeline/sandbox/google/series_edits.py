"""What users do to series: drag or delete one occurrence, change this and the following ones."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from bitbylaw_pipeline.sandbox.google.calendar_data import Calendar, Row, StoredEvent
from bitbylaw_pipeline.sandbox.google.event_fields import merged
from bitbylaw_pipeline.sandbox.google.event_times import seconds_of
from bitbylaw_pipeline.sandbox.google.event_writes import EventWriting, writable
from bitbylaw_pipeline.sandbox.google.occurrences import Occurrence, is_series, occurrences_of
from bitbylaw_pipeline.sandbox.google.store import Store

_FAR = 4_102_444_800.0  # 2100-01-01


class SeriesEdits:
    """Edits of series; each raises ValueError or ApiError."""

    def __init__(self, writing: EventWriting, store: Store) -> None:
        self._writing = writing
        self._store = store

    def move_instance(self, calendar: Calendar, item: Row) -> Row:
        """One occurrence gets other fields (`set`) and is stored as an exception."""
        event = self._exception(calendar, item)
        self._writing.change(calendar, event, merged(writable(event.data), item.get("set", {})))
        return dict(event.data)

    def cancel_instance(self, calendar: Calendar, item: Row) -> Row:
        """One occurrence is deleted: a cancelled exception stays as long as the series."""
        event = self._exception(calendar, item)
        self._writing.cancel(calendar, event)
        return dict(event.data)

    def this_and_following(self, calendar: Calendar, item: Row) -> Row:
        """The series ends before the occurrence, and a new one with `set` begins there; later exceptions are reset."""
        master, one = self._occurrence(calendar, item)
        later = [other for other in calendar.exceptions_of(master.id) if other.start >= one.start]
        fields = writable(one.plain)
        rest = {**fields, "sequence": 0, "recurrence": _without_end_by_count(master, calendar, one)}
        self._writing.change(
            calendar,
            master,
            {**writable(master.data), "recurrence": _ended(master.data, one.start, one.plain)},
        )
        for other in later:
            self._writing.cancel(calendar, other)
        new = merged(rest, item.get("set", {}))
        event_id = self._store.new_event_id()
        return dict(self._writing.create(calendar, new, user=calendar.owner, event_id=event_id).data)

    def _exception(self, calendar: Calendar, item: Row) -> StoredEvent:
        _, one = self._occurrence(calendar, item)
        known = calendar.events.get(one.plain["id"])
        return known or StoredEvent(one.plain["id"], one.plain, one.start, one.end)

    def _occurrence(self, calendar: Calendar, item: Row) -> tuple[StoredEvent, Occurrence]:
        master = calendar.events.get(str(item.get("event")))
        if master is None or master.is_cancelled or not is_series(master.data):
            raise ValueError(f"There is no series {item.get('event')!r} in that calendar.")
        wanted = str(item.get("original_start", ""))
        for one in occurrences_of(calendar, master, _FAR):
            start = one.plain["originalStartTime"]
            if start.get("date") == wanted or ("dateTime" in start and _is_same(start["dateTime"], wanted)):
                return master, one
        raise ValueError(f"The series has no occurrence that began at {wanted!r}.")


def _is_same(shown: str, wanted: str) -> bool:
    try:
        return seconds_of(datetime.fromisoformat(shown)) == seconds_of(datetime.fromisoformat(wanted))
    except (ValueError, TypeError):
        return False


def _ended(data: Row, before: float, occurrence: Row) -> list[str]:
    """The recurrence of a series that ends before that moment."""
    if "date" in occurrence["originalStartTime"]:
        last = date.fromisoformat(occurrence["originalStartTime"]["date"]) - timedelta(days=1)
        until = f"{last:%Y%m%d}"
    else:
        until = f"{datetime.fromtimestamp(before - 1, UTC):%Y%m%dT%H%M%SZ}"
    rules: list[str] = []
    for line in data["recurrence"]:
        kept = re.sub(r";?(COUNT|UNTIL)=[^;]*", "", line)
        rules.append(f"{kept};UNTIL={until}" if line.startswith("RRULE:") else line)
    return rules


def _without_end_by_count(master: StoredEvent, calendar: Calendar, one: Occurrence) -> list[str]:
    """The recurrence of what follows: a COUNT counts only the occurrences that are left."""
    gone = sum(
        1 for other in occurrences_of(calendar, master, one.start) if other.plain["id"] != one.plain["id"]
    )
    rules: list[str] = []
    for line in master.data["recurrence"]:
        found = re.search(r"COUNT=(\d+)", line)
        rules.append(line.replace(found[0], f"COUNT={int(found[1]) - gone}") if found else line)
    return rules
