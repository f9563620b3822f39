"""The firm's parties in EspoCRM, in the words that Advoware's side uses too."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_field_mapping import FieldMapping, Kind, MappedField, Record, Value
from bitbylaw_pipeline.clients.espocrm_mapped_records import MappedRecords
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.settings import BeteiligteFieldNames, Settings

_WITHOUT_NAME = "Ohne Namen"
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class EspoBeteiligter:
    """A party. `fields` as in `espocrm_field_mapping`; `modified_at` is `YYYY-MM-DD HH:MM:SS` UTC.

    `key` is the key under which we created it; a copy made by a person carries it as well.
    """

    id: str
    fields: Mapping[str, Value]
    betnr: int | None = None
    row_id: str | None = None
    modified_at: str | None = None
    version: int | None = None
    key: str | None = None


class BeteiligteRecords:
    """Parties by the field names of BETEILIGTE_FIELDS: name, vorname, anrede, titel, rechtsform, geburtsdatum
    (YYYY-MM-DD), register_nummer, register_gericht, strasse, plz, ort, land, phones, emails.
    """

    def __init__(self, espocrm: EspoCrm, settings: Settings) -> None:
        self.espocrm = espocrm
        self._names = settings.beteiligte_fields
        plain = (
            self._names.name,
            self._names.betnr,
            self._names.row_id,
            self._names.last_sync,
            self._names.sync_status,
            self._names.key_field,
        )
        self._records = MappedRecords(
            espocrm, self._names.entity_type, _mapped(self._names), plain, self._names.phone_country
        )

    async def mapping(self) -> FieldMapping:
        """What of our fields this server has, which of them are read-only, and what it would keep of a value."""
        return await self._records.mapping()

    async def mapped_fields(self) -> frozenset[str]:
        """Our names of the fields that this server has."""
        return frozenset((await self.mapping()).fields)

    async def has_key_field(self) -> bool:
        """True if this server has the field that a new record's create key goes into."""
        return await self._records.has(self._names.key_field)

    async def has_betnr_field(self) -> bool:
        """True if this server has the field for the number at Advoware."""
        return await self._records.has(self._names.betnr)

    async def may_read_all(self) -> bool:
        """True if our role shows every party; asked before anything is inferred from absence."""
        return await self._records.may_read_all()

    async def list_beteiligte(
        self, known: Mapping[str, EspoBeteiligter] | None = None, settled_before: str = ""
    ) -> list[EspoBeteiligter]:
        """Every party that our role shows, in the order of ids.

        EspoCRM's lists carry no phones and emails. Without `known` they are absent from `fields`. With `known`
        (parties as read earlier, by id) they come from there where the party has the same modifiedAt and version
        and was modified before `settled_before` (UTC, `YYYY-MM-DD HH:MM:SS`: ten seconds before that earlier
        reading began, as modifiedAt has whole seconds and rows show late); every other party is read by itself.
        """
        primaries = self._primary_attributes(await self.mapping())
        select = await self._records.select(*primaries.values())
        found: list[EspoBeteiligter] = []
        async for rows in self.espocrm.iterate_records(self._names.entity_type, select=select):
            if known is None or not primaries:
                found += [await self._beteiligter(row) for row in rows]
                continue
            whole = await asyncio.gather(
                *(self._completed(row, known.get(row["id"]), settled_before, primaries) for row in rows)
            )
            found += [item for item in whole if item is not None]
        return found

    async def beteiligter(self, record_id: str) -> EspoBeteiligter:
        """One party; NotFound only where our role would show it, else Permanent("no_access")."""
        return await self._beteiligter(await self._records.record(record_id))

    async def change_beteiligter(
        self, record_id: str, patch: Mapping[str, Value], expected: Mapping[str, Value]
    ) -> EspoBeteiligter:
        """Sets `patch` if the party still holds `expected`, and returns it as read again; Conflict if it does not.

        One PUT of what differs, none where nothing does.
        """
        record = await self._records.change(record_id, patch, expected, also=self._new_display_name)
        return await self._beteiligter(record)

    async def create_beteiligter(self, fields: Mapping[str, Value], key: str | None = None) -> str:
        """A new party's id; `key` goes into the key field where the server has one.

        Raises OutcomeUnknown where it may exist now (look it up with `find_by_key`), Conflict with `duplicates`.
        """
        values = (await self.mapping()).for_create(fields)
        shown = display_name(values.get(self._names.nachname), values.get(self._names.vorname))
        values.setdefault(self._names.name, shown)
        if key and await self._records.has(self._names.key_field):
            values[self._names.key_field] = key
        return await self._records.create(values)

    async def set_betnr(
        self,
        record_id: str,
        betnr: int | None,
        row_id: str | None = None,
        *,
        last_sync: str | None = None,
        sync_status: str | None = None,
    ) -> None:
        """Notes the party at Advoware; nothing is written where it is noted already.

        `last_sync` (UTC, `YYYY-MM-DD HH:MM:SS`) goes along with such a write alone: written each time it would
        come back through the change feed each time.
        """
        names = self._names
        wanted: dict[str, Any] = {names.betnr: betnr}
        wanted |= {names.row_id: row_id} if row_id is not None else {}
        wanted |= {names.sync_status: sync_status} if sync_status is not None else {}
        along = {names.last_sync: last_sync} if last_sync is not None else {}
        await self._records.set_plain(record_id, wanted, along)

    async def find_by_key(self, key: str) -> str | None:
        """The id of the party that was created under this key; None also where the server has no key field."""
        return await self._records.find(self._names.key_field, key)

    def url(self, record_id: str) -> str:
        """Where a person sees the party in EspoCRM."""
        return self.espocrm.record_url(self._names.entity_type, record_id)

    async def _completed(
        self,
        row: Record,
        known: EspoBeteiligter | None,
        settled_before: str,
        primaries: Mapping[str, str],
    ) -> EspoBeteiligter | None:
        listed = await self._beteiligter(row)
        if known is not None and _is_unchanged(listed, known, settled_before):
            contacts = {name: known.fields[name] for name in primaries if name in known.fields}
            if all(
                name in contacts and _first(contacts[name]) == _first(row.get(attribute))
                for name, attribute in primaries.items()
            ):
                return replace(listed, fields={**listed.fields, **contacts})
        try:
            return await self.beteiligter(listed.id)
        except NotFound:
            return None  # deleted since the list was read

    async def _beteiligter(self, record: Record) -> EspoBeteiligter:
        names, version = self._names, record.get("versionNumber")
        return EspoBeteiligter(
            id=record["id"],
            fields=(await self.mapping()).read(record),
            # EspoCRM makes 0 of an empty number (`facts/espocrm.md` 4).
            betnr=record.get(names.betnr) or None,
            row_id=record.get(names.row_id) or None,
            modified_at=record.get("modifiedAt"),
            version=version if isinstance(version, int) else None,
            key=record.get(names.key_field) or None,
        )

    def _new_display_name(self, record: Record, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The display name follows the surname, unless a person or a formula has made it another."""
        names = self._names
        parts = (names.nachname, names.vorname)
        if names.name in values or not any(part in values for part in parts):
            return {}
        old, new = (
            display_name(*(source.get(part) for part in parts)) for source in (record, {**record, **values})
        )
        return {names.name: new} if record.get(names.name) == old else {}

    def _primary_attributes(self, mapping: FieldMapping) -> dict[str, str]:
        return {
            name: mapping.fields[name].attribute.removesuffix("Data")
            for name in ("phones", "emails")
            if name in mapping.fields
        }


def display_name(nachname: str | None, vorname: str | None) -> str:
    """`Surname, given name` without the characters that EspoCRM's name field refuses (`facts/espocrm.md` 4)."""
    shown = ", ".join(part.strip() for part in (nachname, vorname) if part and part.strip())
    return re.sub(r"[<>=]", " ", shown).strip()[:_LONGEST_NAME] or _WITHOUT_NAME


def _mapped(names: BeteiligteFieldNames) -> list[MappedField]:
    return [
        MappedField("name", names.nachname),
        MappedField("vorname", names.vorname),
        MappedField("anrede", names.anrede),
        MappedField("titel", names.titel),
        MappedField("rechtsform", names.rechtsform),
        MappedField("geburtsdatum", names.geburtsdatum),
        MappedField("register_nummer", names.register_nummer),
        MappedField("register_gericht", names.register_gericht),
        MappedField("strasse", names.strasse),
        MappedField("plz", names.plz),
        MappedField("ort", names.ort),
        MappedField("land", names.land),
        MappedField("phones", names.phones, Kind.PHONES),
        MappedField("emails", names.emails, Kind.EMAILS),
    ]


def _is_unchanged(listed: EspoBeteiligter, known: EspoBeteiligter, settled_before: str) -> bool:
    return (
        listed.modified_at is not None
        and (listed.modified_at, listed.version) == (known.modified_at, known.version)
        and listed.modified_at < settled_before
    )


def _first(values: Any) -> str | None:
    if isinstance(values, list):
        return values[0] if values else None
    return str(values).strip() or None if values is not None else None
