"""What a document's pass must know before anything of it leaves, and what becomes of it where it may not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.document_plan import PARTIAL, STOPPED
from bitbylaw_pipeline.inbox import collection_states, document_states, egress_switch, work_queue
from bitbylaw_pipeline.sync.collection_search import NOTICED
from bitbylaw_pipeline.sync.document_round import Round, StartAgain

log = structlog.get_logger(__name__)


async def grounds(current: Round, owners: Iterable[OwnerKey]) -> Mapping[OwnerKey, str]:
    """On what ground something may leave on account of each owner, as EspoCRM says it after the pass began.

    Raises StartAgain where one of them permits nothing (any more): the next round withholds it.
    """
    found = await current.tools.permissions.judge(owners, begun=current.of_pass.begun, now=current.now)
    refused = [key for key, permission in found.items() if not permission.is_granted]
    if refused:
        current.of_pass.refused.update(refused)
        await _tell_owners_flow(current, refused)
        raise StartAgain(current.document)
    return {key: permission.ground for key, permission in found.items()}


async def _tell_owners_flow(current: Round, owners: Iterable[OwnerKey]) -> None:
    """Has each owner looked at; our state says at once that it permits nothing, so that only the first asks for it.

    Without that a permission given back before the owner's own pass would look to it as if nothing had happened, and
    what was withheld meanwhile would stay so.
    """
    database = current.tools.database

    def commit(conn: Connection) -> list[str]:
        now = database.now(conn)
        known = collection_states.get_many(conn, [str(owner) for owner in owners])
        news = [state for state in known.values() if state.is_permitted]
        for state in news:
            collection_states.put(conn, replace(state, is_permitted=False, status=NOTICED, updated_at=now))
        keys = [state.owner_key for state in news]
        work_queue.want(conn, now, "collections", keys)
        return keys

    keys = await database.run(commit)
    if keys:
        log.info("permission_withdrawn", owners=keys)
        await current.tools.coordination.wake("collections")


async def keep_back(current: Round) -> None:
    """Notes that the kill switch keeps something of this document back, so that lifting it wants the document again."""
    database = current.tools.database

    def commit(conn: Connection) -> None:
        now = database.now(conn)
        # What the round had in mind may be behind what it has announced.
        known = document_states.get(conn, current.document.id) or current.state
        status = PARTIAL if known.status == PARTIAL else STOPPED
        document_states.put(conn, replace(known, status=status, owners=current.owners, updated_at=now))
        if not egress_switch.is_stopped(conn):
            # Lifted since it was looked at: whoever lifted it could not know of this document.
            work_queue.want(conn, now, "documents", [current.document.id])

    await database.run(commit)
