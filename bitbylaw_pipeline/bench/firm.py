"""A firm made for measuring: matters with permission, and documents with one distinct file each."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bitbylaw_pipeline.bench.sandbox_process import Sandbox
from bitbylaw_pipeline.sandbox.espocrm import model

DOCUMENT_TYPE = "CDokumente"
BARE_TYPE = "CVergleich"
"""The same entity type under another name, for the bare loop: written back under the first one, its documents would
come to the pipeline through the change feed, and it would work on them while the other is measured."""
MATTER_TYPE = "CVmhRumungsklage"
MATTER_LINK = "rumungsklages"
OWNER_LINKS = ("rumungsklages", "mietinkassos", "accounts", "beteiligtes")
FILE_BYTES = 64 * 1024
SEED_AT_ONCE = 50
LONG_AGO = "2020-01-02 03:04:05"
"""The stamp of all that is made for measuring: it lies behind the change feed, so that only the webhook brings it in."""


@dataclass(frozen=True, slots=True)
class BenchDocument:
    """A document as it was put into EspoCRM: `size` in bytes, hashes of its file in hex."""

    id: str
    entity_type: str
    attachment_id: str
    matter_id: str
    name: str
    size: int
    md5: str
    sha256: str


def record_id(*parts: object) -> str:
    """An id of EspoCRM's form (17 hex digits), the same for the same parts."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:17]


def file_bytes(document_id: str, version: int = 1) -> bytes:
    """A text file that no other document or version has."""
    line = f"{document_id} {version} Lorem ipsum dolor sit amet.\n".encode()
    return (line * (FILE_BYTES // len(line) + 1))[:FILE_BYTES]


async def open_firm(sandbox: Sandbox) -> None:
    """Empties EspoCRM's stand-in and gives it the data model that `setup-espocrm` and `doctor` ask for, at our time."""
    # The measurement of parties moves its clock, and the ledger has that clock's times: a burst that was measured after
    # it seemed to have ended an hour before it began.
    await sandbox.control(sandbox.espocrm_url, "POST", "clock", {"reset": True})
    await sandbox.seed(
        {
            "reset": True,
            "model": "kanzlei",
            "entities": {
                DOCUMENT_TYPE: {"linkMultipleFields": list(OWNER_LINKS)},
                BARE_TYPE: _twin_of_documents(),
            },
            # EspoCRM's own two-minute job would be another measurement; webhooks are sent by the benchmark.
            "config": {"webhookPeriodSeconds": 0},
        }
    )


def _twin_of_documents() -> dict[str, Any]:
    twin = model.model("kanzlei")[DOCUMENT_TYPE]
    for name in OWNER_LINKS:
        link = twin["links"][name]
        # A table of its own: in the shared one its rows would be the documents'.
        link["relationName"] += "Vergleich"
    return {
        "fields": twin["fields"],
        "links": twin["links"],
        "stream": True,
        "optimisticConcurrencyControl": True,
        "linkMultipleFields": list(OWNER_LINKS),
    }


async def add_matters(
    sandbox: Sandbox, label: str, count: int, *, collection_of: Callable[[str], str | None] = lambda _: None
) -> list[str]:
    """New matters with permission, each naming the collection that it has; returns their ids."""
    ids = [record_id("matter", label, number) for number in range(count)]
    granted = {"kiFreigabe": True, "kiFreigabeReferenz": "Einwilligung", "kiFreigabeDatum": "2026-01-05"}
    rows = [
        {
            "id": one,
            "name": f"Akte {one}",
            "createdAt": LONG_AGO,
            "xaiCollectionId": collection_of(one),
            **granted,
        }
        for one in ids
    ]
    await sandbox.seed({"records": {MATTER_TYPE: rows}})
    return ids


async def add_documents(
    sandbox: Sandbox,
    label: str,
    count: int,
    matters: Sequence[str],
    *,
    entity_type: str = DOCUMENT_TYPE,
) -> list[BenchDocument]:
    """New documents, each with a file of 64 KiB, spread over the matters."""
    made = [_document(entity_type, label, number, matters[number % len(matters)]) for number in range(count)]
    for start in range(0, count, SEED_AT_ONCE):
        await sandbox.seed(_seed(made[start : start + SEED_AT_ONCE]))
    return made


def _document(entity_type: str, label: str, number: int, matter_id: str) -> BenchDocument:
    document_id = record_id(entity_type, label, number)
    empty = BenchDocument(
        id=document_id,
        entity_type=entity_type,
        attachment_id=record_id("attachment", entity_type, label, number),
        matter_id=matter_id,
        name=f"Schriftsatz {number:05d}.txt",
        size=0,
        md5="",
        sha256="",
    )
    return with_content(empty, file_bytes(document_id))


def with_content(document: BenchDocument, content: bytes) -> BenchDocument:
    """The document once it has this file."""
    return replace(
        document,
        size=len(content),
        md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _seed(documents: Sequence[BenchDocument]) -> dict[str, Any]:
    files = [attachment(one.attachment_id, one, file_bytes(one.id)) for one in documents]
    records = [
        {
            "id": one.id,
            "name": one.name,
            "dokumentId": one.attachment_id,
            "fileStatus": "neu",
            f"{MATTER_LINK}Ids": [one.matter_id],
            "createdAt": LONG_AGO,
        }
        for one in documents
    ]
    return {"attachments": files, "records": {documents[0].entity_type: records}}


def attachment(attachment_id: str, document: BenchDocument, content: bytes) -> dict[str, Any]:
    """A file of the document's, as the seed wants it."""
    return {
        "id": attachment_id,
        "name": document.name,
        "type": "text/plain",
        "contentBase64": base64.b64encode(content).decode(),
        "relatedType": document.entity_type,
        "relatedId": document.id,
    }
