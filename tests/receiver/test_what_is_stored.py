"""Which events and wants follow from which request."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.settings import OwnerType
from tests.receiver.conftest import Bench
from tests.receiver.deliveries import ADVOWARE, BY_SECRET, UPDATE, listed

LINK = "/vmh/webhook/entity/link"
KLAGE_AND_DOCUMENT = {
    "entityType": "CVmhRumungsklage",
    "id": "k1",
    "foreignEntityType": "CDokumente",
    "foreignId": "d1",
    "link": "dokumentes",
}


@pytest.mark.parametrize("action", ["create", "update", "delete"])
@pytest.mark.parametrize(
    ("word", "entity_type", "stream", "key", "topic"),
    [
        ("document", "CDokumente", "documents", "x1", "vmh.document"),
        ("raeumungsklage", "CVmhRumungsklage", "collections", "CVmhRumungsklage:x1", "raeumungsklage"),
        ("mietinkasso", "CMietinkasso", "collections", "CMietinkasso:x1", "mietinkasso"),
        ("account", "Account", "collections", "Account:x1", "account"),
        ("beteiligte", "CBeteiligte", "collections", "CBeteiligte:x1", "vmh.beteiligte"),
    ],
)
def test_each_address_wants_its_stream(
    bench: Bench, word: str, entity_type: str, stream: str, key: str, topic: str, action: str
) -> None:
    """A request to an address is stored under its topic and wants the record in its stream."""
    response = bench.post(f"/vmh/webhook/{word}/{action}", listed("x1", entityType=entity_type), BY_SECRET)
    assert response.status_code == 202
    (row,) = bench.stored()
    assert response.json() == {"accepted": 1, "event": row.id}
    assert (row.source, row.topic) == ("webhook", f"{topic}.{action}")
    assert (row.entity_type, row.entity_id, row.action) == (entity_type, "x1", action)
    assert bench.wanted(stream, [key]) == [1]
    assert bench.ready("documents") + bench.ready("collections") == 1


@pytest.mark.parametrize("action", ["create", "update", "delete"])
def test_a_party_is_wanted_in_both_its_streams(bench: Bench, action: str) -> None:
    """With Advoware configured a party's event is one row, and wants its collection and its sync with Advoware."""
    path = f"/vmh/webhook/beteiligte/{action}"
    assert bench.post(path, listed("b1", "b2"), BY_SECRET, **ADVOWARE).json()["accepted"] == 2
    assert {(row.topic, row.entity_type, row.entity_id, row.action) for row in bench.stored()} == {
        (f"vmh.beteiligte.{action}", "CBeteiligte", record_id, action) for record_id in ("b1", "b2")
    }
    assert len(bench.stored()) == 2
    assert bench.wanted("collections", ["CBeteiligte:b1", "CBeteiligte:b2"]) == [1, 1]
    assert bench.wanted("beteiligte", ["b1", "b2"]) == [1, 1]
    assert bench.ready("collections") == bench.ready("beteiligte") == 2


@pytest.mark.parametrize("action", ["create", "update", "delete"])
def test_a_bank_account_is_wanted_in_its_stream(bench: Bench, action: str) -> None:
    """With Advoware configured a bank account's event wants its sync, and nothing else."""
    body = listed("k1", entityType="CBankverbindungen")
    response = bench.post(f"/vmh/webhook/bankverbindungen/{action}", body, BY_SECRET, **ADVOWARE)
    assert response.status_code == 202
    (row,) = bench.stored()
    assert (row.topic, row.entity_type, row.entity_id) == (
        f"vmh.bankverbindungen.{action}",
        "CBankverbindungen",
        "k1",
    )
    assert bench.wanted("bankverbindungen", ["k1"]) == [1]
    assert bench.ready("collections") + bench.ready("documents") + bench.ready("beteiligte") == 0


def test_without_advoware_events_for_it_are_stored_alone(bench: Bench) -> None:
    """A bank account's event is accepted and stored, and nobody waits for its work; a party wants its collection."""
    assert bench.post("/vmh/webhook/bankverbindungen/update", listed("k1"), BY_SECRET).status_code == 202
    assert bench.post("/vmh/webhook/beteiligte/update", listed("b1"), BY_SECRET).status_code == 202
    assert {row.topic for row in bench.stored()} == {"vmh.bankverbindungen.update", "vmh.beteiligte.update"}
    assert bench.ready("bankverbindungen") == bench.ready("beteiligte") == 0
    assert bench.wanted("collections", ["CBeteiligte:b1"]) == [1]


@pytest.mark.parametrize("owners", [(), (OwnerType(entity_type="CBeteiligte", word="partei"),)])
def test_a_party_has_its_address_whatever_owns_collections(
    bench: Bench, owners: tuple[OwnerType, ...]
) -> None:
    """Where parties own no collection, or under another word, the seed's address is there all the same."""
    given = {"collection_owners": owners, **ADVOWARE}
    assert bench.post("/vmh/webhook/beteiligte/update", listed("b1"), BY_SECRET, **given).status_code == 202
    assert bench.wanted("beteiligte", ["b1"]) == [1]
    assert bench.ready("collections") == len(owners)
    if owners:
        assert bench.post("/vmh/webhook/partei/update", listed("b2"), BY_SECRET, **given).status_code == 202
        assert bench.wanted("beteiligte", ["b2"]) == [1]


def test_a_link_between_party_and_account_wants_both(bench: Bench) -> None:
    """A bank account that moves to another party is compared anew, and so is the party."""
    body = KLAGE_AND_DOCUMENT | {
        "entityType": "CBankverbindungen", "id": "k1", "foreignEntityType": "CBeteiligte", "foreignId": "b1",
    }  # fmt: skip
    assert bench.post(LINK, json.dumps(body).encode(), BY_SECRET, **ADVOWARE).json()["accepted"] == 1
    assert bench.wanted("bankverbindungen", ["k1"]) == bench.wanted("beteiligte", ["b1"]) == [1]
    assert bench.wanted("collections", ["CBeteiligte:b1"]) == [1]


def test_addresses_follow_the_settings(bench: Bench) -> None:
    """Another owner type in the settings is an address of its own, and those not in them are not."""
    owners = (OwnerType(entity_type="CAkte", word="akte"),)
    assert (
        bench.post("/vmh/webhook/akte/update", listed("a1"), BY_SECRET, collection_owners=owners).status_code
        == 202
    )
    assert bench.wanted("collections", ["CAkte:a1"]) == [1]
    response = bench.post("/vmh/webhook/account/update", listed("a1"), BY_SECRET, collection_owners=owners)
    assert response.status_code == 404


def test_a_single_object_is_a_list_of_one(bench: Bench) -> None:
    """A hook written by hand may send the object alone."""
    response = bench.post(UPDATE, b' {"id": "d1", "entityType": "CDokumente"}\n', BY_SECRET)
    assert (response.status_code, response.json()["accepted"]) == (202, 1)
    assert bench.wanted("documents", ["d1"]) == [1]


def test_one_record_fifty_times_is_one_want(bench: Bench) -> None:
    """A batch that names one record fifty times stores it once and wants it once."""
    response = bench.post(UPDATE, listed(*["d1"] * 50, "d2"), BY_SECRET)
    assert response.json()["accepted"] == 51
    assert [row.entity_id for row in bench.stored()] == ["d1", "d2"]
    assert bench.wanted("documents", ["d1", "d2"]) == [1, 1]


def test_an_empty_list_is_no_event(bench: Bench) -> None:
    """An empty list is answered 200 and stores nothing."""
    response = bench.post(UPDATE, b"[]", BY_SECRET)
    assert (response.status_code, response.json()["accepted"], response.json()["event"]) == (200, 0, None)
    assert bench.is_untouched()


@pytest.mark.parametrize("action", ["link", "unlink"])
@pytest.mark.parametrize("is_turned", [False, True])
def test_a_link_wants_both_ends(bench: Bench, action: str, is_turned: bool) -> None:
    """A link between a document and an owner wants both, whichever end is named first, under both topics."""
    body = dict(KLAGE_AND_DOCUMENT)
    if is_turned:
        body |= {
            "entityType": "CDokumente",
            "id": "d1",
            "foreignEntityType": "CVmhRumungsklage",
            "foreignId": "k1",
        }
    response = bench.post(f"/vmh/webhook/entity/{action}", json.dumps(body).encode(), BY_SECRET)
    assert (response.status_code, response.json()["accepted"]) == (202, 1)
    assert bench.wanted("documents", ["d1"]) == [1]
    assert bench.wanted("collections", ["CVmhRumungsklage:k1"]) == [1]
    assert {(row.topic, row.entity_id, row.action) for row in bench.stored()} == {
        ("raeumungsklage.update", "k1", action),
        ("cdokumente.update", "d1", action),
    }
    assert all(row.id.startswith(response.json()["event"]) for row in bench.stored())


def test_links_come_as_a_list_too(bench: Bench) -> None:
    """Several links in one request are several, each end wanted once."""
    links = [KLAGE_AND_DOCUMENT, KLAGE_AND_DOCUMENT | {"foreignId": "d2"}]
    assert bench.post(LINK, json.dumps(links).encode(), BY_SECRET).json()["accepted"] == 2
    assert bench.wanted("documents", ["d1", "d2"]) == [1, 1]
    assert bench.wanted("collections", ["CVmhRumungsklage:k1"]) == [1]


def test_a_link_between_two_owners_wants_both_collections(bench: Bench) -> None:
    """Two owners linked with each other are both wanted."""
    body = KLAGE_AND_DOCUMENT | {"foreignEntityType": "Account", "foreignId": "a1"}
    assert bench.post(LINK, json.dumps(body).encode(), BY_SECRET).status_code == 202
    assert bench.wanted("collections", ["CVmhRumungsklage:k1", "Account:a1"]) == [1, 1]


def test_a_foreign_end_is_stored_and_not_wanted(bench: Bench) -> None:
    """A link from a document to a type that owns no collection wants the document alone."""
    body = KLAGE_AND_DOCUMENT | {"entityType": "CTermin", "id": "t1"}
    assert bench.post(LINK, json.dumps(body).encode(), BY_SECRET).status_code == 202
    assert bench.wanted("documents", ["d1"]) == [1]
    assert bench.ready("collections") == 0
    assert {row.topic for row in bench.stored()} == {"ctermin.update", "cdokumente.update"}


def test_a_link_between_strangers_is_nothing_to_us(bench: Bench) -> None:
    """A link neither end of which is ours is answered 200 with a sentence, and nothing is stored."""
    body = KLAGE_AND_DOCUMENT | {"entityType": "Contact", "foreignEntityType": "CTermin"}
    response = bench.post(LINK, json.dumps(body).encode(), BY_SECRET)
    assert response.status_code == 200
    assert response.json()["accepted"] == 0
    assert response.json()["detail"]
    assert bench.is_untouched()


def test_an_event_on_a_parked_document_brings_it_back(bench: Bench) -> None:
    """A webhook unparks the work that failed for good, without anybody's help."""
    database = bench.database
    bench.post(UPDATE, listed("d1"), BY_SECRET)

    def park(connection: Connection) -> None:
        now = database.now(connection)
        (claimed,) = work_queue.claim(connection, now, "documents", limit=1, lease_seconds=10)
        work_queue.park(connection, now, claimed, "refused", "no")

    database.run_sync(park)
    assert bench.ready("documents") == 0
    bench.post(UPDATE, listed("d1"), BY_SECRET)
    assert bench.ready("documents") == 1


def test_replays_cost_one_open_row(bench: Bench) -> None:
    """A captured request sent 500 times leaves one piece of work to do, and no answer but 202."""

    async def replay(client: httpx.AsyncClient) -> set[int]:
        body = listed("d1")
        return {(await client.post(UPDATE, content=body, headers=BY_SECRET)).status_code for _ in range(500)}

    assert bench.run(replay) == {202}
    assert bench.ready("documents") == 1


def test_requests_at_once_are_each_stored(bench: Bench) -> None:
    """A hundred requests at the same moment, some for the same record, are all stored, in a few commits."""

    async def storm(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(
            *(
                client.post(UPDATE, content=listed(f"d{number % 40}"), headers=BY_SECRET)
                for number in range(100)
            )
        )

    answers = bench.run(storm)
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["event"] for answer in answers} == {row.id for row in bench.stored()}
    assert len(bench.stored()) == 100
    assert bench.ready("documents") == 40
