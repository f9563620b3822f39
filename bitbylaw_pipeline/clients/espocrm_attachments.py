"""EspoCRM's stored files (`facts/espocrm.md` 8)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from bitbylaw_pipeline.clients.espocrm_paths import record_path
from bitbylaw_pipeline.clients.http import Downloaded, System


@dataclass(frozen=True, slots=True)
class Attachment:
    """What EspoCRM knows of a stored file; `name` is verbatim what a person typed, `size` is in bytes."""

    id: str
    name: str = field(repr=False)
    content_type: str | None
    size: int | None


class Attachments:
    """Files of records; their contents never change, a new file has a new id."""

    system: System

    async def attachment(self, attachment_id: str) -> Attachment:
        """A file's name, type and size; NotFound once the file was replaced."""
        answer = await self.system.call(
            "GET",
            record_path("Attachment", attachment_id),
            operation="get_attachment",
            subject=f"Attachment {attachment_id}",
        )
        facts = answer.mapping()
        size = facts.get("size")
        return Attachment(
            attachment_id,
            str(facts.get("name") or ""),
            facts.get("type") or None,
            size if isinstance(size, int) else None,
        )

    async def download(
        self, attachment_id: str, write: Callable[[bytes], object], *, max_bytes: int
    ) -> Downloaded:
        """Gives the file's bytes to `write` as they come; memory does not grow with the file.

        NotFound once the file was replaced (EspoCRM deletes it at once: read the record again); Permanent
        "too_large" above `max_bytes`; Unexpected for half a file.
        """
        record_path("Attachment", attachment_id)
        return await self.system.download(
            f"/Attachment/file/{attachment_id}",
            write,
            operation="download",
            subject=f"Attachment {attachment_id}",
            max_bytes=max_bytes,
        )

    async def upload_attachment(
        self, name: str, content: bytes, *, content_type: str, entity_type: str, file_field: str
    ) -> str:
        """Stores a file for a record's file field and returns its id, to be set in `{file_field}Id` by `update`.

        The whole file goes as base64 in JSON: for samples and checks, not for large files. One id for one
        record only: on a second one the file moves there (`facts/espocrm.md` 0.13).
        """
        answer = await self.system.call(
            "POST",
            "/Attachment",
            json={
                "name": name,
                "type": content_type,
                "role": "Attachment",
                "relatedType": entity_type,
                "field": file_field,
                "file": f"data:{content_type};base64,{base64.b64encode(content).decode('ascii')}",
            },
            operation="upload_attachment",
            subject=entity_type,
            creates=True,
        )
        return answer.text("id")
