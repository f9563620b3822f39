"""Somebody at xAI's console who puts things wrong behind the pipeline's back."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx

from bitbylaw_pipeline.sandbox.xai.app import API_KEY, MANAGEMENT_KEY

SECONDS = 20.0


class Vandal:
    """Works at xAI's stand-in at `root`, with the firm's own keys; raises httpx.HTTPError where it refuses."""

    def __init__(self, root: str) -> None:
        self._files = _client(f"{root}/api/v1", API_KEY)
        self._management = _client(f"{root}/management/v1", MANAGEMENT_KEY)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()
        self._management.close()

    def delete_file(self, file_id: str) -> None:
        """The file goes out of the store."""
        self._files.delete(f"/files/{file_id}").raise_for_status()

    def take_out(self, collection_id: str, file_id: str) -> None:
        """The file goes out of one collection."""
        self._management.delete(f"/collections/{collection_id}/documents/{file_id}").raise_for_status()

    def put_into(self, collection_id: str, file_id: str) -> None:
        """The file goes into a collection that it does not belong to."""
        self._management.post(f"/collections/{collection_id}/documents/{file_id}", json={}).raise_for_status()

    def leave_behind(self, name: str) -> str:
        """A file that nothing accounts for; its id."""
        content = {"file": (name, b"Kopie eines Schriftsatzes\n", "text/plain")}
        return str(
            self._files.post("/files", data={"purpose": ""}, files=content).raise_for_status().json()["id"]
        )

    def double_collection(self, name: str) -> str:
        """A second collection of that name; its id."""
        made = self._management.post("/collections", json={"collection_name": name}).raise_for_status()
        return str(made.json()["collection_id"])


def _client(base_url: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS)
