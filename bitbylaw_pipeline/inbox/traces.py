"""Where in the state a subject stands: counted, deleted, and looked for once more in every column.

The register of what has left (`egress`) is not among it: its rows are never changed, they become unreadable with their
matter's key. Proofs of erasures name nobody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    String,
    Table,
    and_,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)

from bitbylaw_pipeline.domain.erasure import crossed_out, patterns
from bitbylaw_pipeline.inbox import schema

_KEPT = frozenset({"egress", "egress_head", "matter_key", "erasure"})
_SAID = ("last_error", "reason", "failed_why", "says", "advice", "link", "value", "park_reason")
"""Columns with sentences, in which an id may be named that the row is not about."""
_CHUNK = 400
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Traces:
    """By what a subject is found. Records are (pair, side, id), links (pair, link id), work is (stream, key)."""

    documents: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    """{EntityType}:{id}"""
    collections: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    akten: frozenset[str] = frozenset()
    records: frozenset[str] = frozenset()
    """Ids of records in EspoCRM, as events and the change feed name them."""
    work: frozenset[tuple[str, str]] = frozenset()
    links: frozenset[tuple[str, str]] = frozenset()
    sides: frozenset[tuple[str, str, str]] = frozenset()
    betnrs: frozenset[str] = frozenset()
    mentions: frozenset[str] = field(default=frozenset())
    """What must not stand in any text afterwards."""

    def __or__(self, other: Traces) -> Traces:
        return Traces(*(getattr(self, name) | getattr(other, name) for name in Traces.__dataclass_fields__))


def count(connection: Connection, traces: Traces) -> dict[str, int]:
    """Table -> rows that are about the subject."""
    found = {
        table.name: sum(
            connection.execute(select(func.count()).select_from(table).where(where)).scalar_one()
            for where in wheres
        )
        for table, wheres in _rows_about(traces).items()
    }
    return {name: number for name, number in found.items() if number}


def forget(connection: Connection, traces: Traces) -> dict[str, int]:
    """Deletes the rows that are about the subject and takes it out of the others; table -> rows deleted."""
    if connection.dialect.name == "sqlite":
        # What is deleted is overwritten at once, and not only when the page is needed again.
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    _leave_neighbours(connection, traces)
    _leave_feeds(connection, traces.records)
    _blank_audit(connection, "Beteiligte", traces.betnrs)
    _blank_audit(connection, "Akten", traces.akten)
    _blank_audit(connection, "Termine", {one for pair, side, one in traces.sides if _is_termin(pair, side)})
    deleted = {
        table.name: sum(connection.execute(delete(table).where(where)).rowcount for where in wheres)
        for table, wheres in _rows_about(traces).items()
    }
    _cross_out(connection, patterns(traces.mentions))
    return {name: number for name, number in deleted.items() if number}


def find(connection: Connection, mentions: Iterable[str]) -> dict[str, int]:
    """Table -> rows in which any of these ids still stands, in whatever column."""
    found: dict[str, int] = {}
    found_by = [re.compile(pattern) for pattern in patterns(mentions)]
    for table in schema.metadata.sorted_tables:
        columns = _texts(table) if table.name not in _KEPT and found_by else []
        if not columns:
            continue
        # Compared here: PostgreSQL takes ten times as long for some hundred ids, more than a transaction may.
        rows = connection.execute(select(*columns), execution_options={"yield_per": _PAGE})
        texts = (" ".join(filter(None, row)) for row in rows)
        number = sum(any(pattern.search(text) for pattern in found_by) for text in texts)
        if number:
            found[table.name] = number
    return found


def _rows_about(traces: Traces) -> dict[Table, list[ColumnElement[bool]]]:
    s = schema
    keys_of: dict[str, set[str]] = {}
    for stream, key in traces.work:
        keys_of.setdefault(stream, set()).add(key)
    subjects = {(pair, link) for pair, link in traces.links} | {
        (pair, f"{side}:{record}") for pair, side, record in traces.sides
    }
    by_link = {
        table: _pairs(table.c.pair, table.c.link_id, traces.links)
        for table in (s.sync_link, s.sync_conflict, s.sync_write_log)
    }
    by_record = {table: _triples(table, traces.sides) for table in (s.sync_seen, s.sync_mirror)}
    return {
        s.document_state: _among(s.document_state.c.document_id, traces.documents),
        s.document_owner: [
            *_among(s.document_owner.c.document_id, traces.documents),
            *_among(s.document_owner.c.owner, traces.owners),
        ],
        s.collection_state: _among(s.collection_state.c.owner_key, traces.owners),
        s.akte_state: _among(s.akte_state.c.akte_id, traces.akten),
        s.work: [
            and_(s.work.c.stream == stream, where)
            for stream, keys in sorted(keys_of.items())
            for where in _among(s.work.c.key, keys)
        ],
        s.inbox_event: [
            *_among(s.inbox_event.c.entity_id, traces.records),
            *(
                and_(s.inbox_event.c.entity_type == "Akte", where)
                for where in _among(s.inbox_event.c.entity_id, traces.akten)
            ),
        ],
        s.intent: [
            *_among(s.intent.c.subject, traces.documents | traces.owners),
            *(
                s.intent.c.subject.startswith(f"{pair}|{subject}|", autoescape=True)
                for pair, subject in sorted(subjects)
            ),
        ],
        **by_link,
        s.sync_hold: [
            *_pairs(s.sync_hold.c.pair, s.sync_hold.c.subject, subjects),
            *_pairs(s.sync_hold.c.pair, s.sync_hold.c.link_id, traces.links),
            *_triples(s.sync_hold, traces.sides),
        ],
        **by_record,
        s.alert: [s.alert.c.subject.regexp_match(pattern) for pattern in patterns(traces.mentions)],
    }


def _among(column: Column[Any], values: Iterable[str]) -> list[ColumnElement[bool]]:
    chosen = sorted(values)
    return [column.in_(chosen[at : at + _CHUNK]) for at in range(0, len(chosen), _CHUNK)]


def _pairs(
    first: Column[Any], second: Column[Any], values: Iterable[tuple[str, str]]
) -> list[ColumnElement[bool]]:
    chosen = sorted(values)
    return [tuple_(first, second).in_(chosen[at : at + _CHUNK]) for at in range(0, len(chosen), _CHUNK)]


def _triples(table: Table, values: Iterable[tuple[str, str, str]]) -> list[ColumnElement[bool]]:
    chosen = sorted(values)
    columns = tuple_(table.c.pair, table.c.side, table.c.record_id)
    return [columns.in_(chosen[at : at + _CHUNK]) for at in range(0, len(chosen), _CHUNK)]


def _leave_neighbours(connection: Connection, traces: Traces) -> None:
    """Takes erased owners and collections out of the states of documents that stay."""
    table = schema.document_state
    wheres = [
        column.contains(one, autoescape=True)
        for column, ids in (
            (table.c.owners, traces.owners),
            (table.c.collections, traces.collections),
            (table.c.doomed, traces.collections),
        )
        for one in sorted(ids)
    ]
    for at in range(0, len(wheres), _CHUNK):
        for row in connection.execute(select(table).where(or_(*wheres[at : at + _CHUNK]))).all():
            doomed = [
                {**old, "collections": [one for one in old["collections"] if one not in traces.collections]}
                for old in json.loads(row.doomed)
            ]
            values = {
                "owners": json.dumps([one for one in json.loads(row.owners) if one not in traces.owners]),
                "collections": json.dumps(
                    [one for one in json.loads(row.collections) if one not in traces.collections]
                ),
                "doomed": json.dumps(doomed),
            }
            connection.execute(update(table).where(table.c.document_id == row.document_id).values(values))
    akten = schema.akte_state
    for where in _among(akten.c.collection_id, traces.collections):
        connection.execute(update(akten).where(where).values(collection_id=None))


def _leave_feeds(connection: Connection, records: frozenset[str]) -> None:
    table = schema.feed_cursor
    for row in connection.execute(select(table)).all():
        seen = json.loads(row.seen or "[]")
        left = [mark for mark in seen if mark.partition("@")[0] not in records]
        values: dict[str, Any] = {} if left == seen else {"seen": json.dumps(left)}
        if row.record_id in records:
            # From the beginning of that second: read once more, and known by their marks.
            values["record_id"] = ""
        if values:
            connection.execute(update(table).where(table.c.entity_type == row.entity_type).values(values))


def _blank_audit(connection: Connection, route: str, records: Iterable[str]) -> None:
    table = schema.proxy_audit
    for record in sorted(records):
        is_theirs = or_(table.c.record == record, table.c.record.startswith(f"{record}/", autoescape=True))
        connection.execute(
            update(table).where(table.c.route.startswith(route), is_theirs).values(record=None)
        )


def _is_termin(pair: str, side: str) -> bool:
    return side == "left" and pair.startswith("termin_gcal:")


def _cross_out(connection: Connection, found_by: list[str]) -> None:
    for table in schema.metadata.sorted_tables:
        columns = [column for column in _texts(table) if column.name in _SAID]
        if table.name in _KEPT or not columns:
            continue
        keys = list(table.primary_key.columns)
        for pattern in found_by:
            where = or_(*(column.regexp_match(pattern) for column in columns))
            for row in connection.execute(select(*keys, *columns).where(where)).all():
                said: Any = row._mapping  # noqa: SLF001  # SQLAlchemy's public name
                values = {
                    column.name: crossed_out(said[column.name], found_by)
                    for column in columns
                    if said[column.name] is not None
                }
                is_row = and_(*(key == said[key.name] for key in keys))
                connection.execute(update(table).where(is_row).values(values))


def _texts(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, String)]
