"""Advoware's parties as the right side of the pair `beteiligte`: the party, its main address, its numbers and mails.

Advoware keeps these as rows of their own; people see one party. A write of several parts is several calls: what of it
has landed is found by comparing fields, and what has not is simply still to be done (docs/adr/0010).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_rows import Adresse, Kommunikation, Partei, Row
from bitbylaw_pipeline.clients.advoware_surface import ADRESSE, KOMM_KZ, PARTEI
from bitbylaw_pipeline.domain.equivalence import canonical, chain
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, reading_back
from bitbylaw_pipeline.domain.three_way import Fields
from bitbylaw_pipeline.domain.two_way_link import Capabilities, Observation, Record, Settled
from bitbylaw_pipeline.sync.two_way_adapter import Taken

ADDRESS_FIELDS = ("strasse", "plz", "ort", "land")
_SAME = {"phones": chain("phone"), "emails": chain("trim|lower")}
_MOBILE = ("+4915", "+4916", "+4917")


class PartyList:
    """Advoware's list of parties, asked for once: a pass over parties and accounts needs it twice."""

    def __init__(self, advoware: Advoware) -> None:
        self._advoware = advoware
        self._found: list[Partei] | None = None

    async def read(self) -> list[Partei]:
        """All parties with all that belongs to them. Raises Permanent("no_list") where Advoware lists none."""
        if self._found is None:
            self._found = [await self._whole(party) for party in await self._advoware.list_beteiligte()]
        return self._found

    async def _whole(self, party: Partei) -> Partei:
        parts = (party.adressen, party.kommunikation, party.bankverbindungen)
        return await self._advoware.beteiligter(party.betnr) if None in parts else party


class AdvowareBeteiligteSide:
    """Parties by betNr. Without a list (`facts/advoware.md` 6) an observation is never complete."""

    def __init__(
        self,
        advoware: Advoware,
        parties: PartyList,
        *,
        wants: Callable[[], Awaitable[Iterable[str]]] | None = None,
    ) -> None:
        """`wants` gives the parties to read one by one where Advoware lists none, asked for at each observation."""
        self._advoware = advoware
        self._parties = parties
        self._wants = wants
        self.capabilities = Capabilities(delete=PARTEI.can_delete, create_fields=frozenset(PARTEI.fields))

    @property
    def system(self) -> str:
        """Advoware."""
        return "advoware"

    def put(self, field: str, value: Any) -> Any:
        """Advoware's coercions are not known: what it really keeps is read after each write."""
        if field in _SAME and isinstance(value, (list, tuple)):
            return [one for one in value if _identity(field, one) is not None] or None
        return value

    async def observe(self, known: Mapping[str, Settled]) -> Observation:
        """One list call; where there is none, the wanted parties one by one."""
        if not self._advoware.lists_beteiligte:
            return await self._observe_wanted()
        found = await self._parties.read()
        items = {str(one.betnr): _record(one) for one in found}
        return Observation(items, complete=len(items) == len(found))

    async def get(self, record_id: str) -> Record | None:
        """The party with all that belongs to it."""
        try:
            return _record(await self._advoware.beteiligter(int(record_id)))
        except NotFound:
            return None

    async def find_by_key(self, key: str) -> Taken | None:
        """Never asked for: a party has no free field (`facts/advoware.md` 3.2)."""
        raise NotImplementedError

    async def create(self, key: str, fields: Fields, nonce: str, origin: Record) -> Record | Taken:
        """The party alone; address and numbers follow as an update, each in its own call."""
        betnr = await self._advoware.create_beteiligter(fields)
        with reading_back(f"The party {betnr}"):
            return _record(await self._advoware.beteiligter(betnr))

    async def update(self, expected: Record, patch: Fields, nonce: str) -> Record:
        """Compares all that is mapped with what was planned on, then writes part by part."""
        betnr = int(expected.id)
        present = await self._advoware.beteiligter(betnr)
        now = _record(present)
        if now.fields != expected.fields:
            moved = sorted(name for name in now.fields if now.fields[name] != expected.fields.get(name))
            raise Conflict(
                f"Advoware holds other values than this change was planned on (party {betnr}: {', '.join(moved)}).",
                system="advoware",
            )
        own = {name: value for name, value in patch.items() if name in PARTEI.fields}
        if own:
            await self._advoware.change_beteiligter(betnr, own, {name: now.fields[name] for name in own})
        place = {name: value for name, value in patch.items() if name in ADDRESS_FIELDS}
        if place:
            await self._write_address(present, place, expected)
        for name in ("phones", "emails"):
            if name in patch:
                await self._write_numbers(present, name, patch[name] or [])
        with reading_back(f"The party {betnr}"):
            return _record(await self._advoware.beteiligter(betnr))

    async def delete(self, expected: Record) -> None:
        """Never asked for: the capabilities say so."""
        raise NotImplementedError

    async def link_back(self, record: Record, partner: Record) -> None:
        """Nothing: a party has no field for EspoCRM's id."""

    async def _observe_wanted(self) -> Observation:
        items: dict[str, Record] = {}
        gone = set()
        for betnr in dict.fromkeys(await self._wants() if self._wants else ()):
            record = await self.get(betnr)
            if record is None:
                gone.add(betnr)
            else:
                items[betnr] = record
        return Observation(items, frozenset(gone), complete=False, covers=lambda _: False, is_pointwise=True)

    async def _write_address(self, party: Partei, patch: Fields, expected: Record) -> None:
        address = main_address(party)
        if address is not None:
            before = {name: getattr(address, name) for name in patch}
            await self._advoware.change_adresse(party.betnr, address.id, patch, before)
            return
        # All of it can be set now and never again (`facts/advoware.md` 3.3).
        fields = {name: expected.fields.get(name) for name in ADDRESS_FIELDS} | dict(patch)
        await self._advoware.create_adresse(party.betnr, {**fields, "standard_anschrift": True})

    async def _write_numbers(self, party: Partei, name: str, wanted: Sequence[str]) -> None:
        """What is no longer wanted makes room for what is new; Advoware cannot delete a row."""
        rows = _rows(party, name)
        keep = {_identity(name, value) for value in wanted}
        there = {_identity(name, str(row.tlf)) for row in rows}
        leaving = [row for row in rows if _identity(name, str(row.tlf)) not in keep]
        coming = [value for value in wanted if _identity(name, value) not in there]
        room = [*leaving, *_empty_slots(party, name)]
        for value in coming:
            if room:
                row = room.pop(0)
                leaving = [one for one in leaving if one.id != row.id]
                await self._advoware.change_kommunikation(
                    party.betnr, row.id, value, expected_tlf=row.tlf or ""
                )
            else:
                await self._advoware.create_kommunikation(party.betnr, value, _kind(name, value))
        for row in leaving:
            await self._advoware.change_kommunikation(party.betnr, row.id, "", expected_tlf=row.tlf)


def main_address(party: Partei) -> Adresse | None:
    """The address that letters go to: the one marked so, else the first."""
    found = sorted(
        party.adressen or (),
        key=lambda one: (one.standard_anschrift is not True, one.reihenfolge_index or 0, one.id),
    )
    return found[0] if found else None


def _record(party: Partei) -> Record:
    address = main_address(party)
    fields: dict[str, Any] = {name: party.known[name] for name in PARTEI.fields if name in party.known}
    fields |= {name: getattr(address, name) if address else None for name in ADDRESS_FIELDS}
    for name in _SAME:
        fields[name] = [str(row.tlf) for row in _rows(party, name)] or None
    never = frozenset(ADDRESS_FIELDS) - ADRESSE.changeable if address else frozenset()
    return Record(id=str(party.betnr), fields=fields, version=_version(party), readonly_fields=never)


def _rows(party: Partei, name: str) -> list[Kommunikation]:
    is_mail = name == "emails"
    # "siehe Akte" is no number: it is not known elsewhere, and must not be taken for one that nobody wants any more.
    return [
        row
        for row in party.kommunikation or ()
        if row.tlf and row.is_mail is is_mail and _identity(name, row.tlf) is not None
    ]


def _empty_slots(party: Partei, name: str) -> list[Kommunikation]:
    codes = {KOMM_KZ["mail"]} if name == "emails" else set(KOMM_KZ.values()) - {KOMM_KZ["mail"]}
    return [row for row in party.kommunikation or () if not row.tlf and row.komm_kz in codes]


def _identity(name: str, value: str) -> Any:
    return canonical(value, _SAME[name])


def _kind(name: str, value: str) -> str:
    if name == "emails":
        return "mail"
    return "mobile" if _identity(name, value).startswith(_MOBILE) else "phone"


def _version(party: Partei) -> str:
    """Changes with each change of the party or of a row below it, which leaves the party's own rowId alone."""
    rows: list[Row] = [party, *(party.adressen or ()), *(party.kommunikation or ())]
    return hashlib.sha256("\n".join(str(row.row_id) for row in rows).encode()).hexdigest()[:32]
