"""What the proxy passes on, and for whom."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from tests.receiver.proxies import BY_KEY, KEY, OTHER_KEY, PARTY, ProxyBench
from tests.receiver.receiver_settings import receiver_settings
from webhook_sensor_app.api_keys import fingerprint
from webhook_sensor_app.proxy import PATH


def test_a_read_is_passed_on_and_back(proxied: ProxyBench) -> None:
    """Path and query go to Advoware; its status, content type and body come back, and none of its other headers."""
    answer = proxied.ask("GET", f"Beteiligte/{PARTY}", query={"expand": "ä&b=c", "x": ""})
    assert answer.status_code == 200
    assert answer.json()["name"] == "Mustermann"
    assert set(answer.headers) == {"content-type", "content-length"}
    assert answer.headers["content-type"].startswith("application/json")
    assert proxied.asked()[-1] == f"GET Beteiligte/{PARTY}?expand=%C3%A4%26b%3Dc&x="


def test_the_old_name_of_employees_works(proxied: ProxyBench) -> None:
    """`employees`, as the replaced system's callers write it, is Mitarbeiter."""
    assert proxied.ask("GET", "employees").json()[0]["kuerzel"] == "PM"
    assert proxied.asked()[-1] == "GET Mitarbeiter"


def test_nothing_of_the_callers_headers_goes_on(proxied: ProxyBench) -> None:
    """Advoware sees our token and our headers alone, whatever the caller sends."""
    evil = {
        "authorization": f"Bearer {KEY}", "host": "evil.example", "cookie": "a=b", "x-forwarded-host": "evil.example",
        "x-http-method-override": "DELETE", "accept-encoding": "gzip", "user-agent": "evil", "referer": "evil",
        "connection": "x-evil", "x-evil": "1", "content-type": "text/evil",
    }  # fmt: skip
    assert proxied.ask("GET", "Mitarbeiter", headers=evil).status_code == 200
    head = proxied.advoware.heads[-1]
    assert set(head) == {"host", "authorization", "accept", "accept-encoding", "user-agent"}
    assert "evil" not in str(head)
    assert KEY not in str(proxied.advoware.heads)


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_change_is_passed_on(proxied: ProxyBench, is_wrapped: bool) -> None:
    """A PUT arrives with its body, whether the endpoint stands in the query or beside the data."""
    data = proxied.party() | {"vorname": "Erikä"}
    if is_wrapped:
        answer = proxied.ask("PUT", json={"endpoint": f"Beteiligte/{PARTY}", "data": data})
    else:
        answer = proxied.ask("PUT", f"Beteiligte/{PARTY}", json=data)
    assert answer.status_code == 200
    assert proxied.party()["vorname"] == "Erikä"


def test_a_row_is_created(proxied: ProxyBench) -> None:
    """A POST below a party arrives, and Advoware's answer comes back."""
    data = {"tlf": "+49 30 123", "kommKz": 1, "bemerkung": "", "online": False}
    answer = proxied.ask("POST", f"Beteiligte/{PARTY}/Kommunikation", json=data)
    assert answer.status_code in (200, 201)
    assert proxied.party()["kommunikation"][1]["tlf"] == "+49 30 123"


def test_a_delete_needs_no_body(proxied: ProxyBench) -> None:
    """A Termin is deleted by the number in the query."""
    termin = {
        "text": "Besprechung",
        "datum": "2026-12-01T00:00:00",
        "uhrzeitVon": "09:00:00",
        "uhrzeitBis": "10:00:00",
        "anwalt": "PM",
    }
    number = proxied.ask("POST", "Termine", json=termin).json()
    assert len(proxied.sandbox.state()["termine"]) == 1
    assert proxied.ask("DELETE", "Termine", query={"frnr": number}).status_code < 300
    assert proxied.sandbox.state()["termine"] == []


@pytest.mark.parametrize(
    "query", [{}, {"frnr": ""}, {"frnr": "0"}, {"frnr": "-5"}, {"frnr": ["5", "6"]}, {"frNr": "5"}, {"frnr": "5", "frNr": "6"}]
)  # fmt: skip
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_which_termin_must_be_said(proxied: ProxyBench, method: str, query: dict[str, Any]) -> None:
    """A change without one plain number, or for one that Advoware made up, is refused and never sent."""
    answer = proxied.ask(method, "Termine", query=query, json={"text": "x"})
    assert answer.status_code == 400
    assert "frnr" in answer.json()["error"]
    assert proxied.is_untouched()


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 418, 422, 429, 500, 503])
def test_advowares_own_refusals_come_back(proxied: ProxyBench, status: int) -> None:
    """Status and body of an error are Advoware's; its headers stay here."""
    proxied.say(status=status, body={"Message": "so nicht"}, headers={"x-secret": "1", "set-cookie": "a=b"})
    answer = proxied.ask("GET", "Mitarbeiter")
    assert (answer.status_code, answer.json()) == (status, {"Message": "so nicht"})
    assert not {"x-secret", "set-cookie"} & set(answer.headers)


KEYS: dict[str, list[tuple[str, str]]] = {
    "none": [],
    "empty": [("x-api-key", "")],
    "wrong": [("x-api-key", "x" * len(KEY))],
    "shorter": [("x-api-key", KEY[:-1])],
    "longer": [("x-api-key", KEY + "x")],
    "upper case": [("x-api-key", KEY.upper())],
    "all keys": [("x-api-key", f"{KEY},{OTHER_KEY}")],
    "in Latin-1": [("x-api-key", "schl\xfcssel")],
    "twice": [("x-api-key", KEY), ("x-api-key", KEY)],
    "both ways": [("x-api-key", KEY), ("authorization", f"Bearer {KEY}")],
    "good and bad": [("x-api-key", KEY), ("authorization", "Bearer wrong")],
    "as Basic": [("authorization", f"Basic {KEY}")],
    "without scheme": [("authorization", KEY)],
    "empty bearer": [("authorization", "Bearer ")],
    "as a cookie": [("cookie", f"x-api-key={KEY}")],
    "the webhooks' secret": [("x-webhook-secret", "a-shared-secret-of-some-length")],
}


@pytest.mark.parametrize("name", KEYS)
def test_nobody_gets_in_without_a_key(proxied: ProxyBench, name: str) -> None:
    """401 and the same sentence for every method, before anything else about the request is judged."""
    raw = [(key.encode(), value.encode("latin-1")) for key, value in KEYS[name]]

    async def use(client: httpx.AsyncClient) -> set[tuple[int, str]]:
        methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "XYZZY"]
        answers = [
            await client.request(method, PATH, params={"endpoint": "//evil"}, headers=raw, content=b"{")
            for method in methods
        ]
        assert all(answer.headers["www-authenticate"] == "Bearer" for answer in answers)
        return {(answer.status_code, answer.json()["error"]) for answer in answers}

    (outcome,) = proxied.run(use)
    assert outcome[0] == 401
    assert "PROXY_API_KEYS" in outcome[1]
    assert proxied.is_untouched()


@pytest.mark.parametrize("headers", [BY_KEY, {"x-api-key": ""}, {}])
def test_without_configured_keys_nobody_gets_in(proxied: ProxyBench, headers: dict[str, str]) -> None:
    """401 for everybody as long as PROXY_API_KEYS is empty."""
    assert proxied.ask("GET", "Mitarbeiter", headers=headers, proxy_api_keys="").status_code == 401
    assert proxied.is_untouched()


@pytest.mark.parametrize(
    "headers",
    [{"x-api-key": KEY}, {"x-api-key": OTHER_KEY}, {"authorization": f"Bearer {OTHER_KEY}"}, {"Authorization": f"bearer {KEY}"}],
)  # fmt: skip
def test_every_configured_key_gets_in(proxied: ProxyBench, headers: dict[str, str]) -> None:
    """Any of the keys, in either header."""
    assert proxied.ask("GET", "Mitarbeiter", headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_writes_are_forbidden_unless_allowed(proxied: ProxyBench, method: str) -> None:
    """By default every write is refused, and the sentence names the switch; reads go on."""
    given: dict[str, Any] = {"advoware_proxy_read_only": True}
    answer = proxied.ask(method, f"Beteiligte/{PARTY}", json={"name": "x"}, **given)
    assert answer.status_code == 403
    assert "ADVOWARE_PROXY_READ_ONLY" in answer.json()["error"]
    assert proxied.is_untouched()
    assert proxied.audit() == []
    assert proxied.ask("GET", "Mitarbeiter", **given).status_code == 200


def test_reading_is_all_that_is_allowed_by_default(proxied: ProxyBench) -> None:
    """The setting's own default forbids writes."""
    assert receiver_settings().advoware_proxy_read_only


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "OPTIONS", "TRACE", "XYZZY"])
def test_other_methods_are_refused(proxied: ProxyBench, method: str) -> None:
    """405 and the methods that there are."""
    answer = proxied.ask(method, "Mitarbeiter")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST, PUT, DELETE"
    assert proxied.is_untouched()


def test_the_list_of_calls_follows_the_settings(proxied: ProxyBench) -> None:
    """A call taken off the list is refused, one put on it is passed on."""
    changes: dict[str, Any] = {"advoware_proxy_routes": "-GET Mitarbeiter,+GET Rechnungen/{id}"}
    assert proxied.ask("GET", "Mitarbeiter", **changes).status_code in (403, 405)
    assert proxied.is_untouched()
    assert proxied.ask("GET", "Rechnungen/5", **changes).status_code == 404
    assert proxied.asked()[-1] == "GET Rechnungen/5"


def test_a_hundred_first_requests_cost_one_token(proxied: ProxyBench) -> None:
    """All are answered, and one token is asked for."""

    async def use(client: httpx.AsyncClient) -> set[int]:
        calls = [client.get(PATH, params={"endpoint": "Mitarbeiter"}, headers=BY_KEY) for _ in range(100)]
        return {answer.status_code for answer in await asyncio.gather(*calls)}

    assert proxied.run(use) == {200}
    assert proxied.sandbox.tokens.given == 1
    assert len(proxied.asked()) == 100


def test_nothing_personal_is_logged(proxied: ProxyBench, caplog: pytest.LogCaptureFixture) -> None:
    """One line a request, with topic, path pattern, ids and the key's fingerprint; no name, body, query value or key."""
    caplog.set_level(logging.DEBUG)
    data = proxied.party() | {"vorname": "Kunigunde"}
    proxied.ask("PUT", f"Beteiligte/{PARTY}", query={"suche": "Geheimnis"}, json=data)
    proxied.ask("GET", f"Beteiligte/{PARTY}", query={"suche": "Geheimnis"})
    proxied.ask("GET", "Geheimnis/Mustermann", query={"suche": "Geheimnis"})
    proxied.ask("GET", "Mitarbeiter", headers={"x-api-key": "Geheimnis"})
    proxied.ask(
        "PUT",
        f"Beteiligte/{PARTY}",
        content=b'{"name": "Geheimnis", ',
        headers=BY_KEY | {"content-type": "application/json"},
    )
    proxied.say(status=302, body="Geheimnis", headers={"location": "http://Geheimnis/"})
    proxied.ask("GET", "Mitarbeiter")
    ours = [
        record.getMessage() for record in caplog.records if record.name.startswith(("webhook", "bitbylaw"))
    ]
    lines = [line for line in ours if "topic=advoware.proxy.response" in line]
    assert len(lines) == 6
    assert f"event=proxied topic=advoware.proxy.response method=PUT api_key={fingerprint(KEY)}" in lines[0]
    assert f"route=Beteiligte/{{id}} record={PARTY}" in lines[0]
    for text in ("Geheimnis", "Mustermann", "Kunigunde", "Erika", KEY, proxied.sandbox.credentials.password):
        assert text not in " ".join(ours)
