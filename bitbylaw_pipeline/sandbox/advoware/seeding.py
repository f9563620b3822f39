"""Rows put into the stand-in from outside its API: a seed, and what the firm's people do in Advoware itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bitbylaw_pipeline.sandbox.advoware.beteiligte import Beteiligte
from bitbylaw_pipeline.sandbox.advoware.exchange import Refusal
from bitbylaw_pipeline.sandbox.advoware.row_forms import PARTEI, SUB_FORMS, stored_value
from bitbylaw_pipeline.sandbox.advoware.store import Beteiligter, Row, Store

_EDIT_KEYS = {"table", "id", "betNr", "set", "delete"}


class Seeding:
    """`POST /sandbox/seed` and `POST /sandbox/edits`."""

    def __init__(
        self, store: Store, beteiligte: Beteiligte, adders: Mapping[str, Callable[[Row], Row]]
    ) -> None:
        self._store = store
        self._beteiligte = beteiligte
        self._adders = {**adders, "beteiligte": self._add_party}

    def seed(self, document: Mapping[str, Any]) -> dict[str, int]:
        """Add rows to those that are there; returns how many of each table.

        `document` has lists under `mitarbeiter`, `akten`, `beteiligte` and `termine`; a party has `adressen`,
        `kommunikation` and `bankverbindungen` in it; ids may be given. With `"reset": true` the tables are emptied
        first (switches, clock and tokens stay). Raises ValueError with one sentence.
        """
        known = {"reset", *self._adders}
        if unknown := sorted(set(document) - known):
            raise ValueError(f"The seed has unknown keys {unknown}; known are {sorted(known)}.")
        if document.get("reset"):
            self._store.clear()
        counts: dict[str, int] = {}
        for table, add in self._adders.items():
            rows = document.get(table, [])
            if not isinstance(rows, list):
                raise ValueError(f"{table} must be a list.")
            for row in rows:
                with _refusals_as_value_errors():
                    add(row)
            counts[table] = len(rows)
        return counts

    def edit(self, edits: Any) -> list[Any]:
        """One edit or a list; returns the rows after it, None for a deleted one. Raises ValueError.

        `{"table": T, "id": I, "set": {...}}` changes fields of a row, `{"table": T, "set": {...}}` adds one,
        `{"table": T, "id": I, "delete": true}` removes one. The rows below a party need `betNr` too. Unlike the API
        a user changes every field, deletes, and leaves the fields alone that are not in `set`.
        """
        return [self._edit(item) for item in (edits if isinstance(edits, list) else [edits])]

    def _edit(self, item: Any) -> Row | None:
        if not isinstance(item, dict) or set(item) - _EDIT_KEYS:
            raise ValueError(f"An edit is an object with some of {sorted(_EDIT_KEYS)}.")
        table, row_id, given = str(item.get("table")), item.get("id"), item.get("set", {})
        party = self._party(item.get("betNr")) if table in SUB_FORMS else None
        if row_id is None and not item.get("delete"):
            with _refusals_as_value_errors():
                return self._add(table, party, given)
        rows: dict[Any, Any] = party.rows(table) if party is not None else self._rows(table)
        if row_id not in rows:
            raise ValueError(f"There is no row {row_id!r} in {table}.")
        if item.get("delete"):
            del rows[row_id]
            return None
        found = rows[row_id]
        row: Row = found.row if isinstance(found, Beteiligter) else found
        with _refusals_as_value_errors():
            self._change(table, row, given)
        return dict(row)

    def _add(self, table: str, party: Beteiligter | None, given: Row) -> Row:
        if party is not None:
            return dict(self._beteiligte.add_row(party, table, given))
        self._rows(table)
        return dict(self._adders[table](given))

    def _change(self, table: str, row: Row, given: Mapping[str, Any]) -> None:
        if unknown := sorted(set(given) - set(row)):
            raise ValueError(f"A row of {table} has no fields {unknown}; it has {sorted(row)}.")
        form = PARTEI if table == "beteiligte" else SUB_FORMS.get(table)
        for name, value in given.items():
            typed = form is not None and name in form.fields
            row[name] = stored_value(name, value, self._store.switches) if typed else value
        # A test may set rowId itself, such as one that comes back.
        if "rowId" not in given:
            self._store.touch(row)

    def _rows(self, table: str) -> dict[Any, Any]:
        if table not in self._adders:
            raise ValueError(
                f"There is no table {table!r}; choose from {sorted([*self._adders, *SUB_FORMS])}."
            )
        rows: dict[Any, Any] = getattr(self._store, table)
        return rows

    def _party(self, betnr: Any) -> Beteiligter:
        party = self._store.beteiligte.get(betnr)
        if party is None:
            raise ValueError(f"There is no party {betnr!r}.")
        return party

    def _add_party(self, given: Row) -> Row:
        party = self._beteiligte.add(given, given.get("betNr"))
        for name in SUB_FORMS:
            for row in given.get(name, []):
                self._beteiligte.add_row(party, name, row, row.get("id"))
        return party.row


@contextlib.contextmanager
def _refusals_as_value_errors() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        payload = refusal.answer.payload
        raise ValueError(payload["Message"] if isinstance(payload, dict) else "The row is refused.") from None
