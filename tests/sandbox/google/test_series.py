"""Series: as masters and expanded, exceptions, splits, and what users do to them."""

from __future__ import annotations

import importlib
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.sandbox.google.errors import ApiError
from bitbylaw_pipeline.sandbox.google.recurrence import occurrences
from tests.sandbox.google.conftest import EVENTS, Office, timed

SERIES = "series0"
BERLIN = ZoneInfo("Europe/Berlin")


def weekly(office: Office, rule: str = "RRULE:FREQ=WEEKLY;COUNT=4") -> list[str]:
    """Insert a weekly series from 20 March on, over the change of the clocks; returns its occurrences' ids."""
    office.insert(**timed(id=SERIES, recurrence=[rule]))
    return [item["id"] for item in office.json("GET", f"{EVENTS}/{SERIES}/instances")["items"]]


def test_a_series_is_one_row_or_its_occurrences(office: Office) -> None:
    """singleEvents=false: the master; true: its occurrences at the same wall time before and after the clocks change."""
    ids = weekly(office)
    assert office.ids() == [SERIES]
    items = office.listing(singleEvents="true", orderBy="startTime")["items"]
    assert [item["id"] for item in items] == ids
    assert [item["start"]["dateTime"][10:] for item in items] == ["T09:00:00+01:00"] * 2 + [
        "T09:00:00+02:00"
    ] * 2
    assert {item["recurringEventId"] for item in items} == {SERIES}
    assert not any("recurrence" in item for item in items)
    assert items[2]["originalStartTime"] == items[2]["start"]


def test_an_all_day_series_has_ids_of_days(office: Office) -> None:
    """The id ends in the day alone."""
    body: dict[str, Any] = {
        "start": {"date": "2026-03-20"},
        "end": {"date": "2026-03-22"},
        "recurrence": ["RRULE:FREQ=MONTHLY;COUNT=2"],
    }
    office.insert(id=SERIES, **body)
    items = office.listing(singleEvents="true")["items"]
    assert [(item["id"], item["end"]["date"]) for item in items] == [
        (f"{SERIES}_20260320", "2026-03-22"), (f"{SERIES}_20260420", "2026-04-22"),
    ]  # fmt: skip


def test_a_series_is_listed_while_any_occurrence_is_in_the_window(office: Office) -> None:
    """Masters are filtered by their occurrences; one without an end is in every later window."""
    weekly(office)
    assert office.ids(timeMin="2026-04-10T00:00:00Z") == [SERIES]
    assert office.ids(timeMin="2026-04-11T00:00:00Z") == []
    assert office.ids(timeMin="2026-03-21T00:00:00Z", timeMax="2026-03-26T00:00:00Z") == []
    office.insert(**timed(id="endless", recurrence=["RRULE:FREQ=DAILY"]))
    assert office.ids(timeMin="2027-04-11T00:00:00Z") == ["endless"]
    window = {"timeMin": "2027-04-11T00:00:00Z", "timeMax": "2027-04-14T00:00:00Z"}
    assert len(office.ids(singleEvents="true", **window)) == 3


def test_a_dragged_occurrence_is_an_exception(office: Office) -> None:
    """It is a row of its own beside the master, in the window of where it is now."""
    ids = weekly(office)
    office.edit(
        "move_instance", SERIES, original_start="2026-03-27T09:00:00+01:00", set=timed(day="2026-06-01")
    )
    moved = office.event(ids[1])
    assert moved["start"]["dateTime"] == "2026-06-01T09:00:00+02:00"
    assert moved["originalStartTime"]["dateTime"] == "2026-03-27T09:00:00+01:00"
    assert office.ids() == [SERIES, ids[1]]
    window = {"timeMin": "2026-05-31T00:00:00Z", "timeMax": "2026-06-02T00:00:00Z"}
    assert office.ids(singleEvents="true", **window) == [ids[1]]
    assert len(office.ids(singleEvents="true", timeMax="2026-05-31T00:00:00Z")) == 3


def test_a_cancelled_occurrence_is_listed_with_its_series(office: Office) -> None:
    """With singleEvents=false always, without details, until the series is deleted too."""
    ids = weekly(office)
    token = office.listing()["nextSyncToken"]
    assert office.call("DELETE", f"{EVENTS}/{ids[1]}").status_code == 204
    assert office.refused("DELETE", f"{EVENTS}/{ids[1]}") == (410, "deleted")
    (row,) = office.listing(syncToken=token)["items"]
    assert set(row) == {"kind", "etag", "id", "status", "recurringEventId", "originalStartTime"}
    assert office.ids() == [SERIES, ids[1]]
    assert len(office.ids(singleEvents="true")) == 3
    office.edit("purge_tombstones")
    assert office.ids() == [SERIES, ids[1]]
    office.call("DELETE", f"{EVENTS}/{SERIES}")
    assert office.ids() == []


def test_an_occurrence_is_read_and_patched_by_its_id(office: Office) -> None:
    """Its etag is the series' until it differs; the series is left alone."""
    ids = weekly(office)
    etag = office.event(SERIES)["etag"]
    assert office.event(ids[2])["etag"] == etag
    path = f"{EVENTS}/{ids[2]}"
    assert office.refused("PATCH", path, json={"summary": "x"}, headers={"If-Match": '"1"'}) == (
        412,
        "conditionNotMet",
    )
    changed = office.json("PATCH", path, json={"summary": "x"}, headers={"If-Match": etag})
    assert (changed["summary"], changed["recurringEventId"]) == ("x", SERIES)
    assert office.event(SERIES)["etag"] == etag
    for wrong in (f"{SERIES}_20260321T080000Z", f"{SERIES}_20261345", "other00_20260320T080000Z"):
        assert office.refused("GET", f"{EVENTS}/{wrong}") == (404, "notFound")


def test_this_and_following_splits(office: Office) -> None:
    """The old series ends before the occurrence, a new one goes on from there, later exceptions are reset."""
    ids = weekly(office)
    office.edit("move_instance", SERIES, original_start="2026-04-10T09:00:00+02:00", set={"summary": "weg"})
    new = office.edit(
        "this_and_following", SERIES, original_start="2026-04-03T09:00:00+02:00", set={"summary": "neu"}
    )
    old = office.event(SERIES)
    assert old["recurrence"] == ["RRULE:FREQ=WEEKLY;UNTIL=20260403T065959Z"]
    assert new["recurrence"] == ["RRULE:FREQ=WEEKLY;COUNT=2"]
    items = office.listing(singleEvents="true", orderBy="startTime")["items"]
    assert [item["summary"] for item in items] == ["Besprechung", "Besprechung", "neu", "neu"]
    assert office.event(ids[3])["status"] == "cancelled"


def test_a_changed_rule_takes_its_orphans_along(office: Office) -> None:
    """An exception whose day the series no longer has is deleted."""
    ids = weekly(office)
    office.edit("move_instance", SERIES, original_start="2026-04-10T09:00:00+02:00", set={"summary": "weg"})
    office.json("PATCH", f"{EVENTS}/{SERIES}", json={"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=2"]})
    assert office.event(ids[3])["status"] == "cancelled"


def test_deltas_of_single_events(office: Office) -> None:
    """A changed series comes as its occurrences; a deleted one only as those of the next half year."""
    office.insert(**timed(id=SERIES, recurrence=["RRULE:FREQ=WEEKLY;COUNT=52"]))
    token = office.listing(singleEvents="true")["nextSyncToken"]
    office.json("PATCH", f"{EVENTS}/{SERIES}", json={"summary": "neu"})
    assert len(office.ids(singleEvents="true", syncToken=token)) == 52
    office.call("DELETE", f"{EVENTS}/{SERIES}")
    gone = office.listing(singleEvents="true", syncToken=token)["items"]
    assert {item["status"] for item in gone} == {"cancelled"}
    assert 20 < len(gone) < 30


def test_instances_have_their_own_parameters(office: Office) -> None:
    """Window, pages, originalStart, deleted ones; a plain event has none."""
    ids = weekly(office)
    path = f"{EVENTS}/{SERIES}/instances"

    def found(**query: Any) -> list[str]:
        return [item["id"] for item in office.json("GET", path, params=query)["items"]]

    assert found(timeMin="2026-03-28T00:00:00Z") == ids[2:]
    assert found(originalStart="2026-03-27T09:00:00+01:00") == [ids[1]]
    office.call("DELETE", f"{EVENTS}/{ids[0]}")
    assert found() == ids[1:]
    assert found(showDeleted="true") == ids
    page = office.json("GET", path, params={"maxResults": 2})
    assert found(maxResults=2, pageToken=page["nextPageToken"]) == ids[3:]
    assert office.refused("GET", path, params={"pageToken": "x"}) == (400, "invalid")
    office.insert(**timed(id="plain0"))
    assert office.refused("GET", f"{EVENTS}/plain0/instances") == (400, "invalid")
    assert office.refused("GET", f"{EVENTS}/nothing/instances") == (404, "notFound")


def test_extra_and_excluded_dates(office: Office) -> None:
    """EXDATE takes days out, RDATE puts some in."""
    lines = [
        "RRULE:FREQ=DAILY;COUNT=3",
        "EXDATE;TZID=Europe/Berlin:20260321T090000",
        "RDATE:20260326T080000Z",
    ]
    office.insert(**timed(id=SERIES, recurrence=lines))
    assert [item["start"]["dateTime"][:10] for item in office.listing(singleEvents="true")["items"]] == [
        "2026-03-20", "2026-03-22", "2026-03-26",
    ]  # fmt: skip


def test_a_rule_that_cannot_be_expanded_is_still_kept(office: Office) -> None:
    """Stored and listed as a master in every window; expanding it is 501, which says that the stand-in cannot."""
    office.insert(**timed(id=SERIES, recurrence=["RRULE:FREQ=MONTHLY;BYDAY=MO;BYSETPOS=-1"]))
    assert office.ids(timeMin="2030-01-01T00:00:00Z") == [SERIES]
    assert office.refused("GET", EVENTS, params={"singleEvents": "true"}) == (501, "notImplemented")


_RULES = st.builds(
    "FREQ={};INTERVAL={}{}".format,
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
    st.integers(1, 4),
    st.sampled_from(
        [
            "", ";COUNT=7", ";UNTIL=20281231T235900", ";BYMONTHDAY=15,-1", ";BYDAY=MO,FR", ";BYMONTH=2,11",
            ";BYDAY=TU;BYMONTH=3", ";BYMONTHDAY=31;COUNT=3",
        ]
    ),
)  # fmt: skip


@given(rule=_RULES, day=st.dates(date(2024, 1, 1), date(2027, 12, 31)), hour=st.integers(0, 23))
@settings(max_examples=150)
def test_rules_are_expanded_as_dateutil_does(rule: str, day: date, hour: int) -> None:
    """The same days as another implementation, from the first that the rule itself has."""
    begin = datetime(day.year, day.month, day.day, hour, 30, tzinfo=BERLIN)
    start = begin.replace(tzinfo=None)
    rrule: Any = importlib.import_module("dateutil.rrule")
    expected = list(islice(rrule.rrulestr(rule.removesuffix("Z"), dtstart=start), 12))
    try:
        moments = list(islice(occurrences(begin, [f"RRULE:{rule}"]), 12))
    except ApiError:
        # A combination that is not expanded says so: another test.
        assume(False)
    found = [moment.replace(tzinfo=None) for moment in moments if isinstance(moment, datetime)]
    if expected[:1] == [start]:
        assert found == expected
        return
    # What RFC 5545 leaves open: a first day that the rule does not have. Here it is the first occurrence.
    assert found[0] == start
    rest = found[1:]
    assert rest == expected[: len(rest)]
    assert len(rest) >= len(expected[:11]) - 1


def test_hours_are_kept_over_the_change_of_the_clocks() -> None:
    """Half past two exists on every day but one, where it is half past three of summer."""
    begin = datetime(2026, 3, 28, 2, 30, tzinfo=BERLIN)
    found = [one for one in islice(occurrences(begin, ["RRULE:FREQ=DAILY"]), 3) if isinstance(one, datetime)]
    assert [one.astimezone(ZoneInfo("UTC")).hour for one in found] == [1, 1, 0]
    assert found[2] - found[0] == timedelta(days=2)


@pytest.mark.parametrize("line", ["RRULE:FREQ=DAILY;BYHOUR=9", "RRULE:FREQ=HOURLY", "EXRULE:FREQ=DAILY"])
def test_what_is_not_expanded_says_so(line: str) -> None:
    """501, never a wrong list."""
    with pytest.raises(ApiError) as caught:
        list(islice(occurrences(date(2026, 3, 20), [line]), 2))
    assert caught.value.status == 501
