"""Old runs are deleted, but never what still says that something exists or is red."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from bitbylaw_pipeline.orchestration.run_retention import Retention, delete_old_runs
from tests.orchestration.toy import FILES, MEMBERSHIPS, TOYS
from tests.orchestration.workbench import Workbench


def clean_up(bench: Workbench, before: datetime) -> Retention:
    """One pass of the retention."""
    return delete_old_runs(bench.instance, [FILES, MEMBERSHIPS], [TOYS.name], before)


def test_run_stays_while_it_holds_a_latest_materialization(bench: Workbench) -> None:
    """A superseded run goes with its events; the run with a document's only materialization stays, so the document does."""
    bench.want("ok-1", "ok-2")
    first = bench.run_batch().run_id
    bench.want("ok-1")
    second = bench.run_batch().run_id
    bench.want("ok-1")
    third = bench.run_batch().run_id
    idle = bench.run_batch().run_id
    after = datetime.now(UTC) + timedelta(seconds=1)
    assert clean_up(bench, datetime.now(UTC) - timedelta(days=1)) == Retention(deleted=0, kept=0)
    assert clean_up(bench, after) == Retention(deleted=2, kept=2)
    left = {run.run_id for run in bench.instance.get_runs()}
    assert left == {first, third}
    assert second not in left
    assert idle not in left
    assert bench.materialized() == bench.materialized(MEMBERSHIPS) == {"ok-1", "ok-2"}
    history = bench.instance.fetch_materializations(FILES, limit=10).records
    assert [record.run_id for record in history] == [third, first, first]


def test_run_that_makes_a_partition_red_stays_until_it_is_green(bench: Workbench) -> None:
    """The failed run of a red partition stays; once the partition is green again it goes."""
    red = bench.run_partition("bad-1").run_id
    after = datetime.now(UTC) + timedelta(hours=1)
    assert clean_up(bench, after) == Retention(deleted=0, kept=1)
    assert bench.status("bad-1") == "FAILED"
    bench.teach("bad-1", "ok")
    bench.want("bad-1")
    bench.run_batch()
    assert clean_up(bench, after) == Retention(deleted=1, kept=1)
    assert bench.instance.get_run_by_id(red) is None
    assert bench.status("bad-1") == "MATERIALIZED"


def test_running_runs_are_left_alone(bench: Workbench) -> None:
    """A run that has not ended is never deleted, however old."""
    bench.run_batch()
    running = bench.instance.get_runs()[0]
    bench.instance.add_run(running._replace(run_id="a-run-that-runs", status=dg.DagsterRunStatus.STARTED))
    clean_up(bench, datetime.now(UTC) + timedelta(hours=1))
    assert [run.run_id for run in bench.instance.get_runs()] == ["a-run-that-runs"]
