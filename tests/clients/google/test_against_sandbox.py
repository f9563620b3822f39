"""The client over loopback HTTP against the stand-in for Google Calendar."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_bodies import EventBody
from bitbylaw_pipeline.clients.google_calendar import CalendarAccess, EmployeeCalendar
from bitbylaw_pipeline.clients.google_connection import GoogleConnection, Scope
from bitbylaw_pipeline.clients.google_errors import AlreadyExists, SyncTokenExpired, TokenRejected
from bitbylaw_pipeline.clients.google_events import EventTime, GoogleEvent
from bitbylaw_pipeline.clients.google_pages import EventPage
from bitbylaw_pipeline.clients.google_refusals import DelegationMissing
from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    ScopeLimited,
    ScopeRefused,
    SyncError,
    Transient,
    Unexpected,
    Unreachable,
)
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.sandbox.google.app import GoogleSandbox, create_app
from tests.clients.google.office import ANNA, CALENDAR, CARL, EVA, says_nothing
from tests.clients.sandboxes import served

T = TypeVar("T")
CARLS = "c_9z8y7x@group.calendar.google.com"
BERLIN = "Europe/Berlin"
EVENTS = r"/calendar/v3/calendars/[^/]+/events"
BODY = EventBody(
    summary="Termin Mustermann",
    start=EventTime(datetime(2026, 6, 1, 8, tzinfo=UTC), BERLIN),
    end=EventTime(datetime(2026, 6, 1, 9, tzinfo=UTC), BERLIN),
    private={"bitbylaw": "claim", "bbl_rev": "1"},
)


def firm(**switches: Any) -> GoogleSandbox:
    """A stand-in with three employees, two of whom have a calendar of their own; its clock stands still."""
    app = create_app(switches)
    app.clock.pin(1_780_000_000.0)
    app.seed(
        {
            "users": [{"mail": user.email} for user in (ANNA, CARL, EVA)],
            "calendars": [{"id": CALENDAR, "owner": ANNA.email}, {"id": CARLS, "owner": CARL.email}],
        }
    )
    return app


@asynccontextmanager
async def google_over(app: GoogleSandbox, **given: Any) -> AsyncIterator[Google]:
    """A client by the sandbox's clock, over HTTP."""
    with tempfile.TemporaryDirectory() as folder:
        async with served(app) as url:
            names = app.settings(url, Path(folder))
            connection = GoogleConnection(
                names["google_service_account_file"],
                names["google_api_base_url"],
                names["google_token_url"],
                timeout=30.0,
            )
            client = Google.open(connection, clock=app.clock.now, **given)
            try:
                yield client
            finally:
                await client.aclose()


def ask(app: GoogleSandbox, question: Callable[[Google], Awaitable[T]], **given: Any) -> T:
    """One question to a fresh client."""

    async def main() -> T:
        async with google_over(app, **given) as client:
            return await question(client)

    return asyncio.run(main())


def anna(app: GoogleSandbox, question: Callable[[EmployeeCalendar], Awaitable[T]], **given: Any) -> T:
    """One question to Anna's calendar."""
    return ask(app, lambda client: question(client.calendar(ANNA, CALENDAR)), **given)


async def failure(question: Awaitable[Any]) -> SyncError:
    """The error that it ends with."""
    try:
        await question
    except SyncError as error:
        return error
    raise AssertionError("no error")


async def whole(calendar: EmployeeCalendar, **bounds: Any) -> tuple[list[GoogleEvent], str, int]:
    """All events of a list, the sync token, and the number of pages."""
    pages: list[EventPage] = [page async for page in calendar.list_events(**bounds)]
    token = pages[-1].next_sync_token
    assert token is not None
    return [event for page in pages for event in page.events], token, len(pages)


def test_an_events_life() -> None:
    """Made under our id, read, changed, deleted; each answer is what the next step needs."""

    async def main(calendar: EmployeeCalendar) -> None:
        made = await calendar.insert("abcde", BODY)
        assert (made.id, made.summary, made.organizer_is_self) == ("abcde", "Termin Mustermann", True)
        assert made.private == {"bitbylaw": "claim", "bbl_rev": "1"}
        assert await calendar.get("abcde") == made
        patch = EventBody(location="Saal 3", private={"bbl_rev": "2", "bitbylaw": None})
        changed = await calendar.patch("abcde", patch, etag=made.etag)
        assert (changed.location, changed.summary) == ("Saal 3", "Termin Mustermann")
        assert changed.private == {"bbl_rev": "2"}
        assert changed.etag != made.etag
        emptied = await calendar.patch("abcde", EventBody(location=None), etag=changed.etag)
        assert emptied.location is None
        await calendar.delete("abcde", etag=emptied.etag)
        assert (await calendar.get("abcde")).is_cancelled
        await calendar.delete("abcde", etag=emptied.etag)

    anna(firm(), main)


def test_an_event_becomes_all_day_and_a_time_again() -> None:
    """The days are the same for every reader (G9, G10), and nothing of the other form is left behind."""

    async def main(calendar: EmployeeCalendar) -> None:
        made = await calendar.insert("abcde", BODY)
        days = EventBody(start=EventTime(date(2026, 12, 24)), end=EventTime(date(2026, 12, 27)))
        changed = await calendar.patch("abcde", days, etag=made.etag)
        assert [each.value for each in changed.times()] == [date(2026, 12, 24), date(2026, 12, 27)]
        timed = await calendar.patch("abcde", EventBody(start=BODY.start, end=BODY.end), etag=changed.etag)
        assert [each.is_all_day for each in timed.times()] == [False, False]
        assert [each.value for each in timed.times()] == [each.value for each in made.times()]

    anna(firm(answer_zone="Pacific/Honolulu"), main)


@pytest.mark.parametrize("empty_pages", ["none", "first", "between"])
def test_a_list_over_many_pages_and_its_changes(empty_pages: str) -> None:
    """Every event once, then exactly what has changed, deletions included."""
    app = firm(page_cap=7, empty_pages=empty_pages)

    async def main(calendar: EmployeeCalendar) -> None:
        made = [await calendar.insert(f"aaaa{number:02d}", BODY) for number in range(20)]
        found, token, pages = await whole(calendar)
        assert sorted(event.id for event in found) == [event.id for event in made]
        assert pages >= 3
        assert (await whole(calendar, sync_token=token))[0] == []
        await calendar.delete("aaaa03", etag=made[3].etag)
        app.edit({"do": "edit", "calendar": CALENDAR, "event": "aaaa05", "set": {"summary": "neu"}})
        changes, newer, _ = await whole(calendar, sync_token=token)
        assert {(event.id, event.is_cancelled) for event in changes} == {("aaaa03", True), ("aaaa05", False)}
        assert newer != token

    anna(app, main)


def test_an_expired_sync_token_leads_to_a_full_list() -> None:
    """410 is an answer of its own, and the full list has the tombstones (G1)."""
    app = firm()

    async def main(calendar: EmployeeCalendar) -> None:
        made = await calendar.insert("abcde", BODY)
        _, token, _ = await whole(calendar)
        await calendar.delete("abcde", etag=made.etag)
        app.edit({"do": "end_sync_tokens", "calendar": CALENDAR})
        assert isinstance(await failure(whole(calendar, sync_token=token)), SyncTokenExpired)
        (event,), _, _ = await whole(calendar)
        assert event.is_cancelled

    anna(app, main)


@pytest.mark.parametrize("status", [400, 410])
def test_a_broken_sync_token_leads_to_a_full_list(status: int) -> None:
    """Whichever status Google gives to it."""
    error = anna(firm(malformed_sync_token=status), lambda calendar: failure(whole(calendar, sync_token="x")))
    assert isinstance(error, SyncTokenExpired)


def test_a_last_page_that_fails_gives_no_sync_token() -> None:
    """The first pages come, the list does not end (G3)."""
    app = firm(page_cap=2)

    async def main(calendar: EmployeeCalendar) -> list[str | None]:
        for number in range(5):
            await calendar.insert(f"aaaa{number:02d}", BODY)
        app.scripts.add({"kind": "last_page_fails"})
        tokens: list[str | None] = []

        async def read() -> None:
            async for page in calendar.list_events():
                tokens.append(page.next_sync_token)  # noqa: PERF401  # what came before the error counts

        assert type(await failure(read())) is Transient
        return tokens

    assert anna(app, main) == [None, None]


def test_an_id_is_taken_once() -> None:
    """Also after the event was deleted (G6), and after an insert whose answer was lost (G5)."""
    app = firm()

    async def main(calendar: EmployeeCalendar) -> None:
        app.scripts.add({"kind": "error_after", "operation": "events.insert"})
        assert type(await failure(calendar.insert("abcde", BODY))) is OutcomeUnknown
        assert isinstance(await failure(calendar.insert("abcde", BODY)), AlreadyExists)
        made = await calendar.get("abcde")
        await calendar.delete("abcde", etag=made.etag)
        assert isinstance(await failure(calendar.insert("abcde", BODY)), AlreadyExists)
        assert (await calendar.get("abcde")).is_cancelled

    anna(app, main)


@pytest.mark.parametrize("operation", ["events.patch", "events.delete"])
def test_a_user_who_was_quicker_is_not_overwritten(operation: str) -> None:
    """Conflict, and the user's edit stands (G7, G8)."""
    app = firm()

    async def main(calendar: EmployeeCalendar) -> None:
        made = await calendar.insert("abcde", BODY)
        edit = {"do": "edit", "set": {"location": "Küche"}}
        app.scripts.add({"kind": "concurrent_edit", "operation": operation, "edit": edit})
        write = (
            calendar.patch("abcde", EventBody(location="Saal 3"), etag=made.etag)
            if operation == "events.patch"
            else calendar.delete("abcde", etag=made.etag)
        )
        assert isinstance(await failure(write), Conflict)
        found = await calendar.get("abcde")
        assert (found.location, found.is_cancelled) == ("Küche", False)

    anna(app, main)


def test_a_missing_event_of_a_calendar_that_is_ours() -> None:
    """NotFound, read or written; the role is looked up once for each."""
    app = firm()

    async def main(calendar: EmployeeCalendar) -> None:
        for question in (
            calendar.get("abcde"),
            calendar.patch("abcde", EventBody(location="x"), etag='"1"'),
            calendar.delete("abcde", etag='"1"'),
        ):
            assert isinstance(await failure(question), NotFound)

    anna(app, main)
    assert app.journal.operations["events.list"] == 3


@pytest.mark.parametrize("status", [403, 404])
def test_a_calendar_that_was_taken_away_holds_up_nobody_else(status: int) -> None:
    """Every call is refused for this employee alone, no missing event is reported, and another works on (G22)."""
    app = firm()

    async def main(client: Google) -> None:
        mine, other = client.calendar(ANNA, CALENDAR), client.calendar(CARL, CARLS)
        made = await mine.insert("abcde", BODY)
        app.edit({"do": "revoke_access", "calendar": CALENDAR, "user": ANNA.email, "status": status})
        for question in (
            whole(mine),
            mine.access(),
            mine.get("abcde"),
            mine.insert("fffff", BODY),
            mine.patch("abcde", EventBody(location="x"), etag=made.etag),
            mine.delete("abcde", etag=made.etag),
        ):
            error = await failure(question)
            assert isinstance(error, ScopeRefused)
            assert isinstance(error, Permanent)
            assert error.reason == ("calendar_missing" if status == 404 else "calendar_forbidden")
            assert says_nothing(error)
        await other.insert("abcde", BODY)

    ask(app, main)


def test_a_role_that_became_less_is_seen() -> None:
    """The list says our role; a write is refused for this employee alone."""
    app = firm()

    async def main(calendar: EmployeeCalendar) -> None:
        made = await calendar.insert("abcde", BODY)
        assert await calendar.access() == CalendarAccess("owner", BERLIN)
        app.edit({"do": "set_role", "calendar": CALENDAR, "user": ANNA.email, "role": "reader"})
        assert (await calendar.access()).role == "reader"
        error = await failure(calendar.patch("abcde", EventBody(location="x"), etag=made.etag))
        assert isinstance(error, ScopeRefused)
        assert isinstance(await failure(calendar.get("fffff")), ScopeRefused)

    anna(app, main)


@pytest.mark.parametrize("quota_answer", [403, 429])
def test_a_burst_of_one_user_is_theirs_alone(quota_answer: int) -> None:
    """Refused calls were not carried out; another employee is not held up (G27)."""
    app = firm(user_quota_per_minute=3, quota_answer=quota_answer)

    async def main(client: Google) -> None:
        mine, other = client.calendar(ANNA, CALENDAR), client.calendar(CARL, CARLS)
        for number in range(3):
            await mine.insert(f"aaaa{number}", BODY)
        error = await failure(mine.insert("bbbbb", BODY))
        assert isinstance(error, ScopeLimited)
        assert isinstance(error, RateLimited)
        assert error.system == "google:AB"
        await other.insert("aaaa0", BODY)
        app.clock.advance(60)
        assert len((await whole(mine))[0]) == 3

    ask(app, main)


def test_the_limiter_stays_below_the_quota() -> None:
    """Thirty calls against a quota of ten a minute: they wait, and none is refused."""
    app = firm(user_quota_per_minute=10)

    async def sleep(seconds: float) -> None:
        app.clock.advance(seconds)

    async def main() -> int:
        with tempfile.TemporaryDirectory() as folder:
            async with served(app) as url:
                names = app.settings(url, Path(folder))
                connection = GoogleConnection(
                    names["google_service_account_file"],
                    names["google_api_base_url"],
                    names["google_token_url"],
                    requests_per_minute_per_user=10,
                )
                now = app.clock.now
                client = Google.open(connection, clock=now, ticks=now, sleep=sleep)
                calendar = client.calendar(ANNA, CALENDAR)
                events = [await calendar.insert(f"aaaa{number:02d}", BODY) for number in range(8)]
                for event in events:
                    await calendar.patch(event.id, EventBody(location="x"), etag=event.etag)
                await client.aclose()
        return len(app.journal.select(operation="events.patch"))

    assert asyncio.run(main()) == 8


def test_usage_limits_that_are_exceeded_last_for_hours() -> None:
    """The pair stops for long, and it is this employee's alone."""

    async def main(calendar: EmployeeCalendar) -> SyncError:
        await calendar.insert("aaaaa", BODY)
        return await failure(calendar.insert("bbbbb", BODY))

    error = anna(firm(new_events_per_day=1), main)
    assert isinstance(error, ScopeLimited)
    assert error.retry_after == 4 * 3600.0


def test_a_token_that_ends_early_is_renewed() -> None:
    """Every call of a long pass succeeds although each token is good for two."""
    app = firm(token_calls=2)

    async def main(calendar: EmployeeCalendar) -> None:
        for number in range(6):
            await calendar.insert(f"aaaa{number}", BODY)

    anna(app, main)
    assert app.tokens.given == 3


@pytest.mark.parametrize("state", ["suspended"])
def test_an_employee_who_left_holds_up_nobody(state: str) -> None:
    """Tokens end, none is given any more: this employee's own, while another works on."""
    app = firm()

    async def main(client: Google) -> None:
        mine, other = client.calendar(ANNA, CALENDAR), client.calendar(CARL, CARLS)
        await mine.access()
        await other.access()
        app.edit({"do": "set_user", "user": ANNA.email, "state": state})
        error = await failure(whole(mine))
        assert isinstance(error, ScopeRefused)
        assert error.reason == "user_unknown"
        assert says_nothing(error)
        await other.access()
        await client.probe()

    ask(app, main)


def test_an_employee_without_a_calendar_is_their_own_case() -> None:
    """notACalendarUser is for the administrator, about this user."""
    app = firm()
    app.edit({"do": "set_user", "user": ANNA.email, "state": "no_calendar"})
    error = anna(app, lambda calendar: failure(whole(calendar)))
    assert isinstance(error, ScopeRefused)
    assert "notACalendarUser" in str(error)


def test_a_missing_delegation_is_everybodys_and_a_missing_scope_too() -> None:
    """AuthFailed, although others are asked, and it says what to do."""
    for app, scope in (
        (firm(delegation="missing"), Scope.EVENTS),
        (firm(delegated_scopes=[Scope.SETUP.value]), Scope.EVENTS),
        (firm(delegated_scopes=[Scope.EVENTS.value]), Scope.SETUP),
    ):

        async def main(client: Google, scope: Scope = scope) -> SyncError:
            return await failure(client.check(ANNA, scope))

        error = ask(app, main, users=[ANNA, CARL, EVA])
        assert isinstance(error, DelegationMissing)
        assert isinstance(error, AuthFailed)
        assert "184000000000000000001" in str(error)


def test_a_user_of_another_domain_is_their_own_case() -> None:
    """Google says unauthorized_client for it; the others' tokens show that the delegation is there."""
    app = firm()

    async def main(client: Google) -> SyncError:
        stranger = type(ANNA)("XX", "mustermann@elsewhere.example")
        return await failure(client.check(stranger))

    error = ask(app, main, users=[ANNA, CARL])
    assert isinstance(error, ScopeRefused)
    assert says_nothing(error)


def test_an_api_that_is_not_enabled_is_everybodys() -> None:
    """For the administrator of the project."""
    error = anna(firm(api_enabled=False), lambda calendar: failure(whole(calendar)))
    assert type(error) is AuthFailed
    assert "enable it" in str(error)


def test_a_wrong_clock_is_named() -> None:
    """An hour off: AuthFailed, and it says so."""
    error = anna(firm(clock_skew_seconds=-7200.0), lambda calendar: failure(whole(calendar)))
    assert type(error) is AuthFailed
    assert "clock" in str(error)


def test_the_probe_sees_an_outage_and_its_end() -> None:
    """It asks the token endpoint and the API, and nothing of any employee's."""
    app = firm()

    async def main(client: Google) -> None:
        await client.probe()
        app.faults.add(Fault("status", EVENTS, status=503))
        assert type(await failure(client.probe())) is Transient
        app.faults.clear()
        app.faults.add(Fault("close", "/token"))
        assert type(await failure(client.probe())) is Unreachable
        app.faults.clear()
        await client.probe()

    ask(app, main, users=[ANNA])


def test_setting_up_a_calendar() -> None:
    """Made once, found again by its id, in the employee's list; one that we did not make is not there for us."""
    app = firm()

    async def main(client: Google) -> None:
        setup = client.setup(EVA)
        made = await setup.create_calendar("Advoware", time_zone=BERLIN)
        assert await setup.calendar(made.id) == made
        assert (made.title, made.time_zone) == ("Advoware", BERLIN)
        assert await setup.role(made.id) == "owner"
        assert says_nothing(made)
        assert (await client.calendar(EVA, made.id).access()).role == "owner"
        for question in (setup.calendar(CALENDAR), setup.role(CALENDAR)):
            error = await failure(question)
            assert isinstance(error, ScopeRefused)
        app.faults.add(Fault("status", "/calendar/v3/calendars", "POST", status=500))
        assert type(await failure(setup.create_calendar("Advoware"))) is OutcomeUnknown

    ask(app, main)


FAULTS = [
    (Fault("status", EVENTS + ".*", status=500), Transient, OutcomeUnknown),
    (Fault("html", EVENTS + ".*", status=200), Unexpected, OutcomeUnknown),
    (Fault("cut_body", EVENTS + ".*"), Unexpected, OutcomeUnknown),
    (Fault("close", EVENTS + ".*"), Unreachable, OutcomeUnknown),
    (Fault("html", EVENTS + ".*", status=404), Unexpected, OutcomeUnknown),
]


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_every_trouble_of_the_line_is_in_our_words(number: int) -> None:
    """A read is tried again later, a write is unknown."""
    given, on_read, on_write = FAULTS[number]
    app = firm()

    async def main(calendar: EmployeeCalendar) -> None:
        made = await calendar.insert("abcde", BODY)
        app.faults.add(Fault(given.kind, given.path, status=given.status))
        for question in (whole(calendar), calendar.get("abcde"), calendar.access()):
            assert type(await failure(question)) is on_read
        for question in (
            calendar.insert("bbbbb", BODY),
            calendar.patch("abcde", EventBody(location="x"), etag=made.etag),
        ):
            assert type(await failure(question)) is on_write

    anna(app, main)


def test_a_revoked_token_of_all_is_renewed_and_a_lasting_refusal_is_everybodys() -> None:
    """One 401 costs one token; one after the other is a matter of the whole key."""
    app = firm()

    async def main(calendar: EmployeeCalendar) -> None:
        await calendar.access()
        app.tokens.revoke()
        await calendar.access()
        assert app.tokens.given == 2
        app.scripts.add({"kind": "error", "error": "authError", "times": 2})
        assert isinstance(await failure(calendar.access()), TokenRejected)
        await calendar.access()

    anna(app, main)


def test_no_mail_is_ever_sent_and_nothing_personal_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Events with guests, changed and deleted: each write says sendUpdates=none and names no attendee."""
    app = firm()

    async def main(calendar: EmployeeCalendar) -> None:
        made = await calendar.insert("abcde", BODY)
        guests = ["mandant@elsewhere.example"]
        app.edit({"do": "add_guests", "calendar": CALENDAR, "event": "abcde", "guests": guests})
        found = await calendar.get("abcde")
        assert found.has_guests
        assert not made.has_guests
        changed = await calendar.patch("abcde", EventBody(summary="neu"), etag=found.etag)
        assert changed.has_guests
        await calendar.delete("abcde", etag=changed.etag)

    with caplog.at_level(logging.DEBUG):
        anna(app, main)
    assert says_nothing(caplog.text)
    assert app.store.mails == []
    requests = [row for row in app.journal.select() if row["path"] != "/token"]
    assert "attendees" not in json.dumps(requests)
    writes = [row for row in requests if row["method"] != "GET"]
    assert len(writes) == 3
    assert all("sendUpdates=none" in row["query"] for row in writes)
    assert all("quotaUser=" in row["query"] for row in requests)
