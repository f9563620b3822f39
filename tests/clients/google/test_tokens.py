"""Tokens: one for all who wait, renewed once after a 401, and one employee's refusal told from everybody's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qs

import pytest
from google.auth import jwt

from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_calendar import EmployeeCalendar
from bitbylaw_pipeline.clients.google_connection import CalendarUser, Scope
from bitbylaw_pipeline.clients.google_errors import TokenRejected
from bitbylaw_pipeline.clients.google_refusals import DelegationMissing, GrantRefused
from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    OutcomeUnknown,
    Permanent,
    ScopeLimited,
    ScopeRefused,
    SyncError,
    Transient,
    Unexpected,
    Unreachable,
)
from tests.clients.google.office import (
    ACCOUNT,
    ANNA,
    CALENDAR,
    CARL,
    CLIENT_ID,
    EVA,
    NOW,
    Clock,
    Handler,
    an_event,
    calls,
    google_at,
    oauth_refusal,
    refusal,
    says_nothing,
    token_calls,
    token_reply,
)
from tests.clients.wire_server import Received, Reply, WireServer, reply_json

T = TypeVar("T")
# google-auth has no types; this is what its documentation says.
decoded: Callable[..., Mapping[str, Any]] = jwt.decode
UNAUTHORIZED = (
    "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the"
    " scopes requested."
)
FINE = reply_json(an_event())


def run(
    question: Callable[[Google, WireServer], Awaitable[T]], api: Handler | list[Reply], **given: Any
) -> T:
    """One question to a fresh client."""

    async def main() -> T:
        async with google_at(api, **given) as (client, server):
            return await question(client, server)

    return asyncio.run(main())


def failing(question: Callable[[Google, WireServer], Awaitable[Any]], api: Any, **given: Any) -> SyncError:
    """The error of one question."""

    async def attempt(client: Google, server: WireServer) -> SyncError:
        try:
            await question(client, server)
        except SyncError as error:
            return error
        raise AssertionError("no error")

    return run(attempt, api, **given)


def claims_of(request: Received) -> Mapping[str, Any]:
    """What the request for a token claims."""
    assertion = parse_qs(request.body.decode())["assertion"][0]
    return decoded(assertion, verify=False)


def by_user(answers: Mapping[str, Reply]) -> Handler:
    """A token endpoint that answers by the user asked for; a token for whom it has no answer."""

    def token(request: Received) -> Reply:
        return answers.get(claims_of(request)["sub"], token_reply())

    return token


async def get(client: Google, server: WireServer) -> Any:
    """Anna's event."""
    return await client.calendar(ANNA, CALENDAR).get("abcde")


def test_the_token_is_asked_for_as_google_wants_it() -> None:
    """A form with a signed assertion: for this user, this scope, an hour from now; and the answer goes into a header."""

    async def main(client: Google, server: WireServer) -> None:
        await get(client, server)
        (asked,), (called,) = token_calls(server), calls(server)
        assert asked.method == "POST"
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
        form = parse_qs(asked.body.decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        assert claims_of(asked) == {
            "iss": ACCOUNT,
            "sub": ANNA.email,
            "scope": "https://www.googleapis.com/auth/calendar.events",
            "aud": f"{server.url}/token",
            "iat": int(NOW),
            "exp": int(NOW) + 3600,
        }
        assert called.headers["authorization"] == "Bearer ya29.1"
        assert "authorization" not in asked.headers

    run(main, [FINE])


def test_a_token_is_kept_until_a_minute_before_its_end() -> None:
    """Calls within 59 minutes share it; the next one gets another."""
    clock = Clock()

    async def main(client: Google, server: WireServer) -> list[int]:
        counts = []
        for step in (0, 3539, 1, 10):
            clock.now += step
            await get(client, server)
            counts.append(len(token_calls(server)))
        return counts

    assert run(main, [FINE], clock=clock) == [1, 1, 2, 2]


@pytest.mark.parametrize(("seconds", "used_for"), [(100, 50), (60, 30), (10, 5), (3600, 3540)])
def test_a_short_token_is_used_for_half_its_time(seconds: int, used_for: int) -> None:
    """One that ends within the margin is not asked for anew before each call."""
    clock = Clock()

    async def main(client: Google, server: WireServer) -> list[int]:
        counts = []
        for step in (0, used_for - 1, 1):
            clock.now += step
            await get(client, server)
            counts.append(len(token_calls(server)))
        return counts

    assert run(main, [FINE], clock=clock, token=lambda _: token_reply("ya29.x", seconds)) == [1, 1, 2]


def test_each_user_and_each_scope_has_a_token_of_its_own() -> None:
    """The scope that makes calendars is asked for by the set-up alone."""

    async def main(client: Google, server: WireServer) -> list[tuple[str, str]]:
        await client.calendar(ANNA, CALENDAR).get("abcde")
        await client.calendar(CARL, CALENDAR).get("abcde")
        await client.setup(ANNA).calendar(CALENDAR)
        return [(claims["sub"], claims["scope"]) for claims in map(claims_of, token_calls(server))]

    assert run(main, [FINE]) == [
        (ANNA.email, Scope.EVENTS.value),
        (CARL.email, Scope.EVENTS.value),
        (ANNA.email, Scope.SETUP.value),
    ]


def test_fifty_first_calls_cost_one_token() -> None:
    """They all wait for the one request."""

    async def main(client: Google, server: WireServer) -> int:
        await asyncio.gather(*(get(client, server) for _ in range(50)))
        return len(token_calls(server))

    assert run(main, [FINE]) == 1


def test_a_failed_token_request_fails_all_who_wait_for_it() -> None:
    """Fifty waiters share the one failure; the next call tries anew."""
    answers = [oauth_refusal(503, "internal_failure"), token_reply()]

    async def main(client: Google, server: WireServer) -> set[type]:
        found = await asyncio.gather(*(get(client, server) for _ in range(50)), return_exceptions=True)
        await get(client, server)
        return {type(each) for each in found}

    assert run(main, [FINE], token=lambda _: answers.pop(0)) == {Transient}


def test_one_who_gives_up_takes_the_token_from_nobody() -> None:
    """The first caller is cancelled while the token is on its way; the second gets it."""

    async def main(client: Google, server: WireServer) -> int:
        first = asyncio.create_task(get(client, server))
        second = asyncio.create_task(get(client, server))
        while not client._tokens._flights:  # noqa: ASYNC110  # a few turns of the loop
            await asyncio.sleep(0)
        first.cancel()
        await second
        return len(token_calls(server))

    assert run(main, [FINE]) == 1


def by_token(good: str) -> Handler:
    """An API that takes one token alone."""

    def api(request: Received) -> Reply:
        is_good = request.headers["authorization"] == f"Bearer {good}"
        return FINE if is_good else refusal(401, "authError", location="Authorization")

    return api


def test_a_refused_token_is_renewed_once_for_all() -> None:
    """Twenty calls meet a 401 with the same token: one more token is asked for, and all succeed."""

    async def main(client: Google, server: WireServer) -> int:
        await asyncio.gather(*(get(client, server) for _ in range(20)))
        return len(token_calls(server))

    assert run(main, by_token("ya29.2")) == 2


def test_a_401_that_comes_late_takes_the_new_token_from_nobody() -> None:
    """Another call has renewed it meanwhile: the new one is used, and none is asked for."""

    async def main(client: Google, server: WireServer) -> list[str]:
        tokens = client._tokens
        first = await tokens.token(ANNA, Scope.EVENTS)
        return [first, *[await tokens.renewed(ANNA, Scope.EVENTS, first) for _ in range(3)]]

    assert run(main, [FINE]) == ["ya29.1", "ya29.2", "ya29.2", "ya29.2"]


def test_a_write_after_a_401_is_repeated_with_the_new_token() -> None:
    """A 401 was not carried out, so it leaves nothing unknown."""

    async def main(client: Google, server: WireServer) -> list[str]:
        await client.calendar(ANNA, CALENDAR).delete("abcde", etag='"1"')
        return [request.method for request in calls(server)]

    replies = [refusal(401, "authError"), Reply(204)]
    assert run(main, replies) == ["DELETE", "DELETE"]


def test_a_401_to_a_new_token_is_a_matter_of_the_whole_key() -> None:
    """Where no other employee's token is accepted: AuthFailed after exactly two tries."""

    async def main(client: Google, server: WireServer) -> int:
        with pytest.raises(TokenRejected) as raised:
            await get(client, server)
        assert isinstance(raised.value, AuthFailed)
        assert raised.value.system == "google"
        return len(calls(server))

    assert run(main, [refusal(401, "authError")]) == 2


def test_a_401_to_one_employee_alone_is_their_own() -> None:
    """Others' tokens are accepted at the same time: this key is parked, nobody else waits."""

    def api(request: Received) -> Reply:
        return FINE if request.headers["authorization"] == "Bearer carl" else refusal(401, "authError")

    async def main(client: Google, server: WireServer) -> None:
        await client.calendar(CARL, CALENDAR).get("abcde")
        await get(client, server)

    error = failing(main, api, token=by_user({CARL.email: token_reply("carl")}))
    assert isinstance(error, ScopeRefused)
    assert error.reason == "token_refused"
    assert "AB" in str(error)


@pytest.mark.parametrize(
    ("reply", "kind", "reason", "says"),
    [
        (oauth_refusal(401, "unauthorized_client", UNAUTHORIZED), DelegationMissing, None, "domain-wide delegation"),
        (oauth_refusal(400, "invalid_grant", "Invalid email or User ID"), ScopeRefused, "user_unknown", "AB"),
        (oauth_refusal(400, "invalid_grant", "Account has been deleted"), ScopeRefused, "user_unknown", "AB"),
        (oauth_refusal(400, "invalid_grant", "Bad Request"), ScopeRefused, "user_unknown", "AB"),
        (
            oauth_refusal(400, "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a"
                          " reasonable timeframe. Check your iat and exp values in the JWT claim."),
            AuthFailed, None, "clock",
        ),
        (oauth_refusal(400, "invalid_grant", "Invalid JWT Signature."), AuthFailed, None, "create a new one"),
        (
            oauth_refusal(400, "invalid_grant", "Invalid JWT: Failed audience check."),
            AuthFailed, None, "GOOGLE_TOKEN_URL",
        ),
        (oauth_refusal(400, "invalid_scope", "Invalid OAuth scope"), AuthFailed, None, "invalid_scope"),
        (oauth_refusal(401, "invalid_client", "The OAuth client was not found."), AuthFailed, None, "invalid_client"),
        (oauth_refusal(401, "deleted_client"), AuthFailed, None, "deleted_client"),
        (oauth_refusal(429, "rate_limit_exceeded"), ScopeLimited, None, "slow down"),
        (oauth_refusal(400, "rate_limit_exceeded"), ScopeLimited, None, "slow down"),
        (oauth_refusal(500, "internal_failure"), Transient, None, "trouble of its own"),
        (reply_json({}, 503), Transient, None, "trouble of its own"),
        (Reply(403, b"<html>Mustermann</html>"), Unexpected, None, "GOOGLE_TOKEN_URL"),
        (reply_json({"error": {"code": 404}}, 404), Unexpected, None, "GOOGLE_TOKEN_URL"),
        (Reply(302, b"", {"Location": "https://elsewhere"}), Unexpected, None, "GOOGLE_TOKEN_URL"),
        (Reply(200, b"<html>"), Unexpected, None, "not JSON"),
        (reply_json({"expires_in": 3600}), Unexpected, None, "no access_token"),
        (reply_json({"access_token": "ya29 x", "expires_in": 3600}), Unexpected, None, "no token"),
        (reply_json({"access_token": "ya29\r\nX: y", "expires_in": 3600}), Unexpected, None, "no token"),
        (token_reply("ya29.x", None), Unexpected, None, "no end"),
        (token_reply("ya29.x", "3600"), Unexpected, None, "no end"),
        (token_reply("ya29.x", 0), Unexpected, None, "no end"),
        (token_reply("ya29.x", True), Unexpected, None, "no end"),
        (Reply(raw=b""), Unreachable, None, "did not answer"),
    ],
)  # fmt: skip
def test_what_the_token_endpoint_says(
    reply: Reply, kind: type[SyncError], reason: str | None, says: str
) -> None:
    """Each refusal in our vocabulary; a single employee is known by the Kürzel, and no address or text is repeated."""
    error = failing(get, [FINE], token=lambda _: reply)
    assert type(error) is kind
    assert says in str(error)
    if isinstance(error, Permanent):
        assert error.reason == reason
    assert error.system == ("google:AB" if kind is ScopeLimited else "google")
    assert says_nothing(error)


def test_a_missing_delegation_says_what_to_do() -> None:
    """The console's page, the client's number, and the scopes exactly as they have to be entered."""
    error = failing(get, [FINE], token=lambda _: oauth_refusal(401, "unauthorized_client", UNAUTHORIZED))
    text = str(error)
    assert "admin console" in text
    assert CLIENT_ID in text
    assert (
        "https://www.googleapis.com/auth/calendar.events,https://www.googleapis.com/auth/calendar.app.created"
        in text
    )


def test_a_wrong_clock_is_told_by_the_answers_date() -> None:
    """Where the text does not say it, a difference of minutes from Google's time does."""
    headers = {"Date": "Sat, 01 Jan 2000 00:00:00 GMT", "Content-Type": "application/json"}
    reply = Reply(400, b'{"error": "invalid_grant", "error_description": "Bad Request"}', headers)
    error = failing(get, [FINE], token=lambda _: reply)
    assert type(error) is AuthFailed
    assert "clock" in str(error)
    assert " s " in str(error)


REFUSED = oauth_refusal(401, "unauthorized_client", UNAUTHORIZED)
BAD = oauth_refusal(400, "invalid_grant", "Bad Request")
GONE = oauth_refusal(400, "invalid_grant", "Invalid email or User ID")


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({ANNA: REFUSED}, ScopeRefused),
        ({ANNA: REFUSED, CARL: GONE}, ScopeRefused),
        ({ANNA: REFUSED, CARL: REFUSED}, ScopeRefused),
        ({ANNA: REFUSED, CARL: REFUSED, EVA: REFUSED}, DelegationMissing),
        ({ANNA: REFUSED, CARL: GONE, EVA: GONE}, DelegationMissing),
        ({ANNA: BAD}, ScopeRefused),
        ({ANNA: BAD, CARL: BAD, EVA: BAD}, GrantRefused),
        ({ANNA: BAD, CARL: GONE, EVA: GONE}, ScopeRefused),
        ({ANNA: REFUSED, CARL: Reply(500), EVA: Reply(500)}, Transient),
    ],
)
def test_one_employees_refusal_is_told_from_everybodys(
    answers: Mapping[CalendarUser, Reply], kind: type[SyncError]
) -> None:
    """Where another employee is given a token, the refusal is one's own: a mistyped domain must not stop the firm."""
    endpoint = by_user({user.email: reply for user, reply in answers.items()})
    error = failing(get, [FINE], token=endpoint, users=[ANNA, CARL, EVA])
    assert type(error) is kind
    assert says_nothing(error)


def test_the_others_are_asked_only_when_somebody_is_refused() -> None:
    """And what they are given is kept: it was not asked for in vain."""

    async def main(client: Google, server: WireServer) -> list[str]:
        with pytest.raises(ScopeRefused):
            await get(client, server)
        await client.calendar(CARL, CALENDAR).get("abcde")
        return [claims_of(request)["sub"] for request in token_calls(server)]

    endpoint = by_user({ANNA.email: REFUSED})
    assert run(main, [FINE], token=endpoint, users=[ANNA, CARL, EVA]) == [ANNA.email, CARL.email]


@pytest.mark.parametrize(
    ("answers", "api", "kind"),
    [
        ({}, refusal(401, "required"), None),
        ({}, refusal(403, "forbidden"), None),
        ({}, refusal(404, "notFound"), None),
        ({}, refusal(429, "rateLimitExceeded"), None),
        ({ANNA: GONE}, refusal(401, "required"), None),
        ({ANNA: BAD}, refusal(401, "required"), None),
        ({ANNA: GONE, CARL: GONE, EVA: GONE}, refusal(401, "required"), None),
        ({ANNA: REFUSED, CARL: REFUSED, EVA: REFUSED}, refusal(401, "required"), DelegationMissing),
        ({ANNA: BAD, CARL: BAD, EVA: BAD}, refusal(401, "required"), GrantRefused),
        ({ANNA: Reply(503)}, refusal(401, "required"), Transient),
        ({}, refusal(503, "backendError"), Transient),
        ({}, Reply(404, b"<html>"), Unexpected),
        ({}, Reply(raw=b""), Unreachable),
    ],
)
def test_the_probe_asks_whether_google_is_there_and_takes_our_key(
    answers: Mapping[CalendarUser, Reply], api: Reply, kind: type[SyncError] | None
) -> None:
    """No single employee has a say in it, and it carries no token to the API."""
    endpoint = by_user({user.email: reply for user, reply in answers.items()})

    async def main(client: Google, server: WireServer) -> None:
        if kind is None:
            await client.probe()
            (asked,) = calls(server)
            assert "authorization" not in asked.headers
            return
        with pytest.raises(SyncError) as raised:
            await client.probe()
        assert type(raised.value) is kind

    run(main, [api], token=endpoint, users=[ANNA, CARL, EVA])


def test_doctor_asks_anew_for_each_scope() -> None:
    """A scope that is not granted is found although a token for the other is kept."""

    def token(request: Received) -> Reply:
        return REFUSED if claims_of(request)["scope"] == Scope.SETUP.value else token_reply()

    async def main(client: Google, server: WireServer) -> int:
        await client.check(ANNA)
        await client.check(ANNA, Scope.EVENTS)
        with pytest.raises(DelegationMissing):
            await client.check(ANNA, Scope.SETUP)
        return len(token_calls(server))

    assert run(main, [FINE], token=token) == 3


def test_nothing_shows_a_token_a_key_or_an_address(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the objects nor what is logged at the finest level."""

    async def main(client: Google, server: WireServer) -> list[object]:
        calendar: EmployeeCalendar = client.calendar(ANNA, CALENDAR)
        event = await calendar.get("abcde")
        with pytest.raises(OutcomeUnknown) as raised:
            await calendar.delete("abcde", etag='"1"')
        tokens = client._tokens
        return [calendar, event, client, tokens, list(tokens._kept.values()), ANNA, raised.value, client._api]

    with caplog.at_level(logging.DEBUG):
        shown = run(main, [FINE, refusal(503, "backendError")])
    # asyncio and aiohttp log no addresses; what is checked is our own lines and theirs alike.
    assert says_nothing(*shown, caplog.text)


def test_closing_ends_a_request_that_is_under_way() -> None:
    """A token that never comes does not keep the process."""

    async def main(client: Google, server: WireServer) -> None:
        waiting = asyncio.create_task(get(client, server))
        while not token_calls(server):  # noqa: ASYNC110  # the request is on its way
            await asyncio.sleep(0)
        await client.aclose()
        ended = await asyncio.gather(waiting, return_exceptions=True)
        assert isinstance(ended[0], asyncio.CancelledError)

    run(main, [FINE], token=lambda _: Reply(hangs=True))
