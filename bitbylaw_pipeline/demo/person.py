"""A person at the firm, as EspoCRM sees one: records, files and links through its API, under an account of their own."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.sandbox.samples.matters import SampleDocument
from bitbylaw_pipeline.sandbox.samples.seed import OWNER_LINKS

USER_NAME = "kanzlei"
API_KEY = "sandbox-person-key"
SECONDS = 20.0


class Person:
    """Acts by EspoCRM's API at `api_url` (ending in /api/v1); raises httpx.HTTPError where EspoCRM refuses."""

    def __init__(self, api_url: str) -> None:
        self._client = httpx.Client(base_url=api_url, headers={"X-Api-Key": API_KEY}, timeout=SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        response = self._client.request(method, path, json=body)
        response.raise_for_status()
        return response.json()

    def add_document(self, title: str, sample: SampleDocument, owners: Sequence[OwnerKey]) -> str:
        """Files a new document with its file in the owners' records; returns its id."""
        return self.add_file(title, sample.name, sample.content_type, sample.content(), owners)

    def add_file(
        self, title: str, file_name: str, content_type: str, content: bytes, owners: Sequence[OwnerKey]
    ) -> str:
        """The same with bytes of any kind."""
        record: dict[str, Any] = {
            "name": title,
            "dokumentId": self._upload(file_name, content_type, content),
            "fileStatus": "neu",
        }
        for owner in owners:
            record.setdefault(f"{OWNER_LINKS[owner.entity_type]}Ids", []).append(owner.id)
        return str(self._call("POST", "/CDokumente", record)["id"])

    def replace_file(self, document_id: str, sample: SampleDocument) -> None:
        """Puts another file in place of the document's."""
        attachment_id = self._upload(sample.name, sample.content_type, sample.content())
        self._call(
            "PUT", f"/CDokumente/{document_id}", {"dokumentId": attachment_id, "fileStatus": "geändert"}
        )

    def change(self, entity_type: str, record_id: str, **values: Any) -> None:
        """Changes fields of a record."""
        self._call("PUT", f"/{entity_type}/{record_id}", values)

    def rename(self, document_id: str, title: str) -> None:
        """Gives the document another title."""
        self.change("CDokumente", document_id, name=title)

    def link(self, document_id: str, owner: OwnerKey) -> None:
        """Links the document to one more owner."""
        self._call("POST", f"/CDokumente/{document_id}/{OWNER_LINKS[owner.entity_type]}", {"id": owner.id})

    def unlink(self, document_id: str, owner: OwnerKey) -> None:
        """Takes the document out of an owner's record."""
        self._call("DELETE", f"/CDokumente/{document_id}/{OWNER_LINKS[owner.entity_type]}", {"id": owner.id})

    def delete(self, entity_type: str, record_id: str) -> None:
        """Deletes a record."""
        self._call("DELETE", f"/{entity_type}/{record_id}")

    def open_matter(self, name: str) -> OwnerKey:
        """A new Räumungsklage, without the client's permission."""
        return OwnerKey(
            "CVmhRumungsklage", str(self._call("POST", "/CVmhRumungsklage", {"name": name})["id"])
        )

    def permit(self, owner: OwnerKey, reference: str, date: str) -> None:
        """Notes the client's permission, with its reference and date."""
        permission = {"kiFreigabe": True, "kiFreigabeReferenz": reference, "kiFreigabeDatum": date}
        self._call("PUT", f"/{owner.entity_type}/{owner.id}", permission)

    def _upload(self, name: str, content_type: str, content: bytes) -> str:
        encoded = base64.b64encode(content).decode("ascii")
        attachment = {
            "name": name,
            "type": content_type,
            "role": "Attachment",
            "relatedType": "CDokumente",
            "field": "dokument",
            "file": f"data:{content_type};base64,{encoded}",
        }
        return str(self._call("POST", "/Attachment", attachment)["id"])
