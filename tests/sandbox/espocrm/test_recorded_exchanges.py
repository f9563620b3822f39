"""Every recorded exchange with a real server, replayed: status, reason, body, and what it changed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandbox.espocrm.driving import Server, auth, server
from tests.sandbox.espocrm.recorded import CASES, KLAGE, Exchange, exchanges, seconds, signed_by
from tests.sandbox.espocrm.states import DOES_NOT_EXIST, EFFECTS, LINKED_AFTERWARDS, state_before

# Replayed elsewhere: the queue's tables need deliveries, the others are tables rather than exchanges.
ELSEWHERE = {
    "eventqueue_admin": "test_webhook_queue",
    "queue_item_admin": "test_webhook_queue",
    "field_normalisation": "test_normalisation",
    "webhook_response_matrix": "test_webhook_answers",
    "v9_3_10_openapi_excerpt": "test_versions",
}
REPLAYED = [exchange for exchange in exchanges() if exchange.name not in ELSEWHERE]
CREATES = {"POST"}


def compare(expected: Any, actual: Any, free: frozenset[str], at: str = "body") -> None:
    """Equal keys, types and values; the keys in `free` may hold any value of the same type."""
    assert type(actual) is type(expected), f"{at}: {actual!r} instead of {expected!r}"
    if isinstance(expected, dict):
        assert list(actual) == list(expected), f"{at}: keys {list(actual)} instead of {list(expected)}"
        for key, value in expected.items():
            if key in free:
                assert type(actual[key]) is type(value), f"{at}.{key}"
            else:
                compare(value, actual[key], free, f"{at}.{key}")
    elif isinstance(expected, list):
        assert len(actual) == len(expected), f"{at}: {len(actual)} items instead of {len(expected)}"
        for place, (one, other) in enumerate(zip(expected, actual, strict=True)):
            compare(one, other, free, f"{at}[{place}]")
    else:
        assert actual == expected, f"{at}: {actual!r} instead of {expected!r}"


def assert_same_answer(exchange: Exchange, answer: httpx.Response, free: frozenset[str]) -> None:
    """Status, X-Status-Reason, content type, body."""
    assert answer.status_code == exchange.status
    assert answer.headers.get("x-status-reason") == exchange.headers.get("X-Status-Reason")
    assert answer.headers["content-type"] == exchange.headers["Content-Type"]
    for name in ("WWW-Authenticate", "Expires", "Cache-Control", "Server"):
        assert answer.headers.get(name) == exchange.headers.get(name), name
    if "Content-Disposition" in exchange.headers:
        # The recorder read the header as Latin-1, the test client guesses UTF-8: the bytes are the same.
        raw = exchange.headers["Content-Disposition"].encode("latin-1")
        assert dict(answer.headers.raw)[b"content-disposition"] == raw
    if exchange.body_encoding == "json":
        compare(exchange.body, answer.json(), free)
    else:
        assert answer.text == exchange.body


def clock_of(exchange: Exchange) -> float:
    """The second in which the server wrote, which can be the one before its answer."""
    body = exchange.body if isinstance(exchange.body, dict) else {}
    return seconds(body["modifiedAt"]) if "modifiedAt" in body else exchange.at


async def send(running: Server, exchange: Exchange) -> httpx.Response:
    """The recorded request, signed anew."""
    headers = {**auth(signed_by(exchange), exchange.method, exchange.path), **exchange.sent_headers}
    if exchange.name == "auth_hmac_bad":
        headers["X-Hmac-Authorization"] = auth("hmac", "GET", "/api/v1/CDokumente/another")[
            "X-Hmac-Authorization"
        ]
    content = None
    if exchange.sent is not None:
        content = exchange.sent if isinstance(exchange.sent, str) else json.dumps(exchange.sent)
    return await running.client.request(exchange.method, exchange.path, content=content, headers=headers)


async def assert_effects(running: Server, exchange: Exchange) -> None:
    """What has to be true after the exchange."""
    for entity, record_id, attribute, value in EFFECTS.get(exchange.name, []):
        answer = await running.ask("GET", f"{entity}/{record_id}")
        if value is DOES_NOT_EXIST:
            assert answer.status_code == 404
        else:
            assert answer.json()[attribute] == value, attribute
    if exchange.name in LINKED_AFTERWARDS:
        linked = await running.get(f"CVmhRumungsklage/{KLAGE}/dokumentes?orderBy=id&order=desc")
        assert [row["id"] for row in linked["list"]] == sorted(LINKED_AFTERWARDS[exchange.name], reverse=True)


@pytest.mark.parametrize("exchange", REPLAYED, ids=lambda exchange: exchange.name)
def test_replays_the_recorded_exchange(exchange: Exchange) -> None:
    """The stand-in gives the real server's answer and is changed as the real server was."""

    async def main() -> None:
        async with server(exchange.version, clock_of(exchange)) as running:
            await running.seed(state_before(exchange))
            answer = await send(running, exchange)
            free = frozenset({"secretKey"})
            if exchange.method == "POST":
                free |= {"id"}
            if exchange.name == "stream_record":
                free |= {"id", "number", "total", "list"}
            if exchange.name == "app_user_excerpt":
                assert_excerpt(exchange, answer)
            else:
                assert_same_answer(exchange, answer, free)
            await assert_effects(running, exchange)

    asyncio.run(main())


def assert_excerpt(exchange: Exchange, answer: httpx.Response) -> None:
    """App/user was recorded in part: the user whole, the rights of four entity types, and the names of the rest."""
    got = answer.json()
    compare(exchange.body["user"], got["user"], frozenset({"createdAt", "modifiedAt"}))
    assert set(got) >= set(exchange.body["__excerpt_of_keys"])
    for scope, levels in exchange.body["acl"]["table"].items():
        assert got["acl"]["table"][scope] == levels


def test_no_recording_is_left_out() -> None:
    """Every case file is replayed here, as a delivery, or in the test named in ELSEWHERE."""
    covered = {exchange.name for exchange in REPLAYED} | set(ELSEWHERE)
    files = {path.stem for path in CASES.glob("*.json")}
    assert files - covered == {name for name in files if "webhook_delivery" in name}
    tests = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
    assert set(ELSEWHERE.values()) <= tests
