"""Files that a search does not find although our state says that they are indexed, or that never become so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bitbylaw_pipeline.domain.document_state import IndexStatus
from bitbylaw_pipeline.domain.drift import DriftKind
from bitbylaw_pipeline.sync.reconcile_document_drift import document_drift
from bitbylaw_pipeline.sync.reconcile_frames import BOTH, LATER, Joined, rows
from bitbylaw_pipeline.sync.reconcile_known import Known
from bitbylaw_pipeline.sync.reconcile_marks import Mark, MarkedDrift

LONGEST_SECONDS = 3600.0
"""Indexing takes under a minute (`facts/xai.md` 4); what is not done after so long, will not be."""
_WORST_FIRST = (IndexStatus.FAILED.value, IndexStatus.PENDING.value, IndexStatus.PROCESSED.value)


def index_drifts(joined: Joined, known: Known) -> Iterator[MarkedDrift]:
    """One for each document whose indexing is not as our state has it; a failure that the state knows is none."""
    here = joined.memberships[joined.memberships["seen"] == BOTH]
    by_document = here.groupby("document")["indexing"]
    worst: dict[Any, str] = by_document.agg(lambda found: min(found, key=_WORST_FIRST.index)).to_dict()
    documents = joined.documents[joined.documents["document"].isin(worst)]
    for row in rows(documents[documents["is_gone"].eq(False)]):
        says = _unlike(row, worst[row.document], known)
        if says is not None:
            mark = Mark.LOOK_AT_INDEX if worst[row.document] == IndexStatus.PROCESSED else Mark.REINDEX
            yield document_drift(DriftKind.UNINDEXED, row.document, says, mark=mark, file_id=row.s_file)


def _unlike(row: Any, found: str, known: Known) -> str | None:
    if row.motion == LATER or (row.motion is None and row.s_indexing == IndexStatus.PENDING):
        is_waiting = row.s_indexing == IndexStatus.PENDING and found == IndexStatus.PENDING
        return (
            "Its indexing has not ended for more than an hour."
            if is_waiting and _is_overdue(row, known.now)
            else None
        )
    if row.motion is not None or row.s_indexing == found:
        return None
    if row.s_indexing == IndexStatus.PROCESSED:
        return "It was indexed, and is not any more."
    if row.s_indexing == IndexStatus.FAILED and found == IndexStatus.PROCESSED:
        return "Its indexing had failed, and has succeeded since."
    return None


def _is_overdue(row: Any, now: float) -> bool:
    """Uploaded long ago, and by what was written back when it was last linked, linked long ago."""
    try:
        linked_at = datetime.fromisoformat(row.s_modified).replace(tzinfo=UTC).timestamp()
    except (TypeError, ValueError):
        return False
    return now - max(linked_at, row.made_at or now) > LONGEST_SECONDS
