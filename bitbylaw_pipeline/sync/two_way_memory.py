"""The two-way engine's state in memory: for trials that must leave nothing behind, and for cases."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Conflict, Hold, Link, LogEntry
from bitbylaw_pipeline.domain.two_way_state import (
    Changes,
    Decision,
    HoldChanges,
    LinkChanged,
    Seen,
    Snapshot,
    active,
)


class MemoryLinkStore:
    """A pair's state that ends with the process. `clock` gives UTC epoch seconds."""

    def __init__(self, clock: Callable[[], float], links: Iterable[Link] = ()) -> None:
        self._clock = clock
        self.links = {link.link_id: copy.deepcopy(link) for link in links}
        self.conflicts: list[Conflict] = []
        self.open_conflicts: dict[tuple[str, str], int] = {}
        self.holds: dict[tuple[str, str], Hold] = {}
        self.log: list[LogEntry] = []
        self.decisions: dict[str, dict[str, Decision]] = {}
        self.approved_deletes: dict[Side, int] = {}
        self.approved_updates: dict[Side, int] = {}
        self.seen: dict[Side, dict[str, int]] = {side: {} for side in Side}
        self.looks = dict.fromkeys(Side, 0)

    def digest(self, text: str) -> str:
        """A plain hash: the memory is nobody else's."""
        return hashlib.sha256(text.encode()).hexdigest()

    async def load(
        self, left_ids: Iterable[str] | None = None, right_ids: Iterable[str] | None = None
    ) -> Snapshot:
        """See LinkStore."""
        wanted = {Side.LEFT: set(left_ids or ()), Side.RIGHT: set(right_ids or ())}
        is_all = left_ids is None and right_ids is None
        chosen = [
            link
            for link in self.links.values()
            if is_all or any(link.id(side) in ids for side, ids in wanted.items())
        ]
        linked = {
            side: frozenset(own for link in self.links.values() if (own := link.id(side)) is not None)
            for side in Side
        }
        return Snapshot(
            links=copy.deepcopy(chosen),
            linked=linked,
            active_links=active(self.links.values()),
            decisions=copy.deepcopy(self.decisions),
            approved_deletes=dict(self.approved_deletes),
            approved_updates=dict(self.approved_updates),
            now=self._clock(),
        )

    async def commit(self, changes: Changes) -> tuple[Link, ...]:
        """See LinkStore."""
        for link in (*changes.links, *changes.removed):
            known = self.links.get(link.link_id)
            if (known.row_rev if known else 0) != link.row_rev or self._is_taken(link):
                raise LinkChanged(link.link_id)
        stored = tuple(replace(copy.deepcopy(link), row_rev=link.row_rev + 1) for link in changes.links)
        self.links.update({link.link_id: link for link in stored})
        for link in changes.removed:
            self.links.pop(link.link_id, None)
        for conflict in changes.conflicts:
            self._add(copy.deepcopy(conflict))
        self.log += copy.deepcopy(changes.log)
        return copy.deepcopy(stored)

    async def note_seen(self, side: Side, record_ids: Iterable[str]) -> Seen:
        """See LinkStore."""
        self.looks[side] += 1
        for record_id in record_ids:
            self.seen[side].setdefault(record_id, self.looks[side])
        return Seen(self.looks[side], dict(self.seen[side]))

    async def replace_holds(self, changes: HoldChanges) -> None:
        """See LinkStore."""
        found = {(hold.subject, hold.why): hold for hold in changes.found}
        for key, hold in list(self.holds.items()):
            is_covered = changes.covers is None or hold.subject in changes.covers
            is_covered = is_covered and hold.subject not in changes.spares
            if is_covered and key not in found and not hold.is_notice:
                del self.holds[key]
                self.open_conflicts.pop((hold.subject, hold.why.removeprefix("conflict:")), None)
                self.decisions.get(hold.subject, {}).pop(hold.why, None)
        self.holds.update(found)

    async def use_approvals(self, sides: Iterable[Side], op: str = "delete") -> None:
        """See LinkStore."""
        for side in sides:
            (self.approved_deletes if op == "delete" else self.approved_updates).pop(side, None)

    def _is_taken(self, link: Link) -> bool:
        return any(
            other.link_id != link.link_id and link.id(side) is not None and other.id(side) == link.id(side)
            for side in Side
            for other in self.links.values()
        )

    def _add(self, conflict: Conflict) -> None:
        key = (conflict.link_id, conflict.what)
        if conflict.winner != "none":
            self.open_conflicts.pop(key, None)
            self.conflicts.append(conflict)
        elif key in self.open_conflicts:
            # Still open: what both sides hold may have moved on.
            self.conflicts[self.open_conflicts[key]] = conflict
        else:
            self.open_conflicts[key] = len(self.conflicts)
            self.conflicts.append(conflict)
