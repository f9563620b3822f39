"""A document's file in and out of collections, each step announced in our state before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.document_plan import PARTIAL
from bitbylaw_pipeline.domain.document_state import IndexStatus
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.domain.outcome import Result
from bitbylaw_pipeline.inbox import collection_states, document_states, egress, egress_switch, work_queue
from bitbylaw_pipeline.sync.document_permission import grounds
from bitbylaw_pipeline.sync.document_round import Early, Round, StartAgain
from bitbylaw_pipeline.sync.egress_watch import EgressStopped
from bitbylaw_pipeline.sync.uploads import attach_fields, egress_entries

log = structlog.get_logger(__name__)


async def attach(
    current: Round, wanted: Mapping[str, OwnerKey], *, is_just_uploaded: bool = False
) -> Early | None:
    """Links the file into each collection; an Early if the file or a collection turned out to be gone.

    Raises StartAgain where an owner permits nothing (any more), EgressStopped where the kill switch is on or is thrown.
    """
    file_id = current.state.file_id
    if not wanted or file_id is None:
        return None
    permitted_by = await grounds(current, wanted.values())
    await _announce(current, wanted, permitted_by, is_just_uploaded=is_just_uploaded)
    xai, watch = current.tools.xai, current.tools.egress_watch
    for collection_id, owner in wanted.items():
        fields = attach_fields(current.document.id, owner, current.state.sha256 or "")
        try:
            await watch.unless_stopped(xai.attach(collection_id, file_id, fields))
        except NotFound:
            return await _explain_missing(current, file_id, collection_id, owner)
        current.tally.attached += 1
    return None


async def _announce(
    current: Round,
    wanted: Mapping[str, OwnerKey],
    permitted_by: Mapping[OwnerKey, str],
    *,
    is_just_uploaded: bool,
) -> None:
    """Commits, before a file goes into collections, where it may be from now on, and the egress into further ones.

    Raises EgressStopped where the kill switch is on: also for a link that is in the register already.
    """
    new = {cid: owner for cid, owner in wanted.items() if cid not in current.state.collections}
    if not new and is_just_uploaded:
        return  # the commit that ended the upload has just looked at the switch
    announced = replace(
        current.state,
        status=PARTIAL,
        collections=tuple(sorted({*current.state.collections, *new})),
        index_status=IndexStatus.PENDING,
    )

    def commit(conn: Connection) -> bool:
        if egress_switch.is_stopped(conn):
            return False
        if new:
            now = current.tools.database.now(conn)
            entries = egress_entries(current.document.id, announced.sha256 or "", new, permitted_by)
            egress.append(conn, now, current.tools.cipher, entries)
            document_states.put(conn, replace(announced, updated_at=now))
        return True

    if not await current.tools.database.run(commit):
        raise EgressStopped
    if new:
        current.state = announced


async def _explain_missing(current: Round, file_id: str, collection_id: str, owner: OwnerKey) -> Early:
    """After a 404 on attach: is it the file (upload again) or the collection (its owner makes a new one)?"""
    try:
        await current.tools.xai.file(file_id)
    except NotFound:
        # Some say that xAI drops a file with its last collection (`facts/xai.md` 3.13).
        log.warning("file_gone", file_id=file_id)
        await current.save(
            replace(current.state, file_id=None, attachment_id=None, md5=None, sha256=None, collections=())
        )
        raise StartAgain(current.document) from None
    log.warning("collection_gone", collection_id=collection_id)
    left = tuple(known for known in current.state.collections if known != collection_id)

    def commit(conn: Connection) -> None:
        now = current.tools.database.now(conn)
        known = collection_states.get(conn, str(owner))
        if known is not None and known.collection_id == collection_id:
            collection_states.put(conn, replace(known, collection_id=None, updated_at=now))
        document_states.put(conn, replace(current.state, status=PARTIAL, collections=left, updated_at=now))
        work_queue.want(conn, now, "collections", [str(owner)])

    await current.tools.database.run(commit)
    await current.tools.coordination.wake("collections")
    return Early(Result.WAITING, {"waits_for": "collection"}, again_in=5.0)


async def detach(current: Round, collections: tuple[str, ...]) -> None:
    file_id = current.state.file_id
    if file_id is None:
        return
    for collection_id in collections:
        await current.tools.xai.detach(collection_id, file_id)
        current.tally.detached += 1
    left = tuple(known for known in current.state.collections if known not in collections)
    current.state = replace(current.state, collections=left)


async def drop_older_files(current: Round) -> None:
    """Takes files of older versions out of every collection, then deletes them (or keeps them, by setting)."""
    for old in current.state.doomed:
        for collection_id in old.collections:
            await current.tools.xai.detach(collection_id, old.file_id)
            current.tally.detached += 1
        must_go = old.is_stray or current.tools.settings.xai_delete_replaced_files
        if must_go and old.file_id != current.state.file_id:
            await current.tools.xai.delete_file(old.file_id)
        current.tally.dropped += 1
    current.state = replace(current.state, doomed=())
