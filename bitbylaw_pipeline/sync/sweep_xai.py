"""The nightly sweep's side of xAI: files and collections that somebody deleted, doubled, moved, or left behind.

What is wrong is noted in our state ("may be there", "must be looked for") and wanted; the flows put it right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.clients.xai_wire import RemoteCollection
from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.document_plan import PARTIAL
from bitbylaw_pipeline.domain.document_state import DocumentState
from bitbylaw_pipeline.domain.errors import NotFound, Unexpected
from bitbylaw_pipeline.domain.file_name import token_of
from bitbylaw_pipeline.inbox import collection_states, document_states, intents, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.work_queue import SWEEP_PRIORITY
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.collection_search import MUST_SEARCH, collection_name
from bitbylaw_pipeline.sync.uploads import INTENT_KIND

if TYPE_CHECKING:
    from bitbylaw_pipeline.sync.sweep import SweepReport


@dataclass(frozen=True, slots=True)
class XaiSweep:
    """Compares what xAI lists with our state; fills in the report."""

    xai: Xai
    database: Database
    settings: Settings
    report: SweepReport

    async def compare(self, states: dict[str, DocumentState], owners: dict[str, CollectionState]) -> None:
        """Raises Unexpected where xAI lists nothing although there was something."""
        await self._compare_files(states)
        collections = {row.collection_id: row async for page in self.xai.list_collections() for row in page}
        with_collection = [owner for owner in owners.values() if owner.collection_id]
        _refuse_empty("collections", len(collections), len(with_collection))
        await self._search_again(owners, collections)
        for owner in with_collection:
            listed = collections.get(owner.collection_id or "")
            if listed is not None:
                await self._compare_members(owner, listed, states)

    async def _compare_files(self, states: dict[str, DocumentState]) -> None:
        listed: dict[str, str | None] = {}
        async for page in self.xai.list_files():
            listed.update((file.file_id, token_of(file.name)) for file in page)
        self.report.files_listed = len(listed)
        alive = {
            state.file_id: state.document_id
            for state in states.values()
            if state.file_id and state.collections and state.deleted_at is None
        }
        _refuse_empty("files", len(listed), len(alive))
        missing = {
            document_id
            for file_id, document_id in alive.items()
            # A list may lag behind, and what was uploaded while it was read is not in it.
            if file_id not in listed and await self._is_gone(self.xai.file(file_id))
        }

        def look(conn: Connection) -> tuple[set[str], list[str]]:
            # Read again: what was uploaded while the lists were read is no orphan.
            now_known = list(document_states.iterate(conn))
            known = {file_id for state in now_known for file_id in _files(state)}
            under_way = {intent.token for intent in intents.unsettled_all(conn, INTENT_KIND)}
            orphans = {
                file_id
                for file_id, token in listed.items()
                if token is not None and token not in under_way and file_id not in known
            }
            if not self.settings.xai_delete_replaced_files:
                # Then older versions stay in the store on purpose; the token begins with the document's id.
                orphans = {file_id for file_id in orphans if _document_of(listed[file_id]) not in states}
            gone = [
                state
                for state in now_known
                if state.document_id in missing and state.file_id not in listed and state.deleted_at is None
            ]
            self._look_again(conn, gone)
            return orphans, [state.file_id or "" for state in gone]

        orphans, gone = await self.database.run(look)
        self.report.orphan_files = sorted(orphans)
        self.report.missing_files = sorted(gone)
        self.report.documents_wanted += len(gone)

    def _look_again(self, conn: Connection, states: Iterable[DocumentState]) -> None:
        now = self.database.now(conn)
        looked_at = list(states)
        for state in looked_at:
            document_states.put(conn, replace(state, status=PARTIAL, updated_at=now))
        keys = [state.document_id for state in looked_at]
        work_queue.want(conn, now, "documents", keys, priority=SWEEP_PRIORITY)

    async def _search_again(
        self, owners: dict[str, CollectionState], collections: dict[str, RemoteCollection]
    ) -> None:
        """Owners with several collections, or with one that is gone, look for theirs."""
        names = Counter(row.name for row in collections.values())
        doubled = sorted(key for key in owners if names[collection_name(OwnerKey.parse(key))] > 1)
        gone = sorted(
            key
            for key, owner in owners.items()
            if owner.collection_id
            and owner.is_permitted
            and owner.deleted_at is None
            and owner.collection_id not in collections
        )
        self.report.duplicate_collections = doubled
        self.report.missing_collections = [
            key for key in gone if await self._is_gone(self.xai.collection(owners[key].collection_id or ""))
        ]
        keys = sorted({*doubled, *self.report.missing_collections})
        if not keys:
            return

        def mark(conn: Connection) -> None:
            now = self.database.now(conn)
            for owner in collection_states.get_many(conn, keys).values():
                collection_states.put(conn, replace(owner, status=MUST_SEARCH, updated_at=now))
            work_queue.want(conn, now, "collections", keys, priority=SWEEP_PRIORITY)

        await self.database.run(mark)
        self.report.owners_wanted += len(keys)

    async def _is_gone(self, reading: Awaitable[object]) -> bool:
        try:
            await reading
        except NotFound:
            return True
        return False

    async def _compare_members(
        self, owner: CollectionState, listed: RemoteCollection, states: dict[str, DocumentState]
    ) -> None:
        """Where the count differs, the members themselves: ours that are missing go in again, ours too many go out."""
        collection_id = listed.collection_id
        expected = {
            state.file_id: state.document_id
            for state in states.values()
            if state.file_id and collection_id in state.collections
        }
        if listed.documents_count == len(expected):
            return
        members = {member.file_id async for page in self.xai.members(collection_id) for member in page}
        by_file = {state.file_id: state.document_id for state in states.values() if state.file_id}
        lacking = {document_id for file_id, document_id in expected.items() if file_id not in members}
        surplus = {by_file[file_id] for file_id in members - expected.keys() if file_id in by_file}
        if not lacking | surplus:
            return

        def mark(conn: Connection) -> int:
            found = document_states.get_many(conn, lacking | surplus).values()
            drifted = [
                # A deleted document's pass does nothing more; here it has to.
                replace(
                    state, collections=tuple(sorted({*state.collections, collection_id})), deleted_at=None
                )
                for state in found
                if (state.file_id in members) != (collection_id in state.collections)
            ]
            self._look_again(conn, drifted)
            return len(drifted)

        if count := await self.database.run(mark):
            self.report.drifted_collections.append(owner.owner_key)
            self.report.documents_wanted += count


def _files(state: DocumentState) -> set[str]:
    current = {state.file_id} if state.file_id else set()
    return current | {old.file_id for old in state.doomed}


def _document_of(token: str | None) -> str:
    """The document's id at the beginning of a content token."""
    return (token or "").rpartition("-")[0]


def _refuse_empty(what: str, listed: int, known: int) -> None:
    if not listed and known > 1:
        raise Unexpected(
            f"xAI lists no {what} although {known} are known here: look at the keys' team before anything is "
            "uploaded again.",
            system="xai-files" if what == "files" else "xai-management",
        )
