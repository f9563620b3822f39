"""What seems to be missing at xAI is asked for by its id before it is believed: lists may lag (`facts/xai.md` 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.sync.reconcile_known import Known
from bitbylaw_pipeline.sync.reconcile_listing import (
    COLLECTION_COLUMNS,
    FILE_COLUMNS,
    Listing,
    collection_row,
    file_row,
    for_each,
    frame,
)
from bitbylaw_pipeline.sync.reconcile_marks import Mark, MarkedDrift


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Single reads of candidates; nothing else."""

    xai: Xai

    async def complete(self, listing: Listing, known: Known) -> Listing:
        """The listing with the files and collections in it that our state knows and that the lists did not show yet."""
        files = known.documents.loc[known.documents["s_deleted"].eq(False), "s_file"].dropna()
        collections = known.owners.loc[known.owners["c_deleted"].eq(False), "c_collection"].dropna()
        late_files = await for_each(sorted({*files} - {*listing.files["file"]}), self._file)
        late = await for_each(sorted({*collections} - {*listing.collections["collection"]}), self._collection)
        return replace(
            listing,
            files=_with(listing.files, late_files, FILE_COLUMNS),
            collections=_with(listing.collections, late, COLLECTION_COLUMNS),
        )

    async def confirmed(self, drifts: Iterable[MarkedDrift]) -> list[MarkedDrift]:
        """Without those that speak of a file as missing in a collection that it is in all the same."""
        found = list(drifts)
        doubtful = sorted({pair for drift in found for pair in _absences(drift)})
        members = await for_each(doubtful, self._member)
        there = {pair for pair, is_there in zip(doubtful, members, strict=True) if is_there}
        return [drift for drift in found if not there.intersection(_absences(drift))]

    async def _file(self, file_id: str) -> tuple[Any, ...] | None:
        try:
            return file_row(await self.xai.file(file_id))
        except NotFound:
            return None

    async def _collection(self, collection_id: str) -> tuple[Any, ...] | None:
        try:
            return collection_row(await self.xai.collection(collection_id))
        except NotFound:
            return None

    async def _member(self, pair: tuple[str, str]) -> bool:
        return await self.xai.member(*pair) is not None


def _with(
    listed: pd.DataFrame, rows: Iterable[tuple[Any, ...] | None], columns: Sequence[str]
) -> pd.DataFrame:
    late = [row for row in rows if row is not None]
    return pd.concat([listed, frame(late, columns)], ignore_index=True) if late else listed


def _absences(drift: MarkedDrift) -> list[tuple[str, str]]:
    is_absence = drift.mark in (Mark.PUT_BACK, Mark.FORGET_PLACES)
    return [(place, drift.file_id) for place in drift.places if drift.file_id] if is_absence else []
