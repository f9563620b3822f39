"""Advoware's Termine through either of its two surfaces, read and written in one neutral form (`facts/advoware.md` 3.1).

Every filtered read is checked against what was asked; a change is GET, overlay, PUT of the whole row, GET.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, NoReturn

from bitbylaw_pipeline.clients import advoware_parsing as parsing
from bitbylaw_pipeline.clients.advoware_connection import Connection
from bitbylaw_pipeline.clients.advoware_records import Records
from bitbylaw_pipeline.clients.advoware_surface import Resource
from bitbylaw_pipeline.clients.advoware_termin_filter import checked
from bitbylaw_pipeline.clients.advoware_termin_forms import Surface, form_of, utc_text
from bitbylaw_pipeline.clients.advoware_termin_rows import (
    EVERYBODY,
    Termin,
    TerminPatch,
    differing,
    is_everybody,
    overlaid,
    termin,
    wire_values,
)
from bitbylaw_pipeline.clients.advoware_termin_times import stored_form
from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, Permanent, Unexpected, reading_back
from bitbylaw_pipeline.domain.termin_times import TerminTimes


class Termine:
    """The Termine of all employees, over the connection of an `Advoware` client. Raises `domain.errors`.

    `keeps_fold`: the ActiveSync surface keeps the two equal hours of a night in autumn apart (not known; a wall time,
    the likelier way to keep them, cannot). `editor` is written as `Sb` of a new Termin. `clock`: UTC epoch seconds.
    """

    def __init__(
        self,
        connection: Connection,
        surface: Surface,
        *,
        keeps_fold: bool = False,
        editor: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.connection = connection
        self.surface = surface
        self._form = form_of(surface, keeps_fold=keeps_fold)
        self._row = Resource(self._form.name("frNr"), {}, frozenset())
        self._editor = editor
        self._clock = clock

    @property
    def keeps_fold(self) -> bool:
        """Whether the two equal hours of a night in autumn are kept apart."""
        return self._form.keeps_fold

    def stored_form(self, times: TerminTimes) -> TerminTimes:
        """What is read again after `times` were written to this surface."""
        return stored_form(times, keeps_fold=self._form.keeps_fold)

    async def list_for(self, kuerzel: str, first_day: date, last_day: date) -> list[Termin]:
        """The Termine of one employee ("Allgemein": of nobody and everybody) in these days, both included.

        With what Advoware makes up (`is_synthetic`), private ones and unreadable ones; each Termin once. Raises
        FilterIgnored where rows are of another Kürzel or window: then nothing at all is known.
        """
        if last_day < first_day:
            raise ValueError("The last day of a window cannot lie before its first.")
        asked = EVERYBODY if is_everybody(kuerzel) else kuerzel
        query = [("from", first_day.isoformat()), ("to", last_day.isoformat()), ("kuerzel", asked)]
        try:
            answer = await self._call("GET", "list_termine", query=query)
        except NotFound as error:
            raise Unexpected(
                f"advoware has no {self._form.path} here; check ADVOWARE_PATH_PREFIX and the addresses.",
                system="advoware",
                status=error.status,
            ) from None
        if answer.data is None:
            # Nothing at all is not "none": an empty body would read as if every Termin had been deleted.
            raise answer.nonsense("no list")
        rows = parsing.rows_of(answer, self._row.id)
        return checked([self._read(answer, row) for row in rows], kuerzel, first_day, last_day)

    async def get(self, fr_nr: int) -> Termin | None:
        """One Termin, None if there is none. Raises Unexpected where another one or several came."""
        _check_number(fr_nr)
        try:
            answer = await self._call("GET", "get_termin", fr_nr)
        except NotFound:
            await self._check_prefix()
            return None
        row = parsing.one_of(answer, self._row, fr_nr)
        return None if row is None else self._read(answer, row)

    async def create(self, fields: TerminPatch) -> int:
        """A new Termin; gives its number. `times` and `owners` must be among the fields.

        Raises OutcomeUnknown where it may have been made without our learning its number: look for it, never repeat.
        """
        if "times" not in fields or "owners" not in fields:
            raise ValueError("A new Termin needs times and owners.")
        values = wire_values(fields, self._form)
        if self._editor:
            values[self._form.name("sb")] = self._editor
        answer = await self._call("POST", "create_termin", value=self._stamped(values))
        return parsing.new_id(answer, self._row)

    async def change(
        self,
        fr_nr: int,
        patch: TerminPatch,
        expected: TerminPatch | None = None,
        *,
        check: Callable[[Termin], None] = lambda _: None,
    ) -> Termin:
        """Changes the fields of `patch` and gives the Termin as it then is; writes nothing where they are so already.

        `check` is shown the Termin right before, and raises where it is not to be written.

        Everything else goes back as it was sent. Raises NotFound, Conflict (with the present values) if a field of
        `expected` differs, Permanent("series") for other times of a series, Permanent("no_owner") for no owner.
        """
        present = await self._there(fr_nr)
        check(present)
        other = differing(present, expected or TerminPatch(), self._form)
        if other:
            raise Conflict(
                f"advoware has other values by now in {', '.join(sorted(other))}; nothing was written.",
                system="advoware",
                current={name: getattr(present, name) for name in expected or ()},
            )
        todo = differing(present, patch, self._form)
        if not todo:
            return present
        if "times" in todo and present.series is not None:
            # One occurrence is what `times` says; its series has a last day and an interval beside it.
            raise Permanent(
                "The times of a series cannot be changed here; nothing was written.",
                system="advoware",
                reason="series",
            )
        whole = overlaid(present, wire_values(todo, self._form), self._form)
        try:
            await self._call("PUT", "change_termin", fr_nr, value=self._stamped(whole))
        except NotFound:
            await self._check_prefix()
            raise
        with reading_back(f"The Termin {fr_nr}"):
            after = await self.get(fr_nr)
        return after or self._gone(fr_nr)

    async def delete(self, fr_nr: int) -> bool:
        """Deletes it for all its employees; False if it was gone already. To take one off it, change its owners.

        The transport repeats a DELETE whose connection was closed, so False may also be said of our own first try.
        """
        _check_number(fr_nr)
        try:
            answer = await self._call("DELETE", "delete_termin", fr_nr)
        except NotFound:
            await self._check_prefix()
            return False
        return bool(answer.data != [])

    async def _there(self, fr_nr: int) -> Termin:
        return await self.get(fr_nr) or self._gone(fr_nr)

    def _gone(self, fr_nr: int) -> NoReturn:
        raise NotFound(f"advoware knows no Termin {fr_nr}.", system="advoware")

    async def _call(
        self,
        method: str,
        operation: str,
        fr_nr: int | None = None,
        *,
        query: Sequence[tuple[str, str]] = (),
        value: Any = None,
    ) -> Answer:
        # `frnr` in lower case: with any other spelling the filter is ignored, and a list is whole.
        return await self.connection.call(
            method,
            (self._form.path,),
            operation=operation,
            subject=self._form.path if fr_nr is None else f"{self._form.path}/{fr_nr}",
            query=query if fr_nr is None else [("frnr", str(fr_nr))],
            value=value,
            creates=method == "POST",
        )

    async def _check_prefix(self) -> None:
        # With a wrong prefix every Termin is a 404. Only where something has answered below it is one really missing.
        if not self.connection.has_answered:
            await Records(self.connection).probe()

    def _read(self, answer: Answer, row: dict[str, Any]) -> Termin:
        found = termin(row, self._form)
        if found is None:
            raise answer.nonsense(f"a row whose {self._row.id} is no number")
        return found

    def _stamped(self, values: dict[str, Any]) -> dict[str, Any]:
        # The vendor's own client sends the moment of its change. Were the old one kept, phones would not see ours.
        if not self._form.stamps_changes:
            return values
        now = datetime.fromtimestamp(self._clock(), UTC)
        return {**values, self._form.name("zuletztGeaendertAm"): utc_text(now)}


def _check_number(fr_nr: int) -> None:
    if fr_nr <= 0:
        raise ValueError(
            "A Termin without a positive number is made up by Advoware: it is neither asked for nor changed."
        )
