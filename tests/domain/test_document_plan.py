"""What one document needs, decided from what was read: every case of contents, owners and what was begun before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import Document, OwnerKey
from bitbylaw_pipeline.domain.document_plan import (
    CLEAN,
    PARTIAL,
    DocumentPlan,
    content_token,
    plan_document,
)
from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile, IndexStatus

KLAGE, ACCOUNT, THIRD = (
    OwnerKey("CVmhRumungsklage", "k1"),
    OwnerKey("Account", "a1"),
    OwnerKey("Account", "a2"),
)
DOCUMENT = Document("d1", "Klage", "att1", frozenset({KLAGE}))
SETTLED = DocumentState(
    "d1",
    updated_at=1.0,
    status=CLEAN,
    attachment_id="att1",
    md5="m",
    sha256="s",
    size=3,
    file_id="file_1",
    collections=("c-klage",),
    owners=(str(KLAGE),),
    index_status=IndexStatus.PROCESSED,
)


def of(key: OwnerKey, collection_id: str | None, **given: Any) -> CollectionState:
    state = CollectionState(str(key), collection_id, True, "collection", 1.0)
    return replace(state, **given)


def plan(
    document: Document = DOCUMENT,
    state: DocumentState | None = SETTLED,
    *owners: CollectionState,
    now: float = 100.0,
) -> DocumentPlan:
    known = owners or (of(KLAGE, "c-klage"),)
    return plan_document(document, state, {OwnerKey.parse(each.owner_key): each for each in known}, now=now)


def test_nothing_changed_is_an_empty_plan() -> None:
    """Same attachment, same collections, ended clean: nothing to do."""
    assert plan().is_empty
    assert plan().reasons == ()


@pytest.mark.parametrize("state", [None, replace(SETTLED, attachment_id="att0", collections=())])
def test_new_contents_are_fetched_and_linked_into_every_required_collection(
    state: DocumentState | None,
) -> None:
    """Never seen, or another attachment than last time."""
    found = plan(DOCUMENT, state)
    assert found.fetch
    assert found.attach == {"c-klage": KLAGE}
    assert found.detach == ()


def test_a_further_owner_is_linked_without_a_download() -> None:
    """The same file goes into the second collection; the first is left alone."""
    found = plan(
        replace(DOCUMENT, owners=frozenset({KLAGE, ACCOUNT})),
        SETTLED,
        of(KLAGE, "c-klage"),
        of(ACCOUNT, "c-account"),
    )
    assert (found.fetch, found.attach, found.detach) == (False, {"c-account": ACCOUNT}, ())


def test_an_owner_that_is_gone_from_the_document_loses_the_file() -> None:
    """Linked before, not required any more."""
    state = replace(SETTLED, collections=("c-account", "c-klage"))
    assert plan(DOCUMENT, state).detach == ("c-account",)
    without = plan(replace(DOCUMENT, owners=frozenset()), SETTLED)
    assert (without.detach, without.fetch) == (("c-klage",), False)


@pytest.mark.parametrize(
    "unknown", [None, of(ACCOUNT, None), of(ACCOUNT, "c-account", deleted_at=5.0, is_permitted=False)]
)
def test_an_owner_without_a_collection_is_asked_for_and_nothing_is_unlinked_before(
    unknown: CollectionState | None,
) -> None:
    """Never synced, its collection lost, or taken for deleted: first the new home, then the move."""
    known = (of(KLAGE, "c-klage"),) if unknown is None else (of(KLAGE, "c-klage"), unknown)
    found = plan(replace(DOCUMENT, owners=frozenset({ACCOUNT})), SETTLED, *known)
    assert found.want_owners == (ACCOUNT,)
    assert found.detach == ()
    assert not found.fetch


def test_a_withdrawn_permission_stops_what_is_new_and_keeps_what_is_there() -> None:
    """ADR 3: nothing is fetched or attached for that owner, and nothing unlinked on its account."""
    closed = of(KLAGE, "c-klage", is_permitted=False)
    assert plan(DOCUMENT, SETTLED, closed).is_empty
    changed = plan(replace(DOCUMENT, attachment_id="att2"), SETTLED, closed)
    assert (changed.fetch, changed.attach, changed.detach) == (False, {}, ())
    assert changed.withheld == (KLAGE,)


def test_a_closed_owner_does_not_hold_the_file_in_an_open_ones_collection() -> None:
    """Moved from an open matter to a closed one, the file leaves the open one."""
    found = plan(
        replace(DOCUMENT, owners=frozenset({ACCOUNT})),
        SETTLED,
        of(ACCOUNT, None, is_permitted=False),
    )
    assert found.detach == ("c-klage",)


def test_an_excluded_document_goes_nowhere_whatever_its_owners_permit() -> None:
    """The document's own mark is above the owners' permission."""
    found = plan(replace(DOCUMENT, is_excluded=True), None)
    assert (found.fetch, dict(found.attach), found.withheld) == (False, {}, (KLAGE,))
    assert found.reasons == ("excluded",)


def test_a_pass_that_did_not_end_is_settled_again_everywhere() -> None:
    """Where the file MAY be it is linked once more: only the answer tells."""
    found = plan(DOCUMENT, replace(SETTLED, status=PARTIAL))
    assert (found.fetch, found.attach) == (False, {"c-klage": KLAGE})


def test_older_files_are_dropped_whatever_else_there_is_to_do() -> None:
    """Doomed is doomed, with or without owners, also where the document has no file any more."""
    doomed = (DoomedFile("file_0", ("c-klage",)),)
    for document in (DOCUMENT, replace(DOCUMENT, attachment_id=None), replace(DOCUMENT, owners=frozenset())):
        assert plan(document, replace(SETTLED, doomed=doomed)).drop == doomed


@pytest.mark.parametrize(
    ("state", "is_cleared"),
    [
        (None, False),
        (SETTLED, True),
        (replace(SETTLED, file_id=None, status=CLEAN), True),
        (DocumentState("d1", 1.0, status=PARTIAL), True),
        (DocumentState("d1", 1.0, status=CLEAN), False),
    ],
)
def test_a_cleared_file_field_is_carried_through_to_the_end(
    state: DocumentState | None, is_cleared: bool
) -> None:
    """Also where the file was forgotten and the process died before EspoCRM was told."""
    found = plan(replace(DOCUMENT, attachment_id=None), state)
    assert found.clear is is_cleared
    assert not found.fetch


def test_indexing_is_looked_at_when_it_is_due_and_not_in_between() -> None:
    """Pending and due; never together with contents that are only on their way."""
    pending = replace(SETTLED, index_status=IndexStatus.PENDING, index_check_at=100.0)
    assert plan(DOCUMENT, pending, now=100.0).check_indexing
    assert not plan(DOCUMENT, pending, now=99.0).check_indexing
    assert not plan(replace(DOCUMENT, attachment_id="att2"), pending, now=100.0).check_indexing
    assert not plan(DOCUMENT, replace(pending, index_status=IndexStatus.PROCESSED), now=100.0).check_indexing


def test_two_owners_with_one_collection_need_it_once() -> None:
    """However it came about, one link serves both, on the account of the later key."""
    found = plan(
        replace(DOCUMENT, owners=frozenset({ACCOUNT, THIRD})), None, of(ACCOUNT, "c-x"), of(THIRD, "c-x")
    )
    assert set(found.attach) == {"c-x"}


def test_a_token_is_one_per_document_and_content() -> None:
    """Never shared between two documents, never between two contents."""
    tokens = {content_token(document, sha) for document in ("d1", "d2") for sha in ("a" * 64, "b" * 64)}
    assert len(tokens) == 4
    assert content_token("d1", "a" * 64) == content_token("d1", "a" * 64) == "d1-aaaaaaaaaaaa"


OWNERS = st.frozensets(st.sampled_from([KLAGE, ACCOUNT, THIRD]))
ANY_DOCUMENT = st.builds(
    Document,
    id=st.just("d1"),
    name=st.just("Erika Mustermann.pdf"),
    attachment_id=st.sampled_from([None, "att1", "att2"]),
    owners=OWNERS,
    is_excluded=st.booleans(),
)
ANY_STATE = st.none() | st.builds(
    DocumentState,
    document_id=st.just("d1"),
    updated_at=st.just(1.0),
    status=st.sampled_from(["", CLEAN, PARTIAL]),
    attachment_id=st.sampled_from([None, "att1", "att2"]),
    file_id=st.sampled_from([None, "file_1"]),
    collections=st.lists(st.sampled_from(["c-klage", "c-account", "c-third", "c-gone"]), unique=True).map(
        tuple
    ),
    doomed=st.just(()) | st.just((DoomedFile("file_0", ("c-klage",)),)),
    index_status=st.sampled_from(IndexStatus),
    index_check_at=st.sampled_from([None, 50.0, 150.0]),
)


def _collection(key: OwnerKey, own: str) -> st.SearchStrategy[CollectionState | None]:
    return st.none() | st.builds(
        CollectionState,
        owner_key=st.just(str(key)),
        collection_id=st.sampled_from([None, own]),
        is_permitted=st.booleans(),
        permission_ground=st.just("collection"),
        updated_at=st.just(1.0),
        deleted_at=st.sampled_from([None, 9.0]),
    )


@settings(max_examples=300)
@given(
    document=ANY_DOCUMENT,
    state=ANY_STATE,
    owners=st.tuples(
        _collection(KLAGE, "c-klage"), _collection(ACCOUNT, "c-account"), _collection(THIRD, "c-third")
    ),
)
def test_whatever_is_the_case_the_plan_keeps_the_rules(
    document: Document, state: DocumentState | None, owners: tuple[CollectionState | None, ...]
) -> None:
    """Nothing leaves without permission, nothing is both linked and unlinked, and no name is in a reason."""
    collections = {OwnerKey.parse(each.owner_key): each for each in owners if each is not None}
    found = plan_document(document, state, collections, now=100.0)
    permitted = {
        known.collection_id
        for key, known in collections.items()
        if key in document.owners
        and known.is_permitted
        and known.deleted_at is None
        and not document.is_excluded
    }
    assert set(found.attach) <= permitted
    assert not set(found.attach) & set(found.detach)
    assert set(found.detach) <= set(state.collections if state else ())
    assert not set(found.detach) & permitted
    if found.fetch:
        assert document.attachment_id is not None
        assert found.attach
    if document.attachment_id is None:
        assert not found.attach
    assert set(found.want_owners) | set(found.withheld) | set(found.required.values()) <= document.owners
    assert not set(found.want_owners) & set(found.withheld)
    assert not any("Mustermann" in reason for reason in found.reasons)
    assert found == plan_document(document, state, collections, now=100.0)
