"""Parties and what hangs from them: `Beteiligte[/{betNr}[/Adressen|Kommunikation|Bankverbindungen[/{id}]]]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bitbylaw_pipeline.sandbox.advoware.exchange import Answer, Refusal, Request, not_allowed, not_found
from bitbylaw_pipeline.sandbox.advoware.row_forms import (
    PARTEI,
    SUB_FORMS,
    new_row,
    replace_row,
    shown,
)
from bitbylaw_pipeline.sandbox.advoware.store import FIRST_BETNR, Beteiligter, Row, Store

_SUB_PATHS = {
    "Adressen": "adressen",
    "Kommunikation": "kommunikation",
    "Bankverbindungen": "bankverbindungen",
}


class Beteiligte:
    """The routes below `Beteiligte`. A change of a row gives that row a new rowId, never the party it hangs from."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, request: Request, rest: Sequence[str]) -> Answer:
        """Answer a request; `rest` is the path behind `Beteiligte`. Raises Refusal."""
        match rest:
            case []:
                return self._all(request)
            case [number]:
                return self._one(request, number)
            case [number, sub_path] if sub_path in _SUB_PATHS:
                return self._rows(request, number, _SUB_PATHS[sub_path])
            case [number, sub_path, row_id] if sub_path in _SUB_PATHS:
                return self._row(request, number, _SUB_PATHS[sub_path], row_id)
            case _:
                raise not_found()

    def shown(self, party: Beteiligter, *, in_list: bool = False) -> Row:
        """A party as it is sent, with or without its rows."""
        switches = self._store.switches
        answer = shown(party.row, switches)
        if switches.embeds is True or (switches.embeds == "single" and not in_list):
            for name in _SUB_PATHS.values():
                answer[name] = [shown(row, switches) for row in party.rows(name).values()]
        return answer

    def add(self, given: dict[str, Any], betnr: int | None = None) -> Beteiligter:
        """A new party. Raises Refusal (400)."""
        store = self._store
        fields = new_row(PARTEI, given, store.switches)
        number = betnr or store.next_id("beteiligter", FIRST_BETNR, store.beteiligte)
        party = Beteiligter({"betNr": number, "rowId": "", "geaendertAm": "", **fields})
        store.touch(party.row)
        store.beteiligte[number] = party
        return party

    def add_row(self, party: Beteiligter, name: str, given: dict[str, Any], row_id: int | None = None) -> Row:
        """A new address, communication or account of a party. Raises Refusal (400)."""
        fields = new_row(SUB_FORMS[name], given, self._store.switches)
        row = {"id": self._store.take_sub_id(row_id), "rowId": "", **fields}
        self._store.touch(row)
        party.rows(name)[row["id"]] = row
        return row

    def _all(self, request: Request) -> Answer:
        match request.method:
            case "GET" if self._store.switches.lists_beteiligte:
                # Whatever filter is asked for: a parameter that is not known is not looked at.
                return Answer([self.shown(party, in_list=True) for party in self._store.beteiligte.values()])
            case "GET":
                raise not_found()
            case "POST":
                party = self.add(request.json_object())
                return self._made(party.row["betNr"], self.shown(party))
            case _:
                raise not_allowed("GET", "POST")

    def _one(self, request: Request, number: str) -> Answer:
        party = self._find(number)
        if request.method == "PUT":
            # Contact data in the body is not looked at: it has its own routes.
            changed = replace_row(PARTEI, party.row, request.json_object(), self._store.switches)
            self._touch(party.row, changed=changed)
        elif request.method != "GET":
            raise not_allowed("GET", "PUT")
        return self._single(self.shown(party))

    def _rows(self, request: Request, number: str, name: str) -> Answer:
        party = self._find(number)
        if request.method == "GET":
            return Answer([shown(row, self._store.switches) for row in party.rows(name).values()])
        if request.method == "POST":
            row = self.add_row(party, name, request.json_object())
            return self._made(row["id"], shown(row, self._store.switches))
        raise not_allowed("GET", "POST")

    def _row(self, request: Request, number: str, name: str, row_id: str) -> Answer:
        form, party = SUB_FORMS[name], self._find(number)
        row = party.rows(name).get(_number(row_id))
        if row is None:
            raise self._unknown()
        if request.method == "DELETE" and form.deleting == 403:
            raise Refusal(403, {"Message": "Access denied."})
        if request.method != "PUT" or not form.put:
            raise not_allowed("PUT") if form.put else not_allowed()
        changed = replace_row(form, row, request.json_object(), self._store.switches)
        self._touch(row, changed=changed)
        return self._single(shown(row, self._store.switches))

    def _find(self, number: str) -> Beteiligter:
        party = self._store.beteiligte.get(_number(number))
        if party is None:
            raise self._unknown()
        return party

    def _unknown(self) -> Refusal:
        return Refusal(200, []) if self._store.switches.unknown_answers_empty else not_found()

    def _touch(self, row: Row, *, changed: bool) -> None:
        if changed or self._store.switches.same_put_new_row:
            self._store.touch(row)

    def _single(self, row: Row) -> Answer:
        return Answer([row] if self._store.switches.wraps_in_list else row)

    def _made(self, number: int, row: Row) -> Answer:
        forms: dict[str, Any] = {"number": number, "object": row, "list": [row]}
        return Answer(forms[self._store.switches.post_answers])


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise not_found()
    return int(text)
