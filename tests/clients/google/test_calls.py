"""Single events over the wire: what is sent, and what unclear answers mean (answers written by hand)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_account import read_account
from bitbylaw_pipeline.clients.google_bodies import EventBody
from bitbylaw_pipeline.clients.google_calendar import EmployeeCalendar
from bitbylaw_pipeline.clients.google_connection import CalendarUser, GoogleConnection
from bitbylaw_pipeline.clients.google_errors import Deleted
from bitbylaw_pipeline.clients.google_events import EventTime
from bitbylaw_pipeline.clients.google_session import quota_user
from bitbylaw_pipeline.domain.errors import (
    NotFound,
    OutcomeUnknown,
    Permanent,
    ScopeRefused,
    SyncError,
    Transient,
    Unexpected,
)
from bitbylaw_pipeline.settings import SettingsError
from tests.clients.google.office import (
    ANNA,
    CALENDAR,
    CLIENT_ID,
    Clock,
    a_page,
    an_event,
    calls,
    google_at,
    key_file,
    refusal,
    says_nothing,
)
from tests.clients.wire_server import Received, Reply, reply_json

BODY = EventBody(
    summary="Termin Mustermann",
    start=EventTime(datetime(2026, 3, 20, 8, tzinfo=UTC), "Europe/Berlin"),
    end=EventTime(datetime(2026, 3, 20, 9, tzinfo=UTC), "Europe/Berlin"),
)
ETAG = '"3181161784712000"'
Question = Callable[[EmployeeCalendar], Awaitable[Any]]
WRITES: dict[str, Question] = {
    "insert": lambda calendar: calendar.insert("abcde", BODY),
    "patch": lambda calendar: calendar.patch("abcde", EventBody(location="x"), etag=ETAG),
    "delete": lambda calendar: calendar.delete("abcde", etag=ETAG),
}


def asked(question: Question, replies: list[Reply], **given: Any) -> tuple[Any, list[Received]]:
    """What a question to Anna's calendar came to (its error, if so), and the requests."""

    async def main() -> tuple[Any, list[Received]]:
        async with google_at(replies, **given) as (client, server):
            try:
                found = await question(client.calendar(ANNA, CALENDAR))
            except SyncError as error:
                found = error
            return found, calls(server)

    return asyncio.run(main())


@pytest.mark.parametrize("name", sorted(WRITES))
def test_each_write_tells_nobody_and_is_counted_for_its_user(name: str) -> None:
    """sendUpdates=none and the hashed user with each; no attendees; If-Match where something is there already."""
    reply = Reply(204) if name == "delete" else reply_json(an_event())
    _, (request,) = asked(WRITES[name], [reply])
    assert request.query == {"sendUpdates": "none", "quotaUser": quota_user(ANNA.email)}
    assert request.headers.get("if-match") == (None if name == "insert" else ETAG)
    assert b"attendees" not in request.body
    if name == "insert":
        assert request.json()["id"] == "abcde"
    elif name == "patch":
        assert request.json() == {"location": "x"}
    else:
        assert request.body == b""


@pytest.mark.parametrize("name", sorted(WRITES))
@pytest.mark.parametrize(
    "reply",
    [
        refusal(500, "backendError"),
        Reply(503, b"<html>"),
        Reply(raw=b""),
        Reply(302, b"", {"Location": "/x"}),
        Reply(404, b"<html>"),
    ],
)
def test_a_write_without_a_clear_answer_is_unknown(name: str, reply: Reply) -> None:
    """Only the journal knows how to go on (G5)."""
    error, requests = asked(WRITES[name], [reply])
    assert type(error) is OutcomeUnknown
    # On a connection kept open aiohttp itself sends a DELETE again: with its If-Match that does no harm.
    assert len(requests) == 1 or name == "delete"
    assert says_nothing(error)


@pytest.mark.parametrize("name", ["insert", "patch"])
@pytest.mark.parametrize(
    "answer", [None, [], {}, an_event(status="?"), an_event("other"), an_event(etag=None)]
)
def test_a_write_whose_answer_is_no_event_is_unknown(name: str, answer: Any) -> None:
    """It was answered 200: something has been written."""
    error, _ = asked(WRITES[name], [reply_json(answer)])
    assert type(error) is OutcomeUnknown
    assert says_nothing(error)


@pytest.mark.parametrize("answer", [None, {}, an_event(start={}), an_event("other")])
def test_a_read_whose_answer_is_no_event_is_never_none(answer: Any) -> None:
    """It is tried again later."""
    error, _ = asked(lambda calendar: calendar.get("abcde"), [reply_json(answer)])
    assert type(error) is Unexpected
    assert says_nothing(error)


def test_a_read_that_fails_is_tried_again() -> None:
    """5xx on a read leaves nothing unknown."""
    error, _ = asked(lambda calendar: calendar.get("abcde"), [refusal(503, "backendError")])
    assert type(error) is Transient


LOST_CALENDAR = [refusal(404, "notFound"), refusal(404, "notFound")]
FORBIDDEN = [refusal(404, "notFound"), refusal(403, "forbidden")]
BLIND = [refusal(404, "notFound"), reply_json({"accessRole": "freeBusyReader"})]
OURS = [refusal(404, "notFound"), reply_json(a_page(nextSyncToken="s"))]


async def get(calendar: EmployeeCalendar) -> Any:
    """The read beside the WRITES."""
    return await calendar.get("abcde")


@pytest.mark.parametrize("question", [get, WRITES["patch"], WRITES["delete"]])
@pytest.mark.parametrize(
    ("replies", "kind", "reason"),
    [
        (OURS, NotFound, None),
        (LOST_CALENDAR, ScopeRefused, "calendar_missing"),
        (FORBIDDEN, ScopeRefused, "calendar_forbidden"),
        (BLIND, ScopeRefused, "calendar_forbidden"),
        ([refusal(404, "notFound"), refusal(503, "backendError")], Transient, None),
    ],
)
def test_a_missing_event_is_one_only_where_the_calendar_is_ours(
    question: Question, replies: list[Reply], kind: type[SyncError], reason: str | None
) -> None:
    """A calendar that we have lost answers 404 for each event: that must not look like deletions (G22)."""
    error, requests = asked(question, replies)
    assert type(error) is kind
    assert getattr(error, "reason", None) == reason
    assert len(requests) == 2
    assert requests[1].query["maxResults"] == "1"
    assert says_nothing(error)


def test_deleting_what_is_deleted_already_is_no_failure() -> None:
    """410 deleted is what was wanted; for a patch it is a missing event."""
    gone = refusal(410, "deleted")
    assert asked(WRITES["delete"], [gone])[0] is None
    assert isinstance(asked(WRITES["patch"], [gone, reply_json(a_page(nextSyncToken="s"))])[0], Deleted)


@pytest.mark.parametrize(
    "calendar_id", ["", ".", "..", "a/b", "a?b", "a b", "a%2Fb", "a\\b", "é@x", "x" * 300]
)
def test_a_calendars_id_that_could_lead_elsewhere_is_not_asked_for(calendar_id: str) -> None:
    """It is refused without being repeated."""

    async def main() -> None:
        async with google_at([Reply(500)]) as (client, server):
            with pytest.raises(Permanent) as raised:
                client.calendar(ANNA, calendar_id)
            assert raised.value.reason == "bad_name"
            with pytest.raises(Permanent):
                await client.setup(ANNA).calendar(calendar_id)
            assert server.requests == []

    asyncio.run(main())


@pytest.mark.parametrize("event", ["", ".", "..", "a/b", "a?b", "a#b", "a b", "a%2Fb", "ä", "x" * 2000])
def test_an_events_id_that_could_lead_elsewhere_is_not_asked_for(event: str) -> None:
    """Neither read nor written."""
    for question in (
        lambda calendar: calendar.get(event),
        lambda calendar: calendar.insert(event, BODY),
        lambda calendar: calendar.patch(event, EventBody(), etag=ETAG),
        lambda calendar: calendar.delete(event, etag=ETAG),
    ):
        error, requests = asked(question, [Reply(500)])
        assert isinstance(error, Permanent)
        assert error.reason == "bad_name"
        assert requests == []


@pytest.mark.parametrize("event", ["abcd", "ABCDE", "wxyz0", "abc_20260101", "a" * 1025])
def test_a_new_event_gets_an_id_that_google_takes(event: str) -> None:
    """Five to 1,024 of a to v and digits; anything else would be answered 400."""
    error, requests = asked(lambda calendar: calendar.insert(event, BODY), [Reply(500)])
    assert isinstance(error, Permanent)
    assert requests == []


@pytest.mark.parametrize("etag", ["", "*", '"1"\r\nX: y', '"é"'])
def test_nothing_is_overwritten_without_knowing_what(etag: str) -> None:
    """Without an etag, or with one that fits everything, nothing is sent."""
    for question in (
        lambda calendar: calendar.patch("abcde", EventBody(), etag=etag),
        lambda calendar: calendar.delete("abcde", etag=etag),
    ):
        error, requests = asked(question, [Reply(500)])
        assert isinstance(error, Permanent)
        assert requests == []


def test_the_ids_of_occurrences_and_of_googles_own_calendars_are_taken() -> None:
    """They stand in the path as they are, or quoted, and nowhere else."""

    async def main() -> None:
        async with google_at([reply_json(an_event("abc_20260101T090000Z"))]) as (client, server):
            holidays = client.calendar(ANNA, "de.german#holiday@group.v.calendar.google.com")
            await holidays.get("abc_20260101T090000Z")
            (request,) = calls(server)
            assert "#" not in request.target
            assert request.path.endswith("/events/abc_20260101T090000Z")

    asyncio.run(main())


def test_a_user_who_comes_too_often_waits_instead_of_being_refused() -> None:
    """The third call within the minute waits by the clock that is handed in; a patch weighs three."""
    clock = Clock()

    async def main() -> list[float]:
        async with google_at([reply_json(an_event())]) as (_, server):
            connection = GoogleConnection(
                key_file(),
                f"{server.url}/calendar/v3",
                f"{server.url}/token",
                requests_per_minute_per_user=4,
            )
            client = Google.open(connection, ticks=clock, sleep=clock.sleep)
            calendar = client.calendar(ANNA, CALENDAR)
            await calendar.get("abcde")
            await calendar.patch("abcde", EventBody(), etag=ETAG)
            assert clock.slept == []
            await calendar.get("abcde")
            await client.aclose()
            return clock.slept

    assert asyncio.run(main()) == [60.0]


def test_a_connection_that_cannot_be_one_is_a_setting() -> None:
    """Addresses and users are checked before anything is asked."""
    for connection in (
        GoogleConnection(key_file(), api_base_url="calendar"),
        GoogleConnection(key_file(), token_url="https://user:pw@host/token"),
        GoogleConnection("/nowhere/key.json"),
    ):
        with pytest.raises(SettingsError):
            Google.open(connection)
    for kuerzel, email in (("", "a@b"), ("A/B", "a@b"), ("A\n", "a@b"), ("AB", "Anna Berg"), ("AB", "a@b\n")):
        with pytest.raises(SettingsError) as raised:
            CalendarUser(kuerzel, email)
        assert "Anna" not in str(raised.value)


def test_the_clients_number_is_there_for_doctor() -> None:
    """It is what a person needs in the admin console."""

    async def main() -> None:
        client = Google.open(GoogleConnection(key_file()))
        assert client.client_id == CLIENT_ID == read_account(key_file()).client_id
        await client.aclose()

    asyncio.run(main())
