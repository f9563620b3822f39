"""The loop breaker: it stops where two writers put their own value back in turn (`facts/two_way_sync.md` 1.5)."""

from __future__ import annotations

from bitbylaw_pipeline.domain.three_way import UnitPlan
from bitbylaw_pipeline.domain.two_way_link import PastWrite
from bitbylaw_pipeline.domain.two_way_plan import MergeFields
from bitbylaw_pipeline.sync.two_way_link_work import WRITE_ORDER, LinkWork

LOOP_SECONDS = 3600.0
LOOP_WRITES = 3


def loops(work: LinkWork, plan: MergeFields) -> bool:
    """True if a value would be written that was written before, after others, and often: two writers are at odds."""
    since = work.bench.now - LOOP_SECONDS
    for target, digest in _targets(work, plan.writes()):
        past = [one.digest for one in work.link.recent if one.target == target and one.at >= since]
        if len(past) >= LOOP_WRITES and past[-1] != digest and digest in past:
            return True
    return False


def remembered(work: LinkWork, plan: MergeFields) -> tuple[PastWrite, ...]:
    """The link's recent writes, with those of the plan."""
    since = work.bench.now - LOOP_SECONDS
    kept = [one for one in work.link.recent if one.at >= since]
    new = [PastWrite(work.bench.now, target, digest) for target, digest in _targets(work, plan.writes())]
    return tuple([*kept, *new][-24:])


def _targets(work: LinkWork, writes: list[UnitPlan]) -> list[tuple[str, str]]:
    # By unit, whichever side: two systems that each put their own value back write one value a side. A merge that
    # writes both sides is one write: repeated after a crash it must not look like two values in turn.
    return [
        (one.unit.name, work.digest([dict(one.to(side)) for side in WRITE_ORDER if one.to(side)]))
        for one in writes
    ]
