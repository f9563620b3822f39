"""Deletes events that nothing rests on any more, which Dagster itself never does: it deletes whole runs, or nothing.

A run that holds the only materialization of one document would keep thousands of log lines and of superseded
materializations for ever, and what the sensors report belongs to no run and would never go at all.
"""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from bitbylaw_pipeline.orchestration.history_files import remove_database

CHUNK = 500

_events = SqlEventLogStorageTable.c
_checks = AssetCheckExecutionsTable.c
_OBSERVATION = dg.DagsterEventType.ASSET_OBSERVATION.value
_EVALUATION = dg.DagsterEventType.ASSET_CHECK_EVALUATION.value


def remove_run_file(instance: dg.DagsterInstance, run_id: str) -> None:
    """On SQLite each run has a file of its own, which Dagster keeps at its full size when the run is deleted.

    Not for a run that is still to be looked at: a process that has had its page open expects the file's tables.
    """
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        remove_database(Path(storage.path_for_shard(run_id)))


def thin_run(instance: dg.DagsterInstance, run_id: str, needed: Collection[int]) -> int:
    """Deletes the run's events but for those whose storage ids are `needed`; returns how many went.

    The run stays, with an empty log, and so does what it materialized.
    """
    storage: Any = instance.event_log_storage
    with storage.index_connection() as connection:
        there = connection.execute(sa.select(_events.id).where(_events.run_id == run_id)).scalars().all()
        gone = sorted(set(there) - set(needed))
        _delete(connection, gone)
    remove_run_file(instance, run_id)
    return len(gone)


def purge_runless_events(instance: dg.DagsterInstance, before: datetime) -> int:
    """Deletes evaluations and observations that sensors reported before that time, but for the latest of each.

    Returns how many events went.
    """
    storage: Any = instance.event_log_storage
    # Dagster keeps its times in UTC without saying so.
    limit = before.replace(tzinfo=None)
    with storage.index_connection() as connection:
        latest_checks = sa.select(sa.func.max(_checks.id)).group_by(
            _checks.asset_key, _checks.check_name, _checks.partition
        )
        connection.execute(
            AssetCheckExecutionsTable.delete().where(
                _checks.run_id == RUNLESS_RUN_ID,
                _checks.evaluation_event_timestamp < limit,
                _checks.id.not_in(latest_checks),
            )
        )
        still_there = sa.select(_checks.evaluation_event_storage_id).where(
            _checks.evaluation_event_storage_id.is_not(None)
        )
        latest_observations = (
            sa.select(sa.func.max(_events.id))
            .where(_events.dagster_event_type == _OBSERVATION)
            .group_by(_events.asset_key, _events.partition)
        )
        old = sa.and_(_events.run_id == RUNLESS_RUN_ID, _events.timestamp < limit)
        kinds = sa.or_(
            sa.and_(_events.dagster_event_type == _EVALUATION, _events.id.not_in(still_there)),
            sa.and_(_events.dagster_event_type == _OBSERVATION, _events.id.not_in(latest_observations)),
        )
        gone = list(connection.execute(sa.select(_events.id).where(old, kinds)).scalars())
        _delete(connection, gone)
    if isinstance(storage, SqliteEventLogStorage):
        # A second copy, which nothing reads: there is no page of no run.
        with storage.run_connection(RUNLESS_RUN_ID) as connection:
            connection.execute(SqlEventLogStorageTable.delete().where(_events.timestamp < limit))
    return len(gone)


def _delete(connection: sa.Connection, ids: list[int]) -> None:
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        connection.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(chunk)))
        connection.execute(SqlEventLogStorageTable.delete().where(_events.id.in_(chunk)))
