"""Finding an owner's one collection at xAI, or making it: whatever crashed before, whoever put what into its field.

xAI's collections carry no metadata and their names need not be unique (`facts/xai.md` 3.1, 8): the reference back
lives in the name, the description and the field definitions, and a create is journaled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.clients.xai_wire import RemoteCollection
from bitbylaw_pipeline.domain import collection_state
from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import Owner, OwnerKey
from bitbylaw_pipeline.domain.document_plan import PARTIAL
from bitbylaw_pipeline.domain.document_state import DocumentState, IndexStatus
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.domain.file_name import token_of
from bitbylaw_pipeline.inbox import document_states, intents, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings

log = structlog.get_logger(__name__)

INTENT_KIND = "xai_collection"
MUST_SEARCH = collection_state.MUST_SEARCH
NOTICED = "noticed"
"""A document's pass met that the owner permits nothing (any more); the owner's own flow has not looked yet."""
"""A state's status that makes the next pass look for duplicates although it knows a collection."""
_NAME_PREFIX = "espocrm:"
FIELDS = {
    "espocrm_entity_type": "EspoCRM: the owner's entity type",
    "espocrm_entity_id": "EspoCRM: the owner's id",
    "espocrm_document_id": "EspoCRM: the document's id",
    "sha256": "SHA-256 of the file",
}


def collection_name(owner: OwnerKey) -> str:
    """The name by which an owner's collection is found again; ids only, the firm's names stay in the firm."""
    return f"{_NAME_PREFIX}{owner}"


def owner_of_name(name: str) -> str | None:
    """The owner whose collection's name this is; None for a name that the pipeline does not give."""
    key = name.removeprefix(_NAME_PREFIX)
    try:
        return str(OwnerKey.parse(key)) if key != name else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Found:
    """The owner's collection, and how the pass came by it; `wait` is set where a create may not be listed yet."""

    collection_id: str = ""
    is_created: bool = False
    is_adopted: bool = False
    merged: int = 0
    wait: float | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class CollectionSearch:
    """Exactly one collection per owner."""

    database: Database
    records: DocumentRecords
    xai: Xai
    settings: Settings

    async def find_or_create(self, owner: Owner, state: CollectionState | None) -> Found:
        """The collection that our state or EspoCRM names, else the one that bears its name, else a new one."""
        kept = await self._still_there(owner, state)
        if kept is not None and not (state is not None and state.status == MUST_SEARCH):
            return Found(kept.collection_id)
        name = collection_name(owner.key)
        found = await self.xai.find_collections(name)
        if kept is not None and kept.collection_id not in {row.collection_id for row in found}:
            # Known by its id while the list still lags behind: taken for missing, it would be made a second time.
            found = sorted([*found, kept], key=lambda row: (row.created_at or 0.0, row.collection_id))
        if found:
            merged = await self._merge(found[0], found[1:])
            await self._settle(owner.key, found[0].collection_id)
            warning = f"{merged} duplicate collections were merged into this one." if merged else None
            return Found(found[0].collection_id, merged=merged, warning=warning)
        wait = await self._unclear_create(owner.key)
        if wait is not None:
            return Found(wait=wait)
        left_alone = None
        if owner.collection_id:
            adopted, left_alone = await self._adopt(owner, owner.collection_id)
            if adopted is not None:
                return adopted
        created = await self._create(owner.key, name)
        return Found(created.collection_id, is_created=True, warning=left_alone)

    async def _still_there(self, owner: Owner, state: CollectionState | None) -> RemoteCollection | None:
        """The collection that our state or EspoCRM names, if it exists and is this owner's."""
        named = (state.collection_id if state else None) or owner.collection_id
        if not named:
            return None
        try:
            collection = await self.xai.collection(named)
        except NotFound:
            return None
        # A record copied in EspoCRM brings the id of the original's collection along.
        return collection if collection.name == collection_name(owner.key) else None

    async def _unclear_create(self, key: OwnerKey) -> float | None:
        """Seconds to wait where a create may have landed without the list showing it: a second would be a duplicate."""
        now, unsettled = await self.database.run(
            lambda conn: (self.database.now(conn), intents.unsettled(conn, INTENT_KIND, str(key)))
        )
        ages = [now - intent.opened_at for intent in unsettled]
        left = self.settings.xai_settle_seconds - min(ages, default=float("inf"))
        return left if left > 0 else None

    async def _create(self, key: OwnerKey, name: str) -> RemoteCollection:
        def open_intent(conn: Connection) -> None:
            now = self.database.now(conn)
            for earlier in intents.unsettled(conn, INTENT_KIND, str(key)):
                intents.settle(conn, now, earlier.id, outcome="never_landed", remote_id=None)
            intents.open_intent(conn, now, kind=INTENT_KIND, subject=str(key), token=name)

        await self.database.run(open_intent)
        created = await self.xai.create_collection(name, _description(key), FIELDS)
        await self._settle(key, created.collection_id)
        return created

    async def _settle(self, key: OwnerKey, collection_id: str) -> None:
        def commit(conn: Connection) -> None:
            now = self.database.now(conn)
            for intent in intents.unsettled(conn, INTENT_KIND, str(key)):
                intents.settle(conn, now, intent.id, outcome=intents.DONE, remote_id=collection_id)

        await self.database.run(commit)

    # what others left behind

    async def _adopt(self, owner: Owner, collection_id: str) -> tuple[Found | None, str | None]:
        """The old system's collection for just this owner, renamed (docs/adr/0007); or why it was left alone."""
        try:
            collection = await self.xai.collection(collection_id)
        except NotFound:
            return None, None
        # The old system's names: "CBeteiligte - " and the person's name.
        is_of_old_system = collection.name.startswith(f"{owner.key.entity_type} - ")
        if not is_of_old_system or await self._is_named_by_others(owner.key, collection_id):
            log.warning("collection_left_alone", owner=str(owner.key), collection_id=collection_id)
            return None, "The collection that it named is not its own: it was left alone, and a new one made."
        missing = {key: about for key, about in FIELDS.items() if key not in collection.field_keys}
        await self.xai.update_collection(
            collection_id, collection_name(owner.key), _description(owner.key), missing
        )
        warning = (
            f"Taken over from the old system with {collection.documents_count} files in it. They stay beside those "
            "of the pipeline until a person removes them."
            if collection.documents_count
            else None
        )
        return Found(collection_id, is_adopted=True, warning=warning), None

    async def _is_named_by_others(self, key: OwnerKey, collection_id: str) -> bool:
        for owner_type in self.settings.collection_owners:
            if not await self.records.owns_documents(owner_type.entity_type):
                continue
            page = await self.records.espocrm.list_page(
                owner_type.entity_type,
                where=[{"type": "equals", "attribute": owner_type.collection_field, "value": collection_id}],
                max_size=2,
            )
            if any(OwnerKey(owner_type.entity_type, row["id"]) != key for row in page.rows):
                return True
        return False

    async def _merge(self, oldest: RemoteCollection, duplicates: Iterable[RemoteCollection]) -> int:
        """Moves every file of the duplicates into the oldest and deletes them; returns how many there were."""
        merged = 0
        for duplicate in duplicates:
            members = [member async for page in self.xai.members(duplicate.collection_id) for member in page]
            announce = partial(
                self._announce_move, duplicate=duplicate.collection_id, oldest=oldest.collection_id
            )
            ours = await self.database.run(announce)
            for member in members:
                # A stray of an unclear upload is its document's to find: in no state, it would stay for ever.
                if member.file_id in ours or token_of(member.name) is None:
                    fields = {key: text for key, text in member.fields.items() if key in oldest.field_keys}
                    await self.xai.attach(oldest.collection_id, member.file_id, fields)
            await self.xai.delete_collection(duplicate.collection_id)
            log.warning(
                "duplicate_merged", collection_id=oldest.collection_id, duplicate=duplicate.collection_id
            )
            merged += 1
        return merged

    def _announce_move(self, conn: Connection, duplicate: str, oldest: str) -> set[str]:
        """Notes where files may be from now on, and wants their documents; returns the files.

        Without it a document that is unlinked meanwhile would leave the duplicate alone and stay in the oldest.
        """
        now = self.database.now(conn)
        moved = [state for state in document_states.iterate(conn) if duplicate in _places(state)]
        for state in moved:
            doomed = tuple(
                replace(old, collections=_with(old.collections, duplicate, oldest)) for old in state.doomed
            )
            collections = _with(state.collections, duplicate, oldest)
            moved_state = replace(
                state, collections=collections, doomed=doomed, status=PARTIAL, updated_at=now
            )
            if collections != state.collections:
                # In the oldest it has to be indexed yet.
                moved_state = replace(moved_state, index_status=IndexStatus.PENDING, index_check_at=None)
            document_states.put(conn, moved_state)
        work_queue.want(conn, now, "documents", [state.document_id for state in moved])
        return {file_id for state in moved for file_id in _files(state)}


def _places(state: DocumentState) -> set[str]:
    return {*state.collections, *(place for old in state.doomed for place in old.collections)}


def _files(state: DocumentState) -> set[str]:
    current = {state.file_id} if state.file_id else set()
    return current | {old.file_id for old in state.doomed}


def _with(collections: tuple[str, ...], duplicate: str, oldest: str) -> tuple[str, ...]:
    return tuple(sorted({*collections, oldest})) if duplicate in collections else collections


def _description(key: OwnerKey) -> str:
    return json.dumps({"espocrm_entity_type": key.entity_type, "espocrm_entity_id": key.id})
