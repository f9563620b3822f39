"""Batch runs whose process is gone are marked as failed, and no others."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from bitbylaw_pipeline.orchestration.orphaned_runs import fail_orphaned_batches
from tests.orchestration.toy import TOYS
from tests.orchestration.workbench import Workbench


def add_run(bench: Workbench, run_id: str, status: dg.DagsterRunStatus, **tags: str) -> None:
    """A run as its process left it."""
    given = {
        "bitbylaw/run": "batch",
        "bitbylaw/stream": TOYS.name,
        **{f"bitbylaw/{k}": v for k, v in tags.items()},
    }
    bench.instance.add_run(dg.DagsterRun(job_name=TOYS.name, run_id=run_id, status=status, tags=given))


def test_only_batches_without_a_slot_are_failed(bench: Workbench) -> None:
    """A started batch without a slot is failed; live ones, ending ones, partition runs and other streams' are not."""
    started = dg.DagsterRunStatus.STARTED
    add_run(bench, "dead", started)
    add_run(bench, "live", started)
    add_run(bench, "ending", dg.DagsterRunStatus.CANCELING)
    add_run(bench, "single", started, run="single")
    add_run(bench, "other", started, stream="collections")
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert fail_orphaned_batches(bench.instance, TOYS.name, {"live"}, soon) == 1
    failed = bench.instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    assert [run.run_id for run in failed] == ["dead"]


def test_run_that_is_coming_up_is_left_alone(bench: Workbench) -> None:
    """A batch that was created a moment ago holds no slot yet and is none the worse for it."""
    add_run(bench, "young", dg.DagsterRunStatus.STARTED)
    past = datetime.now(UTC) - timedelta(minutes=1)
    assert fail_orphaned_batches(bench.instance, TOYS.name, set(), past) == 0
