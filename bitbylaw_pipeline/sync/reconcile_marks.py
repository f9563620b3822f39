"""How a drift of a document or a collection is noted in our state, so that the next pass puts it right. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document_plan import PARTIAL
from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile, IndexStatus
from bitbylaw_pipeline.domain.drift import Drift
from bitbylaw_pipeline.sync.collection_search import MUST_SEARCH


class Mark(StrEnum):
    """What the state says from then on."""

    NOTHING = "nothing"
    """The pass finds out by itself."""
    LOOK = "look"
    """Nothing is taken for settled."""
    PUT_BACK = "put_back"
    """The file is missing in one of its collections: it is linked again and then has to be indexed there."""
    FORGET_FILE = "forget_file"
    """The file is gone."""
    REPLACE_FILE = "replace_file"
    """The file holds other bytes than ours: it goes, and the document's are brought anew."""
    ADOPT = "adopt"
    """The file that EspoCRM names is the document's, and is in these collections."""
    PLACES = "places"
    """The file is in these collections too."""
    FORGET_PLACES = "forget_places"
    """The file is not in these collections."""
    DOOM = "doom"
    """This file, in these collections, belongs to no version of the document."""
    REINDEX = "reindex"
    LOOK_AT_INDEX = "look_at_index"
    SEARCH = "search"
    """The owner's collection is to be looked for by its name."""
    KNOW = "know"
    """There is a collection of this owner."""
    FORGET_COLLECTION = "forget_collection"


@dataclass(frozen=True, slots=True)
class MarkedDrift(Drift):
    """A drift, and what is noted for its repair; `file_id`, `places` and the rest are what the mark speaks of."""

    mark: Mark = Mark.NOTHING
    file_id: str | None = None
    places: tuple[str, ...] = ()
    md5: str | None = None
    sha256: str | None = None
    size: int | None = None


def mark_document(state: DocumentState | None, drift: MarkedDrift, now: float) -> DocumentState | None:
    """The document's state with the drift noted in it; `now` is UTC epoch seconds."""
    known = state or DocumentState(drift.key or "", updated_at=now)
    looked_at = replace(known, status=PARTIAL, updated_at=now, deleted_at=None)
    is_its_file = drift.file_id is not None and known.file_id == drift.file_id
    marked = state
    match drift.mark:
        case Mark.LOOK:
            marked = looked_at
        case Mark.PUT_BACK:
            marked = replace(looked_at, index_status=IndexStatus.PENDING, index_check_at=None)
        case Mark.ADOPT if known.file_id is None:
            marked = _adopted(looked_at, drift)
        case Mark.DOOM if drift.file_id is not None and not is_its_file:
            others = tuple(old for old in known.doomed if old.file_id != drift.file_id)
            stray = DoomedFile(drift.file_id, drift.places, is_stray=True)
            marked = replace(looked_at, doomed=(*others, stray))
        case Mark.REINDEX if is_its_file:
            marked = replace(known, index_status=IndexStatus.REDO, index_check_at=None, updated_at=now)
        case Mark.LOOK_AT_INDEX if is_its_file:
            marked = replace(known, index_status=IndexStatus.PENDING, index_check_at=now, updated_at=now)
        case Mark.FORGET_FILE | Mark.REPLACE_FILE | Mark.PLACES | Mark.FORGET_PLACES if is_its_file:
            marked = _mark_file(looked_at, drift)
    return marked


def _mark_file(state: DocumentState, drift: MarkedDrift) -> DocumentState:
    """What concerns the file that the state names, where it is no longer so."""
    match drift.mark:
        case Mark.FORGET_FILE:
            return _without_file(state)
        case Mark.REPLACE_FILE:
            stray = DoomedFile(state.file_id or "", _union(state.collections, drift.places), is_stray=True)
            return replace(_without_file(state), doomed=(*state.doomed, stray))
        case Mark.PLACES:
            return replace(state, collections=_union(state.collections, drift.places))
        case Mark.FORGET_PLACES:
            left = tuple(place for place in state.collections if place not in drift.places)
            return replace(state, collections=left)
        case _:
            return state


def mark_owner(state: CollectionState | None, drift: MarkedDrift, now: float) -> CollectionState | None:
    """The owner's state with the drift noted in it."""
    match drift.mark:
        case Mark.SEARCH:
            known = state or CollectionState(drift.key or "", None, False, "", now)
            return replace(known, status=MUST_SEARCH, updated_at=now)
        case Mark.KNOW if state is None and drift.key is not None:
            return CollectionState(drift.key, next(iter(drift.places), None), False, "", now)
        case Mark.FORGET_COLLECTION if state is not None and state.collection_id in drift.places:
            return replace(state, collection_id=None, updated_at=now)
        case _:
            return state


def _without_file(state: DocumentState) -> DocumentState:
    return replace(
        state,
        attachment_id=None,
        md5=None,
        sha256=None,
        size=None,
        file_id=None,
        collections=(),
        index_status=IndexStatus.NONE,
        index_check_at=None,
    )


def _adopted(state: DocumentState, drift: MarkedDrift) -> DocumentState:
    return replace(
        state,
        # Not EspoCRM's: whether the bytes are still the same shows only once they have been read.
        attachment_id=None,
        md5=drift.md5,
        sha256=drift.sha256,
        size=drift.size,
        file_id=drift.file_id,
        collections=tuple(sorted(drift.places)),
        index_status=IndexStatus.PENDING,
    )


def _union(known: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({*known, *more}))
