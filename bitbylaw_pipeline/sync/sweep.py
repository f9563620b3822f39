"""The nightly sweep: what neither webhook nor feed can show (deletes, undeletes, links) is found by comparing lists.

It writes nothing outside: what differs is wanted and repaired by its own flow; files without a document are reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.document_state import DocumentState
from bitbylaw_pipeline.domain.errors import Unexpected
from bitbylaw_pipeline.domain.file_name import token_of
from bitbylaw_pipeline.inbox import collection_states, document_states, work_queue
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.collection_search import MUST_SEARCH, collection_name

log = structlog.get_logger(__name__)

LOW_PRIORITY = 1


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
    duplicate_collections: list[str] = field(default_factory=list)


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
        states = {
            state.document_id: state
            for state in await self.database.run(lambda conn: list(document_states.iterate(conn)))
        }
        await self._compare_documents(states, report)
        await self._compare_owners(states, report)
        await self._find_orphans(states, report)
        await self._find_duplicates(report)
        for stream in ("documents", "collections"):
            await self.coordination.wake(stream)
        log.info(
            "swept",
            documents=report.documents_listed,
            documents_wanted=report.documents_wanted,
            owners=report.owners_listed,
            owners_wanted=report.owners_wanted,
            orphan_files=len(report.orphan_files),
            duplicate_collections=len(report.duplicate_collections),
        )
        return report

    async def _ids(self, entity_type: str, known: int) -> set[str]:
        found: set[str] = set()
        async for ids in self.espocrm.iterate_ids(entity_type):
            found.update(ids)
        if not found and known > 1:
            raise Unexpected(
                f"EspoCRM lists no {entity_type} although {known} are known here: look at the API user's rights "
                "before anything is taken for deleted.",
                system="espocrm",
            )
        return found

    async def _compare_documents(self, states: dict[str, DocumentState], report: SweepReport) -> None:
        alive = {document_id for document_id, state in states.items() if state.deleted_at is None}
        listed = await self._ids(self.settings.document_fields.entity_type, len(alive))
        report.documents_listed = len(listed)
        report.documents_wanted += await self._want("documents", listed ^ alive)

    async def _compare_owners(self, states: dict[str, DocumentState], report: SweepReport) -> None:
        known = {
            state.owner_key: state
            for state in await self.database.run(lambda conn: list(collection_states.iterate(conn)))
        }
        linked_here: dict[str, set[str]] = {}
        for state in states.values():
            for owner in state.owners:
                linked_here.setdefault(owner, set()).add(state.document_id)
        for owner_type in self.settings.collection_owners:
            of_type = {key for key in known if key.startswith(f"{owner_type.entity_type}:")}
            alive = {key for key in of_type if known[key].deleted_at is None}
            if not await self.records.owns_documents(owner_type.entity_type):
                continue
            listed = {
                f"{owner_type.entity_type}:{record_id}"
                for record_id in await self._ids(owner_type.entity_type, len(alive))
            }
            report.owners_listed += len(listed)
            report.owners_wanted += await self._want(
                "collections", (alive - listed) | (listed & (of_type - alive))
            )
            for key in sorted(listed):
                linked = set(await self.records.documents_of(OwnerKey.parse(key)))
                differing = linked ^ linked_here.get(key, set())
                report.documents_wanted += await self._want("documents", differing)

    async def _find_orphans(self, states: dict[str, DocumentState], report: SweepReport) -> None:
        known = {state.file_id for state in states.values()}
        known |= {old.file_id for state in states.values() for old in state.doomed}
        async for page in self.xai.list_files():
            report.files_listed += len(page)
            report.orphan_files += [
                file.file_id for file in page if file.file_id not in known and token_of(file.name) is not None
            ]

    async def _find_duplicates(self, report: SweepReport) -> None:
        names: Counter[str] = Counter()
        async for page in self.xai.list_collections():
            names.update(collection.name for collection in page)
        known = await self.database.run(
            lambda conn: [state.owner_key for state in collection_states.iterate(conn)]
        )
        ours = {collection_name(OwnerKey.parse(key)): key for key in known}
        doubled = sorted(ours[name] for name, count in names.items() if count > 1 and name in ours)
        report.duplicate_collections = doubled
        if not doubled:
            return

        def mark(conn: Connection) -> None:
            now = self.database.now(conn)
            for state in collection_states.get_many(conn, doubled).values():
                collection_states.put(conn, replace(state, status=MUST_SEARCH, updated_at=now))

        await self.database.run(mark)
        report.owners_wanted += await self._want("collections", doubled)

    async def _want(self, stream: str, keys: Iterable[str]) -> int:
        wanted = sorted(keys)
        if wanted:
            await self.database.run(
                lambda conn: work_queue.want(
                    conn, self.database.now(conn), stream, wanted, priority=LOW_PRIORITY
                )
            )
        return len(wanted)
