"""A system of a two-way case: a dictionary that answers like an adapter (format: `facts/two_way_sync.md` 4)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bitbylaw_pipeline.domain.equivalence import apply_to, chain
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, OutcomeUnknown, Transient
from bitbylaw_pipeline.domain.three_way import Fields, Side
from bitbylaw_pipeline.domain.two_way_link import Capabilities, Observation, Record, Settled
from bitbylaw_pipeline.sync.two_way_adapter import Taken


class Crash(BaseException):
    """The process dies here; what is stored stays."""


@dataclass(slots=True)
class Row:
    """A record of a case's system; `@` facts apart from its fields."""

    fields: dict[str, Any]
    version: int = 1
    marker: str | None = None
    key: str | None = None
    nonce: str | None = None
    updated: float | None = None
    is_dead: bool = False

    def mark(self, facts: Mapping[str, Any]) -> None:
        """Takes over the `@` facts among these."""
        self.updated = facts.get("@updated", self.updated)
        self.marker = facts.get("@marker", self.marker)
        self.key = facts.get("@key", self.key)
        self.is_dead = bool(facts.get("@dead", False))


@dataclass(slots=True)
class CaseSystem:
    """A system that is a dictionary, with the abilities and troubles that the case gives it."""

    side: Side
    given: Mapping[str, Any]
    scope: Mapping[str, Any]
    rows: dict[str, Row]
    observe_as: dict[str, Any] = field(default_factory=dict)
    writes: list[dict[str, Any]] = field(default_factory=list)
    races: list[dict[str, Any]] = field(default_factory=list)
    crash: str | None = None
    graves: dict[str, Row] = field(default_factory=dict)

    @property
    def system(self) -> str:
        """The side's name."""
        return self.side.value

    @property
    def capabilities(self) -> Capabilities:
        """What the case says that it can do; able of everything unless told otherwise."""
        return Capabilities(
            create=not self.given.get("no_create", False),
            update=not self.given.get("no_update", False),
            delete=not self.given.get("no_delete", False),
            readonly_fields=frozenset(self.given.get("known_readonly", ())),
            client_key=self.given.get("client_ids", True),
            marker=self.given.get("markers", True),
        )

    def put(self, field_name: str, value: Any) -> Any:
        """The value as coerced by the system."""
        norm = self.given.get("norm", {})
        spec = norm.get(field_name, "") if isinstance(norm, Mapping) else norm
        return apply_to(value, chain(spec))

    async def observe(self, known: Mapping[str, Settled]) -> Observation:  # noqa: ARG002  # read at no cost
        """What the case lets be seen."""
        told = self.observe_as
        if told.get("error"):
            raise Transient("The listing failed.", system=self.system)
        hidden = {*told.get("omit", ()), *told.get("withheld", ())}
        items = {
            row_id: self._record(row_id, row)
            for row_id, row in self.rows.items()
            if not row.is_dead and row_id not in hidden
        }
        for row_id in told.get("ghost", ()):
            if row_id not in items and (row_id in self.graves or row_id in self.rows):
                items[row_id] = self._record(row_id, self.graves.get(row_id) or self.rows[row_id])
        covered = told.get("covered")
        return Observation(
            items,
            gone=frozenset(told.get("gone", ())),
            withheld=dict.fromkeys(told.get("withheld", ()), "withheld"),
            complete=bool(told.get("complete", True)),
            covers=(lambda _: True) if covered is None else (lambda row_id: row_id in covered),
            reads_beyond=bool(told.get("reads_beyond", False)),
        )

    async def get(self, record_id: str) -> Record | None:
        """The record itself, whatever the listing says."""
        self._trouble(record_id, "fail", "fail_get")
        row = self.rows.get(record_id)
        return None if row is None or row.is_dead else self._record(record_id, row)

    async def find_by_key(self, key: str) -> Taken | None:
        """By idempotency key where the system knows keys, else by marker."""
        return self._under_key(key) or self._found(lambda row: self._marker(row) == key)

    async def create(self, key: str, fields: Fields, nonce: str, origin: Record) -> Record | Taken:
        """Makes a record, named after its origin; a key that is in use finds the first one."""
        row_id = self._name_for(origin.id, key)
        self._trouble(row_id, "fail")
        self._die("create", "before")
        # The system knows its own keys; a marker it takes as it comes, and copies carry it along.
        taken = self._under_key(key)
        if taken is not None:
            return taken
        stored = {name: self.put(name, copy.deepcopy(value)) for name, value in fields.items()}
        row = Row(stored)
        row.key = key if self.capabilities.client_key else None
        row.marker, row.nonce = (key, nonce) if self.capabilities.marker else (None, None)
        self.rows[row_id] = row
        self._note("create", row_id, fields)
        self._die("create", "after")
        self._unclear(row_id)
        return self._record(row_id, row)

    async def update(self, expected: Record, patch: Fields, nonce: str) -> Record:
        """Changes the patch if the record still is the expected one."""
        self._race(expected.id)
        self._trouble(expected.id, "fail")
        self._die("update", "before")
        row = self._present(expected)
        silent = self.given.get("readonly", ())
        for name, value in patch.items():
            if name not in silent:
                row.fields[name] = self.put(name, copy.deepcopy(value))
        row.version += 1
        row.nonce = nonce if self.capabilities.marker else None
        self._note("update", expected.id, patch)
        self._die("update", "after")
        self._unclear(expected.id)
        return self._record(expected.id, row)

    async def delete(self, expected: Record) -> None:
        """Deletes the record if it still is the expected one."""
        self._race(expected.id)
        self._trouble(expected.id, "fail")
        self._die("delete", "before")
        self._present(expected)
        self.graves[expected.id] = self.rows.pop(expected.id)
        self._note("delete", expected.id, None)
        self._die("delete", "after")
        self._unclear(expected.id)

    async def link_back(self, record: Record, partner: Record) -> None:
        """Nothing: a case's records have no such field."""

    # -- what a user does

    def edit(self, changes: Mapping[str, Any]) -> None:
        """A user's changes: key -> patch, or None to delete; a deleted record comes back by a patch."""
        for row_id, patch in changes.items():
            if patch is None:
                if row_id in self.rows:
                    self.graves[row_id] = self.rows.pop(row_id)
                continue
            row = self.rows.get(row_id) or self.graves.pop(row_id, None) or Row({})
            row.version += 1
            row.mark(patch)
            row.fields |= copy.deepcopy(
                {name: value for name, value in patch.items() if not name.startswith("@")}
            )
            self.rows[row_id] = row

    def shown(self) -> dict[str, dict[str, Any]]:
        """The living records' fields."""
        return {row_id: copy.deepcopy(row.fields) for row_id, row in self.rows.items() if not row.is_dead}

    # -- inner parts

    def _record(self, row_id: str, row: Row) -> Record:
        hidden = self.given.get("hidden", ())
        return Record(
            id=row_id,
            fields=copy.deepcopy({name: value for name, value in row.fields.items() if name not in hidden}),
            version=str(row.version) if self.given.get("versions", True) else None,
            claim=self._marker(row),
            nonce=row.nonce,
            updated=row.updated,
            is_in_scope=_is_in_scope(self.scope, row.fields),
        )

    def _under_key(self, key: str) -> Taken | None:
        return self._found(lambda row: row.key == key) if self.capabilities.client_key else None

    def _found(self, fits: Callable[[Row], bool]) -> Taken | None:
        for row_id, row in {**self.graves, **self.rows}.items():
            if fits(row):
                return Taken(row_id, row_id in self.rows and not row.is_dead)
        return None

    def _marker(self, row: Row) -> str | None:
        return row.marker if self.capabilities.marker else None

    def _present(self, expected: Record) -> Row:
        row = self.rows.get(expected.id)
        if row is None or row.is_dead:
            raise NotFound("It is gone.", system=self.system)
        now = self._record(expected.id, row)
        # Where the system has no versions the adapter compares what it planned against itself.
        if (now.version, now.fields) != (expected.version, expected.fields):
            raise Conflict("It has changed.", system=self.system)
        return row

    def _name_for(self, origin: str, key: str) -> str:
        name = origin + "'" * int(key.rpartition(":g")[2])
        while name in self.rows or name in self.graves:
            name += "'"
        return name

    def _note(self, op: str, row_id: str, fields: Fields | None) -> None:
        entry: dict[str, Any] = {"side": self.side.value, "op": op, "key": row_id}
        if fields is not None:
            entry["fields"] = copy.deepcopy(dict(fields))
        self.writes.append(entry)

    def _trouble(self, row_id: str, *kinds: str) -> None:
        if any(row_id in self.observe_as.get(kind, ()) for kind in kinds):
            raise Transient("The system answered 503.", system=self.system, status=503)

    def _unclear(self, row_id: str) -> None:
        if row_id in self.observe_as.get("fail_after", ()):
            raise OutcomeUnknown("The system answered 503 after it had written.", system=self.system)

    def _die(self, op: str, when: str) -> None:
        if self.crash == f"{self.side.value}.{op}.{when}":
            self.crash = None
            raise Crash

    def _race(self, row_id: str) -> None:
        for race in list(self.races):
            if race["key"] == row_id:
                self.races.remove(race)
                self.edit({row_id: None if race.get("delete") else race["set"]})


def _is_in_scope(scope: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    if not scope:
        return True
    value = fields.get(scope["field"])
    if "not" in scope:
        unwanted = scope["not"]
        return value not in unwanted if isinstance(unwanted, list) else value != unwanted
    if "is" in scope or "equals" in scope:
        return bool(value == scope.get("is", scope.get("equals")))
    if "in" in scope:
        return value in scope["in"]
    return True
