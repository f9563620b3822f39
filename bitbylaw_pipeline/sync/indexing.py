"""Whether xAI has finished reading a document: asked later, because indexing is asynchronous (`facts/xai.md` 4)."""

from __future__ import annotations

from dataclasses import dataclass

from bitbylaw_pipeline.clients import xai_wire
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.domain.document_state import IndexStatus
from bitbylaw_pipeline.domain.errors import NotFound


@dataclass(frozen=True, slots=True)
class Indexing:
    """What the collections say of one file: the worst counts. `is_missing` if one of them does not hold it at all."""

    status: IndexStatus
    problem: str | None = None
    is_missing: bool = False


async def check_indexing(xai: Xai, file_id: str, collections: tuple[str, ...]) -> Indexing:
    """Reads the file's status in each of its collections."""
    is_pending = False
    for collection_id in collections:
        member = await xai.member(collection_id, file_id)
        if member is None:
            return Indexing(IndexStatus.PENDING, is_missing=True)
        if member.status is xai_wire.IndexStatus.FAILED:
            return Indexing(IndexStatus.FAILED, member.problem)
        is_pending = is_pending or member.status is xai_wire.IndexStatus.PENDING
    return Indexing(IndexStatus.PENDING if is_pending else IndexStatus.PROCESSED)


async def index_anew(xai: Xai, file_id: str, collections: tuple[str, ...]) -> bool:
    """Has the file indexed once more in each of its collections; False if one of them does not hold it."""
    try:
        for collection_id in collections:
            await xai.reindex(collection_id, file_id)
    except NotFound:
        return False
    return True
