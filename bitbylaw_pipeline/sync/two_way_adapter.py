"""What the two-way engine asks of a system; all knowledge of the system lives behind it (`facts/two_way_sync.md` 1.2).

Errors are those of `domain.errors`: NotFound on a write means that the record is gone, Conflict that it is not what the
write was planned against, Permanent that nothing was written; any other SyncError that nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bitbylaw_pipeline.domain.three_way import Fields
from bitbylaw_pipeline.domain.two_way_link import Capabilities, Observation, Record, Settled


@dataclass(frozen=True, slots=True)
class Taken:
    """The create key is in use already: by that record, alive or deleted."""

    id: str
    is_alive: bool


class Adapter(Protocol):
    """One side of a pair."""

    @property
    def system(self) -> str:
        """The system's name in errors and log lines."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the system can do."""
        ...

    def put(self, field: str, value: Any) -> Any:
        """What the system would make of the value; `put(put(x)) == put(x)`."""
        ...

    async def observe(self, known: Mapping[str, Settled]) -> Observation:
        """Everything in this side's scope, as it is now; what is in `known` under the same stamp need not be read."""
        ...

    async def get(self, record_id: str) -> Record | None:
        """The record now; None only where the system says that it is gone and we would be allowed to see it."""
        ...

    async def find_by_key(self, key: str) -> Taken | None:
        """The record that was made under the create key, alive or deleted (with `client_key` or `marker` alone)."""
        ...

    async def create(self, key: str, fields: Fields, nonce: str, origin: Record) -> Record | Taken:
        """Makes a record. `origin` is the record it is made for."""
        ...

    async def update(self, expected: Record, patch: Fields, nonce: str) -> Record:
        """Changes exactly the fields of the patch if the record still is what `expected` shows; returns it re-read."""
        ...

    async def delete(self, expected: Record) -> None:
        """Deletes the record if it still is what `expected` shows; NotFound if it is gone already."""
        ...

    async def link_back(self, record: Record, partner: Record) -> None:
        """Writes the partner's id into a field that is not part of the sync, where there is one."""
        ...
