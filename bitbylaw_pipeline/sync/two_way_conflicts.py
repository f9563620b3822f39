"""What a conflict leaves behind: rows of the conflict log, each once, and holds for a person."""

from __future__ import annotations

from dataclasses import replace

from bitbylaw_pipeline.domain.three_way import Fields, Side, UnitPlan, What
from bitbylaw_pipeline.domain.two_way_link import Conflict, Record
from bitbylaw_pipeline.domain.two_way_plan import MergeFields
from bitbylaw_pipeline.sync.two_way_link_work import LinkWork


def conflict_rows(work: LinkWork, plan: MergeFields, left: Record, right: Record) -> tuple[Conflict, ...]:
    """The log's rows for the values that the merge overwrites or leaves to a person; notes them as logged."""
    rows = []
    for one in plan.units:
        if one.conflict is None or one.unit.name in plan.tasks:
            continue
        if one.conflict == "none" and one.what is not What.HOLD:
            continue
        if _is_logged(work, one.unit.name, one.conflict, left.fields, right.fields, one.unit.fields):
            continue
        base = {**one.unit.of(work.link.base_right), **one.unit.of(work.link.base_left)}
        rows.append(
            Conflict(
                work.link.link_id, one.unit.name, one.conflict, base,
                one.unit.of(left.fields), one.unit.of(right.fields),
            )
        )  # fmt: skip
        work.result.conflicts.append(one.unit.name)
    known = work.decisions()
    for one in plan.writes():
        # A person's choice overwrites a value too: it is kept like any other loser.
        if one.conflict is None and f"conflict:{one.unit.name}" in known:
            winner = known[f"conflict:{one.unit.name}"].take
            rows.append(
                Conflict(
                    work.link.link_id, one.unit.name, winner, {},
                    one.unit.of(left.fields), one.unit.of(right.fields),
                )
            )  # fmt: skip
    return tuple(rows)


def presence_conflict(work: LinkWork, winner: str, record: Record, side: Side) -> tuple[Conflict, ...]:
    """The log's row for an edit on `side` against a deletion on the other; none if it is there already."""
    left, right = (record.fields, {}) if side is Side.LEFT else ({}, record.fields)
    if _is_logged(work, "edit_vs_delete", winner, left, right, tuple(record.fields)):
        return ()
    work.result.conflicts.append("edit_vs_delete")
    return (Conflict(work.link.link_id, "edit_vs_delete", winner, work.link.base(side), left, right),)


def hold_units(work: LinkWork, plan: MergeFields, left: Record, right: Record) -> None:
    """Leaves to a person what the merge cannot or must not do by itself."""
    for one in plan.units:
        name = one.unit.name
        if name in plan.tasks:
            work.hold(plan.tasks[name])
            _hold_decision(work, one, left, right)
        elif one.what is What.HOLD:
            work.hold(f"conflict:{name}", _values_digest(work, one, left, right))
        elif one.what is What.APPROVAL:
            work.hold(f"approval:{name}", _values_digest(work, one, left, right))


def _hold_decision(work: LinkWork, one: UnitPlan, left: Record, right: Record) -> None:
    """A decision lives as long as its hold: without it the next run would ask the person once more."""
    digest = _values_digest(work, one, left, right)
    for why, decision in work.decisions().items():
        if why in (f"conflict:{one.unit.name}", f"approval:{one.unit.name}") and decision.digest == digest:
            work.hold(why, digest)


def _values_digest(work: LinkWork, one: UnitPlan, left: Record, right: Record) -> str:
    return work.digest([one.unit.of(left.fields), one.unit.of(right.fields)])


def _is_logged(
    work: LinkWork, what: str, winner: str, left: Fields, right: Fields, names: tuple[str, ...]
) -> bool:
    """True if this very conflict is in the log already, by a write that never landed; else noted as logged."""
    if winner == "none":
        return False
    digest = work.digest([winner, *[[one.get(name) for name in names] for one in (left, right)]])
    if work.link.refusals.get(f"logged:{what}") == digest:
        return True
    work.link = replace(work.link, refusals={**work.link.refusals, f"logged:{what}": digest})
    return False
