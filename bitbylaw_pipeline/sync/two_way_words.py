"""A plan as lines for a person: ids, operations and field names, never a value."""

from __future__ import annotations

from collections.abc import Iterable

from bitbylaw_pipeline.domain.three_way import Side, What
from bitbylaw_pipeline.domain.two_way_link import Link
from bitbylaw_pipeline.domain.two_way_match import Matched
from bitbylaw_pipeline.domain.two_way_plan import (
    Bury,
    Held,
    LinkPlan,
    MergeFields,
    Nothing,
    Recreate,
    Remove,
    Revive,
    Unlink,
)
from bitbylaw_pipeline.sync.two_way_pass import LinkPass


def plan_in_words(plans: Iterable[tuple[LinkPass, LinkPlan]], matched: Matched) -> list[str]:
    """One line for everything that a run would do."""
    lines = [line for one, plan in plans for line in _of_link(one.link, plan)]
    lines += [
        f"{pair.link_id}: link left {pair.left_id} with right {pair.right_id}" for pair in matched.pairs
    ]
    lines += [
        f"{side.value}:{record_id}: create on the {side.other.value}" for side, record_id in matched.new
    ]
    lines += [f"{side.value}:{record_id}: held, {why}" for side, record_id, why in matched.held]
    return lines


def _of_link(link: Link, plan: LinkPlan) -> list[str]:
    match plan:
        case Nothing():
            return []
        case Held(why=why):
            return [f"{link.link_id}: held, {why}"]
        case Bury():
            return [f"{link.link_id}: both are gone, the link ends"]
        case Revive():
            return [f"{link.link_id}: both are back, the link is active again"]
        case Unlink(gone=gone):
            return [f"{link.link_id}: gone on the {gone.value}, the other one stays by itself"]
        case Remove(side=side):
            return [f"{link.link_id}: delete on the {side.value}"]
        case Recreate(side=side):
            return [f"{link.link_id}: make it anew on the {side.value}"]
        case MergeFields():
            return _of_merge(link, plan)


def _of_merge(link: Link, plan: MergeFields) -> list[str]:
    lines = []
    for side in (Side.RIGHT, Side.LEFT):
        patch = plan.patch(side)
        if patch:
            lines.append(f"{link.link_id}: update on the {side.value}: {', '.join(sorted(patch))}")
    lines += [f"{link.link_id}: {why}" for why in plan.tasks.values()]
    for one in plan.units:
        if one.what is What.HOLD:
            lines.append(f"{link.link_id}: held, both sides changed {one.unit.name}")
        elif one.what is What.APPROVAL:
            lines.append(f"{link.link_id}: waits for approval: {one.unit.name}")
    return lines
