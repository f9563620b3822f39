"""The demo's judgement: a picture in which all is right, and one thing wrong at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bitbylaw_pipeline.demo.calendar_picture import CalendarPicture
from bitbylaw_pipeline.demo.expectations import check_agreement
from bitbylaw_pipeline.demo.picture import CrmDocument, CrmOwner, Picture, StoredFile
from bitbylaw_pipeline.demo.two_way_picture import TwoWayPicture
from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile
from bitbylaw_pipeline.inbox.work_queue import StreamSummary

OWNER, CLOSED = "Account:a1", "Account:a2"
DOCUMENT, WITHHELD, PARKED = "d1", "d2", "d3"
FILE, COLLECTION = "file_1", "collection_1"


def tidy() -> Picture:
    """One document in one collection, one without permission, one set aside."""
    document = CrmDocument(
        DOCUMENT,
        "Klage",
        frozenset({OWNER}),
        "hash",
        FILE,
        frozenset({COLLECTION}),
        "md5",
        "hash",
        "md5",
        "synced",
    )
    withheld = CrmDocument(
        WITHHELD, "Notiz", frozenset({CLOSED}), "hash2", None, frozenset(), None, None, None, "neu"
    )
    return Picture(
        documents={
            DOCUMENT: document,
            WITHHELD: withheld,
            PARKED: replace(withheld, id=PARKED, owners=frozenset({OWNER})),
        },
        owners={
            OWNER: CrmOwner(OWNER, "Hausverwaltung", COLLECTION, True),
            CLOSED: CrmOwner(CLOSED, "Andere", None, False),
        },
        files={FILE: StoredFile(FILE, f"{DOCUMENT}-hash-Klage.pdf", "hash", {COLLECTION: "PROCESSED"})},
        collections={COLLECTION: f"espocrm:{OWNER}"},
        states={
            DOCUMENT: DocumentState(
                DOCUMENT, 0.0, status="clean", file_id=FILE, collections=(COLLECTION,), owners=(OWNER,)
            )
        },
        collection_states={},
        queue={"documents": StreamSummary(0, 0, 0, 1, None)},
        parked={PARKED: "too_large"},
        broken_egress_row=None,
        undelivered_webhooks=0,
        failed_hooks=0,
        two_way=TwoWayPicture({}, {}, {}, {}, {}, (), {}, frozenset()),
        calendars=CalendarPicture(),
    )


def with_document(picture: Picture, document_id: str = DOCUMENT, **changed: Any) -> Picture:
    """The picture with a document that EspoCRM has otherwise."""
    document = replace(picture.documents[document_id], **changed)
    return replace(picture, documents={**picture.documents, document_id: document})


def with_file(picture: Picture, file: StoredFile) -> Picture:
    """The picture with one more, or another, file at xAI."""
    return replace(picture, files={**picture.files, file.id: file})


def with_state(picture: Picture, **changed: Any) -> Picture:
    """The picture with our state otherwise."""
    state = replace(picture.states[DOCUMENT], **changed)
    return replace(picture, states={DOCUMENT: state})


def test_a_tidy_picture_is_right() -> None:
    """Every expectation holds."""
    assert [one for one in check_agreement(tidy()) if not one.is_ok] == []
    assert tidy().is_quiet


_file = tidy().files[FILE]
WRONGS: dict[str, tuple[str, Callable[[Picture], Picture]]] = {
    "other contents": ("agree", lambda p: with_document(p, content_sha256="newer")),
    "EspoCRM lacks the file id": ("agree", lambda p: with_document(p, file_id=None)),
    "EspoCRM lacks the collection": ("agree", lambda p: with_document(p, collections=frozenset())),
    "status not written": ("agree", lambda p: with_document(p, status="neu")),
    "hash not written": ("agree", lambda p: with_document(p, sha256=None)),
    "not linked": ("agree", lambda p: with_file(p, replace(_file, statuses={}))),
    "linked too often": (
        "agree",
        lambda p: with_file(p, replace(_file, statuses={COLLECTION: "x", "c2": "x"})),
    ),
    "two files": ("agree", lambda p: with_file(p, replace(_file, id="file_2", statuses={}))),
    "no state": ("agree", lambda p: replace(p, states={})),
    "state names another file": ("agree", lambda p: with_state(p, file_id="file_9")),
    "state has something left to do": ("agree", lambda p: with_state(p, doomed=(DoomedFile("file_0"),))),
    "left without permission": (
        "agree",
        lambda p: with_file(p, StoredFile("file_3", f"{WITHHELD}-hash.txt", "hash2", {COLLECTION: "x"})),
    ),
    "parked, and still there": (
        "agree",
        lambda p: with_file(p, StoredFile("file_4", f"{PARKED}-hash.txt", "hash2", {COLLECTION: "x"})),
    ),
    "stray file": ("accounts for", lambda p: with_file(p, StoredFile("file_5", "d9-hash.txt", "h", {}))),
    "two collections": (
        "exactly one",
        lambda p: replace(p, collections={**p.collections, "collection_2": f"espocrm:{OWNER}"}),
    ),
    "no collection": ("exactly one", lambda p: replace(p, collections={})),
    "collection without permission": (
        "exactly one",
        lambda p: replace(p, collections={**p.collections, "collection_3": f"espocrm:{CLOSED}"}),
    ),
    "work waiting": (
        "nothing is open",
        lambda p: replace(p, queue={"documents": StreamSummary(1, 0, 0, 0, 3.0)}),
    ),
    "work due later": ("nothing is open", lambda p: replace(p, queue={"x": StreamSummary(0, 0, 1, 0, None)})),
    "webhook not sent": ("nothing is open", lambda p: replace(p, undelivered_webhooks=1)),
    "webhook refused": ("accepted", lambda p: replace(p, failed_hooks=1)),
    "register broken": ("chain", lambda p: replace(p, broken_egress_row=4)),
}


@pytest.mark.parametrize("name", WRONGS)
def test_each_thing_wrong_is_found(name: str) -> None:
    """Its own expectation fails, and says where."""
    about, spoil = WRONGS[name]
    failed = [one for one in check_agreement(spoil(tidy())) if not one.is_ok]
    assert any(about in one.says for one in failed), failed
    assert all(one.detail for one in failed)
