"""The collection flow: each owner with permission has exactly one collection, with references both ways."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import Owner, OwnerKey
from bitbylaw_pipeline.domain.document_plan import STOPPED
from bitbylaw_pipeline.domain.egress import EgressRule, judge
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, Permanent, Transient
from bitbylaw_pipeline.domain.outcome import Fact, Outcome, Result
from bitbylaw_pipeline.inbox import akte_states, collection_states, document_states, egress_switch, work_queue
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.collection_search import (
    MUST_SEARCH,
    NOTICED,
    CollectionSearch,
    Found,
    collection_name,
)
from bitbylaw_pipeline.sync.egress_watch import EgressStopped, EgressWatch
from bitbylaw_pipeline.sync.owner_permission import begins_in, day_of, refuse_unreadable

log = structlog.get_logger(__name__)

COLLECTIONS = "xai/collections"
SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class CollectionStream:
    """Stream `collections`; the key is `{EntityType}:{id}`."""

    database: Database
    coordination: Coordination
    records: DocumentRecords
    xai: Xai
    settings: Settings
    egress_watch: EgressWatch
    name: str = "collections"
    systems: frozenset[str] = frozenset({"espocrm", "xai-files", "xai-management"})

    @property
    def _search(self) -> CollectionSearch:
        return CollectionSearch(self.database, self.records, self.xai, self.settings)

    def entity_lock(self, key: str) -> str:
        """The lock's name, as the firm knows it from the old system."""
        return f"collection_create:{key}"

    async def sync(self, key: str) -> Outcome:
        """One pass over one owner; raises the errors of `domain.errors`."""
        owner_key = self._owner_key(key)
        async with self.coordination.lock(
            self.entity_lock(key), ttl=self.settings.lease_seconds, wait=0.0
        ) as is_held:
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
        now, state, is_stopped = await self.database.run(
            lambda conn: (
                self.database.now(conn),
                collection_states.get(conn, key),
                egress_switch.is_stopped(conn),
            )
        )
        permission = judge(owner, self.settings.xai_egress, day_of(now))
        if not permission.is_granted:
            return [f"withhold: nothing may leave under the rule {self.settings.xai_egress.value!r}"]
        if self._is_settled(owner, state):
            return ["nothing to do"]
        if is_stopped:
            return [f"keep back its collection: the kill switch is on ({egress_switch.LIFTED_BY} lifts it)"]
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
        now, state, akten = await self.database.run(
            lambda conn: (
                self.database.now(conn),
                collection_states.get(conn, str(key)),
                akte_states.of_owner(conn, str(key)),
            )
        )
        named: dict[str, Fact] = {"akte": ",".join(one.akte_id for one in akten)} if akten else {}
        permission = judge(owner, self.settings.xai_egress, day_of(now))
        if not permission.is_granted:
            return await self._withhold(owner, state, permission.ground, now)
        if state is not None and self._is_settled(owner, state):
            # An Akte that was tied to the matter since: the partition shows it once it is materialized anew.
            is_news = any(akte.updated_at > state.updated_at for akte in akten)
            if is_news or state.permission_ground != permission.ground:
                await self._save(replace(state, permission_ground=permission.ground))
            return Outcome(
                str(key),
                Result.UNCHANGED,
                {**named, "collection_id": owner.collection_id or ""},
                (COLLECTIONS,) if is_news else (),
            )
        try:
            found = await self._find_or_create(owner, state)
        except EgressStopped:
            return await self._keep_back(key, state, permission.ground)
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
            "adopted": found.is_adopted,
            "duplicates_merged": found.merged,
            "documents_wanted": wanted,
            **named,
        }
        return Outcome(str(key), Result.SYNCED, facts, (COLLECTIONS,), warning=found.warning)

    async def _find_or_create(self, owner: Owner, state: CollectionState | None) -> Found:
        """Raises EgressStopped where the kill switch is on, or is thrown meanwhile."""
        if await self.database.run(egress_switch.is_stopped):
            raise EgressStopped
        return await self.egress_watch.unless_stopped(self._search.find_or_create(owner, state))

    async def _keep_back(self, key: OwnerKey, state: CollectionState | None, ground: str) -> Outcome:
        """Notes that the owner waits for the kill switch to be lifted; that wants it again."""
        known = state or CollectionState(str(key), None, True, ground, 0.0)
        kept = replace(
            known,
            is_permitted=True,
            permission_ground=ground,
            deleted_at=None,
            status=MUST_SEARCH if known.status == MUST_SEARCH else STOPPED,
        )

        def commit(conn: Connection) -> None:
            now = self.database.now(conn)
            collection_states.put(conn, replace(kept, updated_at=now))
            if not egress_switch.is_stopped(conn):
                # Lifted since it was looked at: whoever lifted it could not know of this owner.
                work_queue.want(conn, now, self.name, [str(key)])

        await self.database.run(commit)
        return Outcome(str(key), Result.WITHHELD, {"reason": "egress is stopped"})

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

    async def _withhold(
        self, owner: Owner, state: CollectionState | None, ground: str, now: float
    ) -> Outcome:
        """Raises Permanent("field_missing") where the permission cannot be read at all, once that is noted."""
        known = state or CollectionState(str(owner.key), None, False, "", 0.0)
        # A document leaves its other collections only once it is known where it may be: it waits for our answer.
        is_news = (
            state is None or known.is_permitted or known.deleted_at is not None or known.status == NOTICED
        )
        if is_news or known.permission_ground != ground:
            withheld = replace(
                known,
                is_permitted=False,
                permission_ground=ground,
                deleted_at=None,
                status=MUST_SEARCH if known.status == MUST_SEARCH else "",
            )
            await self._save(withheld, want=() if is_news else None)
        if self.settings.xai_egress is EgressRule.FIELD:
            refuse_unreadable(owner)
        facts: dict[str, Fact] = {"rule": self.settings.xai_egress.value}
        if known.collection_id:
            facts["collection_kept"] = known.collection_id
        again_in = begins_in(owner, now) if self.settings.xai_egress is EgressRule.FIELD else None
        return Outcome(str(owner.key), Result.WITHHELD, facts, again_in=again_in)

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
