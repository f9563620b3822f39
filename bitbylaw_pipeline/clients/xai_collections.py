"""xAI's collections (`facts/xai.md` 3.1 to 3.5)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping

from bitbylaw_pipeline.clients.http import System
from bitbylaw_pipeline.clients.xai_paging import pages, quoted
from bitbylaw_pipeline.clients.xai_wire import (
    RemoteCollection,
    checked_id,
    remote_collection,
    whole_object,
)
from bitbylaw_pipeline.domain.errors import NotFound


class Collections:
    """Collections; their names need not be unique, their ids are what counts."""

    management: System

    async def create_collection(
        self, name: str, description: str, field_definitions: Mapping[str, str]
    ) -> RemoteCollection:
        """A new collection, also where one has that name: look with `find_collections` first and after OutcomeUnknown.

        `field_definitions` is key -> description: a field that is not defined here cannot be sent with a document.
        """
        answer = await self.management.call(
            "POST",
            "/collections",
            json={
                "collection_name": name,
                "collection_description": description,
                "field_definitions": [_definition(key, about) for key, about in field_definitions.items()],
            },
            operation="create_collection",
            creates=True,
        )
        return remote_collection(whole_object(answer, "collection_id"))

    async def update_collection(
        self, collection_id: str, name: str, description: str, new_fields: Mapping[str, str]
    ) -> RemoteCollection:
        """Renames a collection and defines further fields (key -> description), which may be repeated.

        Its documents keep what they have.
        """
        updates = [
            {"field_definition": _definition(key, about), "operation": "FIELD_DEFINITION_ADD"}
            for key, about in new_fields.items()
        ]
        answer = await self.management.call(
            "PUT",
            self._collection_path(collection_id),
            json={
                "collection_name": name,
                "collection_description": description,
                "field_definition_updates": updates,
            },
            operation="update_collection",
            subject=collection_id,
        )
        return remote_collection(whole_object(answer, "collection_id"))

    async def find_collections(self, name: str) -> list[RemoteCollection]:
        """The collections with exactly that name, oldest first: the oldest is the one, the others are duplicates."""
        found = [row async for page in self._collections(_longest_word(name)) for row in page]
        return sorted(
            (row for row in found if row.name == name),
            key=lambda row: (row.created_at or 0.0, row.collection_id),
        )

    async def list_collections(self) -> AsyncIterator[list[RemoteCollection]]:
        """Every collection of the team, page by page."""
        async for page in self._collections(None):
            yield page

    async def collection(self, collection_id: str) -> RemoteCollection:
        """One collection; NotFound once it is deleted."""
        answer = await self.management.call(
            "GET", self._collection_path(collection_id), operation="get_collection", subject=collection_id
        )
        return remote_collection(whole_object(answer, "collection_id"))

    async def delete_collection(self, collection_id: str) -> None:
        """Deletes the collection (the files stay in the store); fine where it is gone."""
        try:
            await self.management.call(
                "DELETE",
                self._collection_path(collection_id),
                operation="delete_collection",
                subject=collection_id,
            )
        except NotFound:
            return

    def _collections(self, word: str | None) -> AsyncIterator[list[RemoteCollection]]:
        search = {"filter": f"collection_name:{quoted(word)}"} if word else {}
        return pages(
            self.management,
            "/collections",
            key="collections",
            params={"order": "ORDERING_ASCENDING", "sort_by": "COLLECTIONS_SORT_BY_AGE", **search},
            parse=remote_collection,
            identity=lambda row: row.collection_id,
            operation="find_collections" if word else "list_collections",
        )

    def _collection_path(self, collection_id: str) -> str:
        return f"/collections/{checked_id(collection_id, 'collection', self.management.name)}"


def _definition(key: str, about: str) -> dict[str, str | bool]:
    return {"key": key, "description": about, "required": False, "unique": False, "inject_into_chunk": False}


def _longest_word(name: str) -> str | None:
    # Whether a colon may stand in a filter's text is not known. The longest plain word of our names is the
    # record's id or its type; xAI compares by parts, the exact comparison is ours.
    return max(re.findall(r"[A-Za-z0-9]+", name), key=len, default=None)
