"""A list to its end: pages, tokens, and every way in which it does not end (answers written by hand)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote

import pytest

from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_errors import SyncTokenExpired
from bitbylaw_pipeline.clients.google_pages import EventPage
from bitbylaw_pipeline.domain.errors import SyncError, Transient, Unexpected, Unreachable
from tests.clients.google.office import (
    ANNA,
    CALENDAR,
    a_page,
    an_event,
    calls,
    google_at,
    refusal,
    says_nothing,
)
from tests.clients.wire_server import Received, Reply, WireServer, reply_json


def listed(
    replies: Sequence[Reply], **bounds: Any
) -> tuple[list[EventPage], SyncError | None, list[Received]]:
    """The pages that came, the error that ended the list, and what was asked."""

    async def main() -> tuple[list[EventPage], SyncError | None, list[Received]]:
        async with google_at(list(replies)) as (client, server):
            pages, error = await _pages(client, bounds)
            return pages, error, calls(server)

    return asyncio.run(main())


async def _pages(client: Google, bounds: dict[str, Any]) -> tuple[list[EventPage], SyncError | None]:
    pages: list[EventPage] = []
    try:
        async for page in client.calendar(ANNA, CALENDAR).list_events(**bounds):
            pages.append(page)  # noqa: PERF401  # what came before the error counts
    except SyncError as error:
        return pages, error
    return pages, None


def ids(pages: Sequence[EventPage]) -> list[list[str]]:
    """The events' ids, page by page."""
    return [[event.id for event in page.events] for page in pages]


def test_pages_are_asked_for_with_the_same_parameters_to_the_end() -> None:
    """An empty page with a token goes on (G4); the sync token comes with the last one alone."""
    pages, error, asked = listed(
        [
            reply_json(a_page(an_event("aaaaa"), nextPageToken="p1")),
            reply_json(a_page(nextPageToken="p2")),
            reply_json(a_page(an_event("bbbbb"), nextSyncToken="s1")),
        ],
        time_min=datetime(2026, 1, 1, tzinfo=UTC),
        time_max=datetime(2027, 1, 1, 0, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1))),
    )
    assert error is None
    assert ids(pages) == [["aaaaa"], [], ["bbbbb"]]
    assert [page.next_sync_token for page in pages] == [None, None, "s1"]
    same = {
        "maxResults": "2500",
        "singleEvents": "false",
        "showDeleted": "true",
        "timeMin": "2026-01-01T00:00:00+00:00",
        "timeMax": "2027-01-01T00:00:00+01:00",
        "quotaUser": asked[0].query["quotaUser"],
    }
    assert [request.query for request in asked] == [
        same,
        {**same, "pageToken": "p1"},
        {**same, "pageToken": "p2"},
    ]
    assert {unquote(request.path) for request in asked} == {f"/calendar/v3/calendars/{CALENDAR}/events"}
    assert (pages[0].access_role, pages[0].time_zone) == ("owner", "Europe/Berlin")


def test_changes_are_asked_for_with_the_token_and_nothing_that_excludes_it() -> None:
    """On each page: Google refuses a list whose parameters change."""
    pages, error, asked = listed(
        [reply_json(a_page(nextPageToken="p/+ 1")), reply_json(a_page(nextSyncToken="s2"))],
        sync_token="s=1&x",
    )
    assert error is None
    assert [page.next_sync_token for page in pages] == [None, "s2"]
    names = {"maxResults", "singleEvents", "showDeleted", "syncToken", "quotaUser"}
    assert [set(request.query) for request in asked] == [names, names | {"pageToken"}]
    assert [request.query["syncToken"] for request in asked] == ["s=1&x", "s=1&x"]
    assert asked[1].query["pageToken"] == "p/+ 1"


@pytest.mark.parametrize(
    "bounds",
    [
        {"sync_token": "s", "time_min": datetime(2026, 1, 1, tzinfo=UTC)},
        {"sync_token": "s", "time_max": datetime(2026, 1, 1, tzinfo=UTC)},
        {"time_min": datetime(2026, 1, 1)},  # noqa: DTZ001  # the point of the test
    ],
)
def test_bounds_that_google_would_refuse_are_a_fault_of_ours(bounds: dict[str, Any]) -> None:
    """They are found before anything is asked."""
    with pytest.raises(ValueError, match="sync token"):
        listed([reply_json(a_page(nextSyncToken="s"))], **bounds)


@pytest.mark.parametrize(
    ("replies", "pages_before", "kind"),
    [
        ([reply_json(a_page())], 0, Unexpected),
        ([reply_json(a_page(nextPageToken="", nextSyncToken=""))], 0, Unexpected),
        ([reply_json(a_page(nextPageToken="p", nextSyncToken="s"))], 0, Unexpected),
        ([reply_json(a_page(nextPageToken=7))], 0, Unexpected),
        ([reply_json(a_page(nextPageToken="p"))], 2, Unexpected),
        ([reply_json(a_page(nextPageToken=p)) for p in ("p", "q", "p")], 3, Unexpected),
        ([reply_json([])], 0, Unexpected),
        ([Reply(200)], 0, Unexpected),
        ([reply_json({**a_page(nextSyncToken="s"), "items": {}})], 0, Unexpected),
        ([reply_json({**a_page(nextSyncToken="s"), "items": ["x"]})], 0, Unexpected),
        ([reply_json(a_page({"status": "cancelled"}, nextSyncToken="s"))], 0, Unexpected),
        ([reply_json(a_page({"id": "../Mustermann"}, nextSyncToken="s"))], 0, Unexpected),
        ([reply_json(a_page(nextPageToken="p")), refusal(500, "backendError")], 1, Transient),
        ([reply_json(a_page(nextPageToken="p")), refusal(400, "invalid", location="pageToken")], 1, Unexpected),
        ([refusal(410, "fullSyncRequired", location="syncToken")], 0, SyncTokenExpired),
        ([Reply(200, b'{"items": [', announced=100, closes=True)], 0, Unexpected),
        ([Reply(raw=b"")], 0, Unreachable),
    ],
)  # fmt: skip
def test_a_list_that_does_not_end_is_no_list(
    replies: list[Reply], pages_before: int, kind: type[SyncError]
) -> None:
    """Whatever comes before it, no sync token does: what is missing would be taken for deleted (G2, G3)."""
    pages, error, _ = listed(replies, sync_token="s")
    assert type(error) is kind
    assert len(pages) == pages_before
    assert all(page.next_sync_token is None for page in pages)
    assert says_nothing(error)


def test_an_event_that_cannot_be_read_is_withheld() -> None:
    """It is there, under its id, and the list goes on around it."""
    (page,), error, _ = listed(
        [reply_json(a_page(an_event("aaaaa"), an_event("bbbbb", start={}), nextSyncToken="s"))]
    )
    assert error is None
    assert [event.id for event in page.events] == ["aaaaa"]
    assert page.unreadable == {"bbbbb"}
    assert says_nothing(page)


def test_a_page_without_items_is_an_empty_one() -> None:
    """Google leaves empty fields out."""
    (page,), error, _ = listed([reply_json({"nextSyncToken": "s"})])
    assert error is None
    assert page.events == ()
    assert page.access_role == ""


def test_a_caller_who_stops_early_asks_no_more() -> None:
    """Pages are fetched as they are wanted."""

    async def main() -> int:
        async with google_at([reply_json(a_page(nextPageToken="p"))]) as (client, server):
            return await _first(client, server)

    assert asyncio.run(main()) == 1


async def _first(client: Google, server: WireServer) -> int:
    pages = client.calendar(ANNA, CALENDAR).list_events()
    await anext(pages)
    return len(calls(server))
