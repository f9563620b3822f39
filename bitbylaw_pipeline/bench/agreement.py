"""Is what counts as done really right? EspoCRM, xAI and our own state must agree before a number is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.firm import BenchDocument
from bitbylaw_pipeline.bench.sandbox_process import Sandbox
from bitbylaw_pipeline.domain.document_plan import CLEAN
from bitbylaw_pipeline.inbox import document_states
from bitbylaw_pipeline.inbox.database import Database


async def check_agreement(
    sandbox: Sandbox,
    documents: Sequence[BenchDocument],
    collections: Mapping[str, str],
    database: Database | None = None,
) -> None:
    """Raises BenchProblem unless each document's file is at xAI exactly once, in its matter's collection, and known.

    `collections` are collection ids by matter id. Without `database` (the bare loop) only the two systems are compared.
    """
    records, xai = await sandbox.records(documents[0].entity_type), await sandbox.xai_state()
    files = {file["id"]: file for file in xai["files"]}
    by_name: dict[str, int] = {}
    for file in files.values():
        token = str(file["name"])[:17]
        by_name[token] = by_name.get(token, 0) + 1
    wrong = [
        f"{document.id}: {why}"
        for document in documents
        if (why := _fault(document, records, files, by_name, collections[document.matter_id]))
    ]
    if database is not None:
        wrong += await _faults_of_state(database, documents, records)
    if wrong:
        raise BenchProblem(
            f"FAILED: {len(wrong)} of {len(documents)} documents ended wrong, so there is no number. First: {wrong[0]}"
        )


def _fault(
    document: BenchDocument,
    records: Mapping[str, Mapping[str, Any]],
    files: Mapping[str, Mapping[str, Any]],
    by_name: Mapping[str, int],
    collection_id: str,
) -> str | None:
    record = records[document.id]
    file = files.get(str(record.get("xaiId")))
    expected = {
        "xaiCollections": [collection_id],
        "xaiSyncedHash": document.md5,
        "md5sum": document.md5,
        "sha256": document.sha256,
        "fileStatus": "synced",
    }
    if file is None:
        return "EspoCRM names no file that xAI has"
    if file["sha256"] != document.sha256:
        return "xAI has other bytes"
    if file["collections"] != [collection_id]:
        return "the file is not in its matter's collection alone"
    if by_name.get(document.id) != 1:
        return f"{by_name.get(document.id, 0)} files at xAI carry its token"
    return next(
        (f"{name} in EspoCRM is wrong" for name, value in expected.items() if record.get(name) != value), None
    )


async def _faults_of_state(
    database: Database, documents: Sequence[BenchDocument], records: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    ids = [document.id for document in documents]

    def read(conn: Connection) -> dict[str, tuple[str | None, str]]:
        states = document_states.get_many(conn, ids)
        return {key: (state.file_id, state.status) for key, state in states.items()}

    states = await database.run(read)
    return [
        f"{key}: the state says {states.get(key)}"
        for key in ids
        if states.get(key) != (records[key].get("xaiId"), CLEAN)
    ]
