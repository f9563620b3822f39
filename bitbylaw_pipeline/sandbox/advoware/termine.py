"""The routes of appointments, the same for both surfaces: `Termine` and `TermineActiveSync`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from bitbylaw_pipeline.sandbox.advoware.exchange import (
    Answer,
    Refusal,
    Request,
    bad_request,
    not_allowed,
    not_found,
)
from bitbylaw_pipeline.sandbox.advoware.moments import parse_day
from bitbylaw_pipeline.sandbox.advoware.store import FIRST_FRNR, Row, Store
from bitbylaw_pipeline.sandbox.advoware.termin_forms import ActiveSync, General, TerminForm
from bitbylaw_pipeline.sandbox.advoware.termin_rows import (
    JOURNEYS,
    NOBODY,
    is_in_window,
    owners,
    synthetic_rows,
)


class Termine:
    """Appointments. Query names are lower case (`frnr`, `kuerzel`, `from`, `to`); any other name is not looked at."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._general, self._active_sync = General(), ActiveSync()

    def answer_general(self, request: Request, rest: Sequence[str]) -> Answer:
        """Answer a request to `Termine`; `frnr` filters the list. Raises Refusal."""
        answer = self._answer(request, rest, self._general)
        if request.method == "GET" and isinstance(answer.payload, dict):
            return Answer([answer.payload])
        if request.method == "POST":
            row = self._shown(self._store.termine[answer.payload], self._general)
            forms: dict[str, Any] = {"number": answer.payload, "object": row, "list": [row]}
            return Answer(forms[self._store.switches.post_answers])
        return answer

    def answer_active_sync(self, request: Request, rest: Sequence[str]) -> Answer:
        """Answer a request to `TermineActiveSync`; `frnr` asks for one object. Raises Refusal."""
        return self._answer(request, rest, self._active_sync)

    def seed(self, given: Row) -> Row:
        """A Termin in the general form, with a negative `frNr` if Advoware made it up; `JOURNEYS` in minutes."""
        row = self._add(self._general.read(given), given.get("frNr"))
        row |= {name: int(given.get(name, 0)) for name in JOURNEYS}
        return row

    def _answer(self, request: Request, rest: Sequence[str], form: TerminForm) -> Answer:
        if rest:
            raise not_found()
        match request.method:
            case "POST":
                body = request.json_object()
                row = self._add(self._cut(form.read(body)))
                self._stamp(row, body)
                return Answer(row["frNr"])
            case "GET":
                number = self._parameter(request, "frnr")
                return self._list(request, form) if number is None else self._one(number, form)
            case "PUT":
                row = self._writable(request)
                body = request.json_object()
                row.update(self._cut(form.read(body)))
                self._store.touch(row)
                self._stamp(row, body)
                shown = self._shown(row, form)
                return Answer([shown] if self._store.switches.wraps_in_list else shown)
            case "DELETE":
                del self._store.termine[self._writable(request)["frNr"]]
                return Answer()
            case _:
                raise not_allowed("GET", "POST", "PUT", "DELETE")

    def _add(self, fields: Row, number: int | None = None) -> Row:
        store = self._store
        row = {"frNr": number or store.next_id("termin", FIRST_FRNR, store.termine), **fields}
        row |= dict.fromkeys(JOURNEYS, 0) | {"zuletztGeaendertAm": ""}
        store.touch(row)
        store.termine[row["frNr"]] = row
        return row

    def _cut(self, fields: Row) -> Row:
        limit = self._store.switches.truncate_at
        return fields | {name: fields[name][:limit] for name in ("text", "notiz", "ort") if limit}

    def _stamp(self, row: Row, body: Mapping[str, Any]) -> None:
        sent = body.get("ZuletztGeaendertAm") or body.get("zuletztGeaendertAm")
        if self._store.switches.termin_stamp == "sent" and isinstance(sent, str):
            row["zuletztGeaendertAm"] = sent

    def _list(self, request: Request, form: TerminForm) -> Answer:
        switches = self._store.switches
        try:
            first, last = (parse_day(self._parameter(request, name)) for name in ("from", "to"))
        except ValueError:
            raise bad_request("from and to are dates.") from None
        kuerzel = self._parameter(request, "kuerzel")
        names = None if kuerzel is None else {kuerzel}
        if names and switches.everybody == "included":
            names.add(NOBODY)
        answer = []
        for row in self._in_window(first, last, names):
            shares = [{**row, "anwalt": owner} for owner in owners(row)] if "," in row["anwalt"] else [row]
            wanted = [share for share in shares if names is None or names & set(owners(share))]
            if wanted and switches.shared_termine == "joined":
                wanted = [row]
            answer += [self._shown(share, form) for share in wanted]
        return Answer(answer)

    def _in_window(self, first: date | None, last: date | None, names: set[str] | None) -> Iterator[Row]:
        for row in self._store.termine.values():
            # Before anything dearer: most rows of a firm are somebody else's.
            if names is not None and names.isdisjoint(owners(row)):
                continue
            for found in (row, *synthetic_rows(row)):
                if is_in_window(found, first, last, self._store.switches.window):
                    yield found

    def _one(self, number: str, form: TerminForm) -> Answer:
        # Looked up, not searched: a firm's first pass reads each of its 12,000 Termine by number.
        row = self._store.termine.get(int(number)) if number.lstrip("-").isdecimal() else None
        if row is None:
            made_up = (found for one in self._store.termine.values() for found in synthetic_rows(one))
            row = next((found for found in made_up if str(found["frNr"]) == number), None)
        if row is None:
            raise self._unknown()
        shown = self._shown(row, form)
        return Answer([shown] if self._store.switches.wraps_in_list else shown)

    def _writable(self, request: Request) -> Row:
        number = request.query.get("frnr")
        if number is None:
            raise bad_request("frnr is missing.")
        if number.startswith("-"):
            raise bad_request("This Termin cannot be changed.")
        row = self._store.termine.get(int(number)) if number.isascii() and number.isdigit() else None
        if row is None:
            raise self._unknown()
        return row

    def _shown(self, row: Row, form: TerminForm) -> Row:
        akte = next((one for one in self._store.akten.values() if one["aktennummer"] == row["nr"]), None)
        caption = f"{akte['az']} {akte['kurzrubrum']}" if akte else ""
        return form.shown({**row, "azRubrum": caption}, self._store.switches)

    def _parameter(self, request: Request, name: str) -> str | None:
        return None if name in self._store.switches.ignored_parameters else request.query.get(name)

    def _unknown(self) -> Refusal:
        return Refusal(200, []) if self._store.switches.unknown_answers_empty else not_found()
