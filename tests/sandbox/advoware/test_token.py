"""The configurator and the token service of the stand-in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bitbylaw_pipeline.sandbox.advoware import create_app
from bitbylaw_pipeline.sandbox.advoware.moments import parse_moment
from bitbylaw_pipeline.sandbox.advoware.token_service import Credentials


def test_the_configurator_names_the_hosts(firm: Any) -> None:
    """Relay and security gateway end in a slash, connectorUrl is null; another Kanzlei is unknown."""
    path = "/configurator/AdvonetConfigurator/api/Url"
    found = firm.send("GET", path, params={"Kanzlei": firm.sandbox.credentials.kanzlei}).json()
    assert found == {
        "relayUrl": "http://advoware/relay/",
        "connectorUrl": None,
        "securityGateway": "http://advoware/security/",
    }
    assert firm.send("GET", path, params={"Kanzlei": "other"}).status_code == 404


def test_a_direct_connector_replaces_the_relay(firm: Any) -> None:
    """With `direct_connector` the connector answers and the relay does not."""
    firm.switch(direct_connector=True)
    known = {"Kanzlei": firm.sandbox.credentials.kanzlei}
    found = firm.send("GET", "/configurator/AdvonetConfigurator/api/Url", params=known).json()
    assert found["connectorUrl"] == "http://advoware/connector/"
    assert firm.status("GET", "Beteiligte") == 404
    headers = {"Authorization": f"Bearer {firm.token}"}
    direct = firm.send("GET", "/connector/api/v1/advonet/Beteiligte", headers=headers)
    assert direct.status_code == 200


def test_a_token_names_its_end_with_seven_digits(firm: Any) -> None:
    """`expiration_utc` is 55 minutes ahead with a fraction of seven digits, or without, or not there."""
    assert firm.ask_token().json()["expiration_utc"] == "2026-03-08T20:55:00.2500007Z"
    firm.switch(expiration="whole")
    assert firm.ask_token().json()["expiration_utc"] == "2026-03-08T20:55:00Z"
    firm.switch(expiration="absent")
    assert set(firm.ask_token().json()) == {"access_token"}


def test_the_vendors_vectors_give_the_published_signature(firm: Any) -> None:
    """The request of the published vector passes as it is and fails with one character changed."""
    vector = Credentials(app_id="app-123", api_key="dGVzdC1zZWNyZXQta2V5")
    firm.sandbox = create_app(credentials=vector)
    firm.sandbox.clock.pin(datetime(2026, 8, 30, tzinfo=UTC).timestamp())
    given = {"Nonce": "nonce-abc", "RequestTimeStamp": "2026-08-30T00:00:00.000Z"}
    signed = "o7rz9KmoXZs550HfzO6ffiG17XwiPmlBHlksUYKZ3jcfolELow51Fw5KlrQqCK5y41aIValDjrh1iQ2GZ2WtqQ=="
    assert firm.ask_token(**given, HMAC512Signature="p" + signed[1:]).status_code == 401
    assert firm.ask_token(**given, HMAC512Signature=signed).status_code == 200


def test_the_signature_covers_the_strings_as_sent(firm: Any) -> None:
    """A time stamp written in another way, or a nonce changed after signing, is refused; PHP's form is accepted."""
    body = firm.token_request()
    for name, value in (
        ("RequestTimeStamp", "2026-03-08T20:00:00.25Z"),
        ("Nonce", "other"),
        ("HMAC512Signature", "ü"),
    ):
        assert firm.send("POST", "/security/api/v1/Token", json={**body, name: value}).status_code == 401
    assert firm.ask_token(RequestTimeStamp="2026-03-08T20:00:00+0000").status_code == 200


def test_a_nonce_counts_once(firm: Any) -> None:
    """The same request a second time is refused."""
    body = firm.token_request()
    answers = [firm.send("POST", "/security/api/v1/Token", json=body).status_code for _ in range(2)]
    assert answers == [200, 401]


@pytest.mark.parametrize(("minutes", "status"), [(-6, 401), (-4, 200), (4, 200), (6, 401)])
def test_the_clock_must_be_near(firm: Any, minutes: int, status: int) -> None:
    """RequestTimeStamp may be five minutes off either way."""
    sent = datetime.fromtimestamp(firm.sandbox.clock.now(), UTC) + timedelta(minutes=minutes)
    assert firm.ask_token(RequestTimeStamp=sent.isoformat()).status_code == status


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"Password": "wrong"}, "Falscher Name oder falsches Kennwort"),
        ({"User": "XX"}, "Benutzer / Kennwort ung"),
        ({"Kanzlei": "other"}, "ist nicht registriert"),
        ({"Database": "OTHER"}, "ist nicht registriert"),
        ({"AppID": "other"}, "freigeschaltet"),
        ({"Product": 1}, "freigeschaltet"),
        ({"Role": 1}, "freigeschaltet"),
    ],
)
def test_each_wrong_credential_has_the_vendors_text(firm: Any, changes: dict[str, Any], text: str) -> None:
    """The refusals hold the texts that the vendor's own client looks for."""
    answer = firm.ask_token(**changes)
    assert answer.status_code >= 400
    assert text in answer.text


def test_a_missing_field_is_a_bad_request(firm: Any) -> None:
    """Without the role, or with a body that is no JSON, the answer is 400."""
    assert firm.ask_token(Role="").status_code == 400
    assert firm.send("POST", "/security/api/v1/Token", content=b"{").status_code == 400


def test_wrong_passwords_are_counted_and_may_lock_out(firm: Any) -> None:
    """The state shows the count per user; after `lockout_after` the right password is refused too."""
    firm.switch(lockout_after=2)
    assert [firm.ask_token(Password="wrong").status_code for _ in range(2)] == [401, 401]
    assert firm.ask_token().status_code == 401
    counted = firm.send("GET", "/sandbox/state").json()["tokens"]
    assert counted == {"given": 0, "refused": 3, "wrong_passwords": {"PM": 3}}


def test_a_token_ends_by_the_sandbox_clock(firm: Any) -> None:
    """A call is answered until the last second of the token and 401 after it, or after the tokens are revoked."""
    assert firm.status("GET", "Beteiligte/7") == 200
    firm.control("clock", {"advance": 3299})
    assert firm.status("GET", "Beteiligte/7") == 200
    firm.control("clock", {"advance": 1})
    assert firm.status("GET", "Beteiligte/7") == 401
    firm.token = ""
    assert firm.status("GET", "Beteiligte/7") == 200
    assert firm.control("tokens", {}) == {"revoked": 2}
    assert firm.status("GET", "Beteiligte/7") == 401


def test_a_new_token_leaves_the_old_one_valid(firm: Any) -> None:
    """Two tokens are valid side by side; one never given out is not."""
    old = firm.ask_token().json()["access_token"]
    assert firm.status("GET", "Beteiligte") == 200
    assert firm.status("GET", "Beteiligte", headers={"Authorization": f"bearer {old}"}) == 200
    assert firm.status("GET", "Beteiligte", headers={"Authorization": "Bearer other"}) == 401
    assert firm.status("GET", "Beteiligte", headers={}) == 401


def test_an_offline_connector_refuses_tokens_and_calls(firm: Any) -> None:
    """While the connector is offline both say so, and two hours of sandbox time later it is back by itself."""
    assert firm.status("GET", "Beteiligte") == 200
    firm.switch(offline_until=firm.sandbox.clock.now() + 7200, token_seconds=10_000)
    for answer in (firm.ask_token(), firm.call("GET", "Beteiligte")):
        assert answer.status_code == 503
        assert "ist nicht angemeldet" in answer.text
    firm.control("clock", {"advance": 7200})
    firm.token = ""
    assert firm.status("GET", "Beteiligte") == 200
    firm.switch(connector="offline", refusal_status=200, refusal_form="json")
    assert firm.json("GET", "Beteiligte") == {"Message": "Die Kanzlei ist nicht angemeldet."}


def test_an_application_that_is_not_enabled(firm: Any) -> None:
    """With `enabled: false` token and calls are refused with the vendor's text."""
    assert firm.status("GET", "Beteiligte") == 200
    firm.switch(enabled=False)
    assert "freigeschaltet" in firm.ask_token().text
    assert "freigeschaltet" in firm.call("GET", "Beteiligte").text


def test_the_prefix_is_a_switch(firm: Any) -> None:
    """Resources are below `path_prefix` alone."""
    firm.switch(path_prefix="api/v1/")
    assert firm.status("GET", "Beteiligte") == 404
    headers = {"Authorization": f"Bearer {firm.token}"}
    assert firm.send("GET", "/relay/api/v1/Beteiligte", headers=headers).status_code == 200
    assert firm.send("GET", "/relay/api/v2/Beteiligte", headers=headers).status_code == 404


def test_moments_of_seven_digits_are_read() -> None:
    """What the stand-in writes it reads to the microsecond."""
    assert parse_moment("2021-01-29T14:04:26.7955547Z").microsecond == 795554
