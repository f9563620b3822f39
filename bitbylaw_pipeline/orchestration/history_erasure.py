"""Makes Dagster forget a subject: its partitions, their runs and events, and its ids wherever else they stand.

A program of its own, `python -m bitbylaw_pipeline.orchestration.history_erasure [--count]`: the subject comes as JSON on
standard input, which no list of processes shows, and what there is (left) goes out as JSON. Needs DAGSTER_HOME.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata

from bitbylaw_pipeline.domain.erasure import SHORTEST_ID, Mention, Partition
from bitbylaw_pipeline.orchestration.history_files import (
    any_contains,
    compact,
    count_files,
    cross_out_files,
    remove_database,
)
from bitbylaw_pipeline.orchestration.history_rows import count_rows, erase_rows

_PARTITION_TAG = "dagster/partition"
_OVER = frozenset({dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED})


class RunUnderWay(Exception):
    """A run of one of the partitions has not ended; it would write what is being erased once more."""


@dataclass(slots=True)
class Found:
    """How much of the subject there is (or was, before it was erased): runs of its own, rows, files of captured output."""

    runs: int = 0
    rows: int = 0
    files: int = 0
    is_compact: bool = field(default=True)
    """False where a reader kept SQLite from emptying its log: run it again."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.runs + self.rows + self.files


def count_history(instance: dg.DagsterInstance, subject: Mention) -> Found:
    """What there is; changes nothing."""
    found = Found(runs=len(_runs(instance, subject)))
    for metadata, connect in _stores(instance):
        with connect() as connection:
            found.rows += sum(count_rows(connection, metadata, subject).values())
    for run_id in _marked_shards(instance, subject):
        with _events(instance).run_connection(run_id) as connection:
            found.rows += sum(count_rows(connection, SqlEventLogStorageMetadata, subject).values())
    if (folder := _output_folder(instance)) is not None:
        found.files = count_files(folder, subject)
    return found


def erase_history(instance: dg.DagsterInstance, subject: Mention) -> Found:
    """Erases all of it, and writes SQLite's files anew; returns what there was. Raises RunUnderWay, with nothing changed.

    On PostgreSQL what was deleted is vacuumed: its space is given free for other rows, the files do not shrink.
    """
    runs = _runs(instance, subject)
    if under_way := [run.run_id for run in runs if run.status not in _OVER]:
        raise RunUnderWay(f"Run {under_way[0]} of this partition has not ended: let it end, or cancel it.")
    found = Found(runs=len(runs))
    for run in runs:
        instance.delete_run(run.run_id)
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        if (shards := _shards(instance)) is not None:
            remove_database(shards / f"{run.run_id}.db")
    for run_id in _marked_shards(instance, subject):
        with _events(instance).run_connection(run_id) as connection:
            found.rows += sum(erase_rows(connection, SqlEventLogStorageMetadata, subject).values())
        found.is_compact &= compact(Path(_events(instance).path_for_shard(run_id)))
    for metadata, connect in _stores(instance):
        with connect() as connection:
            found.rows += sum(erase_rows(connection, metadata, subject).values())
            url = connection.engine.url
        if url.get_backend_name() == "sqlite":
            found.is_compact &= compact(Path(url.database or ""))
        else:
            _vacuum(connect, metadata)
    if (folder := _output_folder(instance)) is not None:
        found.files = cross_out_files(folder, subject)
    return found


def _runs(instance: dg.DagsterInstance, subject: Mention) -> list[dg.DagsterRun]:
    """The runs that were launched for one of the partitions."""
    return [
        run
        for one in subject.partitions
        for run in instance.get_runs(dg.RunsFilter(tags={_PARTITION_TAG: one.key}))
        if _is_of(run, one)
    ]


def _is_of(run: dg.DagsterRun, one: Partition) -> bool:
    if one.stream is None or run.job_name == one.stream:
        return True
    chosen = {key.to_user_string() for key in run.asset_selection or ()}
    return bool(chosen & set(one.assets))


def _stores(instance: dg.DagsterInstance) -> list[tuple[sa.MetaData, Any]]:
    """(tables, how to connect) of events, runs and schedules."""
    runs: Any = instance.run_storage
    schedules: Any = instance.schedule_storage
    return [
        (SqlEventLogStorageMetadata, _events(instance).index_connection),
        (RunStorageSqlMetadata, runs.connect),
        (ScheduleStorageSqlMetadata, schedules.connect),
    ]


def _events(instance: dg.DagsterInstance) -> Any:
    return instance.event_log_storage


def _shards(instance: dg.DagsterInstance) -> Path | None:
    """The folder with a database per run; None where all events are in one."""
    storage = instance.event_log_storage
    return (
        Path(storage.path_for_shard(INDEX_SHARD_NAME)).parent
        if isinstance(storage, SqliteEventLogStorage)
        else None
    )


def _marked_shards(instance: dg.DagsterInstance, subject: Mention) -> Iterator[str]:
    """The runs in whose databases an id stands; all of them where a key is too short to be looked for in bytes."""
    folder = _shards(instance)
    if folder is None:
        return
    # Read as bytes first: to open each of thousands costs Dagster a look at its version.
    keys = Mention((), tuple(one.key for one in subject.partitions))
    opens_all = any(len(one.key) < SHORTEST_ID for one in subject.partitions)
    # Dagster's own list of them leaves out ".db", where the events are that belong to no run.
    names = {file.name.removesuffix(".db") for file in folder.glob("*.db")}
    for run_id in sorted(names - {INDEX_SHARD_NAME}):
        files = [folder / f"{run_id}.db", folder / f"{run_id}.db-wal"]
        if opens_all or any_contains(files, subject) or any_contains(files, keys):
            yield run_id


def _output_folder(instance: dg.DagsterInstance) -> Path | None:
    manager = instance.compute_log_manager
    if not isinstance(manager, LocalComputeLogManager):
        return None
    # Of no run; there is no other way to ask for the folder of all of them.
    folder = Path(manager.get_captured_local_path(["of-no-run"], "out")).parent
    return folder if folder.is_dir() else None


def _vacuum(connect: Any, metadata: sa.MetaData) -> None:
    with connect() as connection:
        there = set(sa.inspect(connection).get_table_names())
        engine = connection.engine
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in sorted(there & metadata.tables.keys()):
            connection.execute(sa.text(f'VACUUM "{name}"'))


def main(arguments: list[str]) -> int:
    """The program: 0 and a JSON line; 1 and a sentence on standard error where it cannot be done now."""
    subject = Mention.parse(sys.stdin.read())
    with dg.DagsterInstance.get() as instance:
        try:
            if "--count" not in arguments and not erase_history(instance, subject).is_compact:
                sys.stderr.write(
                    "Somebody kept SQLite's files busy, so deleted text may still be in them: run it again.\n"
                )
                return 1
            found = count_history(instance, subject)
        except RunUnderWay as under_way:
            sys.stderr.write(f"{under_way}\n")
            return 1
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
