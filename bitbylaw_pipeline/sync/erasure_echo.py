"""What the erasure's own writes in EspoCRM leave in the change feed: it takes them for seen.

Emptying a field moves modifiedAt. With our state gone, nothing else would tell the feed that this change is our own:
the erased ids were back in the inbox, the work queue and the logs with its next poll.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.inbox import feed_cursors, work_queue
from bitbylaw_pipeline.sync.erasure_documents import (
    carries_ours,
    is_permitted,
    load_owner,
    load_record,
    may_leave,
)
from bitbylaw_pipeline.sync.erasure_plan import ErasurePlan
from bitbylaw_pipeline.sync.erasure_tools import ErasureTools
from bitbylaw_pipeline.sync.feed import COLLECTIONS, DOCUMENTS, FeedRow, feed_sources

Echoes = Mapping[str, frozenset[FeedRow]]
"""Entity type -> the states of its records that are no news."""


async def echoes_of(tools: ErasureTools, plan: ErasurePlan) -> Echoes:
    """The present state of each erased record that EspoCRM still has; raises the errors of `domain.errors`.

    All of them, written now or by a run that was broken off. A state in which something may leave again is left out:
    somebody has permitted it meanwhile, and that is news.
    """
    now = await tools.read(tools.database.now)
    found: dict[str, set[FeedRow]] = {}
    for document_id in sorted(plan.documents):
        record = await load_record(tools, document_id)
        if record is None or record.modified_at is None or carries_ours(record):
            continue
        if not await may_leave(tools, record, now):
            row = FeedRow(record.id, record.modified_at, record.version)
            found.setdefault(tools.settings.document_fields.entity_type, set()).add(row)
    for key in sorted(map(OwnerKey.parse, plan.traces.owners)):
        owner_row = await _owner_row(tools, key, now)
        if owner_row is not None:
            found.setdefault(key.entity_type, set()).add(owner_row)
    return {entity_type: frozenset(rows) for entity_type, rows in found.items()}


def leave_echoes(conn: Connection, tools: ErasureTools, echoes: Echoes, now: float) -> None:
    """Marks these states as seen. What other streams keep in step (a party) they look at once more by its id.

    A person's edit just before our write has no state of its own any more: taken for seen, it would be lost to them.
    """
    sources = {source.entity_type: source for source in feed_sources(tools.settings)}
    for entity_type, rows in echoes.items():
        feed_cursors.add_seen(conn, entity_type, [row.mark for row in rows])
        for stream in sources[entity_type].streams:
            if stream not in (DOCUMENTS, COLLECTIONS):
                work_queue.want(conn, now, stream, sorted(row.id for row in rows))


async def _owner_row(tools: ErasureTools, key: OwnerKey, now: float) -> FeedRow | None:
    try:
        record = await tools.records.espocrm.get(key.entity_type, key.id)
    except NotFound:
        return None
    # Read after it: of a state that changed in between nothing is known.
    owner = await load_owner(tools, key)
    if owner is None or is_permitted(tools, owner, now) or owner.version != record.get("versionNumber"):
        return None
    modified_at = record.get("modifiedAt")
    return FeedRow(key.id, modified_at, owner.version) if isinstance(modified_at, str) else None
