"""The repairs that a reconciliation has asked for, carried out by the employee's next pass before anything else."""

from __future__ import annotations

from dataclasses import replace

import structlog

from bitbylaw_pipeline.domain.errors import SyncError, Transient
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import termine_repairs
from bitbylaw_pipeline.sync.termine_audit import audit
from bitbylaw_pipeline.sync.termine_findings import Repair
from bitbylaw_pipeline.sync.termine_pairs import TerminePairs
from bitbylaw_pipeline.sync.termine_repair import RepairStopped, carry_out, why_too_many

log = structlog.get_logger(__name__)


async def repair_if_asked(pairs: TerminePairs, kuerzel: str) -> None:
    """Audits anew and carries out what is planned then, under the employee's lease; deletions above the guard are left.

    An approval of deletions is used up by them. Raises nothing of an outside system's: the pass comes in any case. What
    changed meanwhile, and what failed for the moment, is tried again by the pass after this one; what is refused for good
    is found by the next reconciliation.
    """
    database = pairs.database
    if not await database.run(lambda c: termine_repairs.is_asked(c, kuerzel)):
        return
    try:
        await _repair(pairs, kuerzel)
    except (RepairStopped, Transient) as stopped:
        log.warning("repair_put_off", kuerzel=kuerzel, error=type(stopped).__name__)
        return
    except SyncError as refused:
        # SettingsChanged among them: what was agreed is taken up anew by the pass itself.
        log.warning("repair_left", kuerzel=kuerzel, error=type(refused).__name__)
    await database.run(lambda c: termine_repairs.conclude(c, kuerzel))


async def _repair(pairs: TerminePairs, kuerzel: str) -> None:
    report = await audit(pairs, kuerzel)
    store = pairs.store(kuerzel)
    limit = (await store.load(left_ids=())).approved_deletes.get(Side.RIGHT)
    if why_too_many(report, limit) is not None:
        rest = tuple(one for one in report.findings if one.repair is not Repair.DELETE_EVENT)
        report = replace(report, findings=rest)
        log.warning("repair_withheld", kuerzel=kuerzel)
    done = await carry_out(pairs, report, delete_limit=limit)
    if done.deleted and limit is not None:
        await store.use_approvals([Side.RIGHT])
