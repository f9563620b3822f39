"""A run's links: whether both records are there, what each link needs, and when that is too much at once."""

from __future__ import annotations

from collections.abc import Sequence

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.three_way import Fields, Side
from bitbylaw_pipeline.domain.two_way_link import Hold, Link, LinkState, Record
from bitbylaw_pipeline.domain.two_way_plan import (
    GONE,
    UNKNOWN,
    Held,
    LinkPlan,
    MergeFields,
    Presence,
    Remove,
    Unknown,
    is_agreed,
    is_edited,
)
from bitbylaw_pipeline.sync.two_way_pass import LinkPass
from bitbylaw_pipeline.sync.two_way_report import LinkResult
from bitbylaw_pipeline.sync.two_way_run import Run


async def planned(run: Run, links: Sequence[Link]) -> list[tuple[LinkPass, LinkPlan]]:
    """What each link needs; one of which nothing is known now keeps its holds."""
    empty = _emptied(run)
    plans: list[tuple[LinkPass, LinkPlan]] = []
    for link in links:
        if link.state is LinkState.QUARANTINED:
            run.report.quarantined += 1
            run.spared.add(link.link_id)
            continue
        presence = {side: await _presence(run, link, side, empty) for side in Side}
        if isinstance(presence[Side.LEFT], Unknown) or isinstance(presence[Side.RIGHT], Unknown):
            run.spared.add(link.link_id)
        one = LinkPass(run.bench, link, presence, LinkResult(link))
        plans.append((one, one.plan()))
    return plans


def _emptied(run: Run) -> frozenset[Side]:
    """Sides that show nothing although there are links: whatever the reason, nothing is deleted for it."""
    return frozenset(
        side
        for side in Side
        if run.observed[side].complete
        and not run.observed[side].items
        and not run.observed[side].withheld
        and _covered(run, side) >= 2  # one link may well have been the last
    )


def _covered(run: Run, side: Side) -> int:
    """How many active links the observation speaks of: what lies outside of a window says nothing about it."""
    covers = run.observed[side].covers
    return sum(
        1
        for link in run.snapshot.links
        if link.state is LinkState.ACTIVE and (own := link.id(side)) is not None and covers(own)
    )


async def _presence(run: Run, link: Link, side: Side, empty: frozenset[Side]) -> Presence:
    record_id, seen = link.id(side), run.observed[side]
    if record_id is None or link.is_unlinked:
        return UNKNOWN
    listed = seen.items.get(record_id)
    if link.state is LinkState.TOMBSTONE:
        is_back = any(
            link.id(one) in run.observed[one].items and run.observed[one].items[str(link.id(one))].is_in_scope
            for one in Side
        )
        # A stale listing shows what is long gone: what is back must be seen itself.
        return await _confirmed(run, link, side, record_id) if is_back else GONE
    if listed is not None:
        return listed if listed.is_in_scope else UNKNOWN
    if record_id in seen.withheld:
        return UNKNOWN
    if not (record_id in seen.gone or (seen.complete and seen.covers(record_id))):
        return await _beyond(run, link, side, record_id) if seen.reads_beyond else UNKNOWN
    if side in empty:
        run.holds.append(Hold(link.link_id, "side_empty", link.link_id))
        return UNKNOWN
    # Listings lie: a partial one has cost others half of their data. The confirming read is never skipped.
    return await _confirmed(run, link, side, record_id)


async def _beyond(run: Run, link: Link, side: Side, record_id: str) -> Presence:
    """A record outside of what was looked at, if its counterpart has changed, or a unit of theirs was never agreed on.

    That it is not there means nothing.
    """
    other = run.observed[side.other].items.get(link.id(side.other) or "")
    if other is None or not other.is_in_scope:
        return UNKNOWN
    policy = run.bench.policy
    if not is_edited(link, other, side.other, policy) and is_agreed(link, other, policy):
        return UNKNOWN
    found = await _confirmed(run, link, side, record_id)
    return found if isinstance(found, Record) else UNKNOWN


async def _confirmed(run: Run, link: Link, side: Side, record_id: str) -> Presence:
    if run.observed[side].is_pointwise and record_id in run.observed[side].gone:
        return GONE
    try:
        record = await run.bench.adapters[side].get(record_id)
    except SyncError as error:
        run.report.errors[link.link_id] = error
        return UNKNOWN
    if record is None:
        return GONE
    return record if record.is_in_scope else UNKNOWN


def guard(run: Run, plans: list[tuple[LinkPass, LinkPlan]]) -> None:
    """Too many deletes on one side: all of that side's are withheld, all else goes on."""
    for side in Side:
        doomed = [n for n, (_, plan) in enumerate(plans) if isinstance(plan, Remove) and plan.side is side]
        run.bench.deletes.planned[side] = len(doomed)
        if run.bench.deletes.withholds(side):
            for n in doomed:
                plans[n] = (plans[n][0], Held("delete_guard"))
    guard = run.bench.policy.update_guard
    if guard is None:
        return
    for side in Side:
        old = [
            n
            for n, (one, plan) in enumerate(plans)
            if isinstance(plan, MergeFields) and _changes_agreed(one.link, plan.patch(side))
        ]
        ceiling = run.snapshot.approved_updates.get(side, 0)
        if len(old) > ceiling and guard.withholds(len(old), run.snapshot.active_links):
            # As after a restore from a backup: nobody edits a third of all records by hand within minutes.
            for n in old:
                plans[n] = (plans[n][0], Held("update_guard"))


def _changes_agreed(link: Link, patch: Fields) -> bool:
    return any(name in link.base_left and name in link.base_right for name in patch)
