"""xAI's file store (`facts/xai.md` 2)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bitbylaw_pipeline.clients.http import System
from bitbylaw_pipeline.clients.xai_paging import pages, quoted
from bitbylaw_pipeline.clients.xai_wire import RemoteFile, checked_id, remote_file, whole_object
from bitbylaw_pipeline.domain.errors import NotFound


class Files:
    """Files by themselves, whatever collections they are in."""

    files: System

    async def file(self, file_id: str) -> RemoteFile:
        """One file; NotFound once it is deleted."""
        answer = await self.files.call("GET", self._file_path(file_id), operation="get_file", subject=file_id)
        return remote_file(whole_object(answer, "id"))

    async def find_files(self, name_part: str) -> list[RemoteFile]:
        """The files whose name contains the text, oldest first: how an upload with an unclear outcome is found.

        xAI's own search is fuzzy and only narrows. Compare `size` before taking one for the upload: a broken
        one may be there too.
        """
        found = [row async for page in self._files(f"name:{quoted(name_part)}") for row in page]
        return sorted((row for row in found if name_part in row.name), key=lambda row: row.created_at or 0.0)

    async def list_files(self) -> AsyncIterator[list[RemoteFile]]:
        """Every file of the team, page by page, oldest first."""
        async for page in self._files(None):
            yield page

    async def delete_file(self, file_id: str) -> None:
        """Deletes; fine where it is gone. Detach it everywhere first: what a collection shows else is not documented."""
        try:
            await self.files.call(
                "DELETE", self._file_path(file_id), operation="delete_file", subject=file_id
            )
        except NotFound:
            return

    def _files(self, search: str | None) -> AsyncIterator[list[RemoteFile]]:
        return pages(
            self.files,
            "/files",
            key="data",
            # Said each time: the documentation contradicts itself about the default order.
            params={"order": "asc", "sort_by": "created_at", **({"filter": search} if search else {})},
            parse=remote_file,
            identity=lambda row: row.file_id,
            operation="find_files" if search else "list_files",
        )

    def _file_path(self, file_id: str) -> str:
        return f"/files/{checked_id(file_id, 'file', self.files.name)}"
