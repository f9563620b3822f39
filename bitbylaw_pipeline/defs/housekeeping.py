"""Keeps what is stored from growing without end: old runs with their events, old rows of the inbox."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from bitbylaw_pipeline.defs import (
    advoware_pass,
    collections,
    documents,
    reconciliation,
    termine,
    termine_audit,
)
from bitbylaw_pipeline.inbox.retention import delete_older
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.run_retention import delete_old_runs

STREAMS = (collections.stream, documents.stream, *advoware_pass.STREAMS, termine.stream)
ASSETS = (
    *(key for stream in STREAMS for key in stream.asset_keys),
    reconciliation.drift.key,
    advoware_pass.PASS,
    termine_audit.AUDIT,
)


class RetentionConfig(dg.Config):
    """How long what is kept, in days."""

    run_days: int = Field(default=30, ge=1, description="Runs, except those that something still rests on.")
    inbox_days: int = Field(default=90, ge=1, description="Events of the inbox, and settled intents.")
    audit_days: int = Field(default=1095, ge=1, description="Who wrote what to Advoware through the proxy.")


@dg.op(description="Deletes old runs and old rows of the inbox.")
def delete_what_is_old(context: dg.OpExecutionContext, config: RetentionConfig, backend: Backend) -> None:
    """Open work, unsettled intents and the egress register stay whatever their age."""
    before = datetime.now(UTC) - timedelta(days=config.run_days)
    runs = delete_old_runs(context.instance, ASSETS, [stream.name for stream in STREAMS], before)
    tombstone_days = backend.settings().sync_tombstone_days
    rows = delete_older(
        backend.database(), config.inbox_days, tombstone_days=tombstone_days, audit_days=config.audit_days
    )
    told = {"runs_deleted": runs.deleted, "runs_kept": runs.kept, **rows}
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
