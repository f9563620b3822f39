"""Everything that EspoCRM and xAI list of documents and collections, in frames of the columns that are compared."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, TypeVar

import pandas as pd

from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.clients.xai_wire import Member, RemoteCollection, RemoteFile
from bitbylaw_pipeline.domain.document import Document, Owner, OwnerKey, is_record_id
from bitbylaw_pipeline.domain.egress import EgressRule, judge
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.domain.file_name import token_of
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.collection_search import owner_of_name
from bitbylaw_pipeline.sync.owner_permission import day_of

A = TypeVar("A")
B = TypeVar("B")

PORTION = 64
"""So many calls are begun together; how many of them are under way at once, the clients limit."""
_CONTENT_TOKEN = re.compile(r"(.+)-([0-9a-f]{12})")

DOCUMENT_COLUMNS = (
    "document",
    "attachment",
    "e_file",
    "e_collections",
    "e_synced",
    "e_md5",
    "e_sha256",
    "excluded",
)
OWNER_COLUMNS = ("owner", "e_collection", "e_permitted", "e_ground")
LINK_COLUMNS = ("owner", "document")
FILE_COLUMNS = ("file", "file_size", "created_at", "of_document", "digest")
MEMBER_COLUMNS = ("collection", "file", "indexing", "m_sha256", "m_size", "m_document")
COLLECTION_COLUMNS = ("collection", "named_owner", "made_at")


@dataclass(frozen=True, slots=True)
class Listing:
    """One frame per list. Owners are `{EntityType}:{id}`; None where there is no value.

    `configured` are the owners' types in the settings, `types` the entity types that were listed, `partly` those of
    them of which our role sees a part only, `unread`
    the owners that went while they were being listed.
    """

    documents: pd.DataFrame
    owners: pd.DataFrame
    links: pd.DataFrame
    files: pd.DataFrame
    members: pd.DataFrame
    collections: pd.DataFrame
    document_type: str
    configured: frozenset[str]
    types: frozenset[str]
    partly: frozenset[str]
    unread: frozenset[str]


@dataclass(frozen=True, slots=True)
class ListingReader:
    """Reads both systems page by page; writes nothing. Raises the errors of `domain.errors`."""

    records: DocumentRecords
    xai: Xai
    settings: Settings

    async def read(self, now: float) -> Listing:
        """Every list, whole; `now` (UTC epoch seconds) decides which permission has begun."""
        names = [owner.entity_type for owner in self.settings.collection_owners]
        linked = [name for name in names if await self.records.owns_documents(name)]
        user = await self.records.espocrm.app_user()
        document_type = self.settings.document_fields.entity_type
        types = frozenset((document_type, *linked))
        own = partial(_owner_row, rule=self.settings.xai_egress, today=day_of(now))
        documents, files, collections, *by_type = await together(
            _rows(self.records.iterate_documents(), _document_row),
            _rows(self.xai.list_files(), file_row),
            _rows(self.xai.list_collections(), collection_row),
            *(_rows(self.records.iterate_owners(name), own) for name in linked),
        )
        owners = [row for rows in by_type for row in rows]
        links, members = await together(
            for_each([row[0] for row in owners], self._links),
            for_each([row[0] for row in collections], self._members),
        )
        return Listing(
            frame(documents, DOCUMENT_COLUMNS),
            frame(owners, OWNER_COLUMNS),
            frame((row for found in links if found is not None for row in found), LINK_COLUMNS),
            frame(files, FILE_COLUMNS),
            frame((row for found in members for row in found), MEMBER_COLUMNS),
            frame(collections, COLLECTION_COLUMNS),
            document_type,
            frozenset(names),
            types,
            frozenset(name for name in types if not user.may("read", name)),
            frozenset(row[0] for row, found in zip(owners, links, strict=True) if found is None),
        )

    async def _links(self, owner: str) -> list[tuple[str, str]] | None:
        try:
            return [(owner, document) for document in await self.records.documents_of(OwnerKey.parse(owner))]
        except NotFound:
            return None

    async def _members(self, collection: str) -> list[tuple[Any, ...]]:
        try:
            return await _rows(self.xai.members(collection), partial(_member_row, collection))
        except NotFound:
            return []  # deleted since it was listed


async def together(*calls: Awaitable[Any]) -> list[Any]:
    """The results of all; waits for every one of them, and then raises the first error."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


async def for_each(items: Sequence[A], work: Callable[[A], Awaitable[B]]) -> list[B]:
    """`work` on every item, a portion of them at once; the results in their order."""
    found: list[B] = []
    for start in range(0, len(items), PORTION):
        found += await together(*(work(item) for item in items[start : start + PORTION]))
    return found


def frame(rows: Iterable[tuple[Any, ...]], columns: Sequence[str]) -> pd.DataFrame:
    """The rows as plain Python values: a column of numbers with gaps must not become one of floats."""
    return pd.DataFrame(list(rows), columns=list(columns), dtype=object)


async def _rows(pages: AsyncIterator[list[A]], row: Callable[[A], tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [row(one) async for page in pages for one in page]


def _document_row(found: Document) -> tuple[Any, ...]:
    hashes = (found.synced_hash, found.md5, found.sha256)
    return (found.id, found.attachment_id, found.file_id, found.collections, *hashes, found.is_excluded)


def _owner_row(found: Owner, *, rule: EgressRule, today: date) -> tuple[Any, ...]:
    permission = judge(found, rule, today)
    return (str(found.key), found.collection_id, permission.is_granted, permission.ground)


def file_row(found: RemoteFile) -> tuple[Any, ...]:
    return (found.file_id, found.size, found.created_at, *content_mark(found.name))


def _member_row(collection: str, found: Member) -> tuple[Any, ...]:
    of_document = found.fields.get("espocrm_document_id")
    return (collection, found.file_id, found.status.value, found.sha256, found.size, of_document)


def collection_row(found: RemoteCollection) -> tuple[Any, ...]:
    return (found.collection_id, owner_of_name(found.name), found.created_at)


def content_mark(name: str) -> tuple[str | None, str | None]:
    """(document's id, first digits of the SHA-256) of the token that a file's name begins with, if it is one of ours."""
    match = _CONTENT_TOKEN.fullmatch(token_of(name) or "")
    return (match[1], match[2]) if match and is_record_id(match[1]) else (None, None)
