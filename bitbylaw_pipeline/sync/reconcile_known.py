"""What our own state knows of documents and collections, in frames beside those of the listings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document_state import DocumentState
from bitbylaw_pipeline.inbox import collection_states, document_states, egress_switch, intents, open_work
from bitbylaw_pipeline.inbox.open_work import InMotion
from bitbylaw_pipeline.sync.reconcile_listing import frame
from bitbylaw_pipeline.sync.uploads import INTENT_KIND

ABANDONED_SECONDS = 24 * 3600.0
"""After that the file of an upload with an unclear outcome is looked for by nobody any more."""

STATE_COLUMNS = (
    "document",
    "s_attachment",
    "s_file",
    "s_md5",
    "s_sha256",
    "s_size",
    "s_collections",
    "s_owners",
    "s_doomed",
    "s_indexing",
    "s_status",
    "s_deleted",
    "s_updated",
    "s_modified",
)
OWNER_STATE_COLUMNS = ("owner", "c_collection", "c_permitted", "c_ground", "c_deleted", "c_updated")


@dataclass(frozen=True, slots=True)
class Known:
    """Our state at one moment; times are UTC epoch seconds.

    `begun_at` is when the listing began, `now` when this was read. `uploads` are the tokens of files that a pass may
    still look for.
    """

    begun_at: float
    now: float
    documents: pd.DataFrame
    owners: pd.DataFrame
    documents_in_motion: InMotion
    owners_in_motion: InMotion
    uploads: frozenset[str]
    is_stopped: bool
    drops_older_files: bool
    """Whether the file of an older version is deleted; False: it stays in the store on purpose."""


def read_known(connection: Connection, now: float, begun_at: float, *, drops_older_files: bool) -> Known:
    """Everything in one transaction; what was touched since `begun_at` is in motion."""
    unclear = intents.unsettled_all(connection, INTENT_KIND)
    return Known(
        begun_at,
        now,
        frame(map(_document_row, document_states.iterate(connection)), STATE_COLUMNS),
        frame(map(_owner_row, collection_states.iterate(connection)), OWNER_STATE_COLUMNS),
        open_work.load(connection, now, "documents", begun_at),
        open_work.load(connection, now, "collections", begun_at),
        frozenset(one.token for one in unclear if now - one.opened_at < ABANDONED_SECONDS),
        egress_switch.is_stopped(connection),
        drops_older_files,
    )


def _document_row(state: DocumentState) -> tuple[Any, ...]:
    return (
        state.document_id,
        state.attachment_id,
        state.file_id,
        state.md5,
        state.sha256,
        state.size,
        state.collections,
        state.owners,
        tuple(old.file_id for old in state.doomed),
        state.index_status.value,
        state.status,
        state.deleted_at is not None,
        state.updated_at,
        state.record_modified_at,
    )


def _owner_row(state: CollectionState) -> tuple[Any, ...]:
    return (
        state.owner_key,
        state.collection_id,
        state.is_permitted,
        state.permission_ground,
        state.deleted_at is not None,
        state.updated_at,
    )
