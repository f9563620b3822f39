"""One round over one document: what it works with, what it has written, and how far it has come.

A round may be killed after any line. `collections` in the state says where the file is or may be, `doomed` which older
files are still to go, and an open intent that an upload may have landed; the next pass carries on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Connection

from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.domain.document import Document, OwnerKey
from bitbylaw_pipeline.domain.document_plan import DocumentPlan
from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile
from bitbylaw_pipeline.domain.outcome import Fact, Result
from bitbylaw_pipeline.inbox import document_states
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.egress_watch import EgressWatch
from bitbylaw_pipeline.sync.owner_permission import OwnerPermissions


@dataclass(frozen=True, slots=True)
class DocumentTools:
    """What a pass works with; the same for every document."""

    database: Database
    coordination: Coordination
    records: DocumentRecords
    xai: Xai
    cipher: Cipher
    settings: Settings
    spool_dir: Path
    permissions: OwnerPermissions
    egress_watch: EgressWatch


@dataclass(slots=True)
class Tally:
    """What one pass has written so far, over all its rounds."""

    uploaded: int = 0
    attached: int = 0
    detached: int = 0
    dropped: int = 0
    written: int = 0

    @property
    def has_written(self) -> bool:
        """True once anything at all was written at an outside system."""
        return bool(self.uploaded or self.attached or self.detached or self.dropped or self.written)


@dataclass(slots=True)
class Pass:
    """One pass over one document, over all its rounds: the mark of its beginning, and what it has met.

    `refused` are owners that permitted nothing when they were asked, whatever our state says of them.
    """

    begun: int
    tally: Tally = field(default_factory=Tally)
    refused: set[OwnerKey] = field(default_factory=set)


class StartAgain(Exception):  # control flow within a pass, never seen outside
    """The document changed under the pass: begin anew, with the record just read if there is one."""

    def __init__(self, document: Document | None = None) -> None:
        super().__init__()
        self.document = document


@dataclass(frozen=True, slots=True)
class Early:
    """A round that ends before its plan is carried out, and why; `again_in` in seconds."""

    result: Result
    facts: Mapping[str, Fact]
    again_in: float | None = None


@dataclass(slots=True)
class Round:
    """One document's record, our state of it, the plan, and what has been done of it."""

    tools: DocumentTools
    document: Document
    state: DocumentState
    plan: DocumentPlan
    of_pass: Pass
    now: float
    """When the round began, UTC epoch seconds."""
    is_stopped: bool = False
    """The kill switch keeps something back, and the plan is what may be done all the same."""
    warning: str | None = field(default=None)

    @property
    def tally(self) -> Tally:
        """What the pass has written so far."""
        return self.of_pass.tally

    @property
    def owners(self) -> tuple[str, ...]:
        """The document's owners as our state keeps them."""
        return tuple(sorted(str(owner) for owner in self.document.owners))

    async def save(self, state: DocumentState, *, check_in: float | None = None) -> None:
        """Commits the state; with `check_in` its indexing is looked at in so many seconds."""
        database = self.tools.database
        self.state = await database.run_together(_save_states, database, (state, check_in))

    async def start_without_file(self, *, attachment_id: str | None, status: str) -> None:
        """Commits a state without a file, the present one doomed."""
        older = (DoomedFile(self.state.file_id, self.state.collections),) if self.state.file_id else ()
        empty = DocumentState(
            self.document.id,
            updated_at=0.0,
            status=status,
            attachment_id=attachment_id,
            doomed=(*self.state.doomed, *older),
            owners=self.owners,
        )
        await self.save(empty)


def _save_states(
    conn: Connection, database: Database, saves: Sequence[tuple[DocumentState, float | None]]
) -> list[DocumentState]:
    now = database.now(conn)
    stamped = [
        replace(
            state, updated_at=now, index_check_at=state.index_check_at if check_in is None else now + check_in
        )
        for state, check_in in saves
    ]
    document_states.put_many(conn, stamped)
    return stamped
