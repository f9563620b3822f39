"""What was agreed last, the journal of writes, and the webhooks' secrets."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile, IndexStatus
from bitbylaw_pipeline.inbox import collection_states, document_states, intents, webhooks
from bitbylaw_pipeline.inbox.cipher import Cipher, CipherError
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import webhook
from tests.conftest import FakeClock

FULL = DocumentState(
    document_id="d1",
    updated_at=12.5,
    status="linked",
    attachment_id="a1",
    md5="0" * 32,
    sha256="1" * 64,
    size=48_000_000_000,
    file_id="file_1",
    collections=("c2", "c1"),
    owners=("Account:a", "CVmhRumungsklage:r"),
    doomed=(DoomedFile("file_0", ("c1",)), DoomedFile("file_x")),
    index_status=IndexStatus.PENDING,
    index_check_at=100.0,
    deleted_at=13.5,
    record_version=7,
    record_modified_at="2026-05-01 10:00:00",
)


def put(database: Database, state: DocumentState) -> None:
    database.run_sync(lambda c: document_states.put(c, state))


def by_owner(database: Database, owner: str) -> list[str]:
    return database.run_sync(lambda c: document_states.by_owner(c, owner))


@pytest.mark.parametrize("state", [FULL, DocumentState("d1", 1.0)])
def test_document_state_comes_back_as_it_was(database: Database, state: DocumentState) -> None:
    """Every field, full or empty, is stored and read back, and stored over."""
    put(database, replace(FULL, status="older"))
    put(database, state)
    assert database.run_sync(lambda c: document_states.get(c, "d1")) == state
    assert database.run_sync(lambda c: document_states.get(c, "d2")) is None


def test_documents_of_an_owner_follow_the_state(database: Database) -> None:
    """The lookup by owner knows every change of owners, and forgets deleted documents."""
    put(database, FULL)
    put(database, replace(FULL, document_id="d0", owners=("Account:a",)))
    assert by_owner(database, "Account:a") == ["d0", "d1"]
    put(database, replace(FULL, owners=("CVmhRumungsklage:r", "Account:b")))
    assert by_owner(database, "Account:a") == ["d0"]
    assert by_owner(database, "Account:b") == by_owner(database, "CVmhRumungsklage:r") == ["d1"]
    former = replace(FULL, owners=("CVmhRumungsklage:r", "Account:b"))
    database.run_sync(lambda c: document_states.put(c, replace(former, status="x"), former=former))
    assert by_owner(database, "Account:b") == ["d1"]
    database.run_sync(lambda c: document_states.put(c, replace(former, owners=("Account:b",)), former=former))
    assert by_owner(database, "CVmhRumungsklage:r") == []
    assert database.run_sync(lambda c: document_states.delete(c, "d1"))
    assert not database.run_sync(lambda c: document_states.delete(c, "d1"))
    assert by_owner(database, "Account:b") == []


def test_indexing_is_looked_at_when_due(database: Database) -> None:
    """Pending documents come when due, longest due first; failed ones are listed apart."""
    for number, (status, due) in enumerate(
        [(IndexStatus.PENDING, 50.0), (IndexStatus.PENDING, 20.0), (IndexStatus.PENDING, 99.0),
         (IndexStatus.FAILED, 10.0), (IndexStatus.PROCESSED, 10.0), (IndexStatus.NONE, None)]
    ):  # fmt: skip
        put(database, DocumentState(f"d{number}", 1.0, index_status=status, index_check_at=due))

    def due_ids(limit: int) -> list[str]:
        return [s.document_id for s in database.run_sync(lambda c: document_states.index_due(c, 60.0, limit))]

    assert due_ids(10) == ["d1", "d0"]
    assert due_ids(1) == ["d1"]
    assert [s.document_id for s in database.run_sync(document_states.failed_index)] == ["d3"]


def test_all_states_are_read_page_by_page(database: Database) -> None:
    """Every document and owner comes once, in order, whatever the page size."""
    for number in range(7):
        put(database, DocumentState(f"d{number}", 1.0))
        state = CollectionState(f"Account:{number}", None, False, "off", 1.0)
        database.run_sync(partial(collection_states.put, state=state))
    ids = database.run_sync(lambda c: [s.document_id for s in document_states.iterate(c, page=3)])
    assert ids == [f"d{number}" for number in range(7)]
    keys = database.run_sync(lambda c: [s.owner_key for s in collection_states.iterate(c, page=7)])
    assert keys == [f"Account:{number}" for number in range(7)]


def test_collection_state_comes_back_as_it_was(database: Database) -> None:
    """An owner's state is stored, stored over, read singly and in numbers, and deleted."""
    state = CollectionState("Account:a", "collection_1", True, "collection", 5.0, "ready", 6.0)
    database.run_sync(
        lambda c: collection_states.put(c, replace(state, collection_id=None, is_permitted=False))
    )
    database.run_sync(lambda c: collection_states.put(c, state))
    assert database.run_sync(lambda c: collection_states.get(c, "Account:a")) == state
    found = database.run_sync(lambda c: collection_states.get_many(c, ["Account:a", "Account:b"]))
    assert found == {"Account:a": state}
    assert database.run_sync(lambda c: collection_states.delete(c, "Account:a"))
    assert database.run_sync(lambda c: collection_states.get(c, "Account:a")) is None


def test_intent_is_open_until_it_is_settled_once(database: Database, clock: FakeClock) -> None:
    """An unsettled intent is found by kind and subject; the first outcome stands."""

    def open_intent(subject: str) -> str:
        return database.run_sync(
            lambda c: intents.open_intent(
                c,
                database.now(c),
                kind="upload",
                subject=subject,
                token="t-1",
                detail={"sha256": "ab", "n": 1},
            )
        )

    def settle(intent_id: str, outcome: str, remote_id: str | None = None) -> bool:
        return database.run_sync(lambda c: intents.settle(c, database.now(c), intent_id, outcome, remote_id))

    first = open_intent("d1")
    clock.advance(1)
    second = open_intent("d2")
    (found,) = database.run_sync(lambda c: intents.unsettled(c, "upload", "d1"))
    assert found == intents.Intent(first, "upload", "d1", "t-1", {"sha256": "ab", "n": 1}, clock() - 1)
    assert [i.id for i in database.run_sync(lambda c: intents.unsettled_all(c, "upload"))] == [first, second]
    assert database.run_sync(lambda c: intents.unsettled_all(c, "create_collection")) == []
    assert settle(first, "created", "file_1")
    assert not settle(first, "failed")
    assert database.run_sync(lambda c: intents.unsettled(c, "upload", "d1")) == []


def test_webhook_secrets_are_encrypted(database: Database) -> None:
    """A secret is found by the webhook's id while it is active, and stands nowhere in clear."""

    def put_webhook(webhook_id: str, secret: str) -> None:
        database.run_sync(
            lambda c: webhooks.put(
                c,
                database.now(c),
                database.cipher,
                webhook_id,
                event="CDokumente.update",
                url="http://x/",
                secret=secret,
            )
        )

    def secret_of(webhook_id: str) -> str | None:
        return database.run_sync(lambda c: webhooks.secret_by_id(c, database.cipher, webhook_id))

    put_webhook("w1", "top secret")
    put_webhook("w1", "new secret")
    put_webhook("w2", "other")
    assert (secret_of("w1"), secret_of("w2"), secret_of("w3")) == ("new secret", "other", None)
    assert "secret" not in str(database.run_sync(lambda c: c.execute(select(webhook)).all()))
    assert database.run_sync(lambda c: webhooks.retire(c, database.now(c), "w1"))
    assert secret_of("w1") is None
    listed = {w.webhook_id: (w.is_active, w.replaced_at is None) for w in database.run_sync(webhooks.listing)}
    assert listed == {"w1": (False, False), "w2": (True, True)}
    assert database.run_sync(lambda c: webhooks.remove(c, "w1"))
    wrong = Cipher(Fernet.generate_key().decode())
    with pytest.raises(CipherError):
        database.run_sync(lambda c: webhooks.secret_by_id(c, wrong, "w2"))
