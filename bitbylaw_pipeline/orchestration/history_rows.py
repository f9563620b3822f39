"""The rows of Dagster's own tables in which a subject stands: counted, or deleted and crossed out.

Dagster can forget an asset or a run, never one partition's events (`wipe_asset_partitions` is not implemented for its
SQL storages in 1.13), so its table definitions are used here directly.
"""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from dagster import AssetKey, DagsterEventType
from dagster._core.event_api import EventLogRecord
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    DynamicPartitionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.runs.schema import KeyValueStoreTable
from dagster._serdes import deserialize_value, serialize_value

from bitbylaw_pipeline.domain.erasure import Mention, Partition, crossed_out

_CHUNK = 400
_PAGE = 500
_BEYOND_REPAIR = {DynamicPartitionsTable: "partition", KeyValueStoreTable: "key"}
"""Rows whose name holds the id: crossed out they would name something that is not there."""


def erase_rows(connection: sa.Connection, metadata: sa.MetaData, subject: Mention) -> dict[str, int]:
    """Deletes the subject's events and names, crosses its ids out elsewhere; table -> rows that were touched."""
    touched: dict[str, int] = {}
    for table in _tables(connection, metadata):
        count = _delete(connection, table, subject)
        count += _cross_out(connection, table, subject)
        if count:
            touched[table.name] = count
    return touched


def count_rows(connection: sa.Connection, metadata: sa.MetaData, subject: Mention) -> dict[str, int]:
    """Table -> rows in which the subject stands."""
    found: dict[str, int] = {}
    for table in _tables(connection, metadata):
        ids = {
            row_id for where in _of_partitions(table, subject) for row_id in _ids(connection, table, where)
        }
        ids |= _naming(connection, table, subject)
        if ids:
            found[table.name] = len(ids)
    return found


def _tables(connection: sa.Connection, metadata: sa.MetaData) -> list[sa.Table]:
    there = set(sa.inspect(connection).get_table_names())
    tables = [table for table in metadata.sorted_tables if table.name in there and "id" in table.c]
    # What an asset's latest event is shows only once the subject's are gone.
    return sorted(tables, key=lambda table: table is not SqlEventLogStorageTable)


def _delete(connection: sa.Connection, table: sa.Table, subject: Mention) -> int:
    if table is AssetKeyTable:
        return _mend_asset_keys(connection, subject)
    wheres = _of_partitions(table, subject)
    if table in _BEYOND_REPAIR:
        wheres += [table.c[_BEYOND_REPAIR[table]].regexp_match(pattern) for pattern in subject.patterns()]
    ids = sorted({row_id for where in wheres for row_id in _ids(connection, table, where)})
    for at in range(0, len(ids), _CHUNK):
        chunk = ids[at : at + _CHUNK]
        connection.execute(table.delete().where(table.c.id.in_(chunk)))
        if table is SqlEventLogStorageTable and sa.inspect(connection).has_table(AssetEventTagsTable.name):
            connection.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(chunk)))
    return len(ids)


def _of_partitions(table: sa.Table, subject: Mention) -> list[sa.ColumnElement[bool]]:
    """What finds the rows that are about one of the partitions."""
    if table is DynamicPartitionsTable:
        return [sa.and_(table.c.partition == one.key, *_in_stream(table, one)) for one in subject.partitions]
    if table in (SqlEventLogStorageTable, AssetCheckExecutionsTable):
        return [sa.and_(table.c.partition == one.key, *_on_assets(table, one)) for one in subject.partitions]
    return []


def _in_stream(table: sa.Table, one: Partition) -> list[sa.ColumnElement[bool]]:
    return [] if one.stream is None else [table.c.partitions_def_name == one.stream]


def _on_assets(table: sa.Table, one: Partition) -> list[sa.ColumnElement[bool]]:
    names = [_stored_key(name) for name in one.assets]
    return [] if one.stream is None else [table.c.asset_key.in_(names)]


def _stored_key(name: str) -> str:
    """A slash-joined asset key as Dagster's tables have it."""
    return AssetKey(name.split("/")).to_string()


def _mend_asset_keys(connection: sa.Connection, subject: Mention) -> int:
    """An asset's last materialization and cached status, where they show the subject: the one before, and none."""
    mended = 0
    for row in connection.execute(sa.select(AssetKeyTable)).all():
        values: dict[str, Any] = {}
        if row.last_materialization and _is_about(row.last_materialization, row.asset_key, subject):
            values |= _former(connection, row.asset_key)
        cached = row.cached_status_data
        if cached and (crossed_out(cached, subject.patterns()) != cached or values):
            values["cached_status_data"] = None
        if values:
            connection.execute(AssetKeyTable.update().where(AssetKeyTable.c.id == row.id).values(values))
            mended += 1
    return mended


def _is_about(serialized: str, asset_key: str, subject: Mention) -> bool:
    record = deserialize_value(serialized)
    entry = record.event_log_entry if isinstance(record, EventLogRecord) else None
    event = entry.dagster_event if entry is not None else None
    partition = event.partition if event is not None else None
    return any(
        one.key == partition
        and (one.stream is None or asset_key in {_stored_key(name) for name in one.assets})
        for one in subject.partitions
    )


def _former(connection: sa.Connection, asset_key: str) -> dict[str, Any]:
    """The newest materialization of the asset that is left."""
    table = SqlEventLogStorageTable
    left = connection.execute(
        sa.select(table.c.id, table.c.run_id, table.c.event)
        .where(
            table.c.asset_key == asset_key,
            table.c.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION.value,
        )
        .order_by(table.c.id.desc())
        .limit(1)
    ).one_or_none()
    if left is None:
        return {"last_materialization": None, "last_run_id": None}
    record = EventLogRecord(left.id, deserialize_value(left.event, EventLogEntry))
    return {"last_materialization": serialize_value(record), "last_run_id": left.run_id}


def _cross_out(connection: sa.Connection, table: sa.Table, subject: Mention) -> int:
    columns = _texts(table)
    patterns = subject.patterns()
    ids = sorted(_naming(connection, table, subject))
    for at in range(0, len(ids), _CHUNK):
        where = table.c.id.in_(ids[at : at + _CHUNK])
        for row in connection.execute(sa.select(table.c.id, *columns).where(where)).all():
            values = {
                column.name: crossed_out(text, patterns)
                for column in columns
                if isinstance(text := row._mapping[column.name], str)  # noqa: SLF001  # SQLAlchemy's public name
            }
            connection.execute(table.update().where(table.c.id == row.id).values(values))
    return len(ids)


def _naming(connection: sa.Connection, table: sa.Table, subject: Mention) -> set[int]:
    """The rows with any of the ids in any text. Compared here: a database takes ten times as long for some hundred ids."""
    columns = _texts(table)
    if not columns:
        return set()
    patterns = [re.compile(pattern) for pattern in subject.patterns()]
    found: set[int] = set()
    last = -1
    # By pages: what is read in one piece would be held in memory, and Dagster's connections know no cursors.
    while rows := connection.execute(
        sa.select(table.c.id, *columns).where(table.c.id > last).order_by(table.c.id).limit(_PAGE)
    ).all():
        last = rows[-1].id
        found.update(
            row_id
            for row_id, *texts in rows
            if any(pattern.search(text) for text in texts if text for pattern in patterns)
        )
    return found


def _texts(table: sa.Table) -> Sequence[sa.Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, sa.String)]


def _ids(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> list[int]:
    return list(connection.execute(sa.select(table.c.id).where(where)).scalars())
