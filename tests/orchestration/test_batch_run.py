"""Batch runs: what they materialize, what they leave alone, and how they end."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from bitbylaw_pipeline.inbox import batches, work_queue
from tests.orchestration.toy import FILES, MEMBERSHIPS, TOYS
from tests.orchestration.workbench import Workbench, signal_when, workbench


@pytest.fixture(params=["sqlite", "postgresql"])
def either_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    """A workbench all on SQLite, and one all on PostgreSQL."""
    with workbench(tmp_path, state=request.param, dagster=request.param) as made:
        yield made


def test_batch_materializes_each_entity_on_its_own_partition(either_bench: Workbench) -> None:
    """A batch logs one materialization per entity and asset, none without a partition, and completes the rows."""
    bench = either_bench
    bench.want("ok-1", "ok-2", "ok-3")
    result = bench.run_batch()
    assert result.success
    for asset in (FILES, MEMBERSHIPS):
        assert bench.materialized(asset) == {"ok-1", "ok-2", "ok-3"}
        records = bench.instance.fetch_materializations(asset, limit=100).records
        assert sorted(str(record.partition_key) for record in records) == ["ok-1", "ok-2", "ok-3"]
    assert set(bench.instance.get_dynamic_partitions(TOYS.name)) == {"ok-1", "ok-2", "ok-3"}
    assert bench.row("ok-1").done == bench.row("ok-1").wanted == 1
    assert bench.live() == []


def test_failing_entity_leaves_its_neighbours_alone(bench: Workbench) -> None:
    """A refused entity is parked, one that fails for now is retried later, the others are materialized, the run is green."""
    bench.want("ok-1", "bad-1", "fail-1", "ok-2")
    assert bench.run_batch().success
    assert bench.materialized() == {"ok-1", "ok-2"}
    assert bench.row("bad-1").parked_at is not None
    assert bench.row("bad-1").park_reason == "invalid"
    assert bench.row("fail-1").parked_at is None
    assert bench.row("fail-1").attempts == 1


def test_config_arrives_under_the_ops_name(bench: Workbench) -> None:
    """A batch takes over the very slot that was requested for it: under a wrong op name its token would be dropped."""
    slot, token = bench.do(lambda conn, now: batches.request(conn, now, TOYS.name, slots=1))
    bench.want("ok-1")
    assert bench.run_batch(token).success
    assert slot == 0
    assert bench.materialized() == {"ok-1"}


def test_batch_ends_at_once_where_the_stream_is_held(bench: Workbench) -> None:
    """A run that finds its stream held by another touches nothing and ends green, saying so in its log."""
    bench.do(lambda conn, now: batches.take_over(conn, now, TOYS.name, None, "another-run", 60.0))
    bench.want("ok-1")
    for token in ("", "a-request-that-is-gone"):
        result = bench.run_batch(token)
        assert result.success
        assert bench.materialized() == set()
        lines = [entry.user_message for entry in bench.instance.all_logs(result.run_id)]
        assert any("stream is held" in line for line in lines)
    assert [batch.run_id for batch in bench.live()] == ["another-run"]


def test_drain_flag_ends_a_batch(bench: Workbench) -> None:
    """With the drain flag up a lingering batch ends at its next claim and leaves the work in the queue."""
    bench.do(lambda conn, now: batches.set_flag(conn, now, batches.DRAIN))
    bench.want("ok-1")
    assert bench.run_batch(batch_linger_seconds=600.0).success
    assert bench.materialized() == set()
    assert bench.do(lambda conn, now: work_queue.ready_count(conn, now, TOYS.name)) == 1
    assert bench.live() == []


def test_losing_the_slot_ends_an_orphan(bench: Workbench) -> None:
    """A batch whose slot somebody else holds by now stops working."""

    def steal() -> bool:
        live = bench.live()
        if live and live[0].run_id != "thief":
            bench.do(lambda conn, _: batches.end(conn, TOYS.name, 0, live[0].token))
            bench.do(lambda conn, now: batches.take_over(conn, now, TOYS.name, None, "thief", 60.0))
        return False

    with signal_when(steal):
        assert bench.run_batch(batch_linger_seconds=600.0).success
    assert [batch.run_id for batch in bench.live()] == ["thief"]


def test_failed_batch_keeps_its_slot_for_a_while(bench: Workbench) -> None:
    """A batch that fails leaves its slot held for a minute: started anew every tick it would burn the machine."""
    bench.want("ok-1")
    bench.refuse_materializations()
    result = bench.run_batch()
    assert not result.success
    held = bench.live()
    assert len(held) == 1
    assert 30 < held[0].until - held[0].requested_at < 120
    assert bench.row("ok-1").done == 0


def test_metadata_is_typed_and_links_to_the_record(bench: Workbench) -> None:
    """A materialization carries the outcome's facts as typed values and a link to the record in EspoCRM."""
    bench.want("ok-1")
    bench.run_batch()
    event = bench.instance.get_latest_materialization_event(FILES)
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["record"] == dg.MetadataValue.url("https://crm.example/#CDokumente/view/ok-1")
    assert metadata["size"] == dg.MetadataValue.int(7)
    assert metadata["is_new"] == dg.MetadataValue.bool(True)
    assert metadata["result"] == dg.MetadataValue.text("synced")
    assert isinstance(metadata["seconds"], dg.FloatMetadataValue)
    assert isinstance(metadata["calls"], dg.IntMetadataValue)


def test_warning_becomes_an_observation(bench: Workbench) -> None:
    """A file that xAI could not index shows as a warning on its partition, not as success alone."""
    bench.want("warn-1", "ok-1")
    bench.run_batch()
    records = bench.instance.fetch_observations(MEMBERSHIPS, limit=10).records
    assert [record.partition_key for record in records] == ["warn-1"]


def test_lines_of_single_entities_stay_out_of_the_run_log(bench: Workbench) -> None:
    """The run log has the batch's beginning, end and warnings; a line per document would be a row per document."""
    bench.want("ok-1", "bad-1")
    result = bench.run_batch()
    lines = [entry.user_message for entry in bench.instance.all_logs(result.run_id)]
    assert any("batch begins" in line for line in lines)
    assert any("parked" in line and "bad-1" in line for line in lines)
    assert not any("synced" in line and "ok-1" in line for line in lines)
