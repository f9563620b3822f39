"""Matters and employees, which the API only reads: `Akten[/{id}]` and `Mitarbeiter`."""

from __future__ import annotations

from collections.abc import Sequence

from bitbylaw_pipeline.sandbox.advoware.exchange import Answer, Refusal, Request, not_allowed, not_found
from bitbylaw_pipeline.sandbox.advoware.row_forms import shown
from bitbylaw_pipeline.sandbox.advoware.store import Row, Store

FIRST_AKTE = 40_001


class Akten:
    """The firm's matters."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, request: Request, rest: Sequence[str]) -> Answer:
        """Answer a request to `Akten`. Raises Refusal."""
        if request.method != "GET":
            raise not_allowed("GET")
        switches = self._store.switches
        match rest:
            case []:
                return Answer([shown(row, switches) for row in self._store.akten.values()])
            case [number] if number.isascii() and number.isdigit() and int(number) in self._store.akten:
                row = shown(self._store.akten[int(number)], switches)
                return Answer([row] if switches.wraps_in_list else row)
            case [_] if switches.unknown_answers_empty:
                raise Refusal(200, [])
            case _:
                raise not_found()

    def seed(self, given: Row) -> Row:
        """A matter; `aktennummer` and `az` are needed, `beteiligte` is a list of `{"betNr", "rolle"}`."""
        if missing := [name for name in ("aktennummer", "az") if not given.get(name)]:
            raise ValueError(f"An Akte needs {missing}.")
        number = given.get("id") or self._store.next_id("akte", FIRST_AKTE, self._store.akten)
        row = {
            "id": number,
            "rowId": "",
            "aktennummer": given["aktennummer"],
            "az": given["az"],
            "kurzrubrum": given.get("kurzrubrum", ""),
            "referat": given.get("referat", ""),
            "beteiligte": list(given.get("beteiligte", [])),
            "geaendertAm": "",
        }
        self._store.touch(row)
        self._store.akten[number] = row
        return row


class Mitarbeiter:
    """The firm's people; the key is the Kürzel, which may hold an umlaut."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, request: Request, rest: Sequence[str]) -> Answer:
        """Answer a request to `Mitarbeiter`. Raises Refusal."""
        if request.method != "GET":
            raise not_allowed("GET")
        if rest:
            raise not_found()
        return Answer(list(self._store.mitarbeiter.values()))

    def seed(self, given: Row) -> Row:
        """An employee."""
        if not given.get("kuerzel"):
            raise ValueError("An employee needs kuerzel.")
        row = {"kuerzel": given["kuerzel"], "name": given.get("name", ""), "aktiv": given.get("aktiv", True)}
        self._store.mitarbeiter[row["kuerzel"]] = row
        return row
