"""A run that reconciles several flows, one after the other: each stands and falls by itself."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg
import structlog

from bitbylaw_pipeline.domain.drift import DriftReport
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.logs import bound
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.drift_metadata import drift_metadata
from bitbylaw_pipeline.orchestration.interruption import run_until_stopped, unless_stopped
from bitbylaw_pipeline.orchestration.run_log import batch_run_log

if TYPE_CHECKING:
    from bitbylaw_pipeline.sync.reconciliation import Reconciliation
    from bitbylaw_pipeline.wiring import Runtime

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Told:
    reports: list[DriftReport] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def run_reconciliations(
    context: dg.AssetExecutionContext, backend: Backend, names: Sequence[str]
) -> dict[str, dg.MetadataValue]:
    """Reconciles these, as far as they are configured, and returns what was found.

    Raises Failure, never retried, if none of them could be compared, and DagsterExecutionInterruptedError after a cancel.
    """
    settings = backend.settings()
    told = _Told()

    async def work(stop: asyncio.Event) -> None:
        with bound(run=context.run.run_id):
            async with backend.open_runtime() as runtime:
                known = runtime.reconciliations()
                for name in names:
                    if name in known and not stop.is_set():
                        await _one(runtime, name, known[name], told, stop)

    with batch_run_log(settings.log_level):
        run_until_stopped(work)
    why = "; ".join(f"{name}: {reason}" for name, reason in told.failed.items())
    if told.failed and not told.reports:
        raise dg.Failure(description=f"Nothing could be compared. {why}", allow_retries=False)
    metadata = drift_metadata(told.reports)
    if why:
        metadata["not_compared"] = dg.MetadataValue.text(why)
    return metadata


async def _one(
    runtime: "Runtime", name: str, reconciliation: "Reconciliation", told: _Told, stop: asyncio.Event
) -> None:
    try:
        reports = await reconcile_and_wake(runtime, reconciliation, stop)
    except SyncError as error:
        told.failed[name] = str(error)
        log.warning("not compared", flow=name, error=type(error).__name__, says=str(error))
    else:
        told.reports += reports


async def reconcile_and_wake(
    runtime: "Runtime", reconciliation: "Reconciliation", stop: asyncio.Event
) -> list[DriftReport]:
    """Reconciles, and wakes the batches that wait for what was wanted; empty after a stop. Raises the flow's error."""
    from bitbylaw_pipeline.sync.reconciliation import reconcile  # noqa: PLC0415  # brings the database

    try:
        reports = await unless_stopped(reconcile(runtime.database, reconciliation, dry_run=False), stop)
    except SyncError as error:
        # Before anybody else asks the same: the queue's batches wait then, too.
        await runtime.outage_watch.judge(error)
        raise
    wanted = {drift.stream for report in reports or () for drift in report.drifts if drift.repair == "queue"}
    for stream in sorted(filter(None, wanted)):
        await runtime.coordination.wake(stream)
    return reports or []
