"""Parties with what hangs on them: read checked against what was asked for, changed as GET, overlay, PUT, GET.

Advoware has no precondition: a change names the values it was planned against, and they are compared right before
the write (`facts/two_way_sync.md` 1.2 rule 3). Between that read and the write another writer can still come through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from bitbylaw_pipeline.clients import advoware_parsing as parsing
from bitbylaw_pipeline.clients import advoware_surface as surface
from bitbylaw_pipeline.clients.advoware_connection import Connection
from bitbylaw_pipeline.clients.advoware_overlay import check, differs, overlaid
from bitbylaw_pipeline.clients.advoware_rows import Adresse, Bankverbindung, Kommunikation, Partei, Row, Value
from bitbylaw_pipeline.clients.advoware_surface import Resource
from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.domain.errors import (
    NotFound,
    Permanent,
    Unexpected,
    reading_back,
)

_T = TypeVar("_T")
_R = TypeVar("_R", bound=Row)


class Records:
    """Beteiligte, Adressen, Kommunikation, Bankverbindungen. Field names are those of the dataclasses."""

    def __init__(self, connection: Connection, *, lists_beteiligte: bool = True) -> None:
        self.connection = connection
        self.lists_beteiligte = lists_beteiligte

    async def list_beteiligte(self) -> list[Partei]:
        """All parties. Raises Permanent("no_list") where Advoware does not list them: read them one by one then."""
        if not self.lists_beteiligte:
            raise _no_list()
        try:
            answer = await self._get(surface.BETEILIGTE, operation="list_beteiligte")
        except NotFound:
            await self._check_prefix()
            raise _no_list() from None
        return [parsing.partei(answer, row) for row in parsing.rows_of(answer, surface.PARTEI.id)]

    async def beteiligter(self, betnr: int) -> Partei:
        """One party with its addresses, numbers and accounts, wherever Advoware keeps them. Raises NotFound."""
        found = await self._partei(betnr)
        missing: dict[str, Awaitable[Any]] = {}
        if found.adressen is None:
            missing["adressen"] = self.adressen(betnr)
        if found.kommunikation is None:
            missing["kommunikation"] = self.kommunikation(betnr)
        if found.bankverbindungen is None:
            missing["bankverbindungen"] = self.bankverbindungen(betnr)
        lists = await asyncio.gather(*missing.values())
        return replace(found, **dict(zip(missing, lists, strict=True)))

    async def create_beteiligter(self, fields: Mapping[str, Value]) -> int:
        """A new party with these fields; gives its betNr. Raises OutcomeUnknown unless Advoware said it."""
        values = parsing.wire_fields(surface.PARTEI, fields, surface.PARTEI.fields)
        answer = await self._post((surface.BETEILIGTE,), values, "create_beteiligter")
        return parsing.new_id(answer, surface.PARTEI)

    async def change_beteiligter(
        self, betnr: int, patch: Mapping[str, Value], expected: Mapping[str, Value]
    ) -> Partei:
        """Changes the fields of `patch` and gives the party as it then is; writes nothing where they are so already.

        Raises Conflict (with the present values) if a field of `expected` differs, Permanent("read_only") for a
        field that Advoware would ignore.
        """
        sent = parsing.wire_fields(surface.PARTEI, patch, surface.PARTEI.changeable)
        present = await self._partei(betnr)
        check(present, expected, surface.PARTEI)
        if not differs(present, patch):
            return await self.beteiligter(betnr)
        path = (surface.BETEILIGTE, str(betnr))
        await self._put(path, overlaid(present, sent, surface.PARTEI), "change_beteiligter")
        with reading_back(f"The party {betnr}"):
            return await self.beteiligter(betnr)

    async def adressen(self, betnr: int) -> tuple[Adresse, ...]:
        """A party's addresses."""
        return await self._below(betnr, surface.ADRESSEN, surface.ADRESSE, parsing.adresse)

    async def create_adresse(self, betnr: int, fields: Mapping[str, Value]) -> Adresse:
        """A new address of the party, as Advoware then has it; all fields can be set here."""
        return await self._create_below(betnr, surface.ADRESSEN, surface.ADRESSE, fields, self.adressen)

    async def change_adresse(
        self, betnr: int, adress_id: int, patch: Mapping[str, Value], expected: Mapping[str, Value]
    ) -> Adresse:
        """As `change_beteiligter`, for an address; only street, PLZ, town and `anschrift` can be changed."""
        return await self._change_below(
            betnr, adress_id, surface.ADRESSEN, surface.ADRESSE, patch, expected, self.adressen
        )

    async def kommunikation(self, betnr: int) -> tuple[Kommunikation, ...]:
        """A party's numbers and mail addresses, empty slots included."""
        return await self._below(
            betnr, surface.KOMMUNIKATION, surface.KOMMUNIKATION_ROW, parsing.kommunikation
        )

    async def create_kommunikation(
        self, betnr: int, value: str, kind: str, bemerkung: str = ""
    ) -> Kommunikation:
        """A new number or mail address; `kind` is "phone", "mobile", "fax" or "mail"."""
        if kind not in surface.KOMM_KZ:
            raise Permanent("There is no such kind of number.", system="advoware", reason="bad_name")
        fields: dict[str, Value] = {
            "tlf": value,
            "bemerkung": bemerkung,
            "komm_kz": surface.KOMM_KZ[kind],
        }
        return await self._create_below(
            betnr, surface.KOMMUNIKATION, surface.KOMMUNIKATION_ROW, fields, self.kommunikation
        )

    async def change_kommunikation(
        self, betnr: int, kommunikation_id: int, tlf: str, *, expected_tlf: str | None = None
    ) -> Kommunikation:
        """Puts another value into the row; "" makes it an empty slot. `expected_tlf`: what it must hold now."""
        expected: dict[str, Value] = {} if expected_tlf is None else {"tlf": expected_tlf}
        return await self._change_below(
            betnr, kommunikation_id, surface.KOMMUNIKATION, surface.KOMMUNIKATION_ROW,
            {"tlf": tlf}, expected, self.kommunikation,
        )  # fmt: skip

    async def bankverbindungen(self, betnr: int) -> tuple[Bankverbindung, ...]:
        """A party's bank accounts."""
        return await self._below(
            betnr, surface.BANKVERBINDUNGEN, surface.BANKVERBINDUNG, parsing.bankverbindung
        )

    async def create_bankverbindung(self, betnr: int, fields: Mapping[str, Value]) -> Bankverbindung:
        """A new bank account. Advoware has no way to change or remove one."""
        return await self._create_below(
            betnr, surface.BANKVERBINDUNGEN, surface.BANKVERBINDUNG, fields, self.bankverbindungen
        )

    async def probe(self) -> None:
        """One short read that any working Advoware answers; raises what the client raises."""
        await self._list(surface.PROBE, operation="probe")

    async def _list(self, path: str, *, operation: str) -> Answer:
        """A list that every Advoware has: its 404 is no missing record, but a wrong address."""
        try:
            return await self._get(path, operation=operation)
        except NotFound as error:
            raise Unexpected(
                f"advoware has no {path} here; check ADVOWARE_PATH_PREFIX and the addresses ({operation}, 404).",
                system="advoware",
                status=error.status,
            ) from None

    async def _partei(self, betnr: int) -> Partei:
        answer, row = await self._one((surface.BETEILIGTE, str(betnr)), surface.PARTEI, betnr, "beteiligter")
        return parsing.partei(answer, row)

    async def _one(
        self, path: tuple[str, ...], resource: Resource, wanted: int, operation: str
    ) -> tuple[Answer, dict[str, Any]]:
        try:
            answer = await self._get(*path, operation=operation)
        except NotFound:
            await self._check_prefix()
            raise
        row = parsing.one_of(answer, resource, wanted)
        if row is None:
            raise NotFound(
                f"advoware knows no such record ({answer.call}, {answer.status}).",
                system="advoware",
                status=answer.status,
            )
        return answer, row

    async def _check_prefix(self) -> None:
        # With a wrong prefix every record is a 404. Only where something has answered below it is one really missing.
        if not self.connection.has_answered:
            await self.probe()

    async def _below(
        self, betnr: int, path: str, resource: Resource, parse: Callable[[Answer, Mapping[str, Any]], _T]
    ) -> tuple[_T, ...]:
        try:
            answer = await self._get(surface.BETEILIGTE, str(betnr), path, operation=path.lower())
        except NotFound:
            await self._check_prefix()
            raise
        return tuple(parse(answer, row) for row in parsing.rows_below(answer, resource, betnr))

    async def _create_below(
        self,
        betnr: int,
        path: str,
        resource: Resource,
        fields: Mapping[str, Value],
        read: Callable[[int], Awaitable[tuple[_R, ...]]],
    ) -> _R:
        values = parsing.wire_fields(resource, fields, resource.fields)
        answer = await self._post((surface.BETEILIGTE, str(betnr), path), values, f"create_{path.lower()}")
        created = parsing.new_id(answer, resource)
        with reading_back(f"The row {created} of party {betnr}"):
            rows = await read(betnr)
        found = _by_id(rows, created)
        if found is None:
            raise answer.nonsense("an id that is not in the list then")
        return found

    async def _change_below(
        self,
        betnr: int,
        row_id: int,
        path: str,
        resource: Resource,
        patch: Mapping[str, Value],
        expected: Mapping[str, Value],
        read: Callable[[int], Awaitable[tuple[_R, ...]]],
    ) -> _R:
        sent = parsing.wire_fields(resource, patch, resource.changeable)
        present = _there(_by_id(await read(betnr), row_id), path)
        check(present, expected, resource)
        if not differs(present, patch):
            return present
        segments = (surface.BETEILIGTE, str(betnr), path, str(row_id))
        await self._put(segments, overlaid(present, sent, resource), f"change_{path.lower()}")
        with reading_back(f"The row {row_id} of party {betnr}"):
            return _there(_by_id(await read(betnr), row_id), path)

    async def _get(self, *path: str, operation: str) -> Answer:
        return await self.connection.call("GET", path, operation=operation, subject="/".join(path))

    async def _post(self, path: tuple[str, ...], values: dict[str, Any], operation: str) -> Answer:
        return await self.connection.call(
            "POST", path, operation=operation, subject="/".join(path), value=values, creates=True
        )

    async def _put(self, path: tuple[str, ...], values: dict[str, Any], operation: str) -> None:
        await self.connection.call("PUT", path, operation=operation, subject="/".join(path), value=values)


def _no_list() -> Permanent:
    return Permanent(
        "advoware does not list parties: set ADVOWARE_LISTS_BETEILIGTE=false.",
        system="advoware",
        reason="no_list",
    )


def _by_id(rows: tuple[_R, ...], wanted: int) -> _R | None:
    return next((row for row in rows if getattr(row, "id", None) == wanted), None)


def _there(row: _R | None, path: str) -> _R:
    if row is None:
        raise NotFound(f"advoware knows no such row of {path}.", system="advoware")
    return row
