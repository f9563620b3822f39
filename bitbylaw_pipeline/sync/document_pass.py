"""Carrying out the plan for one document: contents, links, write-back, indexing, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bitbylaw_pipeline.domain.document import DocumentFields
from bitbylaw_pipeline.domain.document_plan import CLEAN, EXCLUDED, PARTIAL
from bitbylaw_pipeline.domain.document_state import DocumentState, IndexStatus
from bitbylaw_pipeline.domain.errors import Conflict
from bitbylaw_pipeline.domain.outcome import Fact, Outcome, Result
from bitbylaw_pipeline.sync.document_contents import bring_contents
from bitbylaw_pipeline.sync.document_links import attach, detach, drop_older_files
from bitbylaw_pipeline.sync.document_permission import keep_back
from bitbylaw_pipeline.sync.document_round import Early, Round, StartAgain
from bitbylaw_pipeline.sync.egress_watch import EgressStopped
from bitbylaw_pipeline.sync.indexing import check_indexing, index_anew

FILES = "xai/files"
COLLECTION_DOCUMENTS = "xai/collection_documents"
STOPPED_FACTS: Mapping[str, Fact] = {"reason": "egress is stopped"}


async def carry_out(current: Round) -> Outcome:
    """Raises StartAgain, or any error of `domain.errors` with the state saying how far it came."""
    try:
        early = await _bring_and_link(current)
    except EgressStopped:
        await keep_back(current)
        return _outcome(current, Result.WITHHELD, STOPPED_FACTS)
    if early is not None:
        return _outcome(current, early.result, early.facts, again_in=early.again_in)
    if not current.is_stopped:  # what is kept back is not agreed yet, and EspoCRM must not say so
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
    early = await attach(current, wanted, is_just_uploaded=is_uploaded)
    if early is not None:
        return early
    if not was_settled:
        await _settle_withheld(current)
    # A file that was just uploaded is in no other collection; its older one is dropped as a whole.
    await detach(current, () if is_uploaded else plan.detach)
    await drop_older_files(current)
    return None


async def _settle_withheld(current: Round) -> None:
    """Finds out in which of those collections the file is that it may be in and must not be linked into again.

    Taken for linked, it would be missing there once its owner permits it again.
    """
    state, plan = current.state, current.plan
    if not plan.withheld or current.is_stopped or state.file_id is None:
        return
    unsure = [cid for cid in state.collections if cid not in plan.required and cid not in plan.detach]
    gone = {cid for cid in unsure if await current.tools.xai.member(cid, state.file_id) is None}
    current.state = replace(state, collections=tuple(cid for cid in state.collections if cid not in gone))


async def _write_back(current: Round) -> None:
    """Writes what differs in one PUT and reads again; raises StartAgain if the document has moved on."""
    if current.state.file_id is None and not current.plan.clear:
        return
    records, synced = current.tools.records, current.tools.settings.document_fields.status_synced
    # What is at xAI while the newer version is withheld is no more than what is there.
    is_older = bool(current.plan.withheld) and current.state.attachment_id != current.document.attachment_id
    wanted = DocumentFields(
        file_id=current.state.file_id,
        collections=current.state.collections,
        synced_hash=current.state.md5 if current.state.file_id else None,
        status=(current.document.status or synced) if is_older else synced,
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
    before = current.document
    if (reread.attachment_id, reread.owners, reread.is_excluded) != (
        before.attachment_id,
        before.owners,
        before.is_excluded,
    ):
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
        status=EXCLUDED if current.document.is_excluded else CLEAN,
        owners=current.owners,
        record_version=current.document.version,
        record_modified_at=current.document.modified_at,
        deleted_at=None,
    )
    if current.is_stopped:
        return await _finish_stopped(current, state)
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


async def _finish_stopped(current: Round, state: DocumentState) -> Outcome:
    """The indexing is not looked at: a link that was kept back would be found missing there, time and again."""
    # What the kill switch keeps back may be the very link that was never settled.
    status = PARTIAL if current.state.status == PARTIAL else CLEAN
    await current.save(replace(state, status=status, index_check_at=None))
    await keep_back(current)
    return _outcome(current, Result.WITHHELD, STOPPED_FACTS)


async def _look_at_index(current: Round, state: DocumentState) -> tuple[DocumentState, float | None]:
    """The state with the indexing's status in it, and in how many seconds to look again."""
    seconds = current.tools.settings.xai_indexing_check_seconds
    file_id = state.file_id
    if file_id is None or not state.collections:
        return replace(state, index_status=IndexStatus.NONE, index_check_at=None), None
    if state.index_status is IndexStatus.REDO:
        if not await index_anew(current.tools.xai, file_id, state.collections):
            await current.save(replace(state, status=PARTIAL))
            raise StartAgain(current.document)
        state = replace(state, index_status=IndexStatus.PENDING, index_check_at=None)
    if current.plan.check_indexing:
        found = await check_indexing(current.tools.xai, file_id, state.collections)
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
