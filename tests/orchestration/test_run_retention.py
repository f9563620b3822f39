"""Old runs are deleted, but never what still says that something exists or is red."""

import sys
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickData, TickStatus
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from bitbylaw_pipeline.defs.housekeeping import housekeeping
from bitbylaw_pipeline.inbox import events
from bitbylaw_pipeline.orchestration.run_retention import (
    Retention,
    delete_old_output,
    delete_old_runs,
    purge_old_ticks,
)
from tests.orchestration.toy import FILES, MEMBERSHIPS, TOYS, ToyBackend
from tests.orchestration.workbench import Workbench

DAY = 86_400.0


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
    assert [(record.run_id, record.partition_key) for record in history] == [(third, "ok-1"), (first, "ok-2")]


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


def test_kept_run_loses_its_output_but_not_its_events(bench: Workbench) -> None:
    """What a step printed goes with its own period, whether the run is kept or not; that of younger runs stays."""
    bench.want("ok-1")
    run_id = bench.run_batch().run_id
    manager = bench.instance.compute_log_manager
    log_key = [run_id, "compute_logs", "a-step"]
    with manager.capture_logs(log_key):
        print("something")  # noqa: T201  # what is captured
    assert manager.get_log_data(log_key).stdout
    events = len(bench.instance.all_logs(run_id))
    ended = bench.instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))[0].update_timestamp
    assert delete_old_output(bench.instance, ended - timedelta(minutes=1)) == 0
    assert manager.get_log_data(log_key).stdout
    assert delete_old_output(bench.instance, ended + timedelta(minutes=1)) == 1
    assert not manager.get_log_data(log_key).stdout
    assert len(bench.instance.all_logs(run_id)) == events
    assert bench.materialized() == {"ok-1"}


def test_ticks_go_after_their_period(bench: Workbench) -> None:
    """Of every sensor and schedule, and whatever became of the tick: a day before goes, a day after stays."""
    now = datetime.now(UTC)
    for number in range(2):
        origin = _origin(f"sensor_{number}")
        state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING)
        bench.instance.add_instigator_state(state)
        for days, status in ((6, TickStatus.SKIPPED), (8, TickStatus.STARTED), (9, TickStatus.SKIPPED)):
            tick = TickData(
                origin.get_id(),
                origin.instigator_name,
                InstigatorType.SENSOR,
                status,
                (now - timedelta(days=days)).timestamp(),
                selector_id=origin.get_selector().get_id(),
            )
            bench.instance.create_tick(tick)
    assert purge_old_ticks(bench.instance, now - timedelta(days=7)) == 2
    for number in range(2):
        origin = _origin(f"sensor_{number}")
        left = bench.instance.get_ticks(origin.get_id(), origin.get_selector().get_id())
        assert [tick.status for tick in left] == [TickStatus.SKIPPED]


def _origin(name: str) -> RemoteInstigatorOrigin:
    location = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(executable_path=sys.executable, module_name="nowhere"), location_name="here"
    )
    return RemoteRepositoryOrigin(location, "__repository__").get_instigator_origin(name)


def test_housekeeping_goes_by_the_settings(bench: Workbench) -> None:
    """Each period is read from its setting, and what was done is told in counts."""
    bench.want("ok-1")
    bench.run_batch()
    bench.do(
        lambda conn, now: events.record(conn, now - 2 * DAY, "feed", "t", [("A", "a", "update")], "0", "e")
    )
    days = {"retention_run_days": 1, "retention_log_days": 1, "retention_tick_days": 1}

    def night(**changed: float) -> dict[str, object]:
        backend = ToyBackend(
            database_url=bench.backend.database_url, folder=bench.backend.folder, given={**days, **changed}
        )
        done = housekeeping.execute_in_process(instance=bench.instance, resources={"backend": backend})
        (event,) = (one for one in done.all_node_events if one.event_type_value == "STEP_OUTPUT")
        return {
            name: value.value
            for name, value in event.step_output_data.metadata.items()
            if name != "__metadata"
        }

    told = night(retention_inbox_days=3)
    assert (told["inbox_event"], told["runs_deleted"], told["runs_without_output"]) == (0, 0, 0)
    assert night(retention_inbox_days=1)["inbox_event"] == 1
