"""What cannot be used: the right status, one clear sentence, and nothing stored."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.receiver.conftest import Bench
from tests.receiver.deliveries import BY_SECRET, UPDATE, listed

LINK = "/vmh/webhook/entity/link"
ENDS = {"entityType": "CDokumente", "id": "d1", "foreignEntityType": "Account", "foreignId": "a1"}

UNREADABLE: dict[str, bytes] = {
    "empty": b"",
    "only blanks": b" \n ",
    "not JSON": b"id=d1",
    "half a list": b'[{"id": "d1"}',
    "half an object": b'[{"id": "d1"',
    "a comma too many": b'[{"id": "d1"},]',
    "no comma": b'[{"id": "d1"} {"id": "d2"}]',
    "two bodies": b'[{"id": "d1"}] [{"id": "d2"}]',
    "something behind": b'{"id": "d1"} x',
    "a text": b'"d1"',
    "a number": b"17",
    "null": b"null",
    "list of texts": b'["d1"]',
    "list of lists": b'[[{"id": "d1"}]]',
    "one item of two is no object": b'[{"id": "d1"}, null]',
    "no id": b'[{"name": "x"}]',
    "id null": b'[{"id": null}]',
    "id a number": b'[{"id": 17}]',
    "id true": b'[{"id": true}]',
    "id a list": b'[{"id": ["d1"]}]',
    "id empty": b'[{"id": ""}]',
    "id with ../": b'[{"id": "../../admin"}]',
    "id with a slash": b'[{"id": "a/b"}]',
    "id with %2e": b'[{"id": "%2e%2e"}]',
    "id with NUL": b'[{"id": "d1\\u0000"}]',
    "NUL in the body": b'[{"id": "d1\0"}]',
    "id with a line end": b'[{"id": "d1\\n"}]',
    "id with blanks": b'[{"id": " d1 "}]',
    "id with half a pair": b'[{"id": "\\ud800"}]',
    "id in Cyrillic": '[{"id": "аbc"}]'.encode(),
    "id of 65 characters": listed("x" * 65),
    "id twice in an object": b'[{"id": "d1", "id": "d2"}]',
    "another entityType": b'[{"id": "d1", "entityType": "Account"}]',
    "entityType null": b'[{"id": "d1", "entityType": null}]',
    "second item bad": b'[{"id": "d1"}, {"id": "../x"}]',
    "NaN": b'[{"id": "d1", "x": NaN}]',
    "-Infinity": b'[{"id": "d1", "x": -Infinity}]',
    "byte order mark": b'\xef\xbb\xbf[{"id": "d1"}]',
    "UTF-16": '[{"id": "d1"}]'.encode("utf-16"),
    "Latin-1": '[{"id": "d1", "name": "Räumung"}]'.encode("latin-1"),
    "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "nested 100,000 deep and not closed": b'[{"id": ' + b'{"a":' * 100_000,
    "nested beside a good id": b'[{"id": "d1", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
    "a number of 100,000 digits": b'[{"id": "d1", "x": ' + b"9" * 100_000 + b"}]",
    "too many events": listed(*(f"d{number}" for number in range(10_000))),
    "10,000 bad ids": listed(*["../x"] * 10_000),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_body_is_refused(name: str, bench: Bench) -> None:
    """400, one sentence that repeats nothing of the body, and not one of its items stored."""
    response = bench.post(UPDATE, UNREADABLE[name], BY_SECRET)
    assert response.status_code == 400
    sentence = response.json()["error"]
    assert sentence.endswith(".")
    assert len(sentence) < 200
    assert "../" not in sentence
    assert bench.is_untouched()


@pytest.mark.parametrize(
    "change",
    [
        {"foreignId": None}, {"foreignId": "../x"}, {"foreignEntityType": None}, {"foreignEntityType": "C/D"},
        {"entityType": None}, {"entityType": 5}, {"id": None}, {"id": ["d1"]},
    ],
)  # fmt: skip
def test_a_link_without_both_ends_is_refused(change: dict[str, Any], bench: Bench) -> None:
    """A link must name both records by type and id, and one bad link spoils its whole request."""
    body = json.dumps([ENDS, ENDS | change]).encode()
    assert bench.post(LINK, body, BY_SECRET).status_code == 400
    assert bench.is_untouched()


def test_the_sentence_says_which_item(bench: Bench) -> None:
    """The sentence names the item and what an id looks like."""
    response = bench.post(UPDATE, b'[{"id": "d1"}, {"id": "a b"}]', BY_SECRET)
    assert response.json()["error"].startswith('Item 2 has no usable "id"')


def test_odd_values_beside_the_id_do_not_matter(bench: Bench) -> None:
    """What EspoCRM may send beside the id is not judged: half a surrogate pair, NUL, umlauts, nested values."""
    body = b'[{"id": "d1", "name": "\\ud800 \\u0000 R\xc3\xa4umung", "x": {"id": "../"}, "n": 1e400}]'
    assert bench.post(UPDATE, body, BY_SECRET).status_code == 202
    assert [row.entity_id for row in bench.stored()] == ["d1"]


@pytest.mark.parametrize(
    "path",
    [
        "/", "/vmh", "/vmh/webhook", "/vmh/webhook/document", "/vmh/webhook/document/update/",
        "/vmh/webhook//document/update", "/vmh/webhook/document/updated", "/vmh/webhook/unbekannt/update",
        "/vmh/webhook/Document/update", "/vmh/webhook/entity/update", "/vmh/webhook/document/link",
        "/vmh/webhook/document/update/d1", "/vmh/webhook/document/../document/update%00", "/health/x",
    ],
)  # fmt: skip
def test_an_unknown_address_is_not_found(path: str, bench: Bench) -> None:
    """404 with a sentence; a slash too many is no redirect, which EspoCRM would take for success."""
    response = bench.post(path, listed("d1"), BY_SECRET)
    assert response.status_code == 404
    assert response.json()["error"].endswith(".")
    assert bench.is_untouched()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_another_method_is_refused(method: str, bench: Bench) -> None:
    """405 and which method to use."""
    response: httpx.Response = bench.run(lambda client: client.request(method, UPDATE, headers=BY_SECRET))
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert bench.is_untouched()


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx",
     "application/json; charset=iso-8859-1", "application/json; charset=utf-16", "text/json"],
)  # fmt: skip
def test_another_content_type_is_refused(kind: str, bench: Bench) -> None:
    """415 for what is not declared as JSON in UTF-8."""
    assert bench.post(UPDATE, listed("d1"), BY_SECRET | {"content-type": kind}).status_code == 415
    assert bench.is_untouched()


@pytest.mark.parametrize("kind", ["application/json;charset=utf-8", 'Application/JSON; charset="UTF-8"'])
def test_json_may_say_its_charset(kind: str, bench: Bench) -> None:
    """UTF-8 may be said."""
    assert bench.post(UPDATE, listed("d1"), BY_SECRET | {"content-type": kind}).status_code == 202


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity", "x"])
def test_a_compressed_body_is_refused(encoding: str, bench: Bench) -> None:
    """415: a body of a few bytes that unpacks to gigabytes is never unpacked."""
    body = gzip.compress(b" " * 10_000_000)
    response = bench.post(UPDATE, body, BY_SECRET | {"content-encoding": encoding})
    assert response.status_code == 415
    assert bench.is_untouched()


def test_a_declared_length_over_the_limit_is_refused_unread(bench: Bench) -> None:
    """413 on the head alone: not one byte of the body is read."""
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b" "

    headers = BY_SECRET | {"content-length": "99999999"}
    response: httpx.Response = bench.run(lambda client: client.post(UPDATE, content=body(), headers=headers))
    assert response.status_code == 413
    assert not read


def test_a_body_over_the_limit_is_refused_as_soon_as_it_is(bench: Bench) -> None:
    """413 after the limit and one chunk, however long the body would go on."""
    limit = 100_000
    sent = [0]

    async def body() -> AsyncIterator[bytes]:
        while sent[0] < 100 * limit:
            sent[0] += 10_000
            yield b" " * 10_000

    response: httpx.Response = bench.run(
        lambda client: client.post(UPDATE, content=body(), headers=BY_SECRET), receiver_max_body_bytes=limit
    )
    assert response.status_code == 413
    assert sent[0] <= limit + 10_000
    assert str(limit) in response.json()["error"]
    assert bench.is_untouched()


def test_a_body_up_to_the_limit_is_accepted(bench: Bench) -> None:
    """The limit itself is allowed."""
    body = listed("d1").ljust(2000)
    assert bench.post(UPDATE, body, BY_SECRET, receiver_max_body_bytes=2000).status_code == 202
    assert bench.post(UPDATE, body + b" ", BY_SECRET, receiver_max_body_bytes=2000).status_code == 413


def test_the_most_events_allowed_are_accepted(bench: Bench) -> None:
    """As many events as the setting allows are one request; one more is too many."""
    ids = [f"d{number}" for number in range(61)]
    assert bench.post(UPDATE, listed(*ids[:60]), BY_SECRET, receiver_max_events=60).status_code == 202
    assert len(bench.stored()) == 60
    response = bench.post(UPDATE, listed(*ids), BY_SECRET, receiver_max_events=60)
    assert (response.status_code, "60" in response.json()["error"]) == (400, True)
