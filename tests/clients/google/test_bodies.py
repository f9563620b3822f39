"""What we write into an event: exactly what changes, and nobody's address."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from bitbylaw_pipeline.clients.google_bodies import UNCHANGED, EventBody
from bitbylaw_pipeline.clients.google_events import EventTime
from bitbylaw_pipeline.domain.errors import Permanent
from tests.clients.google.office import says_nothing

NOON = EventTime(datetime(2026, 3, 20, 12, tzinfo=UTC), "Europe/Berlin")
ONE = EventTime(datetime(2026, 3, 20, 13, tzinfo=UTC), "Europe/Berlin")
DAY, NEXT = EventTime(date(2026, 12, 24)), EventTime(date(2026, 12, 27))


def test_a_new_event_holds_what_it_has() -> None:
    """Fields without a value are left out."""
    body = EventBody(summary="T", description=None, start=NOON, end=ONE, private={"a": "b", "c": None})
    assert body.for_insert("abcde") == {
        "id": "abcde",
        "summary": "T",
        "start": {"dateTime": "2026-03-20T12:00:00+00:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-20T13:00:00+00:00", "timeZone": "Europe/Berlin"},
        "extendedProperties": {"private": {"a": "b"}},
    }


def test_a_new_all_day_event_has_days_alone() -> None:
    """A zone has no meaning for a day."""
    body = EventBody(
        start=EventTime(date(2026, 12, 24), "Europe/Berlin"), end=NEXT, recurrence=["RRULE:FREQ=YEARLY"]
    )
    assert body.for_insert("abcde") == {
        "id": "abcde",
        "start": {"date": "2026-12-24"},
        "end": {"date": "2026-12-27"},
        "recurrence": ["RRULE:FREQ=YEARLY"],
    }


def test_a_patch_holds_exactly_what_changes() -> None:
    """None removes; what is unchanged is not sent."""
    assert EventBody(location="Saal 3").for_patch() == {"location": "Saal 3"}
    assert EventBody(description=None, private={"a": None}).for_patch() == {
        "description": None,
        "extendedProperties": {"private": {"a": None}},
    }
    assert EventBody(recurrence=None).for_patch() == {"recurrence": None}
    assert EventBody(recurrence=[]).for_patch() == {"recurrence": None}
    assert EventBody().for_patch() == {}


def test_a_patch_between_day_and_time_removes_the_other() -> None:
    """A patch merges: without the nulls Google would hold a day and a time at once and refuse it."""
    assert EventBody(start=DAY, end=NOON).for_patch() == {
        "start": {"date": "2026-12-24", "dateTime": None, "timeZone": None},
        "end": {"date": None, "dateTime": "2026-03-20T12:00:00+00:00", "timeZone": "Europe/Berlin"},
    }


def test_a_wall_time_is_sent_with_its_offset() -> None:
    """Both half past twos of the October night are written as what they are (G12)."""
    berlin = ZoneInfo("Europe/Berlin")
    late = EventTime(datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1), "Europe/Berlin")
    assert EventBody(start=late).for_patch()["start"]["dateTime"] == "2026-10-25T02:30:00+01:00"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (EventBody(summary="T"), "incomplete"),
        (EventBody(start=NOON), "incomplete"),
        (EventBody(start=NOON, end=ONE, private={"": "x"}), "too_long"),
        (EventBody(start=NOON, end=ONE, private={"k" * 45: "x"}), "too_long"),
        (EventBody(start=NOON, end=ONE, private={"k": "Mustermann" * 103}), "too_long"),
    ],
)
def test_what_google_would_refuse_or_cut_is_not_sent(body: EventBody, reason: str) -> None:
    """The engine hears that nothing was written."""
    with pytest.raises(Permanent) as raised:
        body.for_insert("abcde")
    assert raised.value.reason == reason
    assert says_nothing(raised.value, body)


def test_guests_cannot_be_expressed() -> None:
    """There is no field for them, and no way to add one."""
    names = {field.name for field in dataclasses.fields(EventBody)}
    assert names == {"summary", "description", "location", "start", "end", "recurrence", "private"}
    full = EventBody("a", "b", "c", NOON, ONE, ["RRULE:FREQ=DAILY"], {"d": "e"})
    keys = {"id", "summary", "description", "location", "start", "end", "recurrence", "extendedProperties"}
    assert set(full.for_insert("abcde")) == keys
    assert set(full.for_patch()) == keys - {"id"}
    assert repr(UNCHANGED) == "UNCHANGED"
