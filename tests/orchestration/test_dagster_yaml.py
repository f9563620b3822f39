"""The project's dagster.yaml and workspace.yaml, as Dagster itself reads them."""

import shutil
import tomllib
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster_postgres import PostgresRunStorage

from bitbylaw_pipeline.defs.housekeeping import STREAMS
from bitbylaw_pipeline.orchestration.dagster_storage import POSTGRES_URL, BulkSqliteEventLogStorage
from bitbylaw_pipeline.settings import Settings
from tests.orchestration.workbench import PROJECT
from tests.servers import postgres_url


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME with the project's dagster.yaml."""
    shutil.copy(PROJECT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv(POSTGRES_URL, raising=False)
    return tmp_path


def test_sqlite_by_default(home: Path) -> None:
    """Without further ado Dagster's history stands in SQLite below DAGSTER_HOME."""
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.run_storage, SqliteRunStorage)
        assert isinstance(instance.event_log_storage, BulkSqliteEventLogStorage)
    assert (home / "history" / "runs.db").exists()


def test_postgresql_by_one_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With DAGSTER_POSTGRES_URL it stands there, in the processes that get only a reference, too, and nothing on disk."""
    monkeypatch.setenv(POSTGRES_URL, postgres_url())
    with dg.DagsterInstance.get() as instance, dg.DagsterInstance.from_ref(instance.get_ref()) as again:
        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert isinstance(again.run_storage, PostgresRunStorage)
        again.add_dynamic_partitions("documents", ["d1"])
        assert instance.get_dynamic_partitions("documents") == ["d1"]
    assert not (home / "history").exists()


def test_limits(home: Path) -> None:
    """A person's run finds a slot beside a batch of every stream; runs end above a batch's rotation; nothing fails twice by itself."""
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_concurrency_config().run_queue_config
        assert runs is not None
        assert runs.max_concurrent_runs == len(STREAMS) + 4
        assert runs.tag_concurrency_limits == [{"key": "dagster/backfill", "limit": 1}]
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_poll_interval_seconds == 10
        longest = instance.run_monitoring_max_runtime_seconds
        assert longest == 3600
        assert longest > 2 * Settings.load(_env_file=None).batch_rotate_seconds
        assert instance.run_retries_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
        assert instance.managed_python_loggers == ["bitbylaw_pipeline"]


def test_one_name_for_the_code_location() -> None:
    """workspace.yaml and pyproject.toml name the code location alike: otherwise every load logs a warning."""
    origins = location_origins_from_yaml_paths([str(PROJECT / "workspace.yaml")])
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert [origin.location_name for origin in origins] == [
        project["tool"]["dg"]["project"]["code_location_name"]
    ]
