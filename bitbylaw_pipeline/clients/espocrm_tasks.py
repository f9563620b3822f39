"""Tasks for a person in EspoCRM: what no system can be told to do by itself, asked for once.

EspoCRM has no idempotency keys, so a task carries a token in its name, `… [token]`, by which it is found again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.domain.errors import Permanent

ENTITY_TYPE = "Task"
COMPLETED = "Completed"
_CLOSED = frozenset({COMPLETED, "Canceled"})
_TOKEN = re.compile(r"[A-Za-z0-9-]{6,64}")
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Task:
    """A task of ours; `status` is EspoCRM's word."""

    id: str
    status: str

    @property
    def is_open(self) -> bool:
        """True until a person or we have closed it."""
        return self.status not in _CLOSED


class Tasks:
    """EspoCRM's own entity Task."""

    def __init__(self, espocrm: EspoCrm) -> None:
        self.espocrm = espocrm

    async def is_available(self) -> bool:
        """True if the server shows us tasks and our role may read, create and edit all of them."""
        if not isinstance(await self.espocrm.metadata(f"entityDefs.{ENTITY_TYPE}"), dict):
            return False
        user = await self.espocrm.app_user()
        return all(user.may(action, ENTITY_TYPE) for action in ("read", "create", "edit"))

    async def find(self, token: str) -> Task | None:
        """The task with this token, whatever its status; the oldest, should a person have copied it."""
        where = [{"type": "contains", "attribute": "name", "value": _in_name(token)}]
        rows = self.espocrm.iterate_records(ENTITY_TYPE, select=("id", "name", "status"), where=where)
        async for page in rows:
            for row in page:
                # EspoCRM's comparison knows neither case nor accents.
                if _in_name(token) in str(row.get("name") or ""):
                    return Task(row["id"], str(row.get("status") or ""))
        return None

    async def create(
        self,
        token: str,
        title: str,
        *,
        description: str = "",
        parent: tuple[str, str] | None = None,
        due: str | None = None,
        priority: str = "Normal",
    ) -> Task:
        """The task with this token, made unless it is there already (also a closed one: asked for once).

        `parent` is (entity type, id) of the record it is about, `due` is `YYYY-MM-DD HH:MM:SS` UTC. Raises
        OutcomeUnknown where it may exist now: calling again finds it.
        """
        found = await self.find(token)
        if found is not None:
            return found
        ending = f" {_in_name(token)}"
        # The characters that EspoCRM's name fields refuse (`facts/espocrm.md` 4).
        shown = re.sub(r"[<>=]", " ", title).strip()[: _LONGEST_NAME - len(ending)]
        values: dict[str, Any] = {"name": shown + ending, "priority": priority}
        values |= {"description": description} if description else {}
        values |= {"parentType": parent[0], "parentId": parent[1]} if parent else {}
        values |= {"dateEnd": due} if due else {}
        made = await self.espocrm.create(ENTITY_TYPE, values)
        return Task(made["id"], str(made.get("status") or ""))

    async def complete(self, task_id: str) -> bool:
        """Closes the task; False if it was closed already. NotFound if a person has deleted it."""
        record = await self.espocrm.get(ENTITY_TYPE, task_id)
        if not Task(task_id, str(record.get("status") or "")).is_open:
            return False
        version = record.get("versionNumber")
        await self.espocrm.update(
            ENTITY_TYPE,
            task_id,
            {"status": COMPLETED},
            version=version if isinstance(version, int) else None,
        )
        return True


def _in_name(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        # Anything else could be a wildcard of the search, or be refused in a name.
        raise Permanent(
            "A task's token has 6 to 64 letters, digits and hyphens; nothing was asked.",
            system="espocrm",
            reason="bad_name",
        )
    return f"[{token}]"
