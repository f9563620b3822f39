"""Everything together: a real daemon, code server and run processes on the project's own dagster.yaml."""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from bitbylaw_pipeline.inbox import batches, work_queue
from bitbylaw_pipeline.inbox.database import Database
from tests.conftest import migrated_url
from tests.orchestration.daemon import Daemon, running_daemon, wait_for_run
from tests.orchestration.graphql import launch_backfill, launch_partition, terminate
from tests.orchestration.toy import FILES, MEMBERSHIPS, TOYS
from tests.orchestration.workbench import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SETTINGS = {"batch_linger_seconds": 600, "batch_poll_seconds": 0.2, "lease_seconds": 5}


@dataclass(frozen=True, slots=True)
class Firm:
    """A running daemon with the toy stream, and its state database."""

    daemon: Daemon
    database: Database
    folder: Path

    @property
    def instance(self) -> dg.DagsterInstance:
        """The daemon's instance."""
        return self.daemon.instance

    def want(self, *keys: str) -> None:
        """Something has happened to these entities."""
        self.database.run_sync(lambda conn: work_queue.want(conn, self.database.now(conn), TOYS.name, keys))

    def is_done(self, key: str) -> bool:
        """Whether the entity's row is completed."""
        row = self.database.read(lambda conn: work_queue.get(conn, TOYS.name, key))
        return row is not None and row.done == row.wanted

    def batch_runs(self) -> list[dg.DagsterRun]:
        """All batch runs, latest first."""
        return list(self.instance.get_runs(filters=dg.RunsFilter(tags={"bitbylaw/run": "batch"})))

    def bring_in(self, *keys: str) -> None:
        """Has these entities materialized by a batch, which lingers."""
        self.want(*keys)
        wait_until(lambda: all(self.is_done(key) for key in keys), "the entities")
        wait_until(lambda: set(keys) <= self.instance.get_materialized_partitions(FILES), "their partitions")

    def live(self) -> list[batches.Batch]:
        """The stream's live batches."""
        return self.database.read(lambda conn: batches.live(conn, self.database.now(conn), TOYS.name))


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firm]:
    """One daemon for the tests of this module; each brings about what it stands on, for another may not have run."""
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "entities").mkdir()
    url = migrated_url("sqlite", folder)
    database = Database.open(url)
    environment = {
        "TOY_DATABASE": url,
        "TOY_FOLDER": str(folder / "entities"),
        "TOY_SETTINGS": json.dumps(SETTINGS),
    }
    try:
        with running_daemon(folder / "home", "tests.orchestration.toy_location", environment) as daemon:
            try:
                yield Firm(daemon, database, folder / "entities")
            finally:
                # As `bitbylaw` does before it stops anything: the code server waits for its runs.
                database.run_sync(lambda conn: batches.set_flag(conn, database.now(conn), batches.DRAIN))
                wait_until(
                    lambda: not database.read(lambda c: batches.live(c, database.now(c), TOYS.name)),
                    "drained",
                )
    finally:
        database.close()


def test_event_starts_one_batch_that_stays(firm: Firm) -> None:
    """What comes in is materialized by one batch, which is still there for what comes next: no second run."""
    firm.want("ok-1", "ok-2", "ok-3", "ok-4", "ok-5")
    wait_until(lambda: firm.is_done("ok-5"), "the first entities")
    for number in range(5):
        firm.want(f"ok-1{number}")
        wait_until(partial(firm.is_done, f"ok-1{number}"), "a later entity")
    # Two more ticks, in which nothing may be started.
    time.sleep(10)
    assert [run.status for run in firm.batch_runs()] == [dg.DagsterRunStatus.STARTED]
    assert len(firm.instance.get_materialized_partitions(MEMBERSHIPS)) == 10


def test_parked_entity_turns_red_by_itself(firm: Firm) -> None:
    """An entity that was given up on has a red partition soon after, and the batch lingers on beside it."""
    firm.bring_in("ok-1")
    firm.want("bad-1")

    def is_red() -> bool:
        statuses = firm.instance.get_status_by_partition(
            FILES, ["bad-1"], dg.DynamicPartitionsDefinition(name="documents")
        )
        return bool(statuses and statuses["bad-1"] and statuses["bad-1"].value == "FAILED")

    wait_until(is_red, "the red partition", 120)
    runs = firm.instance.get_runs(filters=dg.RunsFilter(tags={"dagster/partition": "bad-1"}))
    assert [run.status for run in runs] == [dg.DagsterRunStatus.FAILURE]
    assert len(firm.live()) == 1


def test_person_waits_for_nothing_but_the_start(firm: Firm) -> None:
    """A partition launched from the UI while a batch lingers starts at once and is materialized by its own run."""
    firm.bring_in("ok-3")
    run_id = launch_partition(firm.daemon, "ok-3")
    run = wait_for_run(firm.daemon, run_id, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
    assert run.status is dg.DagsterRunStatus.SUCCESS
    stats = firm.instance.get_run_stats(run_id)
    assert stats.start_time is not None
    assert stats.enqueued_time is not None
    # The batch lingers for ten minutes.
    assert stats.start_time - stats.enqueued_time < 120
    assert len(firm.live()) == 1


def test_backfill_of_an_arbitrary_selection(firm: Firm) -> None:
    """A backfill of partitions that are no neighbours ends green, each materialized by one of its runs."""
    firm.bring_in("ok-1", "ok-2", "ok-3", "ok-4")
    backfill_id = launch_backfill(firm.daemon, ["ok-1", "ok-3", "ok-4"])

    def status() -> BulkActionStatus:
        backfill = firm.instance.get_backfill(backfill_id)
        assert backfill is not None
        return backfill.status

    wait_until(lambda: status() is not BulkActionStatus.REQUESTED, "the backfill's end", 300)
    assert status() is BulkActionStatus.COMPLETED_SUCCESS
    runs = firm.instance.get_runs(filters=dg.RunsFilter(tags={"dagster/backfill": backfill_id}))
    ranges = {
        (run.tags["dagster/asset_partition_range_start"], run.tags["dagster/asset_partition_range_end"])
        for run in runs
    }
    assert ranges == {("ok-1", "ok-1"), ("ok-3", "ok-4")}


def test_killed_batch_is_replaced(firm: Firm) -> None:
    """kill -9 of a batch in the middle of a call: once its leases have run out a new batch carries on."""
    firm.want("slow-1")
    wait_until((firm.folder / "begun-slow-1").exists, "the slow entity's call")
    killed = firm.batch_runs()[0]
    os.kill(_process_of(firm, killed), signal.SIGKILL)
    (firm.folder / "slow-1").write_text("ok")
    wait_until(lambda: firm.is_done("slow-1"), "the entity after the kill", 120)
    assert firm.batch_runs()[0].run_id != killed.run_id
    assert "slow-1" in firm.instance.get_materialized_partitions(FILES)


def test_cancel_leaves_nothing_leased_and_the_next_tick_carries_on(firm: Firm) -> None:
    """A batch canceled in the UI in the middle of a call is CANCELED, its work is free at once, and a new one takes it."""
    firm.want("slow-2")
    wait_until((firm.folder / "begun-slow-2").exists, "the slow entity's call")
    canceled = firm.batch_runs()[0]
    (firm.folder / "slow-2").write_text("ok")
    terminate(firm.daemon, canceled.run_id)
    wait_for_run(firm.daemon, canceled.run_id, dg.DagsterRunStatus.CANCELED)
    assert canceled.run_id not in {batch.run_id for batch in firm.live()}
    wait_until(lambda: firm.is_done("slow-2"), "the entity after the cancel", 120)
    assert firm.batch_runs()[0].run_id != canceled.run_id


def _process_of(firm: Firm, run: dg.DagsterRun) -> int:
    started = [entry.dagster_event for entry in firm.instance.all_logs(run.run_id) if entry.dagster_event]
    pid = next(event.pid for event in started if event.event_type is dg.DagsterEventType.STEP_START)
    assert pid is not None
    return pid
