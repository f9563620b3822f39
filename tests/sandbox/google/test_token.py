"""The token endpoint and what a bearer token is good for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.google.conftest import CALENDAR, EVENTS, GRANT_TYPE, MW, PM, ROOT, SCOPE, Office

UNAUTHORIZED = "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."


def test_a_token_acts_for_its_user(office: Office) -> None:
    """Bearer, an hour at most, and `primary` is the user's own calendar."""
    answer = office.ask_token().json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3599)
    assert office.json("GET", "calendars/primary")["id"] == PM
    assert office.json("GET", "calendars/primary", user=MW)["id"] == MW


def test_googles_own_audience_is_taken_too(office: Office) -> None:
    """google-auth writes Google's token address into every assertion, wherever it sends it."""
    assert office.ask_token(aud="https://oauth2.googleapis.com/token").status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"iss": "other@x.iam.gserviceaccount.com"}, 400, "invalid_grant"),
        ({"aud": "https://elsewhere.example/token"}, 400, "invalid_grant"),
        ({"iat": None}, 400, "invalid_grant"),
        ({"exp": 1_773_003_601 + 1}, 400, "invalid_grant"),
        ({"iat": 1_772_990_000, "exp": 1_772_993_600}, 400, "invalid_grant"),
        ({"iat": 1_773_000_400, "exp": 1_773_003_000}, 400, "invalid_grant"),
        ({"sub": "nobody@kanzlei.example"}, 400, "invalid_grant"),
        ({"sub": "someone@elsewhere.example"}, 401, "unauthorized_client"),
        ({"scope": None}, 400, "invalid_scope"),
        ({"scope": f"{SCOPE} https://www.googleapis.com/auth/drive"}, 401, "unauthorized_client"),
    ],
)
def test_a_wrong_assertion_is_refused(
    office: Office, changes: dict[str, Any], status: int, error: str
) -> None:
    """OAuth's form of errors, 400 or 401 as Google has them."""
    answer = office.ask_token(**changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]


def test_a_missing_delegation_says_so(office: Office) -> None:
    """401 with Google's sentence; the service account by itself is still let in."""
    office.switch(delegation="missing")
    answer = office.ask_token()
    assert (answer.status_code, answer.json()) == (
        401, {"error": "unauthorized_client", "error_description": UNAUTHORIZED},
    )  # fmt: skip
    assert office.ask_token(sub=None).status_code == 200


def test_each_scope_needs_its_own_delegation(office: Office) -> None:
    """A scope that is not in the administrator's list is refused, however much the list allows."""
    office.switch(delegated_scopes=[SCOPE])
    assert office.ask_token(scope=f"{SCOPE}.events").status_code == 401
    assert office.ask_token(scope=SCOPE).status_code == 200


def test_a_forged_signature_is_refused(office: Office) -> None:
    """One letter of the signature or the claims changed, another algorithm, or no assertion at all."""
    head, claims, signature = office.assertion().split(".")
    forged = [
        f"{head}.{claims}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        f"{head}.{claims}A.{signature}",
    ]
    for assertion in (*forged, "a.b.c", "nothing"):
        answer = office.send("POST", "/token", data={"grant_type": GRANT_TYPE, "assertion": assertion})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    for form in ({"grant_type": "password"}, {"grant_type": GRANT_TYPE}):
        assert office.send("POST", "/token", data=form).status_code == 400


def test_a_skewed_clock_refuses_and_a_switch_lets_it_pass(office: Office) -> None:
    """Google's clock an hour ahead: the assertion is too old, unless times are not checked."""
    office.switch(clock_skew_seconds=3901.0)
    assert office.ask_token().json()["error"] == "invalid_grant"
    office.switch(checks_jwt_times=False)
    assert office.ask_token().status_code == 200


def test_tokens_end(office: Office) -> None:
    """After their time, after so many calls, when all are revoked, and when their user is suspended."""
    office.json("GET", "calendars/primary")
    office.sandbox.clock.advance(3601)
    assert office.refused("GET", "calendars/primary") == (401, "authError")
    office.tokens.clear()
    office.switch(token_calls=2)
    statuses = [office.call("GET", "calendars/primary").status_code for _ in range(3)]
    assert statuses == [200, 200, 401]
    office.tokens.clear()
    office.switch(token_calls=0)
    office.json("GET", "calendars/primary")
    office.control("tokens", {})
    assert office.refused("GET", "calendars/primary") == (401, "authError")
    office.tokens.clear()
    office.json("GET", "calendars/primary")
    office.control("edits", {"do": "set_user", "user": PM, "state": "suspended"})
    assert office.refused("GET", "calendars/primary") == (401, "authError")
    assert office.ask_token().json()["error"] == "invalid_grant"


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer nonsense", "Basic abc"])
def test_without_a_token_nothing_is_answered(office: Office, authorization: str) -> None:
    """401 authError, located in the header."""
    answer = office.send("GET", "/calendar/v3/calendars/primary", headers={"Authorization": authorization})
    error = answer.json()["error"]["errors"][0]
    assert (answer.status_code, error["reason"], error["location"]) == (401, "authError", "Authorization")


def test_a_scope_allows_only_its_methods(office: Office) -> None:
    """Events with calendar.events; calendars and rules not; calendar.app.created only what the app itself made."""
    office.tokens[PM] = office.ask_token(scope=f"{SCOPE}.events").json()["access_token"]
    assert office.json("GET", EVENTS)["items"] == []
    assert office.refused("GET", f"calendars/{CALENDAR}") == (403, "insufficientPermissions")
    office.tokens[PM] = office.ask_token(scope=f"{SCOPE}.app.created").json()["access_token"]
    assert office.refused("GET", EVENTS) == (403, "insufficientPermissions")
    made = office.json("POST", "calendars", json={"summary": "Neu"})
    assert office.json("GET", f"calendars/{made['id']}/events")["items"] == []


def test_the_service_account_itself_sees_no_employees_calendar(office: Office) -> None:
    """Without `sub` it has its own calendars only, and may invite nobody."""
    answer = office.ask_token(sub=None)
    office.tokens["itself"] = answer.json()["access_token"]
    assert office.refused("GET", EVENTS, user="itself") == (404, "notFound")
    made = office.json("POST", "calendars", json={"summary": "Eigener"}, user="itself")
    body = {"start": {"date": "2026-03-20"}, "end": {"date": "2026-03-21"}, "attendees": [{"email": PM}]}
    path = f"calendars/{made['id']}/events"
    assert office.refused("POST", path, json=body, user="itself") == (403, "forbiddenForServiceAccounts")


def test_the_api_or_the_users_calendar_may_be_off(office: Office) -> None:
    """403 accessNotConfigured for the project, 403 notACalendarUser for one employee."""
    office.control("edits", {"do": "set_user", "user": MW, "state": "no_calendar"})
    assert office.refused("GET", "calendars/primary", user=MW) == (403, "notACalendarUser")
    assert office.call("GET", "calendars/primary").status_code == 200
    office.switch(api_enabled=False)
    assert office.refused("GET", "calendars/primary") == (403, "accessNotConfigured")


def test_no_token_and_no_assertion_is_kept_where_it_is_read(office: Office) -> None:
    """Neither the ledger nor the list of requests holds them; the state neither."""
    office.json("GET", "calendars/primary")
    texts = [
        office.send("GET", f"/sandbox/{path}").text for path in ("ledger", "requests", "state", "operations")
    ]
    assert office.send("GET", "/sandbox/tokens").json() == {"valid": [office.token(PM)]}
    for text in texts:
        assert office.token(PM) not in text
        assert "assertion" not in text
        assert "PRIVATE" not in text
    assert office.send("GET", "/sandbox/service-account").json()["token_uri"] == f"{ROOT}/token"
