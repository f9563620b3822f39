"""What the two-way engine remembers between runs, as a port: the state database has it, and a memory for trials."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Link
from bitbylaw_pipeline.domain.two_way_state import Changes, HoldChanges, Seen, Snapshot


class LinkStore(Protocol):
    """The state of one pair."""

    def digest(self, text: str) -> str:
        """Stands for the text where the text itself must not; the same for the same text."""
        ...

    async def load(
        self, left_ids: Iterable[str] | None = None, right_ids: Iterable[str] | None = None
    ) -> Snapshot:
        """The links with one of these ids on that side; without ids all of them."""
        ...

    async def commit(self, changes: Changes) -> tuple[Link, ...]:
        """Stores the changes and returns the links as stored. Raises LinkChanged, and then nothing is stored."""
        ...

    async def note_seen(self, side: Side, record_ids: Iterable[str]) -> Seen:
        """Counts one observation of a side and remembers which records it showed."""
        ...

    async def replace_holds(self, changes: HoldChanges) -> None:
        """Opens the holds that are new, ends those that are no longer."""
        ...

    async def use_approvals(self, sides: Iterable[Side], op: str = "delete") -> None:
        """The approved deletes (or updates: "update") of these sides have been used."""
        ...
