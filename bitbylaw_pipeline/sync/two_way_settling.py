"""A run's unfinished operations: settled, left to whoever has them in hand, or told to a person."""

from __future__ import annotations

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.two_way_link import Hold, Link
from bitbylaw_pipeline.domain.two_way_state import LinkChanged
from bitbylaw_pipeline.sync.two_way_recovery import Recovery, Unsettled
from bitbylaw_pipeline.sync.two_way_run import Run

_TOLD = ("create_unsettled", "ambiguous_create")


async def recover(run: Run) -> None:
    """Sorts the links that the run began with; what is settled is planned like any other."""
    recovery = Recovery(run.bench.adapters, run.bench.store, run.bench.policy)
    for link in run.snapshot.links:
        if link.intent is None:
            run.links.append(link)
            continue
        settled, why = None, "in_work"
        if link.lease_until <= run.snapshot.now:
            settled, why = await _settled(run, recovery, link)
        if settled is not None:
            run.links.append(settled)
        elif why:
            # An unsettled operation is not planned on top of: the user's edit would look like a conflict.
            run.report.unsettled += 1
            run.spared.add(link.link_id)
            if why in ("in_work", "overtaken"):
                run.report.overtaken.add(link.link_id)
            if why in _TOLD:
                run.holds.append(Hold(link.link_id, why, link.link_id))
        else:
            run.dissolved.append(link)


async def _settled(run: Run, recovery: Recovery, link: Link) -> tuple[Link | None, str]:
    try:
        settled = await recovery.settle(link, run.observed, run.seen, run.snapshot.linked)
    except Unsettled as reason:
        return None, reason.why
    except LinkChanged:
        return None, "overtaken"
    except SyncError as error:
        run.report.errors[link.link_id] = error
        return None, "failed"
    run.report.recovered += 1
    return settled, ""
