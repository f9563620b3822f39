"""Keeps what is stored from growing without end: old runs with their events, old rows of the inbox."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from bitbylaw_pipeline.defs import (
    advoware_drift,
    advoware_pass,
    collections,
    documents,
    reconciliation,
    termine,
    termine_audit,
)
from bitbylaw_pipeline.inbox.retention import delete_older
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.event_retention import purge_runless_events
from bitbylaw_pipeline.orchestration.run_retention import delete_old_output, delete_old_runs, purge_old_ticks

STREAMS = (collections.stream, documents.stream, *advoware_pass.STREAMS, termine.stream)
ASSETS = (
    *(key for stream in STREAMS for key in stream.asset_keys),
    reconciliation.drift.key,
    advoware_pass.PASS,
    advoware_drift.DRIFT,
    termine_audit.AUDIT,
)


@dg.op(description="Deletes old runs, their output, ticks, and old rows of the inbox.")
def delete_what_is_old(context: dg.OpExecutionContext, backend: Backend) -> None:
    """Each by its own RETENTION_… setting. Open work, unsettled intents, the egress register and proofs of erasures stay."""
    settings = backend.settings()
    now = datetime.now(UTC)
    streams = [stream.name for stream in STREAMS]
    runs = delete_old_runs(
        context.instance, ASSETS, streams, now - timedelta(days=settings.retention_run_days)
    )
    events = purge_runless_events(context.instance, now - timedelta(days=settings.retention_run_days))
    outputs = delete_old_output(context.instance, now - timedelta(days=settings.retention_log_days))
    ticks = purge_old_ticks(context.instance, now - timedelta(days=settings.retention_tick_days))
    rows = delete_older(
        backend.database(),
        settings.retention_inbox_days,
        tombstone_days=settings.sync_tombstone_days,
        audit_days=settings.retention_audit_days,
    )
    told = {
        "runs_deleted": runs.deleted,
        "runs_kept": runs.kept,
        "events_of_no_run": events,
        "runs_without_output": outputs,
        "instigators_purged": ticks,
        **rows,
    }
    context.add_output_metadata({name: dg.MetadataValue.int(count) for name, count in told.items()})


@dg.job(
    name="housekeeping", executor_def=dg.in_process_executor, description="Deletes old runs and inbox rows."
)
def housekeeping() -> None:
    """One op."""
    delete_what_is_old()


nightly_housekeeping = dg.ScheduleDefinition(
    name="nightly_housekeeping",
    job=housekeeping,
    cron_schedule="30 4 * * *",
    execution_timezone="Europe/Berlin",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Deletes old runs and old rows of the inbox every night at 04:30.",
)
