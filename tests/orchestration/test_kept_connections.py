"""A batch run keeps its connections to Dagster's PostgreSQL, and survives losing them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from bitbylaw_pipeline.orchestration.dagster_storage import keep_connections
from bitbylaw_pipeline.orchestration.event_storage import store_asset_events
from tests.orchestration.test_event_storage import materializations, run
from tests.orchestration.workbench import dagster_instance


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on PostgreSQL."""
    with dagster_instance("postgresql", tmp_path) as made:
        yield made


OURS = "test_kept_connections"
# The server may still show a question's connection when the next one is asked.
OTHERS = f"FROM pg_stat_activity WHERE datname = current_database() AND application_name <> '{OURS}'"


def ask(instance: dg.DagsterInstance, statement: str) -> list[Any]:
    """The first column of a statement's rows on the instance's database, by a connection of our own."""
    engine = create_engine(
        instance.event_log_storage.postgres_url,  # type: ignore[attr-defined]  # on PostgreSQL it has one
        poolclass=NullPool,
        connect_args={"application_name": OURS},
    )
    with engine.connect() as connection:
        return list(connection.execute(text(statement)).scalars())


def test_chunks_share_their_connections(instance: dg.DagsterInstance) -> None:
    """The connection that stores the first chunk stores the fifth."""

    def store(context: dg.AssetExecutionContext) -> None:
        keep_connections(context.instance)
        seen = []
        for _ in range(5):
            context.instance.add_dynamic_partitions("documents", ["k0"])
            store_asset_events(context, materializations(3))
            seen.append(set(ask(instance, f"SELECT pid {OTHERS}")))
        # Others may be seen on their way out: those opened before, which the server takes its time to end.
        assert set.intersection(*seen)

    run(instance, store)


def test_lost_connections_lose_no_event(instance: dg.DagsterInstance) -> None:
    """After the server has dropped every connection, the next chunk is stored like any other."""

    def store(context: dg.AssetExecutionContext) -> None:
        keep_connections(context.instance)
        store_asset_events(context, materializations(2))
        assert ask(instance, f"SELECT pg_terminate_backend(pid) {OTHERS}")
        store_asset_events(context, materializations(2))

    run_id = run(instance, store)
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert len(found.records) == 8
