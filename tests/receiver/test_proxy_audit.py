"""Every write is written down before it is sent."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time

import httpx
import pytest
from sqlalchemy import text

from tests.receiver.conftest import writing_elsewhere
from tests.receiver.proxies import BY_KEY, KEY, OTHER_KEY, PARTY, ProxyBench
from webhook_sensor_app.api_keys import fingerprint
from webhook_sensor_app.proxy import PATH
from webhook_sensor_app.refusal import WAIT_SECONDS

ADRESSE = f"Beteiligte/{PARTY}/Adressen/7"
DATA = {"strasse": "Nebenstr. 2", "plz": "01069", "ort": "Dresden", "anschrift": ""}


def test_a_write_has_a_row(audited: ProxyBench) -> None:
    """Who, when, which call on which record, the body's hash and Advoware's status; nothing of the contents."""
    body = json.dumps(DATA).encode()
    headers = {"x-api-key": OTHER_KEY, "content-type": "application/json"}
    assert audited.ask("PUT", ADRESSE, content=body, headers=headers).status_code == 200
    (row,) = audited.audit()
    assert (row.method, row.route, row.record) == ("PUT", "Beteiligte/{id}/Adressen/{id}", f"{PARTY}/7")
    assert row.key_fingerprint == hashlib.sha256(OTHER_KEY.encode()).hexdigest()[:8] == fingerprint(OTHER_KEY)
    assert row.body_sha256 == hashlib.sha256(body).hexdigest()
    assert row.status == 200
    assert row.ended_at is not None
    assert row.ended_at >= row.at


def test_the_hash_is_of_what_was_sent(audited: ProxyBench) -> None:
    """With the endpoint in the body the hash is of the data alone, as it went to Advoware."""
    assert audited.ask("PUT", json={"endpoint": ADRESSE, "data": DATA}).status_code == 200
    sent = json.dumps(DATA, separators=(",", ":")).encode()
    assert audited.audit()[0].body_sha256 == hashlib.sha256(sent).hexdigest()


def test_a_termin_is_named_by_its_number(audited: ProxyBench) -> None:
    """Where the record is named in the query, that is the row's record; an empty body has the empty hash."""
    audited.ask("DELETE", "Termine", query={"frnr": "4711"})
    (row,) = audited.audit()
    assert (row.method, row.record, row.status) == ("DELETE", "4711", 404)
    assert row.body_sha256 == hashlib.sha256(b"").hexdigest()


def test_reads_and_refusals_have_none(audited: ProxyBench) -> None:
    """Neither a read nor a write that was never going to be sent is written down."""
    audited.ask("GET", "Mitarbeiter")
    audited.ask("PUT", "Token", json={})
    audited.ask("PUT", ADRESSE, json=DATA, headers={"x-api-key": "wrong"})
    assert audited.audit() == []


def test_the_row_is_there_before_the_write(audited: ProxyBench) -> None:
    """While Advoware has not answered yet the row stands committed, without status and end."""

    async def use(client: httpx.AsyncClient) -> None:
        call = client.put(PATH, params={"endpoint": ADRESSE}, json=DATA, headers=BY_KEY)
        with audited.advoware.holding_puts() as has_come:
            writing = asyncio.create_task(call)
            assert await asyncio.to_thread(has_come.wait, 60)
            (row,) = await asyncio.to_thread(audited.audit)
            assert (row.status, row.ended_at) == (None, None)
            assert audited.party()["adressen"][0]["strasse"] == "Hauptstr. 1"
        assert (await writing).status_code == 200

    audited.run(use)
    assert audited.audit()[0].status == 200


def test_without_a_row_nothing_is_written(audited: ProxyBench) -> None:
    """While the database is held by another the write is refused with 503, and Advoware sees nothing of it."""
    with writing_elsewhere(audited.database):
        started_at = time.monotonic()
        answer = audited.ask("PUT", ADRESSE, json=DATA, wait_seconds=WAIT_SECONDS)
        # Without the proxy's own patience it is the database's that ends the wait, after 10 s.
        assert time.monotonic() - started_at < 9
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "audit" in answer.json()["error"]
    assert audited.is_untouched()


def test_without_the_table_nothing_is_written(audited: ProxyBench) -> None:
    """The same where the table is missing; reads need no table."""
    audited.database.run_sync(lambda connection: connection.execute(text("DROP TABLE proxy_audit")))
    assert audited.ask("PUT", ADRESSE, json=DATA).status_code == 503
    assert audited.is_untouched()
    assert audited.ask("GET", "Mitarbeiter").status_code == 200


@pytest.mark.parametrize("kind", ["timeout_after_commit", "close"])
@pytest.mark.parametrize(("method", "endpoint"), [("POST", f"Beteiligte/{PARTY}/Adressen"), ("PUT", ADRESSE)])
def test_a_lost_answer_leaves_the_row_open(
    proxied: ProxyBench, kind: str, method: str, endpoint: str
) -> None:
    """Where nobody knows whether the write was carried out the row has no end, and the caller is told."""
    proxied.say(kind=kind, seconds=0.1, path="/relay/api/.*", method=method)
    answer = proxied.ask(method, endpoint, json=DATA)
    (row,) = proxied.audit()
    assert (row.status, row.ended_at) == (None, None)
    assert answer.status_code == (504 if method == "POST" else 503)
    assert "read the record" in answer.json()["error"]


def test_a_write_that_never_left_has_an_end_without_a_status(proxied: ProxyBench) -> None:
    """With the connector off the row says that the write did not get there."""
    proxied.sandbox.switches.update({"connector": "offline"})
    assert proxied.ask("PUT", ADRESSE, json=DATA).status_code == 503
    (row,) = proxied.audit()
    assert row.status is None
    assert row.ended_at is not None


def test_a_write_is_sent_once_more_after_a_401_with_one_row(proxied: ProxyBench) -> None:
    """A token that ran out costs a second try of the same write, which was not carried out, and one row."""

    async def use(client: httpx.AsyncClient) -> list[int]:
        statuses = []
        for _ in range(2):
            answer = await client.put(PATH, params={"endpoint": ADRESSE}, json=DATA, headers=BY_KEY)
            statuses.append(answer.status_code)
            proxied.sandbox.tokens.revoke()
        return statuses

    assert proxied.run(use) == [200, 200]
    assert [row.status for row in proxied.audit()] == [200, 200]
    assert proxied.sandbox.tokens.given == 2


def test_keys_are_told_apart(proxied: ProxyBench) -> None:
    """The fingerprint of each program's key, never the key."""
    for key in (KEY, OTHER_KEY):
        proxied.ask("PUT", ADRESSE, json=DATA, headers={"x-api-key": key})
    rows = proxied.audit()
    assert {row.key_fingerprint for row in rows} == {fingerprint(KEY), fingerprint(OTHER_KEY)}
    assert KEY not in str(rows)
