"""The bank accounts of the firm's parties in EspoCRM, in the words that Advoware's side uses too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_field_mapping import FieldMapping, Kind, MappedField, Record, Value
from bitbylaw_pipeline.clients.espocrm_mapped_records import MappedRecords
from bitbylaw_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class BankRecord:
    """A bank account: `fields` are iban, bic, kontoinhaber, bankname; `modified_at` is `YYYY-MM-DD HH:MM:SS` UTC."""

    id: str
    fields: Mapping[str, Value]
    advoware_id: int | None = None
    beteiligte_id: str | None = None
    modified_at: str | None = None
    version: int | None = None
    key: str | None = None


class BankverbindungRecords:
    """Bank accounts by the field names of BANKVERBINDUNG_FIELDS."""

    def __init__(self, espocrm: EspoCrm, settings: Settings) -> None:
        self.espocrm = espocrm
        self._names = names = settings.bankverbindung_fields
        self._beteiligte_id = f"{names.beteiligte}Id"
        wanted = (
            MappedField("iban", names.iban, Kind.CODE),
            MappedField("bic", names.bic, Kind.CODE),
            MappedField("kontoinhaber", names.kontoinhaber),
            MappedField("bankname", names.bankname),
        )
        plain = (names.advoware_id, self._beteiligte_id, names.key_field)
        self._records = MappedRecords(espocrm, names.entity_type, wanted, plain)

    async def mapping(self) -> FieldMapping:
        """What of our fields this server has, which of them are read-only, and what it would keep of a value."""
        return await self._records.mapping()

    async def mapped_fields(self) -> frozenset[str]:
        """Our names of the fields that this server has."""
        return frozenset((await self.mapping()).fields)

    async def has_key_field(self) -> bool:
        """True if this server has the field that a new record's create key goes into."""
        return await self._records.has(self._names.key_field)

    async def has_id_field(self) -> bool:
        """True if this server has the field for the account's id at Advoware."""
        return await self._records.has(self._names.advoware_id)

    async def may_read_all(self) -> bool:
        """True if our role shows every account; asked before anything is inferred from absence."""
        return await self._records.may_read_all()

    async def list_bankverbindungen(self) -> list[BankRecord]:
        """Every account that our role shows, in the order of ids."""
        mapping, select = await self.mapping(), await self._records.select()
        return [
            self._bankverbindung(row, mapping)
            async for rows in self.espocrm.iterate_records(self._names.entity_type, select=select)
            for row in rows
        ]

    async def bankverbindung(self, record_id: str) -> BankRecord:
        """One account; NotFound only where our role would show it, else Permanent("no_access")."""
        record = await self._records.record(record_id)
        return self._bankverbindung(record, await self.mapping())

    async def change_bankverbindung(
        self, record_id: str, patch: Mapping[str, Value], expected: Mapping[str, Value]
    ) -> BankRecord:
        """Sets `patch` if the account still holds `expected`, and returns it as read again; Conflict if it does not.

        One PUT of what differs, none where nothing does: an IBAN with and without blanks is the same.
        """
        record = await self._records.change(record_id, patch, expected)
        return self._bankverbindung(record, await self.mapping())

    async def create_bankverbindung(
        self, beteiligte_id: str, fields: Mapping[str, Value], key: str | None = None
    ) -> str:
        """A new account's id, linked to its party; `key` goes into the key field where the server has one.

        Raises OutcomeUnknown where it may exist now (look it up with `find_by_key`), Conflict with `duplicates`,
        Permanent("related_missing") if there is no such party.
        """
        values = (await self.mapping()).for_create(fields)
        iban = str(values.get(self._names.iban) or "")
        shown = re.sub(r"[<>=]", " ", f"{values.get(self._names.bankname) or 'Konto'} {iban[-4:]}")
        values |= {self._names.name: shown.strip(), self._beteiligte_id: beteiligte_id}
        if key and await self._records.has(self._names.key_field):
            values[self._names.key_field] = key
        return await self._records.create(values)

    async def set_advoware_id(self, record_id: str, advoware_id: int | None) -> None:
        """Notes the account's id at Advoware; nothing is written where it is noted already."""
        await self._records.set_plain(record_id, {self._names.advoware_id: advoware_id})

    async def find_by_key(self, key: str) -> str | None:
        """The id of the account that was created under this key; None also where the server has no key field."""
        return await self._records.find(self._names.key_field, key)

    def url(self, record_id: str) -> str:
        """Where a person sees the account in EspoCRM."""
        return self.espocrm.record_url(self._names.entity_type, record_id)

    def _bankverbindung(self, record: Record, mapping: FieldMapping) -> BankRecord:
        names, version = self._names, record.get("versionNumber")
        return BankRecord(
            id=record["id"],
            fields=mapping.read(record),
            # EspoCRM makes 0 of an empty number (`facts/espocrm.md` 4).
            advoware_id=record.get(names.advoware_id) or None,
            beteiligte_id=record.get(self._beteiligte_id) or None,
            modified_at=record.get("modifiedAt"),
            version=version if isinstance(version, int) else None,
            key=record.get(names.key_field) or None,
        )
