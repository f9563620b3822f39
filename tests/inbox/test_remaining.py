"""What is at xAI without permission, from our state alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document_plan import CLEAN, EXCLUDED
from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile
from bitbylaw_pipeline.inbox import collection_states, document_states, intents, remaining
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings

A, B, GONE = "Account:a", "Account:b", "Account:gone"
GIVEN = CollectionState(A, "collection_a", True, "field:0123", 10.0, "settled")
WITHDRAWN = CollectionState(B, "collection_b", False, "field", 20.0)
DELETED = CollectionState(GONE, "collection_gone", False, "field:01", 30.0, deleted_at=31.0)


def found(
    database: Database,
    documents: Iterable[DocumentState],
    owners: Iterable[CollectionState] = (GIVEN, WITHDRAWN, DELETED),
    rule: str = "field",
) -> dict[str, str]:
    settings = Settings(_env_file=None, xai_egress=rule)

    def put(conn: Connection) -> None:
        document_states.put_many(conn, documents)
        for owner in owners:
            collection_states.put(conn, owner)

    database.run_sync(put)
    return {one.key: one.why.value for one in database.read(lambda c: remaining.load(c, settings))}


def of(key: str, *owners: str, **values: Any) -> DocumentState:
    given: dict[str, Any] = {"status": CLEAN, "file_id": f"file_{key}", "owners": owners, **values}
    return DocumentState(key, 5.0, **given)


def test_each_way_to_lose_permission_is_told_apart(database: Database) -> None:
    """Withdrawn, excluded, deleted with its file kept, owner deleted, linked to nothing; what is permitted is not there."""
    documents = [
        of("permitted", A, collections=("collection_a",)),
        of("withdrawn", B, collections=("collection_b",)),
        of("partly", A, B, collections=("collection_a", "collection_b")),
        of("excluded", A, status=EXCLUDED, collections=("collection_a",)),
        of("deleted", deleted_at=7.0),
        of("orphan", GONE),
        of("unlinked"),
        of("never_sent", B, file_id=None),
        of("waiting", "Account:not_seen_yet"),
        of("older", B, file_id=None, doomed=(DoomedFile("file_1", ("collection_b",)),)),
    ]
    assert found(database, documents) == {
        "withdrawn": "withdrawn",
        "excluded": "excluded",
        "deleted": "deleted",
        "orphan": "owner_deleted",
        "unlinked": "owner_deleted",
        "older": "withdrawn",
        B: "withdrawn",
        GONE: "owner_deleted",
    }


def test_the_rule_of_now_counts(database: Database) -> None:
    """With the rule off nothing at xAI is permitted; under collection every owner that exists is a permission."""
    documents = [of("one", A), of("two", B)]
    off = found(database, documents, rule="off")
    assert off == {
        "one": "withdrawn",
        "two": "withdrawn",
        A: "withdrawn",
        B: "withdrawn",
        GONE: "owner_deleted",
    }
    assert found(database, documents, rule="collection") == {GONE: "owner_deleted"}


def test_a_type_that_was_taken_out_permits_nothing(database: Database) -> None:
    """Its collections and what is in them alone are named, also of an owner that was never looked at."""
    former = CollectionState("CFormer:a", "collection_f", True, "field:01", 20.0)
    documents = [of("lost", "CFormer:a"), of("unseen", "CFormer:b"), of("saved", A, "CFormer:a")]
    documents.append(of("waiting", "CFormer:a", "Account:not_seen_yet"))
    assert found(database, documents, [GIVEN, former], rule="collection") == {
        "lost": "withdrawn",
        "unseen": "withdrawn",
        "CFormer:a": "withdrawn",
    }


def test_an_upload_that_broke_off_may_have_landed(database: Database) -> None:
    """Its document is named although no file of it is known."""
    database.run_sync(
        lambda c: intents.open_intent(c, 1.0, kind=remaining.UPLOAD, subject="broken", token="broken-01")
    )
    assert found(database, [of("broken", B, file_id=None)], [WITHDRAWN]) == {
        "broken": "withdrawn",
        B: "withdrawn",
    }
    assert found(database, [of("broken", A, file_id=None)], [GIVEN, WITHDRAWN]) == {B: "withdrawn"}


def test_each_names_the_command_that_erases_it(database: Database) -> None:
    """A document by its id, a collection by its owner."""
    found(database, [of("d1", B, collections=("collection_b",))], [WITHDRAWN])
    settings = Settings(_env_file=None, xai_egress="field")
    document, collection = database.read(lambda c: remaining.load(c, settings))
    assert (document.kind, document.files, document.collections) == (
        "document",
        ("file_d1",),
        ("collection_b",),
    )
    assert (document.since, document.command) == (20.0, "bitbylaw erase document d1")
    assert (collection.kind, collection.command) == ("collection", "bitbylaw erase matter Account:b")
