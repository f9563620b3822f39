"""Files in xAI's collections (`facts/xai.md` 3.8 to 3.13)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

from bitbylaw_pipeline.clients.http import System
from bitbylaw_pipeline.clients.xai_paging import pages
from bitbylaw_pipeline.clients.xai_wire import Member, checked_id, member
from bitbylaw_pipeline.domain.errors import Conflict, NotFound


class Members:
    """Which file is in which collection; one file may be in many."""

    management: System

    async def attach(self, collection_id: str, file_id: str, fields: Mapping[str, str]) -> None:
        """Puts a file into a collection and starts its indexing; fine where it is in.

        `fields` belong to the pair, must be defined in the collection (else Permanent "unknown_field") and cannot
        be changed later. NotFound if the collection or the file is gone.
        """
        # What a second attach answers is not documented: 200 and 409 are both "it is in".
        with contextlib.suppress(Conflict):
            await self.management.call(
                "POST",
                self._member_path(collection_id, file_id),
                json={"fields": dict(fields)} if fields else {},
                operation="attach",
                subject=f"{collection_id} {file_id}",
            )

    async def detach(self, collection_id: str, file_id: str) -> None:
        """Takes a file out of a collection; fine where it is not in.

        Whether xAI drops a file with its last membership is not known: a later NotFound on `attach` means that
        it has to be uploaded again.
        """
        with contextlib.suppress(NotFound):
            await self.management.call(
                "DELETE",
                self._member_path(collection_id, file_id),
                operation="detach",
                subject=f"{collection_id} {file_id}",
            )

    async def member(self, collection_id: str, file_id: str) -> Member | None:
        """The file as the collection has it, with the state of its indexing; None if it is not in."""
        try:
            answer = await self.management.call(
                "GET",
                self._member_path(collection_id, file_id),
                operation="get_member",
                subject=f"{collection_id} {file_id}",
            )
        except NotFound:
            return None
        return member(answer.mapping())

    async def reindex(self, collection_id: str, file_id: str) -> None:
        """Lets a file of a collection be read and indexed anew; NotFound if it is not in (`facts/xai.md` 3.7)."""
        await self.management.call(
            "PATCH",
            self._member_path(collection_id, file_id),
            operation="reindex",
            subject=f"{collection_id} {file_id}",
        )

    async def members(self, collection_id: str) -> AsyncIterator[list[Member]]:
        """Every file in the collection, page by page, oldest first; NotFound if the collection is gone."""
        checked_id(collection_id, "collection", self.management.name)
        listed = pages(
            self.management,
            f"/collections/{collection_id}/documents",
            key="documents",
            params={"order": "ORDERING_ASCENDING", "sort_by": "DOCUMENTS_SORT_BY_AGE"},
            parse=member,
            identity=lambda row: row.file_id,
            operation="list_members",
            subject=collection_id,
        )
        async for page in listed:
            yield page

    def _member_path(self, collection_id: str, file_id: str) -> str:
        name = self.management.name
        return (
            f"/collections/{checked_id(collection_id, 'collection', name)}"
            f"/documents/{checked_id(file_id, 'file', name)}"
        )
