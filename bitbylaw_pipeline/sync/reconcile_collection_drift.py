"""What is wrong with owners and their collections, read off the join of both systems and our states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bitbylaw_pipeline.domain.drift import DriftKind
from bitbylaw_pipeline.sync.reconcile_frames import BOTH, KNOWN, LATER, LISTED, OPEN, PARKED, Joined, rows
from bitbylaw_pipeline.sync.reconcile_known import Known
from bitbylaw_pipeline.sync.reconcile_listing import Listing
from bitbylaw_pipeline.sync.reconcile_marks import Mark, MarkedDrift

FLOW = "collections"


def collection_drifts(joined: Joined, listing: Listing, known: Known) -> Iterator[MarkedDrift]:
    """What its own pass puts right; the documents in its collection are looked at by themselves."""
    with_documents = frozenset(listing.links["owner"])
    at_xai = joined.memberships[joined.memberships["seen"] != LISTED]
    held = at_xai.groupby("owner")["document"].count().to_dict()
    for row in rows(joined.owners):
        if row.type not in listing.types or row.motion in (OPEN, LATER):
            continue
        if row.seen in (KNOWN, None):
            if row.type not in listing.partly:
                yield from _gone(row, int(held.get(row.owner, 0)))
        elif row.c_deleted:
            says = "It exists in EspoCRM, and our state has it as deleted."
            yield _drift(DriftKind.GONE_IN_ESPOCRM, row, says)
        elif row.motion == PARKED:
            continue
        elif row.e_permitted and not known.is_stopped:
            yield from _permitted(row, has_documents=row.owner in with_documents)
        elif row.seen == BOTH:
            yield from _not_permitted(row)


def _drift(kind: DriftKind, row: Any, says: str, **more: Any) -> MarkedDrift:
    return MarkedDrift(FLOW, kind, row.owner, says, FLOW, row.owner, **more)


def _gone(row: Any, documents: int) -> Iterator[MarkedDrift]:
    if row.seen == KNOWN:
        if not row.c_deleted:
            says = f"It is gone in EspoCRM, and {documents} documents are in its collection."
            yield _drift(DriftKind.GONE_IN_ESPOCRM, row, says, deletes=documents)
    elif row.motion != PARKED:
        says = f"Collection {row.named[0]} bears its name, and neither EspoCRM nor our state knows it."
        yield _drift(DriftKind.ORPHANED, row, says, mark=Mark.KNOW, places=row.named[:1])


def _permitted(row: Any, *, has_documents: bool) -> Iterator[MarkedDrift]:
    """One at most: its pass looks at everything else too."""
    if row.is_doubled:
        says = f"{len(row.named)} collections bear its name."
        yield _drift(DriftKind.DUPLICATE_COLLECTION, row, says, mark=Mark.SEARCH)
    elif row.seen == LISTED:
        if has_documents:
            says = "It has documents and permits egress, and was never looked at."
            yield _drift(DriftKind.MISSING, row, says)
    elif row.c_collection is None:
        yield _drift(DriftKind.MISSING, row, "It has no collection.")
    elif not row.is_there:
        yield _drift(DriftKind.MISSING, row, "Its collection is gone at xAI.", mark=Mark.SEARCH)
    elif row.c_collection not in row.named:
        says = "The collection that our state names bears another name at xAI."
        yield _drift(DriftKind.MISSING, row, says, mark=Mark.SEARCH)
    elif not row.c_permitted or row.c_ground != row.e_ground:
        says = "Its permission in EspoCRM is not the one that was agreed."
        # Otherwise nothing would be looked at but the permission.
        yield _drift(DriftKind.STALE_HASH, row, says, mark=Mark.SEARCH)
    elif row.e_collection != row.c_collection:
        says = "EspoCRM names another collection than its own."
        yield _drift(DriftKind.DANGLING_REFERENCE, row, says)


def _not_permitted(row: Any) -> Iterator[MarkedDrift]:
    if row.c_permitted and not row.e_permitted:
        yield _drift(DriftKind.STALE_HASH, row, "EspoCRM does not permit any more what our state permits.")
    if row.c_collection is not None and not row.is_there:
        says = "Our state names a collection that is gone at xAI."
        places = (row.c_collection,)
        yield _drift(DriftKind.DANGLING_REFERENCE, row, says, mark=Mark.FORGET_COLLECTION, places=places)
