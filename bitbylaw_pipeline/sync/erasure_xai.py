"""Where files are at xAI, which can list a collection's files and never a file's collections; and getting rid of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.clients.xai_wire import Member, RemoteCollection
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.domain.file_name import token_of

CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class XaiLook:
    """All collections and what is in them, as listed at one time."""

    collections: Mapping[str, RemoteCollection]
    members: Mapping[str, tuple[Member, ...]]

    def places_of(self, file_id: str) -> frozenset[str]:
        """The collections that have the file."""
        return frozenset(
            place for place, members in self.members.items() if any(m.file_id == file_id for m in members)
        )

    def files_of(self, document_id: str) -> frozenset[str]:
        """The files in collections that bear the document's token, or its id in their fields."""
        return frozenset(
            member.file_id
            for members in self.members.values()
            for member in members
            if document_of(member) == document_id
        )

    def named(self, name: str) -> frozenset[str]:
        """The collections with exactly that name."""
        return frozenset(one.collection_id for one in self.collections.values() if one.name == name)


async def look_at_xai(xai: Xai) -> XaiLook:
    """Lists every collection with its members. Raises the errors of `domain.errors`."""
    collections = {row.collection_id: row async for page in xai.list_collections() for row in page}
    slots = asyncio.Semaphore(CONCURRENCY)

    async def list_one(collection_id: str) -> tuple[Member, ...]:
        async with slots:
            try:
                return tuple([row async for page in xai.members(collection_id) for row in page])
            except NotFound:
                return ()

    listed = await asyncio.gather(*(list_one(one) for one in collections))
    return XaiLook(collections, dict(zip(collections, listed, strict=True)))


def document_of(member: Member) -> str | None:
    """The document that a file in a collection belongs to, by its name or by what stands beside it."""
    return document_in_name(member.name) or member.fields.get("espocrm_document_id") or None


def document_in_name(name: str) -> str | None:
    """The document in the token with which our uploads begin their names (`document_plan.content_token`)."""
    token = token_of(name)
    document_id, dash, digest = (token or "").rpartition("-")
    is_ours = bool(dash) and len(digest) == 12 and all(char in "0123456789abcdef" for char in digest)
    return document_id if is_ours else None


async def stored_files(xai: Xai, document_id: str) -> frozenset[str]:
    """The files in the store whose names bear the document's token; exact, whatever xAI's search finds beside."""
    found = await xai.find_files(document_id)
    return frozenset(file.file_id for file in found if document_in_name(file.name) == document_id)


async def is_stored(xai: Xai, file_id: str) -> bool:
    """Whether the file is still there."""
    try:
        await xai.file(file_id)
    except NotFound:
        return False
    return True


async def still_there(
    xai: Xai,
    files: Mapping[str, frozenset[str]],
    detached: Mapping[str, frozenset[str]],
    documents: Iterable[str],
    collections: Iterable[str],
) -> dict[str, int]:
    """What of it is left at xAI, asked one by one: place -> how much; empty where all is gone."""
    left = {"xai file store": 0, "xai collections' files": 0, "xai collections": 0}
    for file_id in files:
        left["xai file store"] += await is_stored(xai, file_id)
    for document_id in documents:
        left["xai file store"] += len(await stored_files(xai, document_id))
    for file_id, places in (*files.items(), *detached.items()):
        for place in sorted(places):
            left["xai collections' files"] += await xai.member(place, file_id) is not None
    for collection_id in collections:
        try:
            await xai.collection(collection_id)
        except NotFound:
            continue
        left["xai collections"] += 1
    return {place: number for place, number in left.items() if number}
