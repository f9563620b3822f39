"""Deciding what one document needs: pure, from what was read of it, of its state and of its owners.

The plan is complete before anything is written; `--dry-run` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import Document, OwnerKey
from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile, IndexStatus

CLEAN = "clean"
"""Everything agreed at the end of a pass."""
PARTIAL = "partial"
"""A pass began to write and did not come to its end: `collections` then says where the file MAY be."""
EXCLUDED = "excluded"
"""As clean, of a document that a person keeps in the firm: what is at xAI of it is there without permission."""
STOPPED = "stopped"
"""As clean, but the kill switch kept back what was to leave; wanted again once it is lifted."""


@dataclass(frozen=True, slots=True)
class DocumentPlan:
    """What is to be done, in the order of the fields; `reasons` say why, in words without personal data."""

    fetch: bool = False
    """Download the contents and hash them; whether they must be uploaded shows only then."""
    attach: Mapping[str, OwnerKey] = field(default_factory=dict)
    """Collection id -> the owner on whose account the file goes there."""
    detach: tuple[str, ...] = ()
    drop: tuple[DoomedFile, ...] = ()
    """Files of older versions: unlinked everywhere, then deleted (or kept, by setting)."""
    clear: bool = False
    """The document has no file any more."""
    write_back: bool = False
    check_indexing: bool = False
    want_owners: tuple[OwnerKey, ...] = ()
    withheld: tuple[OwnerKey, ...] = ()
    required: Mapping[str, OwnerKey] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True if nothing is to be written or fetched (wanting an owner and withholding are no writes)."""
        return not (
            self.fetch
            or self.attach
            or self.detach
            or self.drop
            or self.clear
            or self.write_back
            or self.check_indexing
        )


@dataclass(frozen=True, slots=True)
class _Owners:
    required: dict[str, OwnerKey]
    unknown: tuple[OwnerKey, ...]
    withheld: tuple[OwnerKey, ...]
    kept: frozenset[str]
    """Collections of owners whose permission was withdrawn: what is there is reported, and erased on command."""


def _sort_owners(document: Document, collections: Mapping[OwnerKey, CollectionState]) -> _Owners:
    required: dict[str, OwnerKey] = {}
    unknown: list[OwnerKey] = []
    withheld: list[OwnerKey] = []
    kept: set[str] = set()
    for key in sorted(document.owners):
        known = collections.get(key)
        if known is None or known.deleted_at is not None:
            unknown.append(key)
        elif document.is_excluded or not known.is_permitted:
            withheld.append(key)
            if known.collection_id:
                kept.add(known.collection_id)
        elif known.collection_id is None:
            unknown.append(key)
        else:
            required[known.collection_id] = key
    return _Owners(required, tuple(unknown), tuple(withheld), frozenset(kept))


def plan_document(
    document: Document,
    state: DocumentState | None,
    collections: Mapping[OwnerKey, CollectionState],
    *,
    now: float,
) -> DocumentPlan:
    """The plan for a document that exists. `now` is in epoch seconds and decides only whether indexing is due."""
    owners = _sort_owners(document, collections)
    reasons = [f"{len(owners.unknown)} owners without a collection yet"] if owners.unknown else []
    if owners.withheld:
        reasons.append(
            "excluded" if document.is_excluded else f"{len(owners.withheld)} owners without permission"
        )
    linked = frozenset(state.collections) if state else frozenset()
    drop = state.doomed if state else ()

    if document.attachment_id is None:
        # Begun and not ended, it may have forgotten the file already and not told EspoCRM yet.
        clear = state is not None and (
            state.file_id is not None or state.attachment_id is not None or state.status == PARTIAL
        )
        return DocumentPlan(
            clear=clear,
            drop=drop,
            want_owners=owners.unknown,
            withheld=owners.withheld,
            reasons=(*reasons, "no file any more" if clear else "no file"),
        )

    is_known = (
        state is not None and state.attachment_id == document.attachment_id and state.file_id is not None
    )
    fetch = bool(owners.required) and not is_known
    if fetch:
        reasons.append("new file" if state is None or state.attachment_id is None else "file changed")
    must_settle = state is not None and state.status == PARTIAL
    missing = {cid: key for cid, key in owners.required.items() if fetch or must_settle or cid not in linked}
    # While an owner still lacks its collection, what is there stays: unlinking first would leave the file nowhere.
    surplus = () if owners.unknown else tuple(sorted(linked - owners.required.keys() - owners.kept))
    if missing and not fetch:
        reasons.append(f"missing in {len(missing)} collections")
    if surplus:
        reasons.append(f"no longer in {len(surplus)} collections")
    is_due = (
        state is not None
        and state.index_status is IndexStatus.PENDING
        and state.index_check_at is not None
        and state.index_check_at <= now
    )
    return DocumentPlan(
        fetch=fetch,
        attach=missing,
        detach=surplus,
        drop=drop,
        check_indexing=is_due and not fetch and not missing,
        want_owners=owners.unknown,
        withheld=owners.withheld,
        required=owners.required,
        reasons=tuple(reasons),
    )


def content_token(document_id: str, sha256: str) -> str:
    """The mark that a file carries in its name at xAI: one per document and content, never shared between two.

    xAI knows no idempotency key; after an unclear upload the file is looked for by this token
    (`facts/xai.md` 2.4).
    """
    return f"{document_id}-{sha256[:12]}"
