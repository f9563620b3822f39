"""One link from its plan to its last commit (`facts/two_way_sync.md` 1.5).

The fields' writes are in `two_way_write`, what is about whole records in `two_way_presence`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bitbylaw_pipeline.domain.errors import Conflict
from bitbylaw_pipeline.domain.three_way import Side, UnitPlan
from bitbylaw_pipeline.domain.two_way_link import LinkState, Record
from bitbylaw_pipeline.domain.two_way_plan import (
    Bury,
    Held,
    LinkPlan,
    MergeFields,
    Nothing,
    Presence,
    Recreate,
    Remove,
    Revive,
    Unlink,
    plan_link,
    task,
)
from bitbylaw_pipeline.sync import two_way_presence
from bitbylaw_pipeline.sync.two_way_link_work import WRITE_ORDER, Bench, DeleteCount, LinkWork
from bitbylaw_pipeline.sync.two_way_write import merge_fields

__all__ = ["Bench", "DeleteCount", "LinkPass"]

ROUNDS = 3
"""How often a link is planned anew after somebody else was faster."""


@dataclass(slots=True)
class LinkPass(LinkWork):
    """One link's pass: its plan, and the plan carried out."""

    def plan(self) -> LinkPlan:
        """What the link needs now, with refused values and a person's decisions taken into account."""
        bench = self.bench
        left, right = self.presence[Side.LEFT], self.presence[Side.RIGHT]
        plan = plan_link(self.link, left, right, bench.facts, self.policy, self._decided(left, right))
        if not isinstance(plan, MergeFields):
            return plan
        tasks = dict(plan.tasks)
        for unit in plan.writes():
            refused = [side for side in WRITE_ORDER if unit.to(side) and self._is_refused(side, unit)]
            if refused:
                tasks[unit.unit.name] = task(refused[0], "update", sorted(unit.to(refused[0])))
        return replace(plan, tasks=tasks)

    async def run(self, plan: LinkPlan) -> None:
        """Carries the plan out and, where that changes the picture, what follows from it.

        An error of a system ends up in the result. Raises LinkChanged where somebody else was faster.
        """
        for _ in range(ROUNDS):
            if not await self._apply(plan):
                return
            plan = self.plan()
            if isinstance(plan, Remove):
                # The guard has not counted it: somebody deleted the counterpart while we wrote there.
                self.bench.deletes.planned[plan.side] += 1
                if self.bench.deletes.withholds(plan.side):
                    plan = Held("delete_guard")
        if self.overtaken_by == ROUNDS:
            # Somebody who edits that fast is rare; a record that never is what was planned on is our own fault, and one
            # that was not told of stayed out of step for good.
            self.result.error = Conflict(
                f"{self.link.link_id} was never what was read of it a moment before; it is looked at again.",
                system="pipeline",
            )

    async def create(self, side: Side, origin: Record, generation: int) -> bool:
        """Makes the counterpart on `side`; True if the link should be planned once more."""
        return await two_way_presence.create(self, side, origin, generation)

    async def linked(self) -> None:
        """The link is new between two records that were there: each may note the other's id."""
        await two_way_presence.link_back(self)

    async def note_partner(self) -> None:
        """Writes an id back that a crash has kept from it; not on and on, for a system may ignore it in silence."""
        await two_way_presence.note_partner(self)

    async def _apply(self, plan: LinkPlan) -> bool:
        """True if the link should be planned once more."""
        match plan:
            case Nothing():
                return False
            case Held():
                await two_way_presence.hold_record(self, plan)
                return False
            case Bury():
                await self.store(replace(self.link, state=LinkState.TOMBSTONE, refusals={}))
                return False
            case Revive():
                await self.store(replace(self.link, state=LinkState.ACTIVE))
                return True
            case Unlink(gone=gone):
                await two_way_presence.unlink(self, gone)
                return False
            case Remove():
                await two_way_presence.remove(self, plan)
                return False
            case Recreate():
                return await two_way_presence.recreate(self, plan)
            case MergeFields():
                return await merge_fields(self, plan)

    def _is_refused(self, side: Side, unit: UnitPlan) -> bool:
        known = self.link.refusals.get(f"{side.value}:{unit.unit.name}")
        return known is not None and known == self.digest(dict(unit.to(side)))

    def _decided(self, left: Presence, right: Presence) -> dict[str, Side]:
        decided: dict[str, Side] = {}
        for why, decision in self.decisions().items():
            if decision.take not in ("left", "right"):
                continue
            kind, _, unit = why.partition(":")
            if kind not in ("conflict", "approval"):
                decided["record"] = Side(decision.take)
            elif isinstance(left, Record) and isinstance(right, Record):
                names = unit.split("+")
                values = [
                    {name: one.fields[name] for name in names if name in one.fields} for one in (left, right)
                ]
                # Decided about other values than stand there now: the person is asked again.
                if self.digest(values) == decision.digest:
                    decided[unit] = Side(decision.take)
        return decided
