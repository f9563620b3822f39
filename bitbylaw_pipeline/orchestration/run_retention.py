"""Deletes old runs, which Dagster itself never does, without forgetting what exists.

Deleting a run deletes its events with it, also the materializations: a document synced once, two years ago, would turn
from "materialized" into "missing". So a run stays as long as it holds the latest materialization of anything, or is the
reason why a partition is red; of the former, which may be most runs for years, only those materializations stay.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import dagster as dg
import structlog

from bitbylaw_pipeline.orchestration.event_retention import remove_run_file, thin_run
from bitbylaw_pipeline.orchestration.red_partitions import red_among

PAGE = 500

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PARTITION_TAG = "dagster/partition"
_RANGE_TAG = "dagster/asset_partition_range_start"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """What one pass deleted, and how many old runs it kept because something still rests on them."""

    deleted: int
    kept: int


def delete_old_runs(
    instance: dg.DagsterInstance, assets: Sequence[dg.AssetKey], streams: Sequence[str], before: datetime
) -> Retention:
    """Deletes ended runs last touched before that time, with their events and captured output.

    A successful one that is needed for a latest materialization loses everything else.
    """
    needed = _latest_materializations(instance, assets)
    deleted = kept = 0
    for run in list(_ended_runs(instance, before)):
        if _keeps_red(instance, run, streams):
            kept += 1
            continue
        if run.run_id in needed:
            # A failed or cancelled one still says of other partitions how they stand.
            if run.status is dg.DagsterRunStatus.SUCCESS:
                thin_run(instance, run.run_id, needed[run.run_id])
            kept += 1
            continue
        instance.delete_run(run.run_id)
        remove_run_file(instance, run.run_id)
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        deleted += 1
    return Retention(deleted, kept)


def delete_old_output(instance: dg.DagsterInstance, before: datetime) -> int:
    """Deletes what the steps of ended runs last touched before that time wrote to their standard output and error.

    Also of runs that are kept for their events. Returns how many runs that were.
    """
    count = 0
    for run in _ended_runs(instance, before):
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        count += 1
    return count


def purge_old_ticks(instance: dg.DagsterInstance, before: datetime) -> int:
    """Deletes the ticks before that time of every sensor and schedule that ever ran, those that are gone included.

    Returns how many sensors and schedules that were. `dagster.yaml` has the daemon do the same for those that run, by the
    kind of tick.
    """
    instigators = instance.all_instigator_state()
    for state in instigators:
        instance.purge_ticks(state.instigator_origin_id, state.selector_id, before.timestamp())
    return len(instigators)


def _ended_runs(instance: dg.DagsterInstance, before: datetime) -> Iterator[dg.DagsterRun]:
    cursor: str | None = None
    while True:
        filters = dg.RunsFilter(statuses=_ENDED, updated_before=before)
        runs = instance.get_runs(filters=filters, cursor=cursor, limit=PAGE)
        yield from runs
        if len(runs) < PAGE:
            return
        cursor = runs[-1].run_id


def _latest_materializations(
    instance: dg.DagsterInstance, assets: Sequence[dg.AssetKey]
) -> dict[str, set[int]]:
    """The storage ids of every asset's and partition's latest materialization, by run."""
    needed: dict[str, set[int]] = defaultdict(set)
    kind: Literal[dg.DagsterEventType.ASSET_MATERIALIZATION] = dg.DagsterEventType.ASSET_MATERIALIZATION
    for asset in assets:
        for record in instance.fetch_materializations(asset, limit=1).records:
            needed[record.run_id].add(record.storage_id)
        latest = list(instance.get_latest_storage_id_by_partition(asset, kind).values())
        for start in range(0, len(latest), PAGE):
            rows = instance.get_asset_event_summary_records(
                kind, asset_key=asset, storage_ids=latest[start : start + PAGE]
            )
            for row in rows:
                if row.run_id is not None:
                    needed[row.run_id].add(row.storage_id)
    return needed


def _keeps_red(instance: dg.DagsterInstance, run: dg.DagsterRun, streams: Sequence[str]) -> bool:
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return False
    keys = _partitions(instance, run)
    return any(red_among(instance, stream, keys) for stream in streams)


def _partitions(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[str]:
    """Those that the run was launched for; none of a batch's."""
    if (key := run.tags.get(_PARTITION_TAG)) is not None:
        return {key}
    if _RANGE_TAG not in run.tags:
        return set()
    # A backfill of several is one run, whose tags name but the first and the last.
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    planned = (entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=kind))
    return {event.partition for event in planned if event is not None and event.partition is not None}
