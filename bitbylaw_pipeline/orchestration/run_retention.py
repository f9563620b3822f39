"""Deletes old runs, which Dagster itself never does, without forgetting what exists.

Deleting a run deletes its events with it, also the materializations: a document synced once, two years ago, would turn
from "materialized" into "missing". So a run stays as long as it holds the latest materialization of anything, or is the
reason why a partition is red.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import dagster as dg
import structlog

from bitbylaw_pipeline.orchestration.red_partitions import red_among

PAGE = 500

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PARTITION_TAG = "dagster/partition"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """What one pass deleted, and how many old runs it kept because something still rests on them."""

    deleted: int
    kept: int


def delete_old_runs(
    instance: dg.DagsterInstance, assets: Sequence[dg.AssetKey], streams: Sequence[str], before: datetime
) -> Retention:
    """Deletes ended runs last touched before that time, with their events and captured output."""
    needed = _runs_of_latest_materializations(instance, assets)
    deleted = kept = 0
    for run in list(_ended_runs(instance, before)):
        if run.run_id in needed or _keeps_red(instance, run, streams):
            kept += 1
            continue
        instance.delete_run(run.run_id)
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        deleted += 1
    return Retention(deleted, kept)


def _ended_runs(instance: dg.DagsterInstance, before: datetime) -> Iterator[dg.DagsterRun]:
    cursor: str | None = None
    while True:
        filters = dg.RunsFilter(statuses=_ENDED, updated_before=before)
        runs = instance.get_runs(filters=filters, cursor=cursor, limit=PAGE)
        yield from runs
        if len(runs) < PAGE:
            return
        cursor = runs[-1].run_id


def _runs_of_latest_materializations(instance: dg.DagsterInstance, assets: Sequence[dg.AssetKey]) -> set[str]:
    needed: set[str] = set()
    kind: Literal[dg.DagsterEventType.ASSET_MATERIALIZATION] = dg.DagsterEventType.ASSET_MATERIALIZATION
    for asset in assets:
        if (event := instance.get_latest_materialization_event(asset)) is not None:
            needed.add(event.run_id)
        latest = list(instance.get_latest_storage_id_by_partition(asset, kind).values())
        for start in range(0, len(latest), PAGE):
            rows = instance.get_asset_event_summary_records(
                kind, asset_key=asset, storage_ids=latest[start : start + PAGE]
            )
            needed.update(row.run_id for row in rows if row.run_id)
    return needed


def _keeps_red(instance: dg.DagsterInstance, run: dg.DagsterRun, streams: Sequence[str]) -> bool:
    key = run.tags.get(_PARTITION_TAG)
    if key is None or run.status is dg.DagsterRunStatus.SUCCESS:
        return False
    return any(red_among(instance, stream, [key]) for stream in streams)
