"""Runs for named partitions: from the UI, the CLI, a backfill, and those that turn a parked entity red."""

import pytest

from bitbylaw_pipeline.inbox import batches, work_queue
from bitbylaw_pipeline.orchestration.partition_run import CHUNK
from bitbylaw_pipeline.orchestration.red_partitions import red_among
from tests.orchestration.toy import FILES, MEMBERSHIPS, TOYS
from tests.orchestration.workbench import Workbench


def failure_text(bench: Workbench, run_id: str) -> str:
    """What the failed step says."""
    failed = [entry for entry in bench.instance.all_logs(run_id) if entry.is_dagster_event]
    data = next(
        entry.dagster_event for entry in failed if entry.dagster_event and entry.dagster_event.is_step_failure
    )
    user_failure = data.step_failure_data.user_failure_data
    assert user_failure is not None
    assert user_failure.description is not None
    return user_failure.description


@pytest.mark.parametrize("kind", ["ok", "unchanged", "deleted", "warn"])
def test_partition_run_materializes_what_agrees(bench: Workbench, kind: str) -> None:
    """A partition that a person launched is materialized, all its assets, although nothing may have been written."""
    assert bench.run_partition(f"{kind}-1").success
    assert bench.materialized(FILES) == bench.materialized(MEMBERSHIPS) == {f"{kind}-1"}
    row = bench.row(f"{kind}-1")
    assert row.done == row.wanted


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("withheld", "Nothing of it may leave the firm"),
        ("waiting", "waits for its owner's collection"),
        ("bad", "EspoCRM refuses it."),
        ("fail", "xAI answers 503."),
    ],
)
def test_partition_run_is_never_green_without_a_materialization(
    bench: Workbench, kind: str, says: str
) -> None:
    """A partition run that materializes nothing fails, in one clear sentence, and its partition is red."""
    result = bench.run_partition(f"{kind}-1")
    assert not result.success
    assert says in failure_text(bench, result.run_id)
    assert bench.status(f"{kind}-1") == "FAILED"


def test_partition_that_a_batch_holds_fails_after_a_bounded_wait(bench: Workbench) -> None:
    """An entity that a batch is at work on is waited for a bounded time; then the run says so and fails."""
    bench.want("ok-1")
    claimed = bench.do(lambda conn, now: work_queue.claim(conn, now, TOYS.name, limit=1, lease_seconds=600.0))
    result = bench.run_partition("ok-1", partition_wait_seconds=0.3)
    assert not result.success
    assert "did not become free" in failure_text(bench, result.run_id)
    assert bench.row("ok-1").lease_token == claimed[0].token


def test_red_partition_turns_green_with_the_next_pass_even_if_nothing_changed(bench: Workbench) -> None:
    """A red partition is red alone, and a batch that finds its entity in step materializes it although it writes nothing."""
    assert bench.run_partition("ok-1").success
    bench.teach("bad-1", "bad")
    bench.run_partition("bad-1")
    assert bench.status("bad-1") == "FAILED"
    assert bench.status("ok-1") == "MATERIALIZED"
    bench.teach("bad-1", "unchanged")
    bench.want("bad-1", "unchanged-2")
    assert bench.run_batch().success
    assert bench.status("bad-1", MEMBERSHIPS) == bench.status("bad-1") == "MATERIALIZED"
    assert bench.materialized() == {"ok-1", "bad-1"}
    assert red_among(bench.instance, TOYS.name, ["bad-1"]) == frozenset()


def test_range_run_syncs_each_key_and_names_those_that_failed(bench: Workbench) -> None:
    """A backfill's run materializes what it can; only the failed partition is red, and the failure counts it."""
    result = bench.run_range(["ok-1", "ok-2", "ok-3"])
    assert result.success
    bench.teach("ok-2", "bad")
    result = bench.run_range(["ok-1", "ok-2", "ok-3"])
    assert not result.success
    assert "EspoCRM refuses it." in failure_text(bench, result.run_id)
    assert [bench.status(key) for key in ("ok-1", "ok-2", "ok-3")] == [
        "MATERIALIZED",
        "FAILED",
        "MATERIALIZED",
    ]


def test_large_backfill_is_in_the_queue_before_it_is_worked_off(bench: Workbench) -> None:
    """A backfill of many keys is wanted as a whole behind every event, so that its end loses nothing."""
    keys = [f"ok-{number:04}" for number in range(CHUNK + 20)]
    bench.teach(keys[-1], "waiting")
    result = bench.run_range(keys)
    assert not result.success
    assert len(bench.materialized()) == CHUNK + 19
    lines = [entry.user_message for entry in bench.instance.all_logs(result.run_id)]
    assert any("backfill handed to the queue" in line and f"keys={CHUNK + 20}" in line for line in lines)
    assert bench.do(lambda conn, now: work_queue.ready_count(conn, now, TOYS.name)) == 0


def test_partition_run_needs_no_slot(bench: Workbench) -> None:
    """A partition launched by a person runs beside a batch that lingers: it waits for nobody."""
    bench.do(lambda conn, now: batches.take_over(conn, now, TOYS.name, None, "a-batch", 60.0))
    assert bench.run_partition("ok-1").success
    assert [batch.run_id for batch in bench.live()] == ["a-batch"]
