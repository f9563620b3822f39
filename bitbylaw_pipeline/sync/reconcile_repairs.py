"""Repairs of documents and collections: noted in our state and put into the work queue; the flows do the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby, islice
from operator import attrgetter

from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import collection_states, document_states, open_work, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.work_queue import SWEEP_PRIORITY
from bitbylaw_pipeline.sync.reconcile_marks import MarkedDrift, mark_document, mark_owner

PORTION = 500
"""So many keys in one transaction: others want to write meanwhile."""

Drifts = Mapping[str, Sequence[MarkedDrift]]
NoteAll = Callable[[Connection, float, Drifts, float], list[str]]


async def repair_documents(database: Database, drifts: Iterable[MarkedDrift], begun_at: float) -> int:
    """Notes and wants documents that are not in motion since `begun_at`; returns how many drifts that were."""
    return await _in_portions(database, "documents", _note_documents, drifts, begun_at)


async def repair_collections(database: Database, drifts: Iterable[MarkedDrift], begun_at: float) -> int:
    """Likewise owners."""
    return await _in_portions(database, "collections", _note_owners, drifts, begun_at)


async def _in_portions(
    database: Database, stream: str, note: NoteAll, drifts: Iterable[MarkedDrift], begun_at: float
) -> int:
    in_order = sorted((drift for drift in drifts if drift.key is not None), key=attrgetter("key"))
    by_key = {key: list(of_key) for key, of_key in groupby(in_order, key=attrgetter("key"))}
    keys, repaired = iter(by_key), 0
    while portion := {key: by_key[key] for key in islice(keys, PORTION)}:
        repaired += await database.run(partial(_repair, database, stream, note, portion, begun_at))
    return repaired


def _repair(
    database: Database, stream: str, note: NoteAll, drifts: Drifts, begun_at: float, conn: Connection
) -> int:
    now = database.now(conn)
    # Read again: since the listing a pass may have begun, or come and gone.
    at_work = open_work.load(conn, now, stream, begun_at).open
    free = {key: found for key, found in drifts.items() if key not in at_work}
    keys = note(conn, now, free, begun_at)
    work_queue.want(conn, now, stream, keys, priority=SWEEP_PRIORITY)
    return sum(len(drifts[key]) for key in keys)


def _note_documents(conn: Connection, now: float, drifts: Drifts, begun_at: float) -> list[str]:
    states = document_states.get_many(conn, drifts)
    keys = [key for key in drifts if key not in states or states[key].updated_at <= begun_at]
    changed = []
    for key in keys:
        before = state = states.get(key)
        for drift in drifts[key]:
            state = mark_document(state, drift, now)
        if state is not None and state != before:
            changed.append(state)
    document_states.put_many(conn, changed)
    return keys


def _note_owners(conn: Connection, now: float, drifts: Drifts, begun_at: float) -> list[str]:
    states = collection_states.get_many(conn, drifts)
    keys = [key for key in drifts if key not in states or states[key].updated_at <= begun_at]
    for key in keys:
        before = state = states.get(key)
        for drift in drifts[key]:
            state = mark_owner(state, drift, now)
        if state is not None and state != before:
            collection_states.put(conn, state)
    return keys
