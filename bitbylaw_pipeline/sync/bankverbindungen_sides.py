"""Bank accounts in EspoCRM (left) and at Advoware (right): a pair below the parties' links.

An account belongs to a party on either side; both name it by its betNr. One whose party is not linked yet, or whose
IBAN cannot be one, is withheld: it exists, and nothing is done about it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_rows import Bankverbindung
from bitbylaw_pipeline.clients.advoware_surface import BANKVERBINDUNG
from bitbylaw_pipeline.clients.espocrm_bankverbindungen import BankRecord, BankverbindungRecords
from bitbylaw_pipeline.clients.espocrm_field_mapping import FieldMapping
from bitbylaw_pipeline.domain.errors import NotFound, reading_back
from bitbylaw_pipeline.domain.iban import is_iban
from bitbylaw_pipeline.domain.three_way import Fields
from bitbylaw_pipeline.domain.two_way_link import (
    LEFT_FOR_LATER,
    Capabilities,
    Observation,
    Record,
    Settled,
)
from bitbylaw_pipeline.sync.beteiligte_advoware import PartyList
from bitbylaw_pipeline.sync.two_way_adapter import Taken

PARTEI = "partei"
"""The field that carries the betNr: part of the natural key, and never written. An account that somebody has given
to another party must be seen as changed: it is somebody else's money then."""
NO_PARENT, NO_IBAN = "parent_not_linked", "iban_invalid"


class EspoBankSide:
    """EspoCRM's accounts; `betnrs` maps its linked parties to Advoware's.

    `scope` are the parties (betNr) whose accounts this pass is about; None: all.
    """

    def __init__(
        self,
        records: BankverbindungRecords,
        mapping: FieldMapping,
        betnrs: Mapping[str, str],
        scope: frozenset[str] | None,
        *,
        has_key_field: bool,
        notes_partner: bool,
        sees_all: bool,
    ) -> None:
        self._records = records
        self._mapping = mapping
        self._betnrs = betnrs
        self._scope = scope
        self._parties = {betnr: party for party, betnr in betnrs.items()}
        self._sees_all = sees_all
        self._has_noted = False
        self.capabilities = Capabilities(
            delete=False,
            readonly_fields=mapping.read_only | {PARTEI},
            client_key=has_key_field,
            create_fields=frozenset(mapping.fields) - mapping.read_only,
            notes_partner=notes_partner,
        )

    @classmethod
    async def open(
        cls, records: BankverbindungRecords, betnrs: Mapping[str, str], scope: frozenset[str] | None = None
    ) -> EspoBankSide:
        """Reads the metadata and our rights. Raises the errors of `domain.errors`."""
        return cls(
            records,
            await records.mapping(),
            betnrs,
            scope,
            has_key_field=await records.has_key_field(),
            notes_partner=await records.has_id_field(),
            sees_all=await records.may_read_all(),
        )

    @property
    def system(self) -> str:
        """EspoCRM."""
        return "espocrm"

    def put(self, field: str, value: Any) -> Any:
        """What EspoCRM keeps of the value."""
        if field == PARTEI:
            return value
        return self._mapping.as_stored(field, value) if field in self._mapping.fields else None

    async def observe(self, known: Mapping[str, Settled]) -> Observation:
        """Every account."""
        items: dict[str, Record] = {}
        withheld: dict[str, str] = {}
        for one in await self._records.list_bankverbindungen():
            why = self._why_withheld(one)
            if why:
                withheld[one.id] = why
            if why in ("", NO_IBAN):
                # Also one that cannot be read: its party has an account.
                items[one.id] = self._record(one)
        return Observation(items, withheld=withheld, complete=self._sees_all)

    async def get(self, record_id: str) -> Record | None:
        """The account; None only where our role would show it."""
        try:
            return self._record(await self._records.bankverbindung(record_id))
        except NotFound:
            return None

    async def find_by_key(self, key: str) -> Taken | None:
        """By the key field."""
        found = await self._records.find_by_key(key)
        return Taken(found, is_alive=True) if found else None

    async def create(self, key: str, fields: Fields, nonce: str, origin: Record) -> Record | Taken:
        """An account of the party that the origin belongs to."""
        if self.capabilities.client_key and (taken := await self.find_by_key(key)) is not None:
            return taken
        party = self._parties[str(origin.parent)]
        known = {name: value for name, value in fields.items() if name in self._mapping.fields}
        record_id = await self._records.create_bankverbindung(party, known, key)
        with reading_back(f"The account {record_id}"):
            return self._record(await self._records.bankverbindung(record_id))

    async def update(self, expected: Record, patch: Fields, nonce: str) -> Record:
        """One PUT of what differs, compared right before and read again after."""
        planned = {name: value for name, value in expected.fields.items() if name in self._mapping.fields}
        return self._record(await self._records.change_bankverbindung(expected.id, patch, planned))

    async def delete(self, expected: Record) -> None:
        """Never asked for: the capabilities say so."""
        raise NotImplementedError

    async def link_back(self, record: Record, partner: Record) -> None:
        """Writes Advoware's id of the account into EspoCRM's."""
        await self._records.set_advoware_id(record.id, int(partner.id.partition("/")[2]))
        if not self._has_noted:
            self._has_noted = True
            shown = await self._records.bankverbindung(record.id)
            self.capabilities = replace(self.capabilities, notes_partner=shown.advoware_id is not None)

    def _why_withheld(self, one: BankRecord) -> str:
        if one.beteiligte_id not in self._betnrs:
            return NO_PARENT
        if self._scope is not None and self._betnrs[str(one.beteiligte_id)] not in self._scope:
            return LEFT_FOR_LATER
        return "" if is_iban(_text(one.fields.get("iban"))) else NO_IBAN

    def _record(self, one: BankRecord) -> Record:
        betnr = self._betnrs.get(one.beteiligte_id or "")
        partner = f"{betnr}/{one.advoware_id}" if betnr and one.advoware_id else None
        return Record(
            id=one.id,
            fields={**one.fields, PARTEI: betnr},
            version=f"{one.modified_at}|{one.version or ''}",
            claim=one.key,
            partner=partner,
            parent=betnr,
            is_in_scope=not self._why_withheld(one),
        )


class AdvowareBankSide:
    """Advoware's accounts, named betNr/id. There is no PUT and no DELETE (`facts/advoware.md` 3.5)."""

    def __init__(
        self,
        advoware: Advoware,
        parties: PartyList,
        betnrs: Mapping[str, str],
        scope: frozenset[str] | None = None,
    ) -> None:
        self._advoware = advoware
        self._parties = parties
        linked = frozenset(betnrs.values())
        self._linked = linked if scope is None else linked & scope
        self.capabilities = Capabilities(
            update=BANKVERBINDUNG.can_change,
            delete=BANKVERBINDUNG.can_delete,
            create=BANKVERBINDUNG.can_create,
            create_fields=frozenset(BANKVERBINDUNG.fields),
        )

    @property
    def system(self) -> str:
        """Advoware."""
        return "advoware"

    def put(self, field: str, value: Any) -> Any:
        """The value as it stands."""
        return value

    async def observe(self, known: Mapping[str, Settled]) -> Observation:
        """The accounts of every party; where parties are not listed, those of the linked ones in scope."""
        if not self._advoware.lists_beteiligte:
            return await self._observe_linked()
        accounts = {
            (party.betnr, account.id): account
            for party in await self._parties.read()
            for account in party.bankverbindungen or ()
        }
        return self._observation(accounts)

    async def get(self, record_id: str) -> Record | None:
        """The account; None if its party has none with that id, or is gone itself."""
        betnr, _, own = record_id.partition("/")
        try:
            found = await self._advoware.bankverbindungen(int(betnr))
        except NotFound:
            return None
        account = next((one for one in found if str(one.id) == own), None)
        return self._record(int(betnr), account) if account else None

    async def find_by_key(self, key: str) -> Taken | None:
        """Never asked for: an account has no free field."""
        raise NotImplementedError

    async def create(self, key: str, fields: Fields, nonce: str, origin: Record) -> Record | Taken:
        """An account of the party that the origin belongs to."""
        betnr = int(str(origin.parent))
        return self._record(betnr, await self._advoware.create_bankverbindung(betnr, fields))

    async def update(self, expected: Record, patch: Fields, nonce: str) -> Record:
        """Never asked for: the capabilities say so."""
        raise NotImplementedError

    async def delete(self, expected: Record) -> None:
        """Never asked for: the capabilities say so."""
        raise NotImplementedError

    async def link_back(self, record: Record, partner: Record) -> None:
        """Nothing: an account has no field for EspoCRM's id."""

    async def _observe_linked(self) -> Observation:
        accounts = {}
        for betnr in sorted(self._linked):
            # A party that is gone says nothing about the accounts of all others.
            with contextlib.suppress(NotFound):
                for account in await self._advoware.bankverbindungen(int(betnr)):
                    accounts[int(betnr), account.id] = account
        # Whole as far as these parties go, and accounts of others are withheld on the other side, too.
        return self._observation(accounts)

    def _observation(self, accounts: Mapping[tuple[int, int], Bankverbindung]) -> Observation:
        items: dict[str, Record] = {}
        withheld: dict[str, str] = {}
        for (betnr, _), account in accounts.items():
            record = self._record(betnr, account)
            if str(betnr) not in self._linked:
                withheld[record.id] = NO_PARENT
                continue
            items[record.id] = record
            if not record.is_in_scope:
                withheld[record.id] = NO_IBAN
        return Observation(
            items,
            withheld=withheld,
            covers=lambda record_id: record_id.partition("/")[0] in self._linked,
        )

    def _record(self, betnr: int, account: Bankverbindung) -> Record:
        fields = {name: account.known[name] for name in BANKVERBINDUNG.fields if name in account.known}
        return Record(
            id=f"{betnr}/{account.id}",
            fields={**fields, PARTEI: str(betnr)},
            version=account.row_id,
            parent=str(betnr),
            is_in_scope=str(betnr) in self._linked and is_iban(account.iban),
        )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
