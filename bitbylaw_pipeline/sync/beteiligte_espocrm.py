"""EspoCRM's parties as the left side of the pair `beteiligte`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bitbylaw_pipeline.clients.espocrm_beteiligte import BeteiligteRecords, EspoBeteiligter
from bitbylaw_pipeline.clients.espocrm_field_mapping import FieldMapping
from bitbylaw_pipeline.domain.errors import NotFound, reading_back
from bitbylaw_pipeline.domain.three_way import Fields
from bitbylaw_pipeline.domain.two_way_link import Capabilities, Observation, Record, Settled
from bitbylaw_pipeline.sync.two_way_adapter import Taken

STAMP_SECONDS = 15.0
"""modifiedAt has whole seconds and rows show late: only what was modified longer ago than this is certain to be seen
as changed when it changes again (`facts/espocrm.md` on the change feed)."""

_ONE_NUMBER = re.compile(r"[^\d+(]*(\(?\+?\d[\d()/.\- ]*)\D*")
_TAKEN = {
    "phones": re.compile(r"\+[1-9]\d{6,14}"),
    "emails": re.compile(r"[^@\s,;<>()]+@[^@\s,;<>()]+\.[A-Za-z0-9-]{2,}"),
}
"""What EspoCRM lets into these fields. Advoware's are free text: "siehe Akte" there would make EspoCRM refuse the
whole party, with everything else that is to be written to it."""


class EspoBeteiligteSide:
    """Open it with `open`: what the server has is asked of its metadata once."""

    def __init__(
        self,
        records: BeteiligteRecords,
        mapping: FieldMapping,
        *,
        has_key_field: bool,
        notes_partner: bool,
        sees_all: bool,
        clock: Callable[[], float],
    ) -> None:
        self._records = records
        self._mapping = mapping
        self._sees_all = sees_all
        self._clock = clock
        self._has_noted = False
        self.named: Mapping[str, str] = {}
        """Party -> the betNr that it names, as the last observation showed it."""
        self.capabilities = Capabilities(
            delete=False,
            readonly_fields=mapping.read_only,
            client_key=has_key_field,
            create_fields=frozenset(mapping.fields) - mapping.read_only,
            notes_partner=notes_partner,
        )

    @classmethod
    async def open(cls, records: BeteiligteRecords, clock: Callable[[], float]) -> EspoBeteiligteSide:
        """Reads the metadata and our rights. Raises the errors of `domain.errors`; `clock` is UTC epoch seconds."""
        return cls(
            records,
            await records.mapping(),
            has_key_field=await records.has_key_field(),
            notes_partner=await records.has_betnr_field(),
            sees_all=await records.may_read_all(),
            clock=clock,
        )

    @property
    def system(self) -> str:
        """EspoCRM."""
        return "espocrm"

    def put(self, field: str, value: Any) -> Any:
        """What EspoCRM keeps of the value; a field that it does not have keeps nothing."""
        if field not in self._mapping.fields:
            return None
        if field not in _TAKEN:
            return self._mapping.as_stored(field, value)
        texts = [value] if isinstance(value, str) else value or []
        stored = self._mapping.as_stored(
            field, [_number_in(text) for text in texts] if field == "phones" else texts
        )
        return [text for text in stored or () if _TAKEN[field].fullmatch(text)] or None

    async def observe(self, known: Mapping[str, Settled]) -> Observation:
        """Every party. Its lists carry no numbers and mails: those of an unchanged party are as they were agreed."""
        settled = {
            record_id: EspoBeteiligter(
                record_id, one.fields, modified_at=_modified_at(one.stamp), version=_version(one.stamp)
            )
            for record_id, one in known.items()
            if one.stamp is not None
        }
        # Every stamp was taken of a change that was old enough then: each of them may be relied on.
        found = await self._records.list_beteiligte(settled, settled_before="9999")
        self.named = {one.id: str(one.betnr) for one in found if one.betnr is not None}
        # Who is not shown everything cannot say that something is gone.
        return Observation({one.id: self._record(one) for one in found}, complete=self._sees_all)

    async def get(self, record_id: str) -> Record | None:
        """The party; None only where our role would show it."""
        try:
            return self._record(await self._records.beteiligter(record_id))
        except NotFound:
            return None

    async def find_by_key(self, key: str) -> Taken | None:
        """By the key field; a deleted record is not to be found by it."""
        found = await self._records.find_by_key(key)
        return Taken(found, is_alive=True) if found else None

    async def create(self, key: str, fields: Fields, nonce: str, origin: Record) -> Record | Taken:
        """EspoCRM has no idempotency key: what the key field shows is asked first."""
        if self.capabilities.client_key and (taken := await self.find_by_key(key)) is not None:
            return taken
        record_id = await self._records.create_beteiligter(self._known(fields), key)
        with reading_back(f"The party {record_id}"):
            return self._record(await self._records.beteiligter(record_id))

    async def update(self, expected: Record, patch: Fields, nonce: str) -> Record:
        """One PUT of what differs, compared right before and read again after."""
        planned = {name: expected.fields[name] for name in self._mapping.fields if name in expected.fields}
        return self._record(await self._records.change_beteiligter(expected.id, self._known(patch), planned))

    async def delete(self, expected: Record) -> None:
        """Never asked for: the capabilities say so."""
        raise NotImplementedError

    async def link_back(self, record: Record, partner: Record) -> None:
        """Writes the betNr into EspoCRM's party."""
        await self._records.set_betnr(record.id, int(partner.id))
        if not self._has_noted:
            # A field that our role may not write is ignored in silence: then once in a run is enough.
            self._has_noted = True
            shown = await self._records.beteiligter(record.id)
            self.capabilities = replace(self.capabilities, notes_partner=shown.betnr is not None)

    def _known(self, fields: Fields) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if name in self._mapping.fields}

    def _record(self, one: EspoBeteiligter) -> Record:
        stamp = f"{one.modified_at}|{one.version or ''}" if self._is_settled(one) else None
        return Record(
            id=one.id,
            fields=dict(one.fields),
            version=f"{one.modified_at}|{one.version or ''}",
            claim=one.key,
            partner=str(one.betnr) if one.betnr is not None else None,
            stamp=stamp,
        )

    def _is_settled(self, one: EspoBeteiligter) -> bool:
        if one.modified_at is None:
            return False
        modified = datetime.fromisoformat(one.modified_at).replace(tzinfo=UTC).timestamp()
        return modified < self._clock() - STAMP_SECONDS


def _number_in(text: str) -> str:
    """The number in "030 1234 (privat)"; the text as it is if it has none, or several."""
    found = _ONE_NUMBER.fullmatch(text)
    return found[1] if found else text


def _modified_at(stamp: str) -> str:
    return stamp.partition("|")[0]


def _version(stamp: str) -> int | None:
    version = stamp.partition("|")[2]
    return int(version) if version else None
