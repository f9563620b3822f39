"""Dagster's storage does not grow with the days: what nothing rests on goes, what exists and how it stands stays."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

from bitbylaw_pipeline.orchestration.event_retention import purge_runless_events
from bitbylaw_pipeline.orchestration.red_partitions import clear_red
from bitbylaw_pipeline.orchestration.run_retention import Retention, delete_old_runs
from tests.orchestration.toy import FILES, MEMBERSHIPS, TOYS
from tests.orchestration.workbench import Workbench, dagster_instance, workbench

LATER = timedelta(hours=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    """A workbench on each of Dagster's databases."""
    with workbench(tmp_path, dagster=request.param) as made:
        yield made


def clean_up(bench: Workbench) -> Retention:
    """One night, as if everything were old."""
    before = datetime.now(UTC) + LATER
    return delete_old_runs(bench.instance, [FILES, MEMBERSHIPS], [TOYS.name], before)


def rows(bench: Workbench, run_id: str) -> list[tuple[str, str]]:
    """(kind, partition) of the run's events in the storage that all of Dagster asks."""
    storage: Any = bench.instance.event_log_storage
    table = SqlEventLogStorageTable
    with storage.index_connection() as connection:
        found = connection.execute(
            sa.select(table.c.dagster_event_type, table.c.partition)
            .where(table.c.run_id == run_id)
            .order_by(table.c.id)
        )
        return [(row[0], row[1]) for row in found]


def test_kept_run_keeps_only_what_rests_on_it(bench: Workbench, tmp_path: Path) -> None:
    """Of a run that two documents' latest materializations keep, the two of a third and all else go; repeating it changes
    nothing, and the documents are there as before."""
    bench.want("ok-1", "ok-2", "ok-3")
    first = bench.run_batch().run_id
    bench.want("ok-3")
    bench.run_batch()
    assert len(rows(bench, first)) > 6
    for _ in range(2):
        assert clean_up(bench) == Retention(deleted=0, kept=2)
        kept = "ASSET_MATERIALIZATION"
        assert sorted(rows(bench, first)) == [(kept, "ok-1")] * 2 + [(kept, "ok-2")] * 2
    assert bench.materialized() == bench.materialized(MEMBERSHIPS) == {"ok-1", "ok-2", "ok-3"}
    assert bench.status("ok-1") == "MATERIALIZED"
    home = tmp_path / "dagster"
    assert not list((home / "history" / "runs").glob(f"{first}*"))
    with dagster_instance("sqlite", home) as another:
        # As a person sees it who opens the run's page: empty, and no error.
        assert another.all_logs(first) == []


def test_deleted_run_leaves_nothing(bench: Workbench, tmp_path: Path) -> None:
    """Neither rows nor, on SQLite, its file, which Dagster would keep."""
    bench.want("ok-1")
    first = bench.run_batch().run_id
    bench.want("ok-1")
    bench.run_batch()
    assert clean_up(bench) == Retention(deleted=1, kept=1)
    assert rows(bench, first) == []
    assert not list((tmp_path / "dagster" / "history" / "runs").glob(f"{first}*"))


def test_run_that_failed_keeps_its_events(bench: Workbench) -> None:
    """They say why a partition is red."""
    red = bench.run_partition("bad-1").run_id
    before = rows(bench, red)
    assert clean_up(bench) == Retention(deleted=0, kept=1)
    assert rows(bench, red) == before
    assert bench.status("bad-1") == "FAILED"


def test_backfill_that_failed_stays_while_one_of_its_partitions_is_red(bench: Workbench) -> None:
    """One run of several partitions: without it they would look as if nobody had ever tried them."""
    bench.run_range(["bad-1", "bad-2"])
    assert clean_up(bench) == Retention(deleted=0, kept=1)
    assert (bench.status("bad-1"), bench.status("bad-2")) == ("FAILED", "FAILED")
    clear_red(bench.instance, TOYS.name, ["bad-1"])
    assert clean_up(bench) == Retention(deleted=0, kept=1)
    clear_red(bench.instance, TOYS.name, ["bad-2"])
    assert clean_up(bench) == Retention(deleted=1, kept=0)


def test_reports_of_sensors_go_but_for_the_latest(bench: Workbench) -> None:
    """Of each check and of each partition's observations the latest stays, however old; younger ones stay all."""
    instance = bench.instance

    def report(passed: bool, key: str) -> None:
        check = dg.AssetCheckEvaluation(
            asset_key=FILES,
            check_name="in_step",
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={},
        )
        instance.report_runless_asset_event(check)
        instance.report_runless_asset_event(dg.AssetObservation(FILES, partition=key))

    for number in range(4):
        report(number == 3, "one" if number < 3 else "two")
    assert len(rows(bench, "")) == 8
    assert purge_runless_events(instance, datetime.now(UTC) - LATER) == 0
    assert len(rows(bench, "")) == 8
    assert purge_runless_events(instance, datetime.now(UTC) + LATER) == 5
    assert sorted(rows(bench, ""), key=str) == [
        ("ASSET_CHECK_EVALUATION", None),
        ("ASSET_OBSERVATION", "one"),
        ("ASSET_OBSERVATION", "two"),
    ]
    (latest,) = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(FILES, "in_step")]
    ).values()
    assert latest.status.value == "SUCCEEDED"
    assert purge_runless_events(instance, datetime.now(UTC) + LATER) == 0
