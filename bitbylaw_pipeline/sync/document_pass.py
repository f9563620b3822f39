"""Carrying out the plan for one document: every remote write is announced in our state before it is made.

A pass may be killed after any line. `collections` in the state says where the file is or may be, `doomed` which
older files are still to go, and an open intent that an upload may have landed; the next pass carries on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.spool import SpoolFile, spooled
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.domain.document import Document, DocumentFields, OwnerKey
from bitbylaw_pipeline.domain.document_plan import CLEAN, PARTIAL, REFUSED, DocumentPlan, content_token
from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile, IndexStatus
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, Permanent
from bitbylaw_pipeline.domain.file_types import content_type_for
from bitbylaw_pipeline.domain.outcome import Fact, Outcome, Result
from bitbylaw_pipeline.inbox import collection_states, document_states, work_queue
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.contents import Contents, refusal
from bitbylaw_pipeline.sync.indexing import check_indexing
from bitbylaw_pipeline.sync.uploads import EgressStopped, MustWait, Upload, attach_fields, register_egress

log = structlog.get_logger(__name__)

FILES = "xai/files"
COLLECTION_DOCUMENTS = "xai/collection_documents"


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


class StartAgain(Exception):  # control flow within the pass, never seen outside
    """The document changed under the pass: begin anew, with the record just read if there is one."""

    def __init__(self, document: Document | None = None) -> None:
        super().__init__()
        self.document = document


@dataclass(slots=True)
class DocumentPass:
    """One round over one document: `run` carries out the plan and returns the outcome, or raises StartAgain."""

    tools: DocumentTools
    document: Document
    state: DocumentState
    plan: DocumentPlan
    tally: Tally
    warning: str | None = field(default=None)

    async def run(self) -> Outcome:
        """Raises StartAgain, or any error of `domain.errors` with the state saying how far it came."""
        if self._is_refused:
            await self._drop_older_files()
            reason = self.state.status.removeprefix(REFUSED)
            if not self.plan.required:
                return self._outcome(Result.WITHHELD, {"reason": reason})
            # Each event unparks the document: said once only, the reason would be gone with the next one.
            raise Permanent(
                f"xAI cannot take its contents ({reason}): bring in another version.", reason=reason
            )
        if self.plan.clear:
            await self._forget_file()
        was_settled = self.state.status != PARTIAL
        if self.plan.fetch:
            ended = await self._bring_contents()
            if ended is not None:
                return ended
        wanted = self.plan.attach
        if self.plan.fetch and not self.tally.uploaded and was_settled:
            # The same bytes under a new attachment id: the file is where it was.
            wanted = {cid: owner for cid, owner in wanted.items() if cid not in self.state.collections}
        ended = await self._attach(wanted)
        if ended is not None:
            return ended
        await self._detach(() if self.tally.uploaded else self.plan.detach)
        await self._drop_older_files()
        await self._write_back()
        return await self._finish()

    @property
    def _is_refused(self) -> bool:
        return (
            self.state.status.startswith(REFUSED) and self.state.attachment_id == self.document.attachment_id
        )

    @property
    def _owners(self) -> tuple[str, ...]:
        return tuple(sorted(str(owner) for owner in self.document.owners))

    async def _save(self, state: DocumentState, *, check_in: float | None = None) -> None:
        """Commits the state; with `check_in` its indexing is looked at in so many seconds."""
        database = self.tools.database
        self.state = await database.run_together(_save_states, database, (state, check_in))

    def _with_doomed(self, state: DocumentState) -> DocumentState:
        if self.state.file_id is None:
            return state
        older = DoomedFile(self.state.file_id, self.state.collections)
        return replace(state, doomed=(*self.state.doomed, older))

    async def _forget_file(self) -> None:
        empty = DocumentState(
            self.document.id, doomed=self.state.doomed, status=PARTIAL, owners=self._owners, updated_at=0.0
        )
        await self._save(self._with_doomed(empty))

    # contents

    async def _bring_contents(self) -> Outcome | None:
        """Downloads and, unless the content is known, uploads; an Outcome ends the pass."""
        tools, attachment_id = self.tools, self.document.attachment_id
        assert attachment_id is not None  # noqa: S101  # the plan fetches only where there is a file
        try:
            with spooled(tools.spool_dir) as file:
                content_type = await self._download(attachment_id, file)
                if await self._is_known(file):
                    return None
                upload = Upload(tools.database, tools.xai, tools.settings)
                contents = Contents(file.path, file.size, file.md5, file.sha256, content_type)
                stored = await upload.store(self.document, contents, self.plan.required, self.state)
        except NotFound:
            # Replaced or cleared since the record was read (`facts/espocrm.md` 8).
            raise StartAgain from None
        except EgressStopped:
            return self._outcome(Result.WITHHELD, {"reason": "egress is stopped"})
        if isinstance(stored, MustWait):
            return self._outcome(Result.WAITING, {"waits_for": "listing at xAI"}, again_in=stored.seconds)
        self.state = stored
        self.tally.uploaded += 1
        return None

    async def _download(self, attachment_id: str, file: SpoolFile) -> str:
        """Fills the spool file and returns the contents' type; raises Permanent for contents that xAI cannot take."""
        settings = self.tools.settings
        try:
            downloaded = await self.tools.records.espocrm.download(
                attachment_id, file.write, max_bytes=settings.xai_max_file_bytes
            )
        except Permanent as error:
            if error.reason == "too_large":
                await self._take_out_older_version(error.reason)
            raise
        content_type = content_type_for(
            self.document.file_name or self.document.name, downloaded.content_type
        )
        why = refusal(size=file.size, content_type=content_type, unreadable=settings.xai_unreadable_types)
        if why is not None:
            await self._take_out_older_version(why.reason)
            raise why
        return content_type

    async def _take_out_older_version(self, reason: str) -> None:
        """Left in place, the older file would answer questions from a version that the firm has replaced."""
        refused = DocumentState(
            self.document.id,
            attachment_id=self.document.attachment_id,
            status=f"{REFUSED}{reason}",
            doomed=self.state.doomed,
            owners=self._owners,
            updated_at=0.0,
        )
        await self._save(self._with_doomed(refused))
        await self._drop_older_files()

    async def _is_known(self, file: SpoolFile) -> bool:
        """True if this content is at xAI already, as our state or (should that be lost) EspoCRM says."""
        state, document = self.state, self.document
        is_same = state.file_id is not None and (state.md5, state.sha256) == (file.md5, file.sha256)
        if not is_same:
            if state.file_id is not None or not document.file_id or document.synced_hash != file.md5:
                return False
            try:
                stored = await self.tools.xai.file(document.file_id)
            except NotFound:
                return False
            token = content_token(document.id, file.sha256)
            if stored.size != file.size or not stored.name.startswith(token):
                return False
        self.state = replace(
            state,
            attachment_id=document.attachment_id,
            file_id=state.file_id or document.file_id,
            md5=file.md5,
            sha256=file.sha256,
            size=file.size,
            status=PARTIAL,
            index_status=state.index_status if is_same else IndexStatus.PENDING,
        )
        return True

    # collections

    async def _attach(self, wanted: Mapping[str, OwnerKey]) -> Outcome | None:
        """Links the file into each collection; an Outcome if the file or a collection turned out to be gone."""
        file_id = self.state.file_id
        if not wanted or file_id is None:
            return None
        await self._announce(wanted)
        for collection_id, owner in wanted.items():
            fields = attach_fields(self.document.id, owner, self.state.sha256 or "")
            try:
                await self.tools.xai.attach(collection_id, file_id, fields)
            except NotFound:
                return await self._explain_missing(file_id, collection_id, owner)
            self.tally.attached += 1
        return None

    async def _announce(self, wanted: Mapping[str, OwnerKey]) -> None:
        """Commits, before a file goes into further collections, where it may be from now on, and the egress."""
        new = {cid: owner for cid, owner in wanted.items() if cid not in self.state.collections}
        if not new:
            return
        announced = replace(
            self.state,
            status=PARTIAL,
            collections=tuple(sorted({*self.state.collections, *new})),
            index_status=IndexStatus.PENDING,
        )

        def commit(conn: Connection) -> None:
            now = self.tools.database.now(conn)
            register_egress(
                conn,
                now,
                self.tools.cipher,
                self.document.id,
                announced.sha256 or "",
                new,
                self.tools.settings,
            )
            document_states.put(conn, replace(announced, updated_at=now))

        await self.tools.database.run(commit)
        self.state = announced

    async def _explain_missing(self, file_id: str, collection_id: str, owner: OwnerKey) -> Outcome:
        """After a 404 on attach: is it the file (upload again) or the collection (its owner makes a new one)?"""
        try:
            await self.tools.xai.file(file_id)
        except NotFound:
            # Some say that xAI drops a file with its last collection (`facts/xai.md` 3.13).
            log.warning("file_gone", file_id=file_id)
            await self._save(
                replace(self.state, file_id=None, attachment_id=None, md5=None, sha256=None, collections=())
            )
            raise StartAgain(self.document) from None
        log.warning("collection_gone", collection_id=collection_id)
        left = tuple(known for known in self.state.collections if known != collection_id)

        def commit(conn: Connection) -> None:
            now = self.tools.database.now(conn)
            known = collection_states.get(conn, str(owner))
            if known is not None and known.collection_id == collection_id:
                collection_states.put(conn, replace(known, collection_id=None, updated_at=now))
            document_states.put(conn, replace(self.state, status=PARTIAL, collections=left, updated_at=now))
            work_queue.want(conn, now, "collections", [str(owner)])

        await self.tools.database.run(commit)
        await self.tools.coordination.wake("collections")
        return self._outcome(Result.WAITING, {"waits_for": "collection"}, again_in=5.0)

    async def _detach(self, collections: tuple[str, ...]) -> None:
        file_id = self.state.file_id
        if file_id is None:
            return
        for collection_id in collections:
            await self.tools.xai.detach(collection_id, file_id)
            self.tally.detached += 1
        left = tuple(known for known in self.state.collections if known not in collections)
        self.state = replace(self.state, collections=left)

    async def _drop_older_files(self) -> None:
        """Takes files of older versions out of every collection, then deletes them (or keeps them, by setting)."""
        for old in self.state.doomed:
            for collection_id in old.collections:
                await self.tools.xai.detach(collection_id, old.file_id)
                self.tally.detached += 1
            if self.tools.settings.xai_delete_replaced_files and old.file_id != self.state.file_id:
                await self.tools.xai.delete_file(old.file_id)
            self.tally.dropped += 1
        if self.state.doomed and self._is_refused:
            await self._save(replace(self.state, doomed=()))
        else:
            self.state = replace(self.state, doomed=())

    # agreement

    async def _write_back(self) -> None:
        """Writes what differs in one PUT and reads again; raises StartAgain if the document has moved on."""
        if self.state.file_id is None and not self.plan.clear:
            return
        records = self.tools.records
        wanted = DocumentFields(
            file_id=self.state.file_id,
            collections=self.state.collections,
            synced_hash=self.state.md5 if self.state.file_id else None,
            status=self.tools.settings.document_fields.status_synced,
            md5=self.state.md5,
            sha256=self.state.sha256,
        )
        if not records.differs(self.document, wanted):
            return
        # Before the write: killed between it and the last commit, the next pass must look again.
        if self.state.status != PARTIAL:
            await self._save(replace(self.state, status=PARTIAL))
        try:
            await records.write_document(self.document, wanted)
        except Conflict:
            await self._save(replace(self.state, status=PARTIAL))
            raise StartAgain from None
        self.tally.written += 1
        reread = await records.load_document(self.document.id)
        if reread.attachment_id != self.document.attachment_id or reread.owners != self.document.owners:
            await self._save(replace(self.state, status=PARTIAL))
            raise StartAgain(reread)
        if records.differs(reread, wanted):
            self.warning = (
                "EspoCRM did not keep what was written back: check the fields' types and our rights."
            )
        self.document = reread

    async def _finish(self) -> Outcome:
        state = replace(
            self.state,
            status=CLEAN,
            owners=self._owners,
            record_version=self.document.version,
            record_modified_at=self.document.modified_at,
            deleted_at=None,
        )
        state, again_in = await self._look_at_index(state)
        if state != self.state or again_in is not None:
            await self._save(state, check_in=again_in)
        if self.tally.has_written or (self.plan.check_indexing and state.index_status != IndexStatus.PENDING):
            result = Result.SYNCED
        elif self.plan.want_owners:
            result = Result.WAITING
        elif self.plan.withheld and not self.plan.required:
            result = Result.WITHHELD
        else:
            result = Result.UNCHANGED
        if state.index_status is IndexStatus.PENDING:
            # Also where a look is planned: an event that came in during the last pass has taken its place in the queue.
            again_in = self.tools.settings.xai_indexing_check_seconds
        return self._outcome(result, {"indexing": state.index_status.value}, again_in=again_in)

    async def _look_at_index(self, state: DocumentState) -> tuple[DocumentState, float | None]:
        """The state with the indexing's status in it, and in how many seconds to look again."""
        seconds = self.tools.settings.xai_indexing_check_seconds
        if state.file_id is None or not state.collections:
            return replace(state, index_status=IndexStatus.NONE, index_check_at=None), None
        if self.plan.check_indexing:
            found = await check_indexing(self.tools.xai, state.file_id, state.collections)
            if found.is_missing:
                await self._save(replace(state, status=PARTIAL))
                raise StartAgain(self.document)
            state = replace(state, index_status=found.status)
            if found.status is IndexStatus.FAILED:
                self.warning = (
                    f"xAI could not index it. {found.problem} Bring in a version with a text layer."
                )
        if state.index_status in (IndexStatus.PROCESSED, IndexStatus.FAILED):
            return replace(state, index_check_at=None), None
        is_scheduled = (
            state.index_check_at is not None and not self.tally.has_written and not self.plan.check_indexing
        )
        if is_scheduled:
            return state, None
        return replace(state, index_status=IndexStatus.PENDING), seconds

    def _outcome(self, result: Result, more: Mapping[str, Fact], *, again_in: float | None = None) -> Outcome:
        tally, state = self.tally, self.state
        facts: dict[str, Fact] = {
            "collections": len(state.collections),
            "uploaded": tally.uploaded,
            "attached": tally.attached,
            "detached": tally.detached,
            "older_files_dropped": tally.dropped,
            "written_back": tally.written,
            **more,
        }
        if state.file_id:
            facts |= {"file_id": state.file_id, "bytes": state.size or 0, "sha256": state.sha256 or ""}
        if self.plan.withheld:
            facts["owners_without_permission"] = len(self.plan.withheld)
        assets = (FILES, COLLECTION_DOCUMENTS) if result is Result.SYNCED else ()
        return Outcome(self.document.id, result, facts, assets, again_in=again_in, warning=self.warning)


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
