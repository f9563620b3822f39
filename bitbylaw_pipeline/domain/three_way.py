"""The three-way merge of one unit: what each side holds now, against what each side held when they last agreed.

A unit is a field, or a group of fields that mean something together only ({iban, bic}, {start, end}). The base is kept
per side, as that system really holds it: systems cut, upper-case and drop, and one base for both would make the cut
text travel back (`facts/two_way_sync.md` 1.0, 1.4). Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from bitbylaw_pipeline.domain.equivalence import Transform, canonical, chain

Fields = Mapping[str, Any]
"""Neutral field name -> value; None is empty, a missing name was not readable and means nothing."""


class Side(StrEnum):
    """One of the two systems of a pair."""

    LEFT = "left"
    RIGHT = "right"

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.RIGHT if self is Side.LEFT else Side.LEFT


class Merge(StrEnum):
    """What becomes of a unit that changed on both sides."""

    LEFT_WINS = "left_wins"
    RIGHT_WINS = "right_wins"
    NEWEST = "newest"
    SET3 = "set3"
    HOLD = "hold"


class Direction(StrEnum):
    """Which way a unit travels."""

    BOTH = "both"
    TO_RIGHT = "to_right"
    TO_LEFT = "to_left"
    IGNORE = "ignore"


class Drift(StrEnum):
    """What becomes of a change on the receiving side of a one-way unit."""

    RESTORE = "restore"
    IGNORE = "ignore"


class Bootstrap(StrEnum):
    """What becomes of differing values that were never agreed."""

    HOLD = "hold"
    LEFT_WINS = "left_wins"
    RIGHT_WINS = "right_wins"
    UNION = "union"
    """For sets alone: nothing was ever taken away, so both sides' elements stay."""
    FILL_EMPTY = "fill_empty"
    FILL_EMPTY_LEFT = "fill_empty+left_wins"
    FILL_EMPTY_RIGHT = "fill_empty+right_wins"


@dataclass(frozen=True, slots=True)
class FieldPolicy:
    """How one field is kept in step; `eq` is its equivalence ("nospace|upper"), `group` the unit it belongs to.

    `needs_approval`: even a change on one side alone goes across only once a person has said so.
    """

    merge: Merge = Merge.HOLD
    direction: Direction = Direction.BOTH
    group: str | None = None
    drift: Drift = Drift.RESTORE
    bootstrap: Bootstrap = Bootstrap.HOLD
    eq: str = ""
    needs_approval: bool = False
    is_born: bool = False
    """One-way, and yet part of a record that is made on the side it comes from: typed there once, it is not lost."""
    notes_drift: bool = False
    """A change on the receiving side of a one-way unit is kept in the conflict log when it is put back."""
    transform: Transform = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "transform", chain(self.eq))

    def canonical(self, value: Any) -> Any:
        """What the value is compared by."""
        return canonical(value, self.transform, as_set=self.merge is Merge.SET3)


@dataclass(frozen=True, slots=True)
class Unit:
    """Fields that travel together, under one policy; `name` is theirs joined by "+"."""

    fields: tuple[str, ...]
    policy: FieldPolicy
    members: Mapping[str, FieldPolicy] = field(repr=False)

    @property
    def name(self) -> str:
        """The fields, sorted and joined: how conflicts and holds name the unit."""
        return "+".join(self.fields)

    def same(self, first: Fields, second: Fields) -> bool:
        """True if all members are equal on both, as far as the policy can tell values apart."""
        return all(self.equal(name, first.get(name), second.get(name)) for name in self.fields)

    def equal(self, name: str, first: Any, second: Any) -> bool:
        """True if two values of a member count as one."""
        # Nearly always the very same text; True and 1 are equal in Python, and not here.
        if type(first) is type(second) and first == second:
            return True
        policy = self.members[name]
        return bool(policy.canonical(first) == policy.canonical(second))

    def of(self, fields: Fields) -> dict[str, Any]:
        """The members' values."""
        return {name: fields[name] for name in self.fields if name in fields}

    def is_in(self, fields: Fields) -> bool:
        """True if every member has a value or is known to be empty."""
        return all(name in fields for name in self.fields)

    def is_empty_in(self, fields: Fields) -> bool:
        """True if no member has a value."""
        return all(self.members[name].canonical(fields.get(name)) is None for name in self.fields)


class What(StrEnum):
    """The decision about one unit."""

    NOTHING = "nothing"
    AGREE = "agree"
    WRITE = "write"
    HOLD = "hold"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """One unit's decision: the values each side should get (empty: no write there), and the conflict behind it.

    `conflict` is None where there was none, "none" where a person has to decide, else the winning side's name.
    """

    unit: Unit
    what: What
    to_left: Fields = field(default_factory=dict)
    to_right: Fields = field(default_factory=dict)
    conflict: str | None = None

    def to(self, side: Side) -> Fields:
        """What that side should get."""
        return self.to_left if side is Side.LEFT else self.to_right


@dataclass(frozen=True, slots=True)
class Sight:
    """One side of a linked pair: what it holds, what it held when they last agreed, and what it makes of a value.

    `updated` is a trusted time of its last change, for the policy `newest` alone.
    """

    fields: Fields
    base: Fields
    put: Callable[[str, Any], Any]
    updated: float | None = None

    def changed(self, unit: Unit) -> bool:
        """True if any member has no base here, or differs from it."""
        return not unit.is_in(self.base) or not unit.same(self.fields, self.base)

    def would_store(self, unit: Unit, fields: Fields) -> dict[str, Any]:
        """What this side would make of these values."""
        return {name: self.put(name, fields[name]) for name in unit.fields}


def merge_unit(unit: Unit, left: Sight, right: Sight, decided: Side | None = None) -> UnitPlan:
    """The plan for one unit. `decided` is the side that a person chose, if one did."""
    if not (unit.is_in(left.fields) and unit.is_in(right.fields)):
        # Unreadable is not cleared. A write on top of a value that nobody has seen could not be undone either.
        return UnitPlan(unit, What.NOTHING)
    if unit.policy.direction in (Direction.TO_RIGHT, Direction.TO_LEFT):
        return _one_way(unit, left, right)
    if not left.changed(unit) and not right.changed(unit):
        return UnitPlan(unit, What.NOTHING)
    if _agrees(unit, left, right):
        return UnitPlan(unit, What.AGREE)
    if decided is not None:
        return _copied(unit, left, right, decided)
    plan = _both_ways(unit, left, right)
    if unit.policy.needs_approval and plan.what is What.WRITE:
        return UnitPlan(unit, What.APPROVAL, conflict=None)
    return plan


def _both_ways(unit: Unit, left: Sight, right: Sight) -> UnitPlan:
    if not (unit.is_in(left.base) and unit.is_in(right.base)):
        return _never_agreed(unit, left, right)
    if unit.policy.merge is Merge.SET3 and len(unit.fields) == 1:
        return _merged_set(unit, left, right)
    if not right.changed(unit):
        return _copied(unit, left, right, Side.LEFT)
    if not left.changed(unit):
        return _copied(unit, left, right, Side.RIGHT)
    winner = _winner(unit.policy.merge, left, right)
    if winner is None:
        return UnitPlan(unit, What.HOLD, conflict="none")
    return replace(_copied(unit, left, right, winner), conflict=winner.value)


def _agrees(unit: Unit, left: Sight, right: Sight) -> bool:
    return (
        unit.same(left.fields, right.fields)
        or unit.same(right.would_store(unit, left.fields), right.would_store(unit, right.fields))
        or unit.same(left.would_store(unit, left.fields), left.would_store(unit, right.fields))
    )


def _winner(merge: Merge, left: Sight, right: Sight) -> Side | None:
    match merge:
        case Merge.LEFT_WINS:
            return Side.LEFT
        case Merge.RIGHT_WINS:
            return Side.RIGHT
        case Merge.NEWEST if left.updated is not None and right.updated is not None:
            return Side.RIGHT if right.updated > left.updated else Side.LEFT
        case _:
            return None


def _copied(unit: Unit, left: Sight, right: Sight, source: Side) -> UnitPlan:
    giver, taker = (left, right) if source is Side.LEFT else (right, left)
    wanted = taker.would_store(unit, giver.fields)
    patch = {name: value for name, value in wanted.items() if not unit.equal(name, value, taker.fields[name])}
    if not patch:
        return UnitPlan(unit, What.AGREE)
    if source is Side.LEFT:
        return UnitPlan(unit, What.WRITE, to_right=patch)
    return UnitPlan(unit, What.WRITE, to_left=patch)


def _one_way(unit: Unit, left: Sight, right: Sight) -> UnitPlan:
    source = Side.LEFT if unit.policy.direction is Direction.TO_RIGHT else Side.RIGHT
    giver, taker = (left, right) if source is Side.LEFT else (right, left)
    if not giver.changed(unit) and not taker.changed(unit):
        return UnitPlan(unit, What.NOTHING)
    # What the taker would never have stored itself does not agree: a name typed over a masked title must go.
    if unit.same(taker.fields, taker.would_store(unit, taker.fields)) and _agrees(unit, left, right):
        return UnitPlan(unit, What.AGREE)
    if giver.changed(unit) or unit.policy.drift is Drift.RESTORE:
        plan = _copied(unit, left, right, source)
        is_drift = unit.is_in(taker.base) and taker.changed(unit) and unit.policy.notes_drift
        return replace(plan, conflict=source.value) if is_drift and plan.what is What.WRITE else plan
    return UnitPlan(unit, What.NOTHING)


def _never_agreed(unit: Unit, left: Sight, right: Sight) -> UnitPlan:
    policy = unit.policy.bootstrap
    if policy is Bootstrap.UNION and unit.policy.merge is Merge.SET3:
        return _merged_set(unit, left, right)
    if policy.value.startswith(Bootstrap.FILL_EMPTY.value):
        if unit.is_empty_in(right.fields):
            return _copied(unit, left, right, Side.LEFT)
        if unit.is_empty_in(left.fields):
            return _copied(unit, left, right, Side.RIGHT)
    if policy in (Bootstrap.LEFT_WINS, Bootstrap.FILL_EMPTY_LEFT):
        return replace(_copied(unit, left, right, Side.LEFT), conflict=Side.LEFT.value)
    if policy in (Bootstrap.RIGHT_WINS, Bootstrap.FILL_EMPTY_RIGHT):
        return replace(_copied(unit, left, right, Side.RIGHT), conflict=Side.RIGHT.value)
    return UnitPlan(unit, What.HOLD, conflict="none")


def _merged_set(unit: Unit, left: Sight, right: Sight) -> UnitPlan:
    """(L ∪ R) - (what left took away) - (what right took away); without a base nothing was taken away."""
    name = unit.fields[0]
    as_stored = {**_by_canonical(unit, right.fields[name]), **_by_canonical(unit, left.fields[name])}
    taken = _taken(unit, left) | _taken(unit, right)
    merged = {key: value for key, value in as_stored.items() if key not in taken}
    wanted = _ordered(unit, merged, left, right)
    plans: dict[Side, dict[str, Any]] = {}
    for side, sight in ((Side.LEFT, left), (Side.RIGHT, right)):
        stored = sight.put(name, wanted)
        if not unit.equal(name, stored, sight.fields[name]):
            plans[side] = {name: stored}
    if not plans:
        return UnitPlan(unit, What.AGREE)
    return UnitPlan(unit, What.WRITE, to_left=plans.get(Side.LEFT, {}), to_right=plans.get(Side.RIGHT, {}))


def _by_canonical(unit: Unit, value: Any) -> dict[Any, Any]:
    policy = unit.members[unit.fields[0]]
    items = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
    found = {canonical(item, policy.transform): item for item in items}
    found.pop(None, None)
    return found


def _taken(unit: Unit, sight: Sight) -> set[Any]:
    name = unit.fields[0]
    if name not in sight.base:
        return set()
    return set(_by_canonical(unit, sight.base[name])) - set(_by_canonical(unit, sight.fields[name]))


def _ordered(unit: Unit, merged: Mapping[Any, Any], left: Sight, right: Sight) -> list[Any]:
    # A side that holds the result already keeps its order; any other order would be one that nobody chose.
    name = unit.fields[0]
    for sight in (left, right):
        if set(_by_canonical(unit, sight.fields[name])) == set(merged):
            return list(_by_canonical(unit, sight.fields[name]).values())
    return sorted(merged.values(), key=str)
