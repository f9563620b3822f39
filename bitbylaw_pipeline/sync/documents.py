"""The document flow: each document's file once in xAI, and in the collection of every matter it belongs to.

Level-triggered: a pass reads the present truth on all sides, plans, and writes the difference.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import Document, OwnerKey
from bitbylaw_pipeline.domain.document_plan import CLEAN, PARTIAL, DocumentPlan, plan_document
from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile, IndexStatus
from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.domain.errors import NotFound, Permanent, Transient
from bitbylaw_pipeline.domain.outcome import Fact, Outcome, Result
from bitbylaw_pipeline.inbox import collection_states, document_states, egress_switch, work_queue
from bitbylaw_pipeline.sync.document_pass import COLLECTION_DOCUMENTS, carry_out
from bitbylaw_pipeline.sync.document_round import DocumentTools, Pass, Round, StartAgain, Tally

MOST_ROUNDS = 4
"""How often one pass begins anew because the document changed under it, before it leaves the rest to the queue."""


@dataclass(frozen=True, slots=True)
class _Situation:
    """Our own side of a document: what was agreed last, and what is known of its owners."""

    now: float
    state: DocumentState | None
    collections: dict[OwnerKey, CollectionState]
    is_stopped: bool
    """The kill switch is on."""

    def plan(self, document: Document, refused: Collection[OwnerKey] = ()) -> tuple[DocumentPlan, bool]:
        """The plan, `refused` owners withheld; True beside it where the switch keeps back what would have left."""
        known = {
            key: replace(found, is_permitted=found.is_permitted and key not in refused)
            for key, found in self.collections.items()
        }
        plan = plan_document(document, self.state, known, now=self.now)
        if not self.is_stopped or not (plan.fetch or plan.attach):
            return plan, False
        nobody = {key: replace(found, is_permitted=False) for key, found in known.items()}
        return plan_document(document, self.state, nobody, now=self.now), True


@dataclass(frozen=True, slots=True)
class DocumentStream:
    """Stream `documents`; the key is the document's id."""

    tools: DocumentTools
    name: str = "documents"
    systems: frozenset[str] = frozenset({"espocrm", "xai-files", "xai-management"})

    def entity_lock(self, key: str) -> str:
        """The lock's name, as the firm knows it from the old system."""
        return f"document_sync:{self.tools.settings.document_fields.entity_type}:{key}"

    async def sync(self, key: str) -> Outcome:
        """One pass over one document; raises the errors of `domain.errors`."""
        async with self.tools.coordination.lock(
            self.entity_lock(key), ttl=self.tools.settings.lease_seconds, wait=0.0
        ) as is_held:
            if not is_held:
                return Outcome(key, Result.WAITING, {"waits_for": "entity lock"}, again_in=1.0)
            return await self._sync_locked(key)

    async def describe(self, key: str) -> list[str]:
        """The plan as lines for a person; writes nothing."""
        try:
            document = await self.tools.records.load_document(key)
        except NotFound:
            return [
                "unlink its file from every collection and keep the file: the document is gone in EspoCRM"
            ]
        situation = await self._situation(document)
        plan, is_stopped = situation.plan(document)
        lines = [f"because: {reason}" for reason in plan.reasons]
        if is_stopped:
            lines.append(
                f"keep back what is to leave: the kill switch is on ({egress_switch.LIFTED_BY} lifts it)"
            )
        lines += ["download the file, and upload it unless its content is known"] if plan.fetch else []
        lines += [
            f"link into {collection_id} (owner {owner})" for collection_id, owner in plan.attach.items()
        ]
        lines += [f"unlink from {collection_id}" for collection_id in plan.detach]
        lines += [f"drop the older file {old.file_id}" for old in plan.drop]
        lines += ["forget the file: the document has none any more"] if plan.clear else []
        lines += ["look whether indexing has finished"] if plan.check_indexing else []
        lines += [f"ask for the collection of {owner}" for owner in plan.want_owners]
        lines += [f"withhold from {owner}: no permission" for owner in plan.withheld]
        return lines or ["nothing to do"]

    async def _sync_locked(self, key: str) -> Outcome:
        of_pass = Pass(self.tools.permissions.begin())
        document: Document | None = None
        for _ in range(MOST_ROUNDS):
            try:
                current = document or await self.tools.records.load_document(key)
            except NotFound:
                return await self._leave_collections(key, of_pass.tally)
            situation = await self._situation(current)
            await self._refuse_lost_links(current, situation.state)
            plan, is_stopped = situation.plan(current, of_pass.refused)
            await self._want_owners(current, situation.state, plan.want_owners)
            state = situation.state or DocumentState(key, updated_at=0.0)
            try:
                return await carry_out(
                    Round(self.tools, current, state, plan, of_pass, situation.now, is_stopped)
                )
            except StartAgain as again:
                document = again.document
        raise Transient(
            "The document kept changing while it was synced; it is tried again.", system="espocrm"
        )

    async def _situation(self, document: Document) -> _Situation:
        return await self.tools.database.run_together(_read_situations, self.tools, document)

    async def _refuse_lost_links(self, document: Document, state: DocumentState | None) -> None:
        """Raises Permanent where owners seem gone only because they are out of our sight.

        A role that loses the right to read an owner type makes it vanish from the metadata, one that may read "own"
        only leaves the others out of the lists, and either way every document of theirs looks unlinked.
        """
        here = {owner.entity_type for owner in document.owners}
        before = {owner.partition(":")[0] for owner in state.owners} if state else set()
        for entity_type in sorted(before - here):
            is_configured = self.tools.settings.owner_type(entity_type) is not None
            if is_configured and not await self.tools.records.owns_documents(entity_type):
                raise Permanent(
                    f"The link from documents to {entity_type} is not to be seen any more: give our role the right to "
                    "read it back, or take the type out of COLLECTION_OWNERS. Nothing was unlinked.",
                    system="espocrm",
                    reason="owner_link_gone",
                )
        for owner in sorted({*state.owners} - {str(owner) for owner in document.owners}) if state else ():
            await self._refuse_hidden(OwnerKey.parse(owner))

    async def _refuse_hidden(self, owner: OwnerKey) -> None:
        if self.tools.settings.owner_type(owner.entity_type) is None:
            return
        try:
            await self.tools.records.espocrm.get(owner.entity_type, owner.id)
        except NotFound:
            return
        except Permanent as error:
            if error.reason != "no_access":
                raise
            raise Permanent(
                f"{owner} is not to be seen by us any more, so nobody can say whether the document still belongs to it: "
                "give our role the right to read it back. Nothing was unlinked.",
                system="espocrm",
                status=error.status,
                reason="owner_hidden",
            ) from None

    async def _want_owners(
        self, document: Document, state: DocumentState | None, owners: tuple[OwnerKey, ...]
    ) -> None:
        """Asks for the owners' collections, and notes the owners so that each finds this document again."""
        if not owners:
            return
        keys = [str(owner) for owner in owners]

        def commit(conn: Connection) -> None:
            now = self.tools.database.now(conn)
            all_owners = tuple(sorted(str(owner) for owner in document.owners))
            if state is None or state.owners != all_owners:
                document_states.put(
                    conn,
                    replace(
                        state or DocumentState(document.id, updated_at=0.0), owners=all_owners, updated_at=now
                    ),
                )
            work_queue.want(conn, now, "collections", keys)

        await self.tools.database.run(commit)
        await self.tools.coordination.wake("collections")

    async def _leave_collections(self, key: str, tally: Tally) -> Outcome:
        """The document is gone in EspoCRM: its file leaves every collection and is kept in the store."""
        database = self.tools.database
        state = await database.run(lambda conn: document_states.get(conn, key))
        if state is None or state.deleted_at is not None:
            return Outcome(key, Result.DELETED, {"collections": 0})
        doomed = state.doomed
        current = (DoomedFile(state.file_id, state.collections),) if state.file_id else ()
        for old in (*doomed, *current):
            for collection_id in old.collections:
                await self.tools.xai.detach(collection_id, old.file_id)
                tally.detached += 1
        for old in doomed:
            if old.is_stray or self.tools.settings.xai_delete_replaced_files:
                await self.tools.xai.delete_file(old.file_id)
                tally.dropped += 1

        def commit(conn: Connection) -> None:
            now = database.now(conn)
            kept = PARTIAL if state.status == PARTIAL else CLEAN
            gone = replace(
                state,
                collections=(),
                doomed=(),
                owners=(),
                status=kept,
                index_status=IndexStatus.NONE,
                index_check_at=None,
                deleted_at=now,
                updated_at=now,
            )
            document_states.put(conn, gone)

        await database.run(commit)
        facts: dict[str, Fact] = {
            "detached": tally.detached,
            "older_files_dropped": tally.dropped,
            "file_kept": state.file_id or "",
        }
        return Outcome(key, Result.DELETED, facts, (COLLECTION_DOCUMENTS,))


def _read_situations(
    conn: Connection, tools: DocumentTools, documents: Sequence[Document]
) -> list[_Situation]:
    states = document_states.get_many(conn, [document.id for document in documents])
    owners = {str(owner) for document in documents for owner in document.owners}
    known = collection_states.get_many(conn, owners)
    if tools.settings.xai_egress is EgressRule.OFF:
        # The rule counts as it stands now, not as it stood when the owner was last looked at.
        known = {key: replace(found, is_permitted=False) for key, found in known.items()}
    now, is_stopped = tools.database.now(conn), egress_switch.is_stopped(conn)
    return [
        _Situation(
            now,
            states.get(document.id),
            {owner: known[str(owner)] for owner in document.owners if str(owner) in known},
            is_stopped,
        )
        for document in documents
    ]
