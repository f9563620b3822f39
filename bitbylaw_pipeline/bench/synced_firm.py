"""A firm whose documents are all in step, without having been synced: records, files and our state, written directly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bitbylaw_pipeline.bench.firm import (
    DOCUMENT_TYPE,
    LONG_AGO,
    MATTER_LINK,
    MATTER_TYPE,
    add_matters,
    open_firm,
    record_id,
)
from bitbylaw_pipeline.bench.sandbox_process import Sandbox
from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.document_plan import content_token
from bitbylaw_pipeline.domain.document_state import DocumentState, IndexStatus
from bitbylaw_pipeline.domain.egress import judge
from bitbylaw_pipeline.domain.file_name import safe_upload_name
from bitbylaw_pipeline.inbox import collection_states, document_states
from bitbylaw_pipeline.sync.collection_search import collection_name
from bitbylaw_pipeline.sync.uploads import attach_fields
from bitbylaw_pipeline.wiring import Runtime

SEED_AT_ONCE = 1000
FILE_BYTES = 64 * 1024
LONG_AGO_SECONDS = 1_577_934_245.0
"""LONG_AGO, in UTC epoch seconds."""


@dataclass(frozen=True, slots=True)
class SyncedDocument:
    """A document with its file at xAI, in the collection of its one matter."""

    id: str
    matter: str

    @property
    def file_id(self) -> str:
        """xAI's id of its file."""
        return f"file_{record_id('file', self.id)}"

    @property
    def collection_id(self) -> str:
        """xAI's id of its matter's collection."""
        return collection_of(self.matter)

    @property
    def attachment_id(self) -> str:
        """EspoCRM's id of its file."""
        return record_id("attachment", self.id)

    @property
    def md5(self) -> str:
        """Of contents that nobody reads: of its id."""
        return hashlib.md5(self.id.encode(), usedforsecurity=False).hexdigest()

    @property
    def sha256(self) -> str:
        """Likewise."""
        return hashlib.sha256(self.id.encode()).hexdigest()


def collection_of(matter: str) -> str:
    """xAI's id of the matter's collection."""
    return f"collection_{record_id('collection', matter)}"


async def make_synced_firm(
    sandbox: Sandbox, runtime: Runtime, documents: int, matters: int
) -> list[SyncedDocument]:
    """So many documents spread over so many matters, on both sides and in our state, which was empty."""
    await sandbox.control(sandbox.xai_url, "POST", "reset")
    await open_firm(sandbox)
    ids = await add_matters(sandbox, "synced", matters, collection_of=collection_of)
    made = [
        SyncedDocument(record_id(DOCUMENT_TYPE, "synced", number), ids[number % matters])
        for number in range(documents)
    ]
    await _add_collections(sandbox, runtime, ids)
    for start in range(0, documents, SEED_AT_ONCE):
        portion = made[start : start + SEED_AT_ONCE]
        await sandbox.seed({"records": {DOCUMENT_TYPE: [_record(one) for one in portion]}})
        await sandbox.control(sandbox.xai_url, "POST", "seed", {"files": [_file(one) for one in portion]})
        states = [_state(one) for one in portion]
        await runtime.database.run(partial(_put_states, states=states))
    return made


def _put_states(connection: Connection, states: Sequence[DocumentState]) -> None:
    document_states.put_many(connection, states)


async def _add_collections(sandbox: Sandbox, runtime: Runtime, matters: Sequence[str]) -> None:
    """The collections, named in EspoCRM and known to our state with the permission that EspoCRM shows."""
    rows = [
        {"id": collection_of(one), "name": collection_name(OwnerKey(MATTER_TYPE, one))} for one in matters
    ]
    await sandbox.control(sandbox.xai_url, "POST", "seed", {"collections": rows})
    today = datetime.now(UTC).date()
    states = [
        CollectionState(
            str(owner.key), collection_of(owner.key.id), permission.is_granted, permission.ground, LONG_AGO_SECONDS
        )
        async for page in runtime.records.iterate_owners(MATTER_TYPE)
        for owner in page
        for permission in [judge(owner, runtime.settings.xai_egress, today)]
    ]  # fmt: skip

    def put(connection: Connection) -> None:
        for state in states:
            collection_states.put(connection, state)

    await runtime.database.run(put)


def _record(one: SyncedDocument) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": f"{one.id}.txt",
        "dokumentId": one.attachment_id,
        "fileStatus": "synced",
        "xaiId": one.file_id,
        "xaiCollections": [one.collection_id],
        "xaiSyncedHash": one.md5,
        "md5sum": one.md5,
        "sha256": one.sha256,
        f"{MATTER_LINK}Ids": [one.matter],
        "createdAt": LONG_AGO,
    }


def _file(one: SyncedDocument) -> dict[str, Any]:
    fields = attach_fields(one.id, OwnerKey(MATTER_TYPE, one.matter), one.sha256)
    return {
        "id": one.file_id,
        "name": safe_upload_name(content_token(one.id, one.sha256), "Schriftsatz.txt"),
        "size": FILE_BYTES,
        "sha256": one.sha256,
        "content_type": "text/plain",
        "collections": {one.collection_id: fields},
    }


def _state(one: SyncedDocument) -> DocumentState:
    return DocumentState(
        one.id,
        LONG_AGO_SECONDS,
        status="synced",
        attachment_id=one.attachment_id,
        md5=one.md5,
        sha256=one.sha256,
        size=FILE_BYTES,
        file_id=one.file_id,
        collections=(one.collection_id,),
        owners=(str(OwnerKey(MATTER_TYPE, one.matter)),),
        index_status=IndexStatus.PROCESSED,
    )


def spread_over(documents: Sequence[SyncedDocument], count: int) -> Iterator[SyncedDocument]:
    """So many of them, at equal distances."""
    step = len(documents) / count
    return (documents[int(number * step)] for number in range(count))
