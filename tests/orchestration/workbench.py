"""A place to try the toy stream in: a state database, a Dagster instance on disk, runs in this process."""

import atexit
import functools
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.instance import InstanceRef
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import batches, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.orchestration.dagster_storage import with_driver
from bitbylaw_pipeline.orchestration.stream_op import batch_run_config
from bitbylaw_pipeline.orchestration.streams import partitions_of
from tests.conftest import migrated_url
from tests.orchestration.toy import FILES, TOYS, ToyBackend, toy_definitions
from tests.servers import postgres_url

PROJECT = Path(__file__).parents[2]


def dagster_storage(kind: str, home: Path) -> dict[str, Any]:
    """The storage block of dagster.yaml for the given database."""
    if kind == "postgresql":
        return {"postgres": {"postgres_url": with_driver(postgres_url())}}
    return {
        "custom": {
            "module": "bitbylaw_pipeline.orchestration.dagster_storage",
            "class": "EnvironmentStorage",
            "config": {"base_dir": str(home)},
        }
    }


@contextmanager
def dagster_instance(kind: str, home: Path) -> Iterator[dg.DagsterInstance]:
    """A real instance on SQLite or PostgreSQL with the project's log settings; the folder is empty."""
    if kind == "sqlite":
        shutil.copytree(_sqlite_template(), home, dirs_exist_ok=True)
    with _open_instance(kind, home) as instance:
        yield instance


@functools.cache
def _sqlite_template() -> Path:
    """Dagster's tables in files, made once: made anew for each instance, they took most of its start."""
    folder = Path(tempfile.mkdtemp(prefix="dagster-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with _open_instance("sqlite", folder) as instance:
        # Each of the three files comes with its first use.
        instance.get_runs_count()
        instance.get_dynamic_partitions("documents")
        instance.all_instigator_state()
    return folder


@contextmanager
def _open_instance(kind: str, home: Path) -> Iterator[dg.DagsterInstance]:
    overrides = {
        "storage": dagster_storage(kind, home),
        "telemetry": {"enabled": False},
        "python_logs": {"managed_python_loggers": ["bitbylaw_pipeline"], "python_log_level": "INFO"},
    }
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides)) as instance:
        yield instance


@dataclass(frozen=True, slots=True)
class Workbench:
    """Everything around one toy stream."""

    instance: dg.DagsterInstance
    database: Database
    backend: ToyBackend
    folder: Path

    def do(self, work: Callable[[Connection, float], Any]) -> Any:
        """Runs work(connection, now) on the state database."""
        return self.database.run_sync(lambda conn: work(conn, self.database.now(conn)))

    def want(self, *keys: str) -> None:
        """Puts keys into the queue."""
        self.do(lambda conn, now: work_queue.want(conn, now, TOYS.name, keys))

    def row(self, key: str) -> work_queue.WorkRow:
        """The key's row in the queue."""
        row = self.do(lambda conn, _: work_queue.get(conn, TOYS.name, key))
        assert isinstance(row, work_queue.WorkRow)
        return row

    def live(self) -> list[batches.Batch]:
        """The stream's live batches."""
        found: list[batches.Batch] = self.do(lambda conn, now: batches.live(conn, now, TOYS.name))
        return found

    def teach(self, key: str, what: str) -> None:
        """From now on the entity behaves like that."""
        (self.folder / key).write_text(what)

    def refuse_materializations(self) -> None:
        """From now on Dagster's database (SQLite) refuses to store any."""
        storage: Any = self.instance.event_log_storage
        with storage.index_connection() as conn:
            conn.exec_driver_sql(
                "CREATE TRIGGER refuse BEFORE INSERT ON event_logs "
                "WHEN NEW.dagster_event_type = 'ASSET_MATERIALIZATION' "
                "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
            )

    def run_batch(self, token: str = "", **settings: Any) -> dg.ExecuteInProcessResult:
        """A batch run in this process."""
        return self._job(settings).execute_in_process(
            instance=self.instance, run_config=batch_run_config(TOYS, token), raise_on_error=False
        )

    def run_partition(self, key: str, **settings: Any) -> dg.ExecuteInProcessResult:
        """A run of one partition in this process."""
        self.instance.add_dynamic_partitions(TOYS.name, [key])
        return self._job(settings).execute_in_process(
            instance=self.instance, partition_key=key, raise_on_error=False
        )

    def run_range(self, keys: Sequence[str]) -> dg.ExecuteInProcessResult:
        """A run over a range of partitions, as a backfill launches it."""
        self.instance.add_dynamic_partitions(TOYS.name, list(keys))
        tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        return self._job({}).execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)

    def _job(self, settings: dict[str, Any]) -> dg.JobDefinition:
        backend = ToyBackend(
            database_url=self.backend.database_url,
            folder=self.backend.folder,
            given={**self.backend.given, **settings},
        )
        return toy_definitions(backend).resolve_job_def(TOYS.name)

    def materialized(self, asset: dg.AssetKey = FILES) -> set[str]:
        """The partitions that have a materialization."""
        return set(self.instance.get_materialized_partitions(asset))

    def status(self, key: str, asset: dg.AssetKey = FILES) -> str:
        """What the UI shows for a partition: MATERIALIZED, FAILED, IN_PROGRESS or MISSING."""
        statuses = self.instance.get_status_by_partition(asset, [key], partitions_of(TOYS.name))
        status = (statuses or {}).get(key)
        return status.value if status else "MISSING"


@contextmanager
def workbench(
    folder: Path, *, state: str = "sqlite", dagster: str = "sqlite", **settings: Any
) -> Iterator[Workbench]:
    """A workbench below the folder; `settings` are the project's."""
    entities = folder / "entities"
    home = folder / "dagster"
    entities.mkdir()
    home.mkdir()
    url = migrated_url(state, folder)
    database = Database.open(url)
    backend = ToyBackend(database_url=url, folder=str(entities), given=settings)
    try:
        with dagster_instance(dagster, home) as instance:
            yield Workbench(instance, database, backend, entities)
    finally:
        database.close()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def signal_when(is_time: Callable[[], bool], number: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    """Sends this process's main thread a signal as soon as the condition holds."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            if is_time():
                _send(number)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@contextmanager
def cancel_when(
    bench: Workbench, is_time: Callable[[], bool], number: signal.Signals = signal.SIGTERM
) -> Iterator[None]:
    """Cancels the run in this process as soon as the condition holds, as the launcher does for the UI."""

    def is_canceling() -> bool:
        if not is_time():
            return False
        bench.instance.report_run_canceling(bench.instance.get_runs(limit=1)[0])
        return True

    with signal_when(is_canceling, number):
        yield


def _send(number: signal.Signals) -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, number)


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Waits for something that another process does; raises TimeoutError saying what did not come."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)
