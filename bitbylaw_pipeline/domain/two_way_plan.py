"""What to do about one link: the presence matrix, then the merge of its units (`facts/two_way_sync.md` 1.4). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bitbylaw_pipeline.domain.three_way import (
    Direction,
    Fields,
    Side,
    Sight,
    Unit,
    UnitPlan,
    What,
    merge_unit,
)
from bitbylaw_pipeline.domain.two_way_link import (
    Capabilities,
    DeleteRule,
    EditVsDelete,
    Link,
    LinkState,
    Policy,
    Record,
    Undelete,
    units_of,
)


class Gone:
    """The record is gone, and a read of that very record has confirmed it."""


class Unknown:
    """Nothing is known about the record now: not listed, not understood, or out of scope."""


GONE, UNKNOWN = Gone(), Unknown()
Presence = Record | Gone | Unknown


@dataclass(frozen=True, slots=True)
class SideFacts:
    """What the planner knows of a system: what it can do, and what it makes of a value."""

    capabilities: Capabilities
    put: Callable[[str, Any], Any] = lambda _, value: value


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing may happen until a person acts, or until it resolves itself."""

    why: str
    conflict: str | None = None


@dataclass(frozen=True, slots=True)
class Bury:
    """Both are gone: the link becomes a tombstone."""


@dataclass(frozen=True, slots=True)
class Revive:
    """Both are back: the link is active again, with the bases it had."""


@dataclass(frozen=True, slots=True)
class Unlink:
    """The survivor stays and is never linked again; `gone` is the side where the record was deleted."""

    gone: Side


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the record on `side`; `conflict` if it had been edited there."""

    side: Side
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Recreate:
    """Make the record on `side` anew from the other side's, under the next generation."""

    side: Side
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class MergeFields:
    """The units' decisions: some to write, some agreed already, some held."""

    units: tuple[UnitPlan, ...]
    tasks: Mapping[str, str] = field(default_factory=dict)
    """Unit -> why a person has to do it ("task:right:update:land")."""

    def writes(self) -> list[UnitPlan]:
        """The units that go across."""
        return [plan for plan in self.units if plan.what is What.WRITE and plan.unit.name not in self.tasks]

    def agreed(self) -> list[UnitPlan]:
        """The units whose base moves without a write."""
        return [plan for plan in self.units if plan.what is What.AGREE]

    def patch(self, side: Side) -> dict[str, Any]:
        """What is sent to that side."""
        return {name: value for plan in self.writes() for name, value in plan.to(side).items()}

    @property
    def is_quiet(self) -> bool:
        """True if nothing changes anywhere, not even a base."""
        return all(plan.what is What.NOTHING for plan in self.units)


LinkPlan = Nothing | Held | Bury | Revive | Unlink | Remove | Recreate | MergeFields
Decisions = Mapping[str, Side]
"""Unit, or "record" for the record as a whole -> the side that a person chose."""


def plan_link(
    link: Link,
    left: Presence,
    right: Presence,
    facts: Mapping[Side, SideFacts],
    policy: Policy,
    decided: Decisions,
) -> LinkPlan:
    """What this link needs; the link has no open intent."""
    if link.is_unlinked or link.state in (LinkState.QUARANTINED, LinkState.PENDING):
        return Nothing()
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return Nothing()
    if link.state is LinkState.TOMBSTONE:
        return _plan_tombstone(left, right, facts, policy, decided)
    if isinstance(left, Record) and isinstance(right, Record):
        return plan_merge(link, left, right, facts, policy, decided)
    if isinstance(left, Record):
        return _plan_deletion(link, Side.RIGHT, left, facts, policy, decided)
    if isinstance(right, Record):
        return _plan_deletion(link, Side.LEFT, right, facts, policy, decided)
    return Bury()


def plan_merge(
    link: Link,
    left: Record,
    right: Record,
    facts: Mapping[Side, SideFacts],
    policy: Policy,
    decided: Decisions,
) -> MergeFields:
    """The merge of every unit of two records that are there."""
    sights = {
        Side.LEFT: Sight(left.fields, link.base_left, facts[Side.LEFT].put, left.updated),
        Side.RIGHT: Sight(right.fields, link.base_right, facts[Side.RIGHT].put, right.updated),
    }
    plans = tuple(
        merge_unit(unit, sights[Side.LEFT], sights[Side.RIGHT], decided.get(unit.name))
        for unit in units_of(policy, left.fields, right.fields)
    )
    records = {Side.LEFT: left, Side.RIGHT: right}
    tasks = {plan.unit.name: why for plan in plans if (why := _cannot_take(plan, facts, records))}
    return MergeFields(plans, tasks)


def payload(record: Record, target: SideFacts, policy: Policy, side: Side) -> dict[str, Any]:
    """What a new counterpart on `side` is made with: every readable unit that may travel there, empty ones too."""
    against = _against(side)
    allowed = target.capabilities.create_fields
    chosen: dict[str, Any] = {}
    for unit in units_of(policy, record.fields):
        if unit.policy.direction is against and not unit.policy.is_born:
            continue
        if allowed is None or set(unit.fields) <= allowed:
            chosen |= {name: target.put(name, record.fields[name]) for name in unit.fields}
    return chosen


def last_words(link: Link, target: SideFacts, policy: Policy, side: Side) -> dict[str, Any]:
    """What a record made anew on `side` gets of the units that come from there (`is_born`): the values last agreed."""
    base, allowed = link.base(side), target.capabilities.create_fields
    return {
        name: target.put(name, base[name])
        for unit in units_of(policy, base)
        if unit.policy.is_born
        and unit.policy.direction is _against(side)
        and (allowed is None or set(unit.fields) <= allowed)
        for name in unit.fields
    }


def agreed_source(origin: Record, fields: Fields, policy: Policy, side: Side) -> dict[str, Any]:
    """What the origin of a new record on `side` counts as having agreed to: not what only comes from there."""
    return {
        name: origin.fields[name]
        for name in fields
        if name in origin.fields and policy.field(name).direction is not _against(side)
    }


def _against(side: Side) -> Direction:
    return Direction.TO_RIGHT if side is Side.LEFT else Direction.TO_LEFT


def with_stamps(link: Link, left: Record, right: Record, policy: Policy) -> Link:
    """The link with the stamp of each side that holds exactly what was agreed, in every field."""
    for side, record in ((Side.LEFT, left), (Side.RIGHT, right)):
        base = link.base(side)
        units = units_of(policy, record.fields, base)
        if record.stamp and all(
            unit.is_in(record.fields) and unit.same(record.fields, base) for unit in units
        ):
            link = link.with_side(side, version=record.stamp)
    return link


def _cannot_take(
    plan: UnitPlan, facts: Mapping[Side, SideFacts], records: Mapping[Side, Record]
) -> str | None:
    if plan.what is not What.WRITE:
        return None
    for side in (Side.RIGHT, Side.LEFT):
        patch, able = plan.to(side), facts[side].capabilities
        if not patch:
            continue
        never = able.readonly_fields | records[side].readonly_fields
        refused = sorted(set(patch) & never) if able.update else sorted(patch)
        if refused:
            return task(side, "update", refused)
    return None


def task(side: Side, op: str, fields: list[str]) -> str:
    """The code of something that a person has to do in the system on that side."""
    return ":".join(part for part in ("task", side.value, op, "+".join(fields)) if part)


def is_edited(link: Link, survivor: Record, side: Side, policy: Policy) -> bool:
    """True if a field that travels away from `side` differs there from what was agreed."""
    base = link.base(side)
    return any(
        unit.policy.direction is not _against(side.other) and _differs(unit, survivor.fields, base)
        for unit in units_of(policy, survivor.fields)
    )


def is_agreed(link: Link, record: Record, policy: Policy) -> bool:
    """True if each of the record's units has been agreed on by both sides, be it with other values than now."""
    return all(
        unit.is_in(link.base_left) and unit.is_in(link.base_right) for unit in units_of(policy, record.fields)
    )


def _differs(unit: Unit, fields: Fields, base: Fields) -> bool:
    known = [name for name in unit.fields if name in fields]
    return any(
        (name in base and not unit.equal(name, fields[name], base[name]))
        # Never agreed, and there is something: nobody has decided that it may vanish.
        or (name not in base and unit.members[name].canonical(fields[name]) is not None)
        for name in known
    )


def _plan_deletion(
    link: Link,
    gone: Side,
    survivor: Record,
    facts: Mapping[Side, SideFacts],
    policy: Policy,
    decided: Decisions,
) -> LinkPlan:
    alive = gone.other
    if "record" in decided:
        return _restore(gone, facts) if decided["record"] is alive else _remove(survivor, alive, facts)
    if not link.has_base:
        return Held("no_base_delete")
    if is_edited(link, survivor, alive, policy):
        return _edit_against_deletion(gone, survivor, facts, policy)
    match policy.on_delete(gone):
        case DeleteRule.PROPAGATE:
            return _remove(survivor, alive, facts)
        case DeleteRule.RESTORE:
            return _restore(gone, facts, conflict=policy.notes_restore)
        case DeleteRule.UNLINK:
            return Unlink(gone)
        case DeleteRule.HOLD:
            return Held("delete_policy_hold")


def _edit_against_deletion(
    gone: Side, survivor: Record, facts: Mapping[Side, SideFacts], policy: Policy
) -> LinkPlan:
    match policy.edit_vs_delete:
        case EditVsDelete.EDIT_WINS:
            return _restore(gone, facts, conflict=True)
        case EditVsDelete.DELETE_WINS:
            return _remove(survivor, gone.other, facts, conflict=True)
        case EditVsDelete.HOLD:
            return Held("edit_vs_delete", conflict="edit_vs_delete")


def _remove(
    survivor: Record, side: Side, facts: Mapping[Side, SideFacts], *, conflict: bool = False
) -> LinkPlan:
    if not (facts[side].capabilities.delete and survivor.can_delete):
        return Held(task(side, "delete", []))
    return Remove(side, conflict)


def _restore(side: Side, facts: Mapping[Side, SideFacts], *, conflict: bool = False) -> LinkPlan:
    if not facts[side].capabilities.create:
        return Held(task(side, "create", []))
    return Recreate(side, conflict)


def _plan_tombstone(
    left: Record | Gone,
    right: Record | Gone,
    facts: Mapping[Side, SideFacts],
    policy: Policy,
    decided: Decisions,
) -> LinkPlan:
    if isinstance(left, Gone) and isinstance(right, Gone):
        return Nothing()
    if isinstance(left, Record) and isinstance(right, Record):
        return Revive()
    alive = Side.LEFT if isinstance(left, Record) else Side.RIGHT
    if "record" in decided:
        return _restore(alive.other, facts) if decided["record"] is alive else Nothing()
    match policy.undelete:
        case Undelete.RECREATE:
            return _restore(alive.other, facts)
        case Undelete.HOLD:
            return Held("undelete")
        case Undelete.IGNORE:
            return Nothing()
