"""Reading and writing one entity type by a field mapping, so that no edit of a person is overwritten unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_field_mapping import FieldMapping, MappedField, Record, Value, field_of
from bitbylaw_pipeline.clients.espocrm_refusals import Duplicate
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, Permanent, reading_back

Also = Callable[[Record, Mapping[str, Any]], Mapping[str, Any]]


class MappedRecords:
    """One entity type. `plain` are attributes beside the mapped fields that every reading carries if they exist."""

    def __init__(
        self,
        espocrm: EspoCrm,
        entity_type: str,
        wanted: Iterable[MappedField],
        plain: Iterable[str],
        country: str = "",
    ) -> None:
        self.espocrm = espocrm
        self.entity_type = entity_type
        self._wanted = tuple(wanted)
        self._plain = tuple(plain)
        self._country = country
        # The description is the same object until it is fetched anew, and every record asks.
        self._found: tuple[object, FieldMapping, frozenset[str]] | None = None

    async def mapping(self) -> FieldMapping:
        """The fields that this server has; Permanent("no_entity_type") where it shows us no such entity type."""
        return (await self._description())[0]

    async def has(self, attribute: str) -> bool:
        """True if this server has the attribute (one of `plain`)."""
        return attribute in (await self._description())[1]

    async def may_read_all(self) -> bool:
        """True if our role reads every record of this type: before that, absence from a list means nothing."""
        return (await self.espocrm.app_user()).may("read", self.entity_type)

    async def select(self, *more: str) -> list[str]:
        """The attributes that a list row can carry and that this server has, with `more`."""
        mapping, plain = await self._description()
        names = [field.attribute for field in mapping.fields.values() if not field.is_list]
        return list(dict.fromkeys(["id", "modifiedAt", "versionNumber", *sorted(plain), *names, *more]))

    async def record(self, record_id: str) -> Record:
        """One record; NotFound only where our role would show it, so that NotFound is evidence of a deletion."""
        try:
            return await self.espocrm.get(self.entity_type, record_id)
        except NotFound as missing:
            raise await self._proven(missing) from None

    async def change(
        self,
        record_id: str,
        patch: Mapping[str, Value],
        expected: Mapping[str, Value],
        also: Also | None = None,
    ) -> Record:
        """Reads, compares `expected`, writes what differs from `patch`, reads again; no PUT where nothing differs.

        `also` adds attributes to a PUT that is made anyway (given the record and what is to be sent). Raises
        Conflict, with the present values in our names, if the record no longer holds `expected` or was saved
        meanwhile; that last check is EspoCRM's and needs its concurrency control (`facts/espocrm.md` 5).
        """
        mapping = await self.mapping()
        record = await self.record(record_id)
        self._require(mapping, record, expected)
        values = mapping.differing(record, patch)
        if not values:
            return record
        await self._put(record, {**values, **(also(record, values) if also else {})}, mapping)
        # The answer to the PUT shows old contact lists on 9.x, and some values as sent, not as stored.
        with reading_back(record_id):
            return await self.record(record_id)

    async def set_plain(
        self, record_id: str, wanted: Mapping[str, Any], along: Mapping[str, Any] | None = None
    ) -> None:
        """Writes those of the plain attributes that exist and differ; `along` only goes with such a write."""
        mapping, plain = await self._description()
        record = await self.record(record_id)
        values = {
            name: value for name, value in wanted.items() if name in plain and record.get(name) != value
        }
        if values:
            extra = {name: value for name, value in (along or {}).items() if name in plain}
            await self._put(record, {**extra, **values}, mapping)

    async def create(self, values: Mapping[str, Any]) -> str:
        """A new record's id. OutcomeUnknown where it may exist now; Conflict, with their ids under `duplicates`,
        where EspoCRM's duplicate check found records like it.
        """
        try:
            record = await self.espocrm.create(self.entity_type, values)
        except Duplicate as error:
            raise Conflict(
                str(error), system=error.system, status=error.status, current={"duplicates": list(error.ids)}
            ) from None
        return str(record["id"])

    async def find(self, attribute: str, value: str) -> str | None:
        """The id of the oldest record with that text, None where there is none or no such attribute."""
        if not await self.has(attribute):
            return None
        where = [{"type": "equals", "attribute": attribute, "value": value}]
        async for rows in self.espocrm.iterate_records(
            self.entity_type, select=("id", attribute), where=where
        ):
            for row in rows:
                # EspoCRM's comparison knows neither case nor accents. A copy made by a person carries the key too:
                # the first id is the oldest record.
                if row.get(attribute) == value:
                    return str(row["id"])
        return None

    async def _description(self) -> tuple[FieldMapping, frozenset[str]]:
        definition = await self.espocrm.metadata(f"entityDefs.{self.entity_type}")
        if self._found is not None and self._found[0] is definition:
            return self._found[1], self._found[2]
        if not isinstance(definition, dict) or not isinstance(definition.get("fields"), dict):
            # Without a role EspoCRM answers 200 with nothing; read as "no fields", it would end in empty parties.
            raise Permanent(
                f"EspoCRM shows us no entity type {self.entity_type}: give our user a role with access to it.",
                system="espocrm",
                reason="no_entity_type",
            )
        mapping = FieldMapping.of(self.entity_type, definition, self._wanted, self._country)
        plain = frozenset(name for name in self._plain if field_of(definition, name))
        self._found = (definition, mapping, plain)
        return mapping, plain

    async def _put(self, record: Record, values: Mapping[str, Any], mapping: FieldMapping) -> None:
        version = record.get("versionNumber")
        try:
            await self.espocrm.update(
                self.entity_type,
                record["id"],
                values,
                version=version if isinstance(version, int) else None,
            )
        except Conflict as error:
            current = mapping.read(error.current)
            raise Conflict(str(error), system=error.system, status=error.status, current=current) from None
        except NotFound as missing:
            raise await self._proven(missing) from None

    def _require(self, mapping: FieldMapping, record: Record, expected: Mapping[str, Value]) -> None:
        present = mapping.read(record)
        for name in expected:
            mapping.require_readable(name, present)
        moved = {
            name: present[name]
            for name, value in expected.items()
            if not mapping.same(name, present[name], value)
        }
        if moved:
            raise Conflict(
                f"espocrm holds other values than this change was planned on (change {self.entity_type} {record['id']}: "
                f"{', '.join(sorted(moved))}).",
                system="espocrm",
                current=moved,
            )

    async def _proven(self, missing: NotFound) -> NotFound | Permanent:
        if await self.may_read_all():
            return missing
        return Permanent(
            f"EspoCRM shows our user not every {self.entity_type}: a record that is missing may well exist. "
            "Give our user's role the right to read all of them.",
            system="espocrm",
            status=missing.status,
            reason="no_access",
        )
