"""Where files are at xAI, which can list a collection's files and never a file's collections; and getting rid of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.clients.xai_wire import Member, RemoteCollection
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.domain.file_name import token_of
from bitbylaw_pipeline.sync.collection_search import owner_of_name

CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class XaiLook:
    """All collections and what is in them, as listed at one time; `of` makes one.

    Looked up, not searched: a matter of a thousand documents asks for each of them.
    """

    collections: Mapping[str, RemoteCollection]
    members: Mapping[str, tuple[Member, ...]]
    places: Mapping[str, frozenset[str]]
    """File -> the collections that have it."""
    files: Mapping[str, frozenset[str]]
    """Document -> the files in collections that bear its token, or its id in their fields."""

    @classmethod
    def of(
        cls, collections: Mapping[str, RemoteCollection], members: Mapping[str, tuple[Member, ...]]
    ) -> XaiLook:
        """From the lists."""
        places: dict[str, set[str]] = {}
        files: dict[str, set[str]] = {}
        for place, listed in members.items():
            for member in listed:
                places.setdefault(member.file_id, set()).add(place)
                document_id = document_of(member)
                if document_id is not None:
                    files.setdefault(document_id, set()).add(member.file_id)
        return cls(collections, members, _frozen(places), _frozen(files))

    def places_of(self, file_id: str) -> frozenset[str]:
        """The collections that have the file."""
        return self.places.get(file_id, frozenset())

    def files_of(self, document_id: str) -> frozenset[str]:
        """The files in collections that bear the document's token, or its id in their fields."""
        return self.files.get(document_id, frozenset())

    def owners_of(self, document_id: str) -> frozenset[str]:
        """The owners in whose collections any of its files is, by the collections' names; {EntityType}:{id}."""
        places = {place for file_id in self.files_of(document_id) for place in self.places_of(file_id)}
        named = (owner_of_name(self.collections[place].name) for place in places)
        return frozenset(owner for owner in named if owner is not None)

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
    return XaiLook.of(collections, dict(zip(collections, listed, strict=True)))


def _frozen(found: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    return {key: frozenset(values) for key, values in found.items()}


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
