"""EspoCRM's records one by one: read, write, link (`facts/espocrm.md` 4, 5, 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.clients.espocrm_paths import link_path, record_path, type_path
from bitbylaw_pipeline.clients.http import System
from bitbylaw_pipeline.domain.errors import NotFound

Record = dict[str, Any]


class Records:
    """Single records of any entity type."""

    system: System

    async def get(self, entity_type: str, record_id: str) -> Record:
        """One record with all that we may read of it; NotFound also where a person has deleted it."""
        answer = await self.system.call(
            "GET",
            record_path(entity_type, record_id),
            operation="get",
            subject=f"{entity_type} {record_id}",
        )
        return _same_record(answer, record_id)

    async def create(
        self, entity_type: str, values: Mapping[str, Any], *, skip_duplicate_check: bool = False
    ) -> Record:
        """A new record. OutcomeUnknown where it may exist now: look it up before trying again."""
        answer = await self.system.call(
            "POST",
            type_path(entity_type),
            json=values,
            headers={"X-Skip-Duplicate-Check": "true"} if skip_duplicate_check else None,
            operation="create",
            subject=entity_type,
            creates=True,
        )
        answer.text("id")
        return answer.mapping()

    async def update(
        self, entity_type: str, record_id: str, values: Mapping[str, Any], *, version: int | None = None
    ) -> Record:
        """Sets the given values alone and returns the whole record as stored.

        With `version`, Conflict if somebody saved the record since; advisory (not atomic), and EspoCRM ignores
        it where the entity type has no concurrency control (`facts/espocrm.md` 5).
        """
        answer = await self.system.call(
            "PUT",
            record_path(entity_type, record_id),
            json=values,
            headers=None if version is None else {"X-Version-Number": str(version)},
            operation="update",
            subject=f"{entity_type} {record_id}",
        )
        return _same_record(answer, record_id)

    async def delete(self, entity_type: str, record_id: str) -> None:
        """Deletes; NotFound if it was gone already."""
        await self.system.call(
            "DELETE",
            record_path(entity_type, record_id),
            operation="delete",
            subject=f"{entity_type} {record_id}",
        )

    async def link(self, entity_type: str, record_id: str, link: str, foreign_ids: Sequence[str]) -> None:
        """Links one record with others; what is linked already stays so.

        NotFound if any of them is gone: those named before it are linked then, those after it are not.
        """
        if foreign_ids:
            await self._link("POST", entity_type, record_id, link, {"ids": list(foreign_ids)})

    async def unlink(self, entity_type: str, record_id: str, link: str, foreign_id: str) -> None:
        """Unlinks; also fine where nothing was linked."""
        # The id must stand in a body: in the query EspoCRM answers 200 `false` and does nothing.
        await self._link("DELETE", entity_type, record_id, link, {"id": foreign_id})

    async def _link(
        self, method: str, entity_type: str, record_id: str, link: str, body: Mapping[str, Any]
    ) -> None:
        answer = await self.system.call(
            method,
            link_path(entity_type, record_id, link),
            json=body,
            operation="link" if method == "POST" else "unlink",
            subject=f"{entity_type} {record_id} {link}",
        )
        if answer.data is not True:
            raise answer.nonsense("something other than true")


def _same_record(answer: Answer, record_id: str) -> Record:
    record = answer.mapping()
    if record.get("id") != record_id:
        raise answer.nonsense("another record than was asked for")
    if record.get("deleted") is True:
        # An admin's key still sees deleted records.
        raise NotFound(
            f"{answer.call.system} has the record marked as deleted ({answer.call}).",
            system=answer.call.system,
            status=answer.status,
        )
    return record
