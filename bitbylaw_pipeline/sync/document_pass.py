"""Carrying out the plan for one document: contents, links, write-back, indexing, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bitbylaw_pipeline.domain.document import DocumentFields
from bitbylaw_pipeline.domain.document_plan import CLEAN, PARTIAL
from bitbylaw_pipeline.domain.document_state import DocumentState, IndexStatus
from bitbylaw_pipeline.domain.errors import Conflict
from bitbylaw_pipeline.domain.outcome import Fact, Outcome, Result
from bitbylaw_pipeline.sync.document_contents import bring_contents
from bitbylaw_pipeline.sync.document_links import attach, detach, drop_older_files
from bitbylaw_pipeline.sync.document_round import Early, Round, StartAgain
from bitbylaw_pipeline.sync.indexing import check_indexing

FILES = "xai/files"
COLLECTION_DOCUMENTS = "xai/collection_documents"


async def carry_out(current: Round) -> Outcome:
    """Raises StartAgain, or any error of `domain.errors` with the state saying how far it came."""
    early = await _bring_and_link(current)
    if early is not None:
        return _outcome(current, early.result, early.facts, again_in=early.again_in)
    await _write_back(current)
    return await _finish(current)


async def _bring_and_link(current: Round) -> Early | None:
    plan, was_settled, uploads_before = current.plan, current.state.status != PARTIAL, current.tally.uploaded
    if plan.clear:
        await current.start_without_file(attachment_id=None, status=PARTIAL)
    if plan.fetch:
        early = await bring_contents(current)
        if early is not None:
            return early
    wanted = plan.attach
    is_uploaded = current.tally.uploaded > uploads_before
    if plan.fetch and not is_uploaded and was_settled:
        # The same bytes under a new attachment id: the file is where it was.
        wanted = {cid: owner for cid, owner in wanted.items() if cid not in current.state.collections}
    early = await attach(current, wanted)
    if early is not None:
        return early
    # A file that was just uploaded is in no other collection; its older one is dropped as a whole.
    await detach(current, () if is_uploaded else plan.detach)
    await drop_older_files(current)
    return None


async def _write_back(current: Round) -> None:
    """Writes what differs in one PUT and reads again; raises StartAgain if the document has moved on."""
    if current.state.file_id is None and not current.plan.clear:
        return
    records = current.tools.records
    wanted = DocumentFields(
        file_id=current.state.file_id,
        collections=current.state.collections,
        synced_hash=current.state.md5 if current.state.file_id else None,
        status=current.tools.settings.document_fields.status_synced,
        md5=current.state.md5,
        sha256=current.state.sha256,
    )
    if not records.differs(current.document, wanted):
        return
    # Before the write: killed between it and the last commit, the next pass must look again.
    if current.state.status != PARTIAL:
        await current.save(replace(current.state, status=PARTIAL))
    try:
        await records.write_document(current.document, wanted)
    except Conflict:
        await current.save(replace(current.state, status=PARTIAL))
        raise StartAgain from None
    current.tally.written += 1
    reread = await records.load_document(current.document.id)
    if reread.attachment_id != current.document.attachment_id or reread.owners != current.document.owners:
        await current.save(replace(current.state, status=PARTIAL))
        raise StartAgain(reread)
    if records.differs(reread, wanted):
        current.warning = (
            "EspoCRM did not keep what was written back: check the fields' types and our rights."
        )
    current.document = reread


async def _finish(current: Round) -> Outcome:
    state = replace(
        current.state,
        status=CLEAN,
        owners=current.owners,
        record_version=current.document.version,
        record_modified_at=current.document.modified_at,
        deleted_at=None,
    )
    state, again_in = await _look_at_index(current, state)
    if state != current.state or again_in is not None:
        await current.save(state, check_in=again_in)
    if current.tally.has_written or (
        current.plan.check_indexing and state.index_status != IndexStatus.PENDING
    ):
        result = Result.SYNCED
    elif current.plan.want_owners:
        result = Result.WAITING
    elif current.plan.withheld and not current.plan.required:
        result = Result.WITHHELD
    else:
        result = Result.UNCHANGED
    if state.index_status is IndexStatus.PENDING:
        # Also where a look is planned: an event that came in during the last pass has taken its place in the queue.
        again_in = current.tools.settings.xai_indexing_check_seconds
    return _outcome(current, result, {"indexing": state.index_status.value}, again_in=again_in)


async def _look_at_index(current: Round, state: DocumentState) -> tuple[DocumentState, float | None]:
    """The state with the indexing's status in it, and in how many seconds to look again."""
    seconds = current.tools.settings.xai_indexing_check_seconds
    if state.file_id is None or not state.collections:
        return replace(state, index_status=IndexStatus.NONE, index_check_at=None), None
    if current.plan.check_indexing:
        found = await check_indexing(current.tools.xai, state.file_id, state.collections)
        if found.is_missing:
            await current.save(replace(state, status=PARTIAL))
            raise StartAgain(current.document)
        state = replace(state, index_status=found.status)
        if found.status is IndexStatus.FAILED:
            current.warning = f"xAI could not index it. {found.problem} Bring in a version with a text layer."
    if state.index_status in (IndexStatus.PROCESSED, IndexStatus.FAILED):
        return replace(state, index_check_at=None), None
    is_scheduled = (
        state.index_check_at is not None and not current.tally.has_written and not current.plan.check_indexing
    )
    if is_scheduled:
        return state, None
    return replace(state, index_status=IndexStatus.PENDING), seconds


def _outcome(
    current: Round, result: Result, more: Mapping[str, Fact], *, again_in: float | None = None
) -> Outcome:
    tally, state = current.tally, current.state
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
    if current.plan.withheld:
        facts["owners_without_permission"] = len(current.plan.withheld)
    assets = (FILES, COLLECTION_DOCUMENTS) if result is Result.SYNCED else ()
    return Outcome(current.document.id, result, facts, assets, again_in=again_in, warning=current.warning)
