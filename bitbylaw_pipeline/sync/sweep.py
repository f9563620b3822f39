"""The nightly sweep: what neither webhook nor feed can show (deletes, undeletes, links) is found by comparing lists.

It writes nothing outside: what differs is wanted and repaired by its own flow; files without a document are reported.
This is EspoCRM's side; xAI's is `sweep_xai`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.document_state import DocumentState
from bitbylaw_pipeline.domain.errors import NotFound, Unexpected
from bitbylaw_pipeline.inbox import collection_states, document_states, work_queue
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.work_queue import SWEEP_PRIORITY
from bitbylaw_pipeline.settings import OwnerType, Settings
from bitbylaw_pipeline.sync.sweep_xai import XaiSweep

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SweepReport:
    """Counts, and the ids that a person may have to look at."""

    documents_listed: int = 0
    owners_listed: int = 0
    files_listed: int = 0
    documents_wanted: int = 0
    owners_wanted: int = 0
    orphan_files: list[str] = field(default_factory=list)
    """Files at xAI that carry our token and that no state knows; reported, deleted by nobody but reconciliation."""
    missing_files: list[str] = field(default_factory=list)
    """Files that somebody deleted at xAI; their documents are uploaded again."""
    duplicate_collections: list[str] = field(default_factory=list)
    """Owners of more than one collection; they are merged."""
    missing_collections: list[str] = field(default_factory=list)
    """Owners whose collection somebody deleted at xAI; a new one is made."""
    drifted_collections: list[str] = field(default_factory=list)
    """Owners whose collection held other files of ours than it should; put right."""
    not_readable_whole: list[str] = field(default_factory=list)
    """Entity types of which our role sees a part only: nothing was inferred from what is missing there."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One comparison of both sides with our state."""

    espocrm: EspoCrm
    records: DocumentRecords
    xai: Xai
    database: Database
    coordination: Coordination
    settings: Settings

    async def run(self) -> SweepReport:
        """Raises Unexpected where a listing came back empty although there was something before: no mass delete."""
        report = SweepReport()
        owners = {
            state.owner_key: state
            for state in await self.database.run(lambda conn: list(collection_states.iterate(conn)))
        }
        states = {
            state.document_id: state
            for state in await self.database.run(lambda conn: list(document_states.iterate(conn)))
        }
        user = await self.espocrm.app_user()
        types = [self.settings.document_fields.entity_type]
        types += [
            owner.entity_type
            for owner in self.settings.collection_owners
            if await self.records.owns_documents(owner.entity_type)
        ]
        report.not_readable_whole = [name for name in types if not user.may("read", name)]
        await self._compare_documents(states, owners, report)
        for owner_type in self.settings.collection_owners:
            if owner_type.entity_type in types:
                await self._compare_owners(owner_type, states, owners, report)
        await XaiSweep(self.xai, self.database, self.settings, report).compare(states, owners)
        for stream in ("documents", "collections"):
            await self.coordination.wake(stream)
        log.info(
            "swept",
            documents=report.documents_listed,
            documents_wanted=report.documents_wanted,
            owners=report.owners_listed,
            owners_wanted=report.owners_wanted,
            orphan_files=len(report.orphan_files),
            missing_files=len(report.missing_files),
            duplicate_collections=len(report.duplicate_collections),
            missing_collections=len(report.missing_collections),
            drifted_collections=len(report.drifted_collections),
        )
        return report

    async def _compare_documents(
        self, states: dict[str, DocumentState], owners: dict[str, CollectionState], report: SweepReport
    ) -> None:
        fields = self.settings.document_fields
        file_id = f"{fields.file}Id"
        alive = {document_id for document_id, state in states.items() if state.deleted_at is None}
        permitted = {key for key, owner in owners.items() if owner.is_permitted and owner.deleted_at is None}
        listed: set[str] = set()
        differing: set[str] = set()
        async for rows in self.espocrm.iterate_records(fields.entity_type, select=("id", file_id)):
            for row in rows:
                listed.add(row["id"])
                state = states.get(row["id"])
                # A change that neither webhook nor feed brought: the feed's overlap has an end.
                is_due = state is not None and bool(permitted.intersection(state.owners))
                if (
                    is_due
                    and state is not None
                    and row.get(file_id, state.attachment_id) != state.attachment_id
                ):
                    differing.add(row["id"])
        _refuse_empty(fields.entity_type, listed, len(alive))
        report.documents_listed = len(listed)
        gone = set() if fields.entity_type in report.not_readable_whole else alive - listed
        report.documents_wanted += await self._want("documents", (listed - alive) | gone | differing)

    async def _compare_owners(
        self,
        owner_type: OwnerType,
        states: dict[str, DocumentState],
        owners: dict[str, CollectionState],
        report: SweepReport,
    ) -> None:
        name = owner_type.entity_type
        is_whole = name not in report.not_readable_whole
        of_type = {key for key in owners if key.startswith(f"{name}:")}
        alive = {key for key in of_type if owners[key].deleted_at is None}
        listed = {f"{name}:{id_}" async for ids in self.espocrm.iterate_ids(name) for id_ in ids}
        _refuse_empty(name, listed, len(alive))
        report.owners_listed += len(listed)
        gone = alive - listed if is_whole else set()
        report.owners_wanted += await self._want("collections", gone | (listed & (of_type - alive)))
        linked_here: dict[str, set[str]] = {}
        for state in states.values():
            for owner in state.owners:
                linked_here.setdefault(owner, set()).add(state.document_id)
        for key in sorted(listed):
            try:
                linked = set(await self.records.documents_of(OwnerKey.parse(key)))
            except NotFound:
                continue  # deleted since it was listed: its delete comes by webhook, or tomorrow
            known = linked_here.get(key, set())
            report.documents_wanted += await self._want(
                "documents", (linked - known) | (known - linked if is_whole else set())
            )

    async def _want(self, stream: str, keys: Iterable[str]) -> int:
        wanted = sorted(keys)
        if wanted:
            await self.database.run(
                lambda conn: work_queue.want(
                    conn, self.database.now(conn), stream, wanted, priority=SWEEP_PRIORITY
                )
            )
        return len(wanted)


def _refuse_empty(entity_type: str, listed: set[str], known: int) -> None:
    if not listed and known > 1:
        raise Unexpected(
            f"EspoCRM lists no {entity_type} although {known} are known here: look at the API user's rights "
            "before anything is taken for deleted.",
            system="espocrm",
        )
