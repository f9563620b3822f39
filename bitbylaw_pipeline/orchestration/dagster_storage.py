"""Where Dagster keeps its runs and events: PostgreSQL if DAGSTER_POSTGRES_URL is set, else SQLite in DAGSTER_HOME.

`dagster.yaml` has no "if", so it names this class; both ways need only the one file. The SQLite event log differs from
Dagster's own in one thing: it stores a batch of asset events in two transactions. Dagster's stores them one by one, each
with four connections: 6 ms of CPU an event, which held a batch of documents to 60 a second.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from dagster import DagsterEventType, DagsterInstance, Field, StringSource
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from sqlalchemy import Connection, create_engine

POSTGRES_URL = "DAGSTER_POSTGRES_URL"

_BATCHABLE = ({DagsterEventType.ASSET_MATERIALIZATION}, {DagsterEventType.ASSET_OBSERVATION})


class EnvironmentStorage(DagsterSqliteStorage, ConfigurableClass):
    """The storage that `dagster.yaml` names; `base_dir` is where SQLite's files go, by default `Settings.home`."""

    @classmethod
    def config_type(cls) -> Any:
        """One field, for tests: the folder of the SQLite files."""
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(  # type: ignore[override]  # Dagster's own subclasses narrow it, too
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> DagsterStorage:
        """PostgreSQL or SQLite, by the environment of the process that asks."""
        url = os.environ.get(POSTGRES_URL, "")
        if url:
            from dagster_postgres import DagsterPostgresStorage  # noqa: PLC0415  # SQLite does without psycopg2

            storage = DagsterPostgresStorage(postgres_url=with_driver(url), inst_data=inst_data)
            if _is_daemon():
                _keep(storage.event_log_storage, storage.run_storage, storage.schedule_storage)
            return storage
        # The same folder as the state's. Not required in the environment: `dg` and `dagster definitions validate` are
        # called without it in the project's folder.
        home = os.environ.get("DAGSTER_HOME") or str(Path(".bitbylaw").absolute())
        return cls.from_local(base_dir=config_value.get("base_dir", home), inst_data=inst_data)

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data=inst_data)
        self._event_log_storage = BulkSqliteEventLogStorage(os.path.join(base_dir, "history", "runs", ""))  # noqa: PTH118  # Path drops the last slash


def keep_connections(instance: DagsterInstance) -> None:
    """Lets this process's instance keep its connections to PostgreSQL; on SQLite it does nothing.

    Dagster opens a new one for each statement: eight for a chunk of events, and PostgreSQL's work to start and end them
    was six times that of the events (2.5 ms a document in chunks of ten, 0.4 ms with kept ones). For long runs alone:
    a process that makes many instances, as the code server does, would pile connections up.
    """
    _keep(instance.event_log_storage, instance.run_storage)


def _is_daemon() -> bool:
    """True in Dagster's daemon (`python -m dagster._daemon run`): one instance for its whole life, and 17 connections a
    second while nothing happens, two thirds of what an idle pipeline costs."""
    return Path(sys.argv[0]).parent.name == "_daemon"


def _keep(*storages: object) -> None:
    for storage in storages:
        url = getattr(storage, "postgres_url", None)
        if url is None or not hasattr(storage, "_engine"):
            continue
        engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=20,
            pool_recycle=600,
            # After a restart of the server a kept connection is dead: better found out before it is used.
            pool_pre_ping=True,
        )
        # Dagster's own optimize_for_webserver does the same, without the pre-ping.
        storage._engine = engine  # noqa: SLF001  # there is no other way to give it one


def with_driver(url: str) -> str:
    """The URL with psycopg2 named: psycopg 3, which newer SQLAlchemy prefers, dies on Dagster's NOTIFY."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg2{separator}{rest}" if scheme in ("postgres", "postgresql") else url


class BulkSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's SQLite event log, with batches of asset events stored at once."""

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores events of one run and one asset in one transaction per file; anything else goes one by one."""
        kinds = {event.get_dagster_event().event_type for event in events if event.is_dagster_event}
        runs = {event.run_id for event in events}
        assets = {event.get_dagster_event().asset_key for event in events if event.is_dagster_event}
        if len(events) < 2 or kinds not in _BATCHABLE or len(runs) != 1 or len(assets) != 1:
            super().store_event_batch(events)
            return
        rows = [self._event_to_row(event) for event in events]
        # The run's own file first, as Dagster does: should the index then refuse, the fallback (one by one) shows lines
        # twice in the run's page, but counts no materialization twice. One after the other: one lock guards both files.
        with self.run_connection(runs.pop()) as run:
            run.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_transaction() as index:
            ids = [_insert(index, row) for row in rows]
            self._store_asset_event_tags(index, events, ids)
            self._store_asset_event(index, events[-1], ids[-1])


def _insert(connection: Connection, row: Mapping[str, Any]) -> int:
    result = connection.execute(SqlEventLogStorageTable.insert().values(**row))
    return cast("int", result.inserted_primary_key[0])  # type: ignore[index]  # an insert has one
