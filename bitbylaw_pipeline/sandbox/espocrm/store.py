"""Everything a stand-in remembers, in memory: records, links, files, followers; and the ids it hands out."""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.espocrm.blobs import Blob
from bitbylaw_pipeline.sandbox.espocrm.php import timestamp
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Link, Row

# Histories and queues of a long benchmark would fill memory; older rows are of no use to anybody.
_KEPT_SYSTEM_ROWS = 20_000
_TRIMMED_AT_ONCE = 5_000


class Table:
    """The records of one entity type, deleted ones included, with an index by (modifiedAt, id) of the live ones."""

    __slots__ = ("by_modified", "rows")

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        # A feed polls by modifiedAt all the time; sorting 20,000 rows for each page would cost more than the rest.
        self.by_modified: list[tuple[str, str]] = []

    def put(self, row: Row) -> None:
        """Add a record, or replace the one with its id."""
        self.drop_from_index(row["id"])
        self.rows[row["id"]] = row
        if not row["deleted"]:
            insort(self.by_modified, (row.get("modifiedAt") or "", row["id"]))

    def drop_from_index(self, record_id: str) -> None:
        """Take a record out of the index; call before its modifiedAt or deleted changes."""
        row = self.rows.get(record_id)
        if row is None:
            return
        key = (row.get("modifiedAt") or "", record_id)
        at = bisect_left(self.by_modified, key)
        if at < len(self.by_modified) and self.by_modified[at] == key:
            del self.by_modified[at]

    def live(self, record_id: str) -> Row | None:
        """The record unless it is missing or deleted."""
        row = self.rows.get(record_id)
        return None if row is None or row["deleted"] else row

    def all_live(self) -> Iterator[Row]:
        """Every record that is not deleted."""
        return (row for row in self.rows.values() if not row["deleted"])


class Store:
    """Tables, link tables, file contents and followers of one stand-in."""

    def __init__(self, clock: SandboxClock) -> None:
        self.clock = clock
        self.schemas: dict[str, EntitySchema] = {}
        self.tables: dict[str, Table] = {}
        self.blobs: dict[str, Blob] = {}
        self.followers: dict[tuple[str, str], list[str]] = {}
        self._pairs: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
        self._last_microsecond = 0
        self._numbers: dict[str, int] = {}
        self._random = random.Random()

    def now(self) -> str:
        """The sandbox clock's time in EspoCRM's form."""
        return timestamp(self.clock.now())

    def new_id(self) -> str:
        """17 hex digits beginning with the Unix time, as PHP's uniqid and four more make them."""
        moment = max(self._last_microsecond + 1, int(self.clock.now() * 1_000_000))
        self._last_microsecond = moment
        seconds, micros = divmod(moment, 1_000_000)
        return f"{seconds:08x}{micros:05x}{self._random.getrandbits(16):04x}"

    def next_number(self, entity: str) -> int:
        """The next value of an entity type's rising number."""
        self._numbers[entity] = self._numbers.get(entity, 0) + 1
        return self._numbers[entity]

    def add_schema(self, schema: EntitySchema) -> None:
        """Make an entity type known; its records stay if it was known before."""
        self.schemas[schema.name] = schema
        self.tables.setdefault(schema.name, Table())

    def live(self, entity: str, record_id: str) -> Row | None:
        """A record that exists and is not deleted."""
        table = self.tables.get(entity)
        return None if table is None else table.live(record_id)

    def name_of(self, entity: str, record_id: str | None) -> str | None:
        """The name of a record, for `…Name` attributes; None if it is gone."""
        if not record_id:
            return None
        row = self.live(entity, record_id)
        return None if row is None else row.get("name")

    # Links

    def linked_ids(self, entity: str, link: Link, record_id: str) -> list[str]:
        """Ids of the live records at the other end, in the order in which they were linked."""
        target = self.tables.get(link.entity)
        if target is None:
            return []
        if link.table:
            ids: Iterable[str] = self._pairs.get((entity, link.name), {}).get(record_id, ())
            return [one for one in ids if target.live(one)]
        if link.many:
            key = f"{link.foreign}Id"
            return [row["id"] for row in target.all_live() if row.get(key) == record_id]
        own = self.tables[entity].rows[record_id].get(f"{link.name}Id")
        return [own] if own and target.live(own) else []

    def is_linked(self, entity: str, link: Link, record_id: str, foreign_ids: Iterable[str]) -> bool:
        """Whether any of `foreign_ids` is at the other end."""
        if link.table:
            ids = self._pairs.get((entity, link.name), {}).get(record_id)
            return ids is not None and any(one in ids for one in foreign_ids)
        present = set(self.linked_ids(entity, link, record_id))
        return any(one in present for one in foreign_ids)

    def relate(self, entity: str, link: Link, record_id: str, foreign_id: str) -> None:
        """Join two records; neither's modifiedAt moves (`facts/espocrm.md` 0.5)."""
        if link.table:
            self._side(entity, link.name).setdefault(record_id, {})[foreign_id] = None
            if link.foreign:
                self._side(link.entity, link.foreign).setdefault(foreign_id, {})[record_id] = None
        elif link.many:
            self.tables[link.entity].rows[foreign_id][f"{link.foreign}Id"] = record_id

    def unrelate(self, entity: str, link: Link, record_id: str, foreign_id: str) -> None:
        """Part two records, if they are joined."""
        if link.table:
            self._side(entity, link.name).get(record_id, {}).pop(foreign_id, None)
            self._side(link.entity, link.foreign).get(foreign_id, {}).pop(record_id, None)
        elif link.many:
            row = self.tables[link.entity].rows[foreign_id]
            if row.get(f"{link.foreign}Id") == record_id:
                row[f"{link.foreign}Id"] = None

    def link_tables(self) -> dict[str, dict[str, list[str]]]:
        """Every many-to-many link as it stands, both sides, links of deleted records included."""
        return {
            f"{entity}.{name}": {record_id: list(ids) for record_id, ids in side.items() if ids}
            for (entity, name), side in self._pairs.items()
        }

    def _side(self, entity: str, name: str) -> dict[str, dict[str, None]]:
        return self._pairs.setdefault((entity, name), {})

    def add_system_row(self, entity: str, values: dict[str, Any]) -> Row:
        """Add a row of one of EspoCRM's own tables, with an id and, where it has one, the next number."""
        row: Row = {"id": self.new_id(), "deleted": False, **values}
        if "number" in self.schemas[entity].fields:
            row["number"] = self.next_number(entity)
        rows = self.tables[entity].rows
        rows[row["id"]] = row
        if len(rows) > _KEPT_SYSTEM_ROWS + _TRIMMED_AT_ONCE:
            self._trim(rows)
        return row

    @staticmethod
    def _trim(rows: dict[str, Row]) -> None:
        # Many at once: a dict whose first key is deleted again and again gets slow to find its first key.
        for row_id in list(islice(rows, _TRIMMED_AT_ONCE)):
            row = rows[row_id]
            if row.get("isProcessed") is not False and row.get("status") != "Pending":
                del rows[row_id]
