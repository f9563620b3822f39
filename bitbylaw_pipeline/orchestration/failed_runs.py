"""Which jobs have runs that failed and that no success has followed: what nobody sees who does not look at the UI."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG, WILL_RETRY_TAG

RUNS_LOOKED_AT = 200
LOOK_BACK_SECONDS = 3 * 86_400.0
"""A job that runs once a day has had two more chances by then."""
ASSET_JOB = "__ASSET_JOB"
"""Dagster's name for whatever a person starts from an asset's page."""


@dataclass(frozen=True, slots=True)
class FailedJob:
    """One job's failed runs, the newest first."""

    job: str
    run_ids: tuple[str, ...]


def failed_jobs(
    instance: dg.DagsterInstance, parked: Mapping[str, Collection[str]], now: float, seen_until: float
) -> list[FailedJob]:
    """Jobs with failed runs since their last success, and those that failed after `seen_until` whatever came then.

    `parked` has the parked keys by stream: their partition runs are told as parked work, not again here. A run that is
    going to be retried, or was cancelled, has not failed. Times are UTC epoch seconds.
    """
    filters = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE],
        updated_after=datetime.fromtimestamp(now - LOOK_BACK_SECONDS, UTC),
    )
    by_job: dict[str, list[dg.RunRecord]] = defaultdict(list)
    for record in instance.get_run_records(filters, limit=RUNS_LOOKED_AT):
        if _counts(record.dagster_run, parked):
            by_job[record.dagster_run.job_name].append(record)
    found = []
    for job, records in sorted(by_job.items()):
        last_success = _last_success(instance, job)
        failed = [
            record
            for record in records
            if _ended_at(record) > last_success or record.update_timestamp.timestamp() > seen_until
        ]
        if failed:
            failed.sort(key=_ended_at, reverse=True)
            found.append(FailedJob(_shown(job), tuple(record.dagster_run.run_id for record in failed)))
    return found


def _counts(run: dg.DagsterRun, parked: Mapping[str, Collection[str]]) -> bool:
    if run.tags.get("bitbylaw/run") == "parked" or run.tags.get(WILL_RETRY_TAG) == "true":
        return False
    key = run.tags.get(PARTITION_NAME_TAG)
    # A run from an asset's page does not say of which stream it is.
    stream = run.tags.get("bitbylaw/stream")
    among = parked.values() if stream is None else [parked.get(stream, ())]
    return key is None or not any(key in keys for keys in among)


def _last_success(instance: dg.DagsterInstance, job: str) -> float:
    filters = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS])
    return max((_ended_at(record) for record in instance.get_run_records(filters, limit=1)), default=0.0)


def _ended_at(record: dg.RunRecord) -> float:
    return record.end_time if record.end_time is not None else record.update_timestamp.timestamp()


def _shown(job: str) -> str:
    return "asset_runs" if job == ASSET_JOB else job
