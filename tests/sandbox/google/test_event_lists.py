"""events.list: filters, parameters, pages, sync tokens."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.google.conftest import CALENDAR, EVENTS, MW, PM, Office, timed


def fill(office: Office, count: int = 5) -> list[str]:
    """Insert so many events; returns their ids."""
    ids = [f"event{number:03d}" for number in range(count)]
    for event_id in ids:
        office.insert(**timed(id=event_id))
    return ids


def all_pages(office: Office, **query: Any) -> tuple[list[Any], list[int], str | None]:
    """Items of all pages, the size of each page, and the sync token."""
    items: list[Any] = []
    sizes: list[int] = []
    more: dict[str, Any] = {}
    while True:
        page = office.listing(**query, **more)
        items += page["items"]
        sizes.append(len(page["items"]))
        assert ("nextPageToken" in page) != ("nextSyncToken" in page)
        if "nextPageToken" not in page:
            return items, sizes, page["nextSyncToken"]
        more = {"pageToken": page["nextPageToken"]}


def test_bounds_are_exclusive_and_by_the_other_end(office: Office) -> None:
    """timeMin counts against the end, timeMax against the start; both miss what only touches them."""
    office.insert(**timed(id="event", begin="09:00", end="10:00"))
    for low, high, expected in (
        ("10:00:00", "12:00:00", []),
        ("09:59:59", "12:00:00", ["event"]),
        ("08:00:00", "09:00:00", []),
        ("08:00:00", "09:00:01.999", ["event"]),
        ("08:00:00", "09:00:00.999", []),
    ):
        query = {"timeMin": f"2026-03-20T{low}+01:00", "timeMax": f"2026-03-20T{high}+01:00"}
        assert office.ids(**query) == expected, query


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"timeMin": "2026-03-20T09:00:00"}, (400, "invalid")),
        ({"timeMin": "2026-03-20"}, (400, "invalid")),
        ({"timeMin": "2026-03-21T00:00:00Z", "timeMax": "2026-03-20T00:00:00Z"}, (400, "timeRangeEmpty")),
        ({"timeMin": "2026-03-20T00:00:00Z", "timeMax": "2026-03-20T00:00:00Z"}, (400, "timeRangeEmpty")),
        ({"maxResults": "0"}, (400, "invalid")),
        ({"maxResults": "viele"}, (400, "invalid")),
        ({"orderBy": "startTime"}, (400, "invalid")),
        ({"orderBy": "summary"}, (400, "invalid")),
        ({"singleEvents": "ja"}, (400, "invalid")),
        ({"timeZone": "Mitteleuropa"}, (400, "invalid")),
        ({"eventTypes": "meeting"}, (400, "invalid")),
        ({"privateExtendedProperty": "ohne Gleichheitszeichen"}, (400, "invalid")),
        ({"pageToken": "nonsense"}, (400, "invalid")),
        ({"updatedMin": "2026-01-01T00:00:00Z"}, (410, "updatedMinTooLongAgo")),
        ({"from": "2026-03-20"}, (400, "invalid")),
        ({"quotaUser": "x" * 41}, (400, "invalid")),
    ],
)
def test_a_wrong_parameter_is_refused(
    office: Office, query: dict[str, str], expected: tuple[int, str]
) -> None:
    """400 or 410, and the error names the parameter."""
    assert office.refused("GET", EVENTS, params=query) == expected


def test_filters(office: Office) -> None:
    """q, iCalUID, event types, one extended property, and two by either reading of the documentation."""
    office.insert(
        **timed(id="event0", summary="Anruf Müller", extendedProperties={"private": {"a": "1", "b": "2"}})
    )
    office.insert(**timed(id="event1", location="Anrufweg", extendedProperties={"private": {"a": "1"}}))
    assert office.ids(q="anruf") == ["event0", "event1"]
    assert office.ids(q="anruf müller") == ["event0"]
    assert office.ids(iCalUID="event1@google.com") == ["event1"]
    assert office.ids(eventTypes="focusTime") == []
    assert office.ids(privateExtendedProperty="a=1") == ["event0", "event1"]
    both = {"privateExtendedProperty": ["a=1", "b=2"]}
    assert office.ids(**both) == ["event0"]
    office.switch(repeated_property_filter="or")
    assert office.ids(**both) == ["event0", "event1"]


def test_deleted_events_are_seen_only_if_asked_for(office: Office) -> None:
    """showDeleted, or updatedMin, which always has what was deleted since."""
    fill(office, 2)
    office.call("DELETE", f"{EVENTS}/event000")
    assert office.ids() == ["event001"]
    assert office.ids(showDeleted="true") == ["event000", "event001"]
    assert office.ids(updatedMin="2026-03-08T19:00:00Z") == ["event000", "event001"]
    assert office.ids(updatedMin="2026-03-08T21:00:00Z") == []


def test_a_page_has_what_was_there_at_the_first(office: Office) -> None:
    """What changes while somebody pages is in the next delta, not in the pages, and is never missed."""
    ids = fill(office)
    first = office.listing(maxResults=2)
    office.call("DELETE", f"{EVENTS}/event004")
    office.json("PATCH", f"{EVENTS}/event003", json={"summary": "neu"})
    office.insert(**timed(id="event005"))
    second = office.listing(maxResults=2, pageToken=first["nextPageToken"])
    last = office.listing(maxResults=2, pageToken=second["nextPageToken"])
    rows = [item for page in (first, second, last) for item in page["items"]]
    assert [(item["id"], item["status"]) for item in rows] == [(event_id, "confirmed") for event_id in ids]
    assert office.ids(maxResults=2, pageToken=first["nextPageToken"]) == ids[2:4]
    changed, _, _ = all_pages(office, maxResults=2, syncToken=last["nextSyncToken"])
    assert [item["id"] for item in changed] == ["event004", "event003", "event005"]


def test_a_page_may_show_what_is_there_now(office: Office) -> None:
    """The other answer, by switch: the page has the change, and the delta has it again."""
    fill(office)
    office.switch(pages_show="current")
    first = office.listing(maxResults=4)
    office.json("PATCH", f"{EVENTS}/event004", json={"summary": "neu"})
    last = office.listing(maxResults=4, pageToken=first["nextPageToken"])
    assert [item["summary"] for item in last["items"]] == ["neu"]
    assert office.ids(maxResults=4, syncToken=last["nextSyncToken"]) == ["event004"]


@pytest.mark.parametrize(
    ("switches", "sizes"),
    [
        ({}, [3, 2]),
        ({"page_cap": 2}, [2, 2, 1]),
        ({"empty_pages": "first"}, [0, 3, 2]),
        ({"empty_pages": "between", "page_cap": 2}, [2, 0, 2, 0, 1]),
        ({"empty_pages": "between", "page_cap": 5}, [3, 0, 2]),
    ],
)
def test_pages_may_be_short_or_empty(office: Office, switches: dict[str, Any], sizes: list[int]) -> None:
    """Whatever the pages are like, together they have every event once."""
    ids = fill(office)
    office.switch(**switches)
    items, seen, _ = all_pages(office, maxResults=3)
    assert ([item["id"] for item in items], seen) == (ids, sizes)


def test_pages_repeat_all_parameters(office: Office) -> None:
    """A page token is of its calendar, its user and its parameters."""
    fill(office)
    token = office.listing(maxResults=2)["nextPageToken"]
    for path, query, user in (
        (EVENTS, {"maxResults": 2, "showDeleted": "true"}, PM),
        (EVENTS, {}, PM),
        (f"calendars/{PM}/events", {"maxResults": 2}, PM),
    ):
        assert office.refused("GET", path, params={**query, "pageToken": token}, user=user) == (
            400,
            "invalid",
        )
    assert office.refused("GET", EVENTS, params={"maxResults": 2, "pageToken": token}, user=MW) == (
        404,
        "notFound",
    )


def test_a_delta_has_each_changed_event_once(office: Office) -> None:
    """In the order of the last changes, deleted ones included; the next delta is empty."""
    fill(office)
    token = office.listing()["nextSyncToken"]
    for summary in ("a", "b"):
        office.json("PATCH", f"{EVENTS}/event003", json={"summary": summary})
    office.call("DELETE", f"{EVENTS}/event001")
    office.json("PATCH", f"{EVENTS}/event003", json={"summary": "c"})
    delta = office.listing(syncToken=token)
    assert [(item["id"], item.get("summary")) for item in delta["items"]] == [
        ("event001", "Besprechung"), ("event003", "c"),
    ]  # fmt: skip
    assert delta["items"][0]["status"] == "cancelled"
    assert office.listing(syncToken=delta["nextSyncToken"])["items"] == []
    assert len(office.listing(syncToken=token)["items"]) == 2


@pytest.mark.parametrize(
    "query",
    [
        {"iCalUID": "x"}, {"orderBy": "updated"}, {"privateExtendedProperty": "a=1"},
        {"sharedExtendedProperty": "a=1"}, {"q": "x"}, {"timeMin": "2026-03-20T00:00:00Z"},
        {"timeMax": "2026-03-20T00:00:00Z"}, {"updatedMin": "2026-03-08T00:00:00Z"}, {"showDeleted": "false"},
        {"singleEvents": "true"}, {"maxResults": "7"}, {"showDeleted": "true"},
    ],
)  # fmt: skip
def test_a_delta_takes_no_other_parameters(office: Office, query: dict[str, str]) -> None:
    """What the documentation forbids with a sync token, and whatever the first listing did not have."""
    token = office.listing()["nextSyncToken"]
    assert office.refused("GET", EVENTS, params={**query, "syncToken": token}) == (400, "invalid")


def test_a_delta_repeats_the_first_parameters(office: Office) -> None:
    """But for the forbidden ones: the window of the first listing is not to be repeated."""
    first = office.listing(maxResults=7, showDeleted="true", timeMin="2026-03-20T00:00:00Z")
    token = first["nextSyncToken"]
    assert office.refused("GET", EVENTS, params={"syncToken": token, "maxResults": 7}) == (400, "invalid")
    again = office.listing(syncToken=token, maxResults=7, showDeleted="true")
    assert office.listing(syncToken=again["nextSyncToken"], maxResults=7, showDeleted="true")["items"] == []


def test_filtered_listings_get_no_sync_token(office: Office) -> None:
    """A listing by word or order cannot be continued."""
    for query in ({"q": "x"}, {"orderBy": "updated"}, {"privateExtendedProperty": "a=1"}):
        assert "nextSyncToken" not in office.listing(**query)


@pytest.mark.parametrize(
    ("mode", "inside", "outside"),
    [
        ("unfiltered", "confirmed", "confirmed"),
        ("filtered", "confirmed", None),
        ("as_deleted", "confirmed", "cancelled"),
    ],
)
def test_a_delta_at_the_edge_of_the_window(
    office: Office, mode: str, inside: str, outside: str | None
) -> None:
    """An event that a user drags out of the first listing's window: reported, not reported, or as if deleted."""
    office.switch(delta_window=mode)
    fill(office, 2)
    token = office.listing(timeMin="2026-03-19T00:00:00Z")["nextSyncToken"]
    office.json("PATCH", f"{EVENTS}/event000", json=timed(day="2026-03-22"))
    office.json("PATCH", f"{EVENTS}/event001", json=timed(day="2026-03-10"))
    found = {item["id"]: item["status"] for item in office.listing(syncToken=token)["items"]}
    assert (found["event000"], found.get("event001")) == (inside, outside)
    assert office.event("event001")["status"] == "confirmed"
    office.call("DELETE", f"{EVENTS}/event001")
    found = {item["id"]: item["status"] for item in office.listing(syncToken=token)["items"]}
    assert found["event001"] == "cancelled"


def test_sync_tokens_end(office: Office) -> None:
    """410 for nonsense, another calendar's, one that is too old, and after a change of rights; 400 by switch."""
    token = office.listing()["nextSyncToken"]
    gone = (410, "fullSyncRequired")
    assert office.refused("GET", EVENTS, params={"syncToken": f"{token[:-2]}AA"}) == gone
    assert office.refused("GET", f"calendars/{PM}/events", params={"syncToken": token}) == gone
    office.switch(sync_token_seconds=3600.0)
    office.sandbox.clock.advance(3500)
    assert office.listing(syncToken=token)["items"] == []
    office.switch(sync_token_seconds=3400.0)
    assert office.refused("GET", EVENTS, params={"syncToken": token}) == gone
    office.switch(sync_token_seconds=0.0)
    rule = {"role": "reader", "scope": {"type": "user", "value": MW}}
    office.json("POST", f"calendars/{CALENDAR}/acl", json=rule, params={"sendNotifications": "false"})
    assert office.refused("GET", EVENTS, params={"syncToken": token}) == gone
    office.switch(malformed_sync_token=400)
    assert office.refused("GET", EVENTS, params={"syncToken": "nonsense"}) == (400, "invalid")


def test_a_listing_says_whose_it_is(office: Office) -> None:
    """Title, zone and the caller's role are in every answer."""
    head = office.listing()
    assert (head["summary"], head["timeZone"], head["accessRole"]) == ("Termine PM", "Europe/Berlin", "owner")


def test_more_guests_than_asked_for_are_left_out(office: Office) -> None:
    """maxAttendees leaves the caller alone, and says so."""
    office.insert(**timed(attendees=[{"email": PM}, {"email": MW}]))
    (item,) = office.listing(maxAttendees=1)["items"]
    assert ([guest["email"] for guest in item["attendees"]], item["attendeesOmitted"]) == ([PM], True)
