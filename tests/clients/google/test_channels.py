"""Channels by which Google reports changes of a calendar: asked for and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bitbylaw_pipeline.clients.google_calendar import EmployeeCalendar, Watching
from bitbylaw_pipeline.clients.google_session import quota_user
from bitbylaw_pipeline.domain.errors import (
    OutcomeUnknown,
    Permanent,
    RateLimited,
    ScopeRefused,
    SyncError,
    Transient,
)
from tests.clients.google.office import ANNA, CALENDAR, CARL, calls, google_at, refusal, says_nothing
from tests.clients.google.test_against_sandbox import CARLS, ask, firm
from tests.clients.wire_server import Received, Reply, reply_json

ADDRESS = "https://bitbylaw.example/google/calendar/push"
CHANNEL = "0f" * 16
MADE = {"id": CHANNEL, "resourceId": "res1", "expiration": "1780604800000", "kind": "api#channel"}
Question = Callable[[EmployeeCalendar], Awaitable[Any]]


def watch(calendar: EmployeeCalendar) -> Awaitable[Watching]:
    """A channel for a week."""
    return calendar.watch(CHANNEL, ADDRESS, "AB:token", ttl=604_800)


def asked(question: Question, reply: Reply) -> tuple[Any, Received]:
    """What a question to Anna's calendar came to (its error, if so), and the request."""

    async def main() -> tuple[Any, Received]:
        async with google_at([reply]) as (client, server):
            try:
                found = await question(client.calendar(ANNA, CALENDAR))
            except SyncError as error:
                found = error
            return found, calls(server)[0]

    return asyncio.run(main())


def test_a_channel_is_asked_for_as_the_discovery_document_says() -> None:
    """Id, type, address, token and the time to live as a text; nobody's mail settings, for nothing is written."""
    found, request = asked(watch, reply_json(MADE))
    assert found == Watching("res1", 1_780_604_800.0)
    assert (request.method, request.query) == ("POST", {"quotaUser": quota_user(ANNA.email)})
    assert request.path.endswith("/events/watch")
    assert request.json() == {
        "id": CHANNEL,
        "type": "web_hook",
        "address": ADDRESS,
        "token": "AB:token",
        "params": {"ttl": "604800"},
    }


def test_a_channel_is_ended_by_both_its_ids() -> None:
    """channels.stop, at the API's own path."""
    found, request = asked(lambda calendar: calendar.stop(CHANNEL, "res1"), Reply(204))
    assert found is None
    assert request.path.endswith("/channels/stop")
    assert "/calendars/" not in request.path
    assert request.json() == {"id": CHANNEL, "resourceId": "res1"}


@pytest.mark.parametrize(
    "answer",
    [{**MADE, "expiration": None}, {**MADE, "expiration": "soon"}, {**MADE, "resourceId": ""}, [MADE], None],
)
def test_an_answer_without_an_end_makes_no_sense(answer: Any) -> None:
    """When it ends, and what to end it by, must be there: the channel may be, all the same."""
    error, _ = asked(watch, reply_json(answer))
    assert type(error) is OutcomeUnknown
    assert says_nothing(error)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refusal(400, "push.webhookUrlNotHttps"), Permanent),
        (refusal(403, "forbidden"), ScopeRefused),
        (refusal(404, "notFound"), ScopeRefused),
        (refusal(403, "rateLimitExceeded"), RateLimited),
        (refusal(503, "backendError"), OutcomeUnknown),
    ],
)
def test_a_refused_watch_says_what_is_wrong(reply: Reply, kind: type[SyncError]) -> None:
    """Errors as of any other call; neither address nor token is in them."""
    error, _ = asked(watch, reply)
    assert type(error) is kind or isinstance(error, kind)
    assert says_nothing(error)
    assert "bitbylaw.example" not in str(error)
    assert "token" not in str(error)


def test_a_channel_that_has_ended_already_is_no_fault_and_others_are() -> None:
    """404 is what was wanted; a 403 or a 503 is told."""
    for status, reason, kind in (
        (404, "notFound", None),
        (403, "forbidden", ScopeRefused),
        (503, "backendError", Transient),
    ):
        error, _ = asked(lambda calendar: calendar.stop(CHANNEL, "res1"), refusal(status, reason))
        assert error is None if kind is None else isinstance(error, kind)


def test_the_stand_in_takes_both(caplog: pytest.LogCaptureFixture) -> None:
    """Over HTTP with its checks of parameters and scopes: a channel is there, ends once, and ending it again is fine."""
    app = firm()

    async def story(google: Any) -> None:
        calendar = google.calendar(ANNA, CALENDAR)
        watching = await watch(calendar)
        assert watching.expires_at == app.clock.now() + 604_800
        assert [one["address"] for one in app.channels.as_json()["channels"]] == [ADDRESS]
        with pytest.raises(Permanent):
            await watch(google.calendar(CARL, CARLS))
        for _ in range(2):
            await calendar.stop(CHANNEL, watching.resource_id)
        assert app.channels.as_json()["channels"] == []

    ask(app, story)
    assert app.state()["mails"] == []
    assert ADDRESS not in caplog.text
