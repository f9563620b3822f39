"""What is wrong with files at xAI: where they ought to be, where they are, and whose they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from bitbylaw_pipeline.domain.drift import DriftKind
from bitbylaw_pipeline.sync.reconcile_document_drift import document_drift
from bitbylaw_pipeline.sync.reconcile_document_drift import has_other_size as document_has_other_size
from bitbylaw_pipeline.sync.reconcile_frames import BOTH, KNOWN, LISTED, Joined, rows, rows_by
from bitbylaw_pipeline.sync.reconcile_known import Known
from bitbylaw_pipeline.sync.reconcile_listing import Listing
from bitbylaw_pipeline.sync.reconcile_marks import Mark, MarkedDrift

_ESPOCRM_ID = re.compile(r"[0-9a-f]{17}")


def membership_drifts(joined: Joined, listing: Listing, known: Known) -> Iterator[MarkedDrift]:
    """Files that are not where they ought to be, are where they ought not to be, or hold other bytes than ours."""
    documents, owners = rows_by(joined.documents, "document"), rows_by(joined.owners, "owner")
    replaced: set[str] = set()
    for row in rows(joined.memberships[joined.memberships["document_motion"].isna()]):
        document, owner = documents[row.document], owners[row.owner]
        if document.is_evidence or owner.motion is not None:
            continue
        if row.seen == LISTED:
            says = f"Its file is missing in {row.collection}."
            more = {"mark": Mark.PUT_BACK, "file_id": document.file, "places": (row.collection,)}
            yield document_drift(DriftKind.MISSING, row.document, says, **more)
        elif _is_wrong(row, document, owner, listing):
            says = f"Its file is in {row.collection}, where it does not belong."
            more = {"mark": Mark.PLACES, "file_id": row.file, "places": (row.collection,), "deletes": 1}
            yield document_drift(DriftKind.WRONG_COLLECTION, row.document, says, **more)
        elif row.seen == BOTH and row.document not in replaced and _has_other_bytes(row, document):
            replaced.add(row.document)
            says = "Its file at xAI holds other bytes than those that were synced."
            more = {"mark": Mark.REPLACE_FILE, "file_id": row.file, "places": (row.collection,)}
            yield document_drift(DriftKind.STALE_HASH, row.document, says, **more)
    yield from _place_drifts(joined)
    yield from _orphans(joined, listing, known)


def _is_wrong(row: Any, document: Any, owner: Any, listing: Listing) -> bool:
    if owner.type not in listing.types or {owner.type, listing.document_type} & listing.partly:
        return False
    if document.seen == KNOWN or document.s_deleted:
        # What is only now found to be gone leaves with its own pass.
        return bool(document.s_deleted) and document.seen == KNOWN
    is_going = owner.seen == KNOWN and owner.c_deleted is False
    return not row.is_linked and not is_going


def _has_other_bytes(row: Any, document: Any) -> bool:
    has_other_hash = None not in (row.m_sha256, document.s_sha256) and row.m_sha256 != document.s_sha256
    # Where the list of files says so too, the document itself has been reported.
    has_other_size = bool(row.m_size) and row.m_size != (document.s_size or row.m_size)
    return (has_other_hash or has_other_size) and not document_has_other_size(document)


def _place_drifts(joined: Joined) -> Iterator[MarkedDrift]:
    """Collections that our state names and the file is not in, or is in and the state does not name."""
    settled = joined.documents.loc[
        (joined.documents["seen"] == BOTH)
        & joined.documents["s_deleted"].eq(False)
        & joined.documents["motion"].isna()
        & joined.documents["is_gone"].eq(False)
        & joined.documents["s_file"].notna(),
        ["document", "s_file", "s_collections"],
    ]
    named = settled.explode("s_collections").dropna().rename(columns={"s_collections": "collection"})
    found = joined.memberships[joined.memberships["document"].isin(settled["document"])]
    found = found.drop(columns="seen").assign(
        is_required=found["seen"] != KNOWN, is_there=found["seen"] != LISTED
    )
    table = named.merge(
        found, on=["document", "collection"], how="outer", indicator="seen", validate="one_to_one"
    )
    doubled = frozenset(joined.owners.loc[joined.owners["is_doubled"], "owner"])
    in_motion = frozenset(joined.owners.loc[joined.owners["motion"].notna(), "owner"])
    owner_of = joined.places.set_index("collection")["owner"].to_dict()
    for row in rows(table):
        if owner_of.get(row.collection) in doubled | in_motion:
            continue
        more = {"file_id": row.s_file, "places": (row.collection,)}
        if row.seen == LISTED or (row.seen == BOTH and row.is_there is False and row.is_required is False):
            says = f"Our state has its file in {row.collection}, where it is not."
            more["mark"] = Mark.FORGET_PLACES
            yield document_drift(DriftKind.DANGLING_REFERENCE, row.document, says, **more)
        elif row.seen == KNOWN and row.is_there is True and row.is_linked is True:
            says = f"Its file is in {row.collection}, and our state does not say so."
            more |= {"mark": Mark.PLACES, "file_id": row.file}
            yield document_drift(DriftKind.DANGLING_REFERENCE, row.document, says, **more)


def _orphans(joined: Joined, listing: Listing, known: Known) -> Iterator[MarkedDrift]:
    """Files with our token that no document has."""
    documents = rows_by(joined.documents, "document")
    table = _unclaimed(joined, listing)
    held: dict[str, list[Any]] = {}
    for member in rows(listing.members[listing.members["file"].isin(table["file"])]):
        held.setdefault(member.file, []).append(member)
    for row in rows(table):
        members, document = held.get(row.file, []), documents.get(row.of_document)
        if f"{row.of_document}-{row.digest}" in known.uploads or not _is_ours(row, document, members):
            continue
        is_judged = (
            # Older versions that are kept on purpose bear the same marks.
            known.drops_older_files and document.motion is None
            if document is not None
            else listing.document_type not in listing.partly
            and row.of_document not in known.documents_in_motion.all
        )
        if is_judged:
            says = f"File {row.file} carries its token, and no version of it has that file."
            places = tuple(sorted(member.collection for member in members))
            more = {"mark": Mark.DOOM, "file_id": row.file, "places": places}
            yield document_drift(DriftKind.ORPHANED, row.of_document, says, deletes=1, **more)


def _is_ours(row: Any, document: Any, members: Sequence[Any]) -> bool:
    """Whether the token is one that we gave: a person's own file may be called `rechnung-202601020304~1.pdf`."""
    if document is not None and document.seen != KNOWN:
        return True
    if _ESPOCRM_ID.fullmatch(row.of_document) is None:
        return False
    if any(member.m_document == row.of_document for member in members):
        return True
    return all(member.m_sha256 is None or member.m_sha256.startswith(row.digest) for member in members)


def _unclaimed(joined: Joined, listing: Listing) -> pd.DataFrame:
    """The files that bear a token and that neither a state nor, in its absence, EspoCRM gives to a document."""
    states = joined.documents.dropna(subset=["s_doomed"])
    claimed = pd.concat([joined.documents["file"], states["s_file"], states["s_doomed"].explode()])
    claimed_files = claimed.dropna().drop_duplicates().rename("file").to_frame()
    table = listing.files.dropna(subset=["of_document"]).merge(
        claimed_files, on="file", how="outer", indicator="seen", validate="one_to_one"
    )
    return table[table["seen"] == LISTED]
