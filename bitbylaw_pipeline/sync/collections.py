"""The collection flow: exactly one collection per owner, whatever crashes, with references both ways.

xAI's collections carry no metadata and their names need not be unique (`facts/xai.md` 3.1, 8): the reference back
lives in the name, the description and the field definitions, and a create is journaled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.clients.xai_wire import RemoteCollection
from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import Owner, OwnerKey
from bitbylaw_pipeline.domain.egress import judge
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, Permanent, Transient
from bitbylaw_pipeline.domain.outcome import Fact, Outcome, Result
from bitbylaw_pipeline.inbox import collection_states, document_states, intents, work_queue
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings

log = structlog.get_logger(__name__)

INTENT_KIND = "xai_collection"
COLLECTIONS = "xai/collections"
LOCK_SECONDS = 180.0
MUST_SEARCH = "must_search"
"""A state's status that makes the next pass look for duplicates although nothing else is to be done."""
SETTLED = "settled"
FIELDS = {
    "espocrm_entity_type": "EspoCRM: the owner's entity type",
    "espocrm_entity_id": "EspoCRM: the owner's id",
    "espocrm_document_id": "EspoCRM: the document's id",
    "sha256": "SHA-256 of the file",
}


def collection_name(owner: OwnerKey) -> str:
    """The name by which an owner's collection is found again; ids only, the firm's names stay in the firm."""
    return f"espocrm:{owner}"


@dataclass(frozen=True, slots=True)
class _Found:
    """The owner's collection, and how the pass came by it; `wait` is set where a create may not be listed yet."""

    collection_id: str = ""
    is_created: bool = False
    merged: int = 0
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class CollectionStream:
    """Stream `collections`; the key is `{EntityType}:{id}`."""

    database: Database
    coordination: Coordination
    records: DocumentRecords
    xai: Xai
    settings: Settings
    name: str = "collections"
    systems: frozenset[str] = frozenset({"espocrm", "xai-files", "xai-management"})

    def entity_lock(self, key: str) -> str:
        """The lock's name, as the firm knows it from the old system."""
        return f"collection_create:{key}"

    async def sync(self, key: str) -> Outcome:
        """One pass over one owner; raises the errors of `domain.errors`."""
        owner_key = self._owner_key(key)
        async with self.coordination.lock(self.entity_lock(key), ttl=LOCK_SECONDS, wait=0.0) as is_held:
            if not is_held:
                return Outcome(key, Result.WAITING, {"waits_for": "entity lock"}, again_in=1.0)
            return await self._sync_locked(owner_key)

    async def describe(self, key: str) -> list[str]:
        """What a pass would do, as lines for a person; writes nothing."""
        owner_key = self._owner_key(key)
        try:
            owner = await self.records.load_owner(owner_key)
        except NotFound:
            return [
                "unlink its documents from its collection and keep the empty collection: the owner is gone"
            ]
        permission = judge(owner, self.settings.xai_egress)
        if not permission.is_granted:
            return [f"withhold: nothing may leave under the rule {self.settings.xai_egress.value!r}"]
        state = await self.database.run(lambda conn: collection_states.get(conn, key))
        if self._is_settled(owner, state):
            return ["nothing to do"]
        found = await self.xai.find_collections(collection_name(owner_key))
        lines = ["use the collection found by its name" if found else "create its collection"]
        lines += [f"merge {len(found) - 1} duplicates into the oldest"] if len(found) > 1 else []
        return [*lines, "write the collection's id to the owner", "look at each linked document again"]

    def _owner_key(self, key: str) -> OwnerKey:
        try:
            owner_key = OwnerKey.parse(key)
        except ValueError as error:
            raise Permanent(str(error), reason="bad_key") from None
        if self.settings.owner_type(owner_key.entity_type) is None:
            raise Permanent(
                f"{owner_key.entity_type} owns no collections: name it in COLLECTION_OWNERS.",
                reason="not_an_owner",
            )
        return owner_key

    def _is_settled(self, owner: Owner, state: CollectionState | None) -> bool:
        return (
            state is not None
            and state.collection_id is not None
            and state.is_permitted
            and state.deleted_at is None
            and state.status == SETTLED
            and owner.collection_id == state.collection_id
        )

    async def _sync_locked(self, key: OwnerKey) -> Outcome:
        try:
            owner = await self.records.load_owner(key)
        except NotFound:
            return await self._release_documents(key)
        state = await self.database.run(lambda conn: collection_states.get(conn, str(key)))
        permission = judge(owner, self.settings.xai_egress)
        if not permission.is_granted:
            return await self._withhold(owner, state, permission.ground)
        if self._is_settled(owner, state):
            if state is not None and state.permission_ground != permission.ground:
                await self._save(replace(state, permission_ground=permission.ground))
            return Outcome(str(key), Result.UNCHANGED, {"collection_id": owner.collection_id or ""})
        found = await self._find_or_create(owner, state)
        if found.wait is not None:
            return Outcome(str(key), Result.WAITING, {"waits_for": "listing at xAI"}, again_in=found.wait)
        await self._write_back(owner, found.collection_id)
        linked = await self.records.documents_of(key)
        agreed = CollectionState(
            str(key),
            collection_id=found.collection_id,
            is_permitted=True,
            permission_ground=permission.ground,
            updated_at=0.0,
            status=SETTLED,
        )
        wanted = await self._save(agreed, want=linked)
        facts: dict[str, Fact] = {
            "collection_id": found.collection_id,
            "created": found.is_created,
            "duplicates_merged": found.merged,
            "documents_wanted": wanted,
        }
        warning = f"{found.merged} duplicate collections were merged into this one." if found.merged else None
        return Outcome(str(key), Result.SYNCED, facts, (COLLECTIONS,), warning=warning)

    async def _save(self, state: CollectionState, want: Iterable[str] | None = None) -> int:
        """Commits the state and, in the same transaction, wants the given and all known documents of the owner."""

        def commit(conn: Connection) -> int:
            now = self.database.now(conn)
            collection_states.put(conn, replace(state, updated_at=now))
            if want is None:
                return 0
            documents = sorted({*want, *document_states.by_owner(conn, state.owner_key)})
            work_queue.want(conn, now, "documents", documents)
            return len(documents)

        wanted = await self.database.run(commit)
        if wanted:
            await self.coordination.wake("documents")
        return wanted

    async def _release_documents(self, key: OwnerKey) -> Outcome:
        """The owner is gone: its documents leave the collection by themselves; the empty collection is kept."""
        state = await self.database.run(lambda conn: collection_states.get(conn, str(key)))
        if state is not None and state.deleted_at is not None:
            return Outcome(str(key), Result.DELETED, {"documents_wanted": 0})
        now = await self.database.run(self.database.now)
        gone = replace(
            state or CollectionState(str(key), None, False, "", 0.0), deleted_at=now, is_permitted=False
        )
        wanted = await self._save(gone, want=())
        facts: dict[str, Fact] = {"documents_wanted": wanted, "collection_kept": gone.collection_id or ""}
        return Outcome(str(key), Result.DELETED, facts, (COLLECTIONS,))

    async def _withhold(self, owner: Owner, state: CollectionState | None, ground: str) -> Outcome:
        known = state or CollectionState(str(owner.key), None, False, "", 0.0)
        if (
            state is None
            or known.is_permitted
            or known.deleted_at is not None
            or known.permission_ground != ground
        ):
            withheld = replace(
                known,
                is_permitted=False,
                permission_ground=ground,
                deleted_at=None,
                collection_id=known.collection_id or owner.collection_id,
                status=MUST_SEARCH,
            )
            await self._save(withheld, want=() if known.is_permitted else None)
        facts: dict[str, Fact] = {"rule": self.settings.xai_egress.value}
        if known.collection_id:
            facts["collection_kept"] = known.collection_id
        return Outcome(str(owner.key), Result.WITHHELD, facts)

    async def _find_or_create(self, owner: Owner, state: CollectionState | None) -> _Found:
        kept = await self._still_there(owner, state)
        if kept is not None:
            return _Found(kept)
        name = collection_name(owner.key)
        found = await self.xai.find_collections(name)
        now, unsettled = await self.database.run(
            lambda conn: (self.database.now(conn), intents.unsettled(conn, INTENT_KIND, str(owner.key)))
        )
        if found:
            merged = await self._merge(found[0], found[1:])
            await self._settle(owner.key, found[0].collection_id)
            return _Found(found[0].collection_id, merged=merged)
        for intent in unsettled:
            # The create may have landed without the list showing it yet: a second one would be a duplicate.
            age = now - intent.opened_at
            if age < self.settings.xai_settle_seconds:
                return _Found(wait=self.settings.xai_settle_seconds - age)
        created = await self._create(owner.key, name)
        return _Found(created.collection_id, is_created=True)

    async def _still_there(self, owner: Owner, state: CollectionState | None) -> str | None:
        """The collection that our state or EspoCRM names, if it exists and is this owner's."""
        if state is not None and state.status == MUST_SEARCH:
            return None
        named = (state.collection_id if state else None) or owner.collection_id
        if not named:
            return None
        try:
            collection = await self.xai.collection(named)
        except NotFound:
            return None
        return named if collection.name == collection_name(owner.key) else None

    async def _create(self, key: OwnerKey, name: str) -> RemoteCollection:
        def open_intent(conn: Connection) -> None:
            now = self.database.now(conn)
            for earlier in intents.unsettled(conn, INTENT_KIND, str(key)):
                intents.settle(conn, now, earlier.id, outcome="never_landed", remote_id=None)
            intents.open_intent(conn, now, kind=INTENT_KIND, subject=str(key), token=name)

        await self.database.run(open_intent)
        description = json.dumps({"espocrm_entity_type": key.entity_type, "espocrm_entity_id": key.id})
        created = await self.xai.create_collection(name, description, FIELDS)
        await self._settle(key, created.collection_id)
        return created

    async def _settle(self, key: OwnerKey, collection_id: str) -> None:
        def commit(conn: Connection) -> None:
            now = self.database.now(conn)
            for intent in intents.unsettled(conn, INTENT_KIND, str(key)):
                intents.settle(conn, now, intent.id, outcome="done", remote_id=collection_id)

        await self.database.run(commit)

    async def _merge(self, oldest: RemoteCollection, duplicates: Iterable[RemoteCollection]) -> int:
        """Moves every file of the duplicates into the oldest and deletes them; returns how many there were."""
        merged = 0
        for duplicate in duplicates:
            async for page in self.xai.members(duplicate.collection_id):
                for member in page:
                    await self.xai.attach(oldest.collection_id, member.file_id, member.fields)
            await self.xai.delete_collection(duplicate.collection_id)
            log.warning(
                "duplicate_merged", collection_id=oldest.collection_id, duplicate=duplicate.collection_id
            )
            merged += 1
        return merged

    async def _write_back(self, owner: Owner, collection_id: str) -> None:
        """Writes the collection's id to the owner and reads it again."""
        for _ in range(3):
            if owner.collection_id == collection_id:
                return
            try:
                await self.records.write_collection_id(owner, collection_id)
            except Conflict:
                log.info("changed_meanwhile", owner=str(owner.key))
            owner = await self.records.load_owner(owner.key)
        if owner.collection_id != collection_id:
            raise Transient(
                "The owner did not keep its collection's id: check the field and our rights.",
                system="espocrm",
            )
