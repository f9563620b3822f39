"""Bringing a document's contents to xAI: download and hash, judge, and upload unless the content is there already."""

from __future__ import annotations

from dataclasses import replace

from bitbylaw_pipeline.clients.spool import SpoolFile, spooled
from bitbylaw_pipeline.domain.document_plan import PARTIAL, content_token
from bitbylaw_pipeline.domain.document_state import IndexStatus
from bitbylaw_pipeline.domain.errors import NotFound, Permanent
from bitbylaw_pipeline.domain.file_types import content_type_for
from bitbylaw_pipeline.domain.outcome import Result
from bitbylaw_pipeline.sync.contents import Contents, refusal
from bitbylaw_pipeline.sync.document_links import drop_older_files
from bitbylaw_pipeline.sync.document_permission import grounds
from bitbylaw_pipeline.sync.document_round import Early, Round, StartAgain
from bitbylaw_pipeline.sync.egress_watch import EgressStopped
from bitbylaw_pipeline.sync.uploads import MustWait, Upload


async def bring_contents(current: Round) -> Early | None:
    """Downloads and, unless the content is known, uploads; an Early ends the round. Raises StartAgain, EgressStopped."""
    tools, attachment_id = current.tools, current.document.attachment_id
    assert attachment_id is not None  # noqa: S101  # the plan fetches only where there is a file
    try:
        with spooled(tools.spool_dir) as file:
            content_type = await _download(current, attachment_id, file)
            if await _is_known(current, file):
                return None
            required = current.plan.required
            permitted_by = await grounds(current, required.values())
            upload = Upload(tools.database, tools.xai, tools.settings, tools.egress_watch)
            contents = Contents(file.path, file.size, file.md5, file.sha256, content_type)
            stored = await upload.store(current.document, contents, required, permitted_by, current.state)
    except NotFound:
        # Replaced or cleared since the record was read (`facts/espocrm.md` 8).
        raise StartAgain from None
    if isinstance(stored, MustWait):
        return Early(Result.WAITING, {"waits_for": "listing at xAI"}, again_in=stored.seconds)
    current.state = stored.state
    current.tally.uploaded += 1
    if stored.is_stopped:
        raise EgressStopped
    return None


async def _download(current: Round, attachment_id: str, file: SpoolFile) -> str:
    """Fills the spool file and returns the contents' type; raises Permanent for contents that xAI cannot take."""
    settings = current.tools.settings
    try:
        downloaded = await current.tools.records.espocrm.download(
            attachment_id, file.write, max_bytes=settings.xai_max_file_bytes
        )
    except Permanent as error:
        if error.reason == "too_large":
            await _take_out_older_version(current)
        raise
    content_type = content_type_for(
        current.document.file_name or current.document.name, downloaded.content_type
    )
    why = refusal(size=file.size, content_type=content_type, unreadable=settings.xai_unreadable_types)
    if why is not None:
        await _take_out_older_version(current)
        raise why
    return content_type


async def _is_known(current: Round, file: SpoolFile) -> bool:
    """True if this content is at xAI already, as our state or (should that be lost) EspoCRM says."""
    state, document = current.state, current.document
    is_same = state.file_id is not None and (state.md5, state.sha256) == (file.md5, file.sha256)
    is_same = is_same and state.size in (None, file.size)
    if not is_same:
        if state.file_id is not None or not document.file_id or document.synced_hash != file.md5:
            return False
        if document.file_id in {old.file_id for old in state.doomed}:
            return False
        try:
            stored = await current.tools.xai.file(document.file_id)
        except NotFound:
            return False
        token = content_token(document.id, file.sha256)
        if stored.size != file.size or not stored.name.startswith(token):
            return False
    current.state = replace(
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


async def _take_out_older_version(current: Round) -> None:
    """Left in place, the older file would answer questions from a version that the firm has replaced."""
    if current.state.file_id is None and not current.state.doomed:
        return
    await current.start_without_file(attachment_id=None, status=PARTIAL)
    await drop_older_files(current)
    await current.save(current.state)
