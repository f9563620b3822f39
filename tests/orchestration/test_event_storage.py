"""Storing events in bulk: what arrives is counted, in the event log and in the assets' records, on every storage."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata

from bitbylaw_pipeline.orchestration.dagster_storage import BulkSqliteEventLogStorage, with_driver
from bitbylaw_pipeline.orchestration.event_storage import (
    BATCH_SIZE,
    AssetEvent,
    can_store_in_bulk,
    store_asset_events,
)
from tests.orchestration.toy import FILES, MEMBERSHIPS
from tests.orchestration.workbench import dagster_instance

Body = Callable[[dg.AssetExecutionContext], object]


@pytest.fixture(params=["sqlite", "postgresql"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A real instance, once on SQLite and once on PostgreSQL."""
    with dagster_instance(request.param, tmp_path) as made:
        yield made


def run(instance: dg.DagsterInstance, body: Body) -> str:
    """Runs the body as a step without partition and returns the run's id."""
    partitions = dg.DynamicPartitionsDefinition(name="documents")
    specs = [dg.AssetSpec(key, skippable=True, partitions_def=partitions) for key in (FILES, MEMBERSHIPS)]

    @dg.multi_asset(name="store", specs=specs, can_subset=True)
    def store(context: dg.AssetExecutionContext) -> Iterator[Any]:
        body(context)
        yield from ()

    job = dg.define_asset_job("all", selection="*", executor_def=dg.in_process_executor)
    resolved = dg.Definitions(assets=[store], jobs=[job]).resolve_job_def("all")
    result = resolved.execute_in_process(instance=instance)
    assert result.success
    return result.run_id


def materializations(count: int) -> list[dg.AssetMaterialization]:
    """So many of each asset, in mixed order, as a batch of documents makes them."""
    return [
        dg.AssetMaterialization(asset, partition=f"k{number}", metadata={"size": number})
        for number in range(count)
        for asset in (FILES, MEMBERSHIPS)
    ]


def stored(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> int:
    """Events of a kind in the run's event log."""
    return len(instance.get_records_for_run(run_id, of_type=kind, limit=10_000).records)


@pytest.mark.parametrize("in_bulk", [True, False])
@pytest.mark.parametrize("count", [1, 2, 60])
def test_every_event_arrives_once(instance: dg.DagsterInstance, count: int, in_bulk: bool) -> None:
    """As many events as were given stand in the run's log, in each asset's history and on each partition."""
    run_id = run(
        instance, lambda context: store_asset_events(context, materializations(count), in_bulk=in_bulk)
    )
    assert stored(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION) == 2 * count
    for asset in (FILES, MEMBERSHIPS):
        records = instance.fetch_materializations(asset, limit=1000).records
        assert sorted(str(record.partition_key) for record in records) == sorted(
            f"k{n}" for n in range(count)
        )
        assert len({record.storage_id for record in records}) == count


def test_each_assets_record_is_up_to_date(instance: dg.DagsterInstance) -> None:
    """The latest materialization of either asset is the last of its own events: a mixed batch left one of them stale."""
    run(instance, lambda context: store_asset_events(context, materializations(5)))
    run_id = run(instance, lambda context: store_asset_events(context, materializations(7)))
    for record in instance.get_asset_records([FILES, MEMBERSHIPS]):
        latest = record.asset_entry.last_materialization_record
        assert latest is not None
        assert (latest.run_id, latest.partition_key) == (run_id, "k6")
        history = instance.fetch_materializations(record.asset_entry.asset_key, limit=1).records
        assert history[0].storage_id == latest.storage_id


def test_materializations_and_observations_together(instance: dg.DagsterInstance) -> None:
    """A chunk with both kinds arrives whole: mixed in one batch Dagster would store each singly."""
    both: list[AssetEvent] = [
        *materializations(3),
        *(dg.AssetObservation(MEMBERSHIPS, partition=f"k{n}") for n in range(4)),
    ]
    run_id = run(instance, lambda context: store_asset_events(context, both))
    assert stored(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION) == 6
    assert stored(instance, run_id, dg.DagsterEventType.ASSET_OBSERVATION) == 4


def test_more_than_one_batch(instance: dg.DagsterInstance) -> None:
    """A chunk that is larger than a batch arrives whole."""
    many = [dg.AssetMaterialization(FILES, partition=f"k{number}") for number in range(BATCH_SIZE + 3)]
    run_id = run(instance, lambda context: store_asset_events(context, many))
    assert stored(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION) == BATCH_SIZE + 3


def test_counting_notices_a_batch_that_was_not_closed(instance: dg.DagsterInstance) -> None:
    """What is left in Dagster's buffer is lost without a word and the run is green: only a count shows it."""

    def leave_open(context: dg.AssetExecutionContext) -> None:
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
        batch = DagsterEventBatchMetadata(uuid.uuid4().hex, is_end=False)
        for event in materializations(5):
            DagsterEvent.asset_materialization(context.get_step_execution_context(), event, batch)

    run_id = run(instance, leave_open)
    assert stored(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION) == 0


def test_this_dagster_stores_in_bulk() -> None:
    """The installed Dagster offers bulk storage: an upgrade that takes it away fails here, not in a slow week."""
    assert can_store_in_bulk()


def test_sqlite_storage_of_dagster_yaml_is_ours(tmp_path: Path) -> None:
    """The storage that dagster.yaml names is in use on SQLite, also in the processes that get only a reference to it."""
    with (
        dagster_instance("sqlite", tmp_path) as made,
        dg.DagsterInstance.from_ref(made.get_ref()) as again,
    ):
        assert isinstance(again.event_log_storage, BulkSqliteEventLogStorage)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://u:p@h/db", "postgresql+psycopg2://u:p@h/db"),
        ("postgres://h/db", "postgresql+psycopg2://h/db"),
        ("postgresql+psycopg2://h/db", "postgresql+psycopg2://h/db"),
    ],
)
def test_postgres_driver_is_named(given: str, used: str) -> None:
    """A plain PostgreSQL URL is given the driver that Dagster can work with."""
    assert with_driver(given) == used
