"""The occurrences of a stored series as rows: expanded from the master, exceptions in their places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from bitbylaw_pipeline.sandbox.google.calendar_data import Calendar, Row, StoredEvent
from bitbylaw_pipeline.sandbox.google.event_times import day_begins, seconds_of, shown_moment
from bitbylaw_pipeline.sandbox.google.recurrence import occurrences

INSTANCE_ID = re.compile(r"(.+)_(\d{8}(?:T\d{6}Z)?)")
MOST_OCCURRENCES = 1_000
HORIZON_SECONDS = 2 * 366 * 86_400.0
"""How far from now a series without an end is expanded where the listing has no `timeMax`."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occurrence: as it would be without an exception (`plain`), and as it is (`data`)."""

    plain: Row
    data: Row
    start: float
    end: float


def is_series(data: Row) -> bool:
    """Whether the event is the master of a series."""
    return bool(data.get("recurrence"))


def occurrences_of(calendar: Calendar, master: StoredEvent, until: float) -> Iterator[Occurrence]:
    """The occurrences that begin before `until` (seconds UTC), exceptions included. Raises ApiError (501)."""
    return _expanded(calendar, master, master.data, until)


def _expanded(calendar: Calendar, master: StoredEvent, data: Row, until: float) -> Iterator[Occurrence]:
    zone = ZoneInfo(calendar.time_zone)
    length = master.end - master.start
    for number, begin in enumerate(occurrences(_local_start(data), data["recurrence"])):
        at = seconds_of(begin) if isinstance(begin, datetime) else day_begins(begin, zone)
        if at >= until or number >= MOST_OCCURRENCES:
            return
        plain = _row(data, begin, at, length, zone)
        stored = calendar.events.get(plain["id"])
        if stored is None:
            yield Occurrence(plain, plain, at, at + length)
        else:
            yield Occurrence(plain, stored.data, stored.start, stored.end)


def _local_start(data: Row) -> datetime | date:
    start = data["start"]
    if "date" in start:
        return date.fromisoformat(start["date"])
    return datetime.fromisoformat(start["dateTime"]).astimezone(ZoneInfo(start["timeZone"]))


def _row(data: Row, begin: datetime | date, at: float, length: float, zone: ZoneInfo) -> Row:
    shown = {name: value for name, value in data.items() if name != "recurrence"}
    if isinstance(begin, datetime):
        suffix = f"{begin.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        start = {"dateTime": shown_moment(at, zone), "timeZone": data["start"]["timeZone"]}
        end = {"dateTime": shown_moment(at + length, zone), "timeZone": data["end"]["timeZone"]}
    else:
        suffix = f"{begin:%Y%m%d}"
        days = date.fromisoformat(data["end"]["date"]) - date.fromisoformat(data["start"]["date"])
        start, end = {"date": begin.isoformat()}, {"date": (begin + timedelta(days=days.days)).isoformat()}
    return {
        **shown,
        "id": f"{data['id']}_{suffix}",
        "start": start,
        "end": end,
        "recurringEventId": data["id"],
        "originalStartTime": start,
    }


def find_occurrence(calendar: Calendar, event_id: str) -> tuple[StoredEvent, Occurrence] | None:
    """The series and the occurrence of an id such as `abc_20260320T090000Z`, None if no rule makes it."""
    found = INSTANCE_ID.fullmatch(event_id)
    master = calendar.events.get(found[1]) if found else None
    if found is None or master is None or master.is_cancelled or not is_series(master.data):
        return None
    stamp = found[2]
    day = date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8])) if _is_day(stamp) else None
    if day is None:
        return None
    until = day_begins(day, ZoneInfo("UTC")) + 3 * 86_400
    for one in occurrences_of(calendar, master, until):
        if one.plain["id"] == event_id:
            return master, one
    return None


def _is_day(stamp: str) -> bool:
    try:
        date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]))
    except ValueError:
        return False
    return True


def touches(calendar: Calendar, master: StoredEvent, window: tuple[float | None, float | None]) -> bool:
    """Whether any occurrence ends after the window's begin and begins before its end."""
    after, before = window
    until = before if before is not None else (after or 0.0) + HORIZON_SECONDS
    return any(
        (after is None or one.end > after) and one.start < until
        for one in occurrences_of(calendar, master, until)
    )
