"""What is wrong with documents, read off the join of EspoCRM's records, our states and xAI's files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bitbylaw_pipeline.domain.document_plan import CLEAN, EXCLUDED
from bitbylaw_pipeline.domain.drift import DriftKind
from bitbylaw_pipeline.sync.reconcile_frames import BOTH, KNOWN, LATER, LISTED, OPEN, PARKED, Joined, rows
from bitbylaw_pipeline.sync.reconcile_known import Known
from bitbylaw_pipeline.sync.reconcile_listing import Listing
from bitbylaw_pipeline.sync.reconcile_marks import Mark, MarkedDrift

FLOW = "documents"


def document_drift(kind: DriftKind, document: str, says: str, **more: Any) -> MarkedDrift:
    """A drift that the document's own pass puts right."""
    return MarkedDrift(FLOW, kind, document, says, FLOW, document, **more)


def document_drifts(joined: Joined, listing: Listing, known: Known) -> Iterator[MarkedDrift]:
    """What each document lacks, or says that is not so; where its file is, is looked at by itself."""
    is_whole = listing.document_type not in listing.partly
    permitted = _documents_of(joined, listing, "e_permitted") if not known.is_stopped else frozenset()
    required = _documents_of(joined, listing, "is_required")
    for row in rows(joined.documents):
        if row.seen == KNOWN:
            if is_whole:
                yield from _gone(row)
        elif row.motion in (OPEN, LATER):
            continue
        elif row.s_deleted:
            says = "It exists in EspoCRM, and our state has it as deleted."
            yield document_drift(DriftKind.GONE_IN_ESPOCRM, row.document, says)
            yield from _lost_state(row)
        elif row.motion != PARKED:
            yield from (
                _without_state(row, permitted)
                if row.seen == LISTED
                else _unlike(
                    row, is_required=row.document in required, is_permitted=row.document in permitted
                )
            )
    yield from _other_owners(joined, listing)


def _documents_of(joined: Joined, listing: Listing, column: str) -> frozenset[str]:
    """Those that are linked to an owner for which the column is true, and not kept in the firm."""
    owners = joined.owners.loc[joined.owners[column].eq(True), ["owner"]]
    linked = listing.links.merge(owners, on="owner", validate="many_to_one")
    kept = joined.documents.loc[joined.documents["excluded"].eq(True), "document"]
    return frozenset(linked["document"]) - frozenset(kept)


def _gone(row: Any) -> Iterator[MarkedDrift]:
    if row.s_deleted or row.motion in (OPEN, LATER):
        return
    where = tuple(sorted({*row.s_collections, *row.at}))
    yield document_drift(
        DriftKind.GONE_IN_ESPOCRM,
        row.document,
        f"It is gone in EspoCRM, and its file may be in {len(where)} collections.",
        deletes=len(where),
        mark=Mark.PLACES if row.at else Mark.NOTHING,
        file_id=row.s_file,
        places=where,
    )


def _lost_state(row: Any) -> Iterator[MarkedDrift]:
    """EspoCRM names a file that carries this document's token, and our state names none."""
    if not row.is_evidence:
        return
    # What EspoCRM says of its contents counts unless the token, or a collection that holds the file, says otherwise.
    is_same = (
        row.e_sha256 is not None
        and row.e_sha256.startswith(row.digest)
        and row.held_sha256 in (None, row.e_sha256)
    )
    yield document_drift(
        DriftKind.MISSING,
        row.document,
        "EspoCRM names its file, and our state does not know it.",
        mark=Mark.ADOPT,
        file_id=row.e_file,
        places=row.at,
        md5=row.e_md5 if is_same else None,
        sha256=row.e_sha256 if is_same else None,
        size=row.file_size,
    )


def _without_state(row: Any, permitted: frozenset[str]) -> Iterator[MarkedDrift]:
    if row.is_evidence:
        yield from _lost_state(row)
    elif row.document in permitted and row.attachment is not None:
        yield document_drift(
            DriftKind.MISSING, row.document, "It was never looked at, and an owner permits it."
        )


def _unlike(row: Any, *, is_required: bool, is_permitted: bool) -> Iterator[MarkedDrift]:
    document = row.document
    if row.is_gone and (is_required or row.s_collections):
        says = "Its file is gone at xAI."
        yield document_drift(DriftKind.MISSING, document, says, mark=Mark.FORGET_FILE, file_id=row.s_file)
    yield from _lost_state(row)
    if row.attachment is None:
        yield from _without_attachment(row)
        return
    if is_permitted and has_other_size(row):
        says = "Its file at xAI has another size than the one that was synced."
        yield document_drift(
            DriftKind.STALE_HASH, document, says, mark=Mark.REPLACE_FILE, file_id=row.s_file, places=row.at
        )
        return
    is_same = row.attachment == row.s_attachment
    if is_required and not is_same and not row.is_gone and not row.is_evidence:
        if row.s_attachment is None:
            yield document_drift(DriftKind.MISSING, document, "Its file was never brought to xAI.")
        else:
            says = "It has another file than the one that was synced."
            yield document_drift(DriftKind.STALE_HASH, document, says)
    elif is_required and row.s_file is None and not row.is_evidence:
        yield document_drift(DriftKind.MISSING, document, "Its file is not at xAI.")
    elif row.s_file is not None and not row.is_gone:
        yield from _fields(row)


def has_other_size(row: Any) -> bool:
    """True if xAI's list of files says another size than our state."""
    return (
        not row.is_gone
        and None not in (row.s_file, row.s_size, row.file_size)
        and row.s_size != row.file_size
    )


def _without_attachment(row: Any) -> Iterator[MarkedDrift]:
    if row.s_file is not None or row.s_attachment is not None:
        says = "It has no file any more, and an older one is at xAI."
        yield document_drift(DriftKind.STALE_HASH, row.document, says, mark=Mark.LOOK)
    elif row.e_file or row.e_collections or row.e_synced or row.e_md5 or row.e_sha256:
        says = "It has no file, and its fields speak of one."
        yield document_drift(DriftKind.DANGLING_REFERENCE, row.document, says, mark=Mark.LOOK)


def _fields(row: Any) -> Iterator[MarkedDrift]:
    """What EspoCRM says of the file beside what was agreed."""
    if (row.e_synced, row.e_md5, row.e_sha256) != (row.s_md5, row.s_md5, row.s_sha256):
        says = "EspoCRM's hashes are not those of its file."
        yield document_drift(DriftKind.STALE_HASH, row.document, says, mark=Mark.LOOK)
    if row.e_file != row.s_file or set(row.e_collections) != set(row.s_collections):
        says = "EspoCRM names another file, or other collections, than those it is in."
        yield document_drift(DriftKind.DANGLING_REFERENCE, row.document, says, mark=Mark.LOOK)
    if row.s_status == (CLEAN if row.excluded else EXCLUDED):
        # Otherwise what remains at xAI of a document that was excluded is told to nobody.
        says = "EspoCRM excludes it, or does not any more, without a word."
        yield document_drift(DriftKind.STALE_HASH, row.document, says, mark=Mark.LOOK)


def _other_owners(joined: Joined, listing: Listing) -> Iterator[MarkedDrift]:
    """Documents whose links were changed without a word: our state names other owners than the linked lists."""
    settled = joined.documents.loc[
        (joined.documents["seen"] == BOTH)
        & joined.documents["s_deleted"].eq(False)
        & joined.documents["motion"].isna(),
        ["document", "s_owners"],
    ]
    ours = settled.explode("s_owners").dropna().rename(columns={"s_owners": "owner"})
    theirs = listing.links[listing.links["document"].isin(settled["document"])].drop_duplicates()
    table = ours.merge(theirs, on=["owner", "document"], how="outer", indicator="seen", validate="one_to_one")
    owners = joined.owners.set_index("owner")
    # A deleted owner's documents leave its collection with the owner's own pass.
    going = frozenset(owners.index[(owners["seen"] == KNOWN) & owners["c_deleted"].eq(False)])
    unsure = listing.partly | ({*listing.types} if listing.document_type in listing.partly else set())
    found: set[str] = set()
    for row in rows(table[table["seen"] != BOTH]):
        of_type = row.owner.partition(":")[0]
        is_judged = (
            of_type in listing.types and of_type not in unsure and row.owner not in going | listing.unread
        )
        if row.seen == KNOWN or is_judged:
            found.add(row.document)
    for document in sorted(found):
        says = "Its links to owners were changed without a word."
        yield document_drift(DriftKind.DANGLING_REFERENCE, document, says)
