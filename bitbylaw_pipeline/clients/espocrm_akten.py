"""The firm's matters in EspoCRM, as far as Advoware's Akten are concerned: number, named Akte, collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_field_mapping import field_of
from bitbylaw_pipeline.domain.akte_match import Matter
from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.errors import Conflict, Permanent, Transient, Unexpected
from bitbylaw_pipeline.settings import MatterType, Settings

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MatterFields:
    """What this server has of a matter type; None for a field that it lacks."""

    entity_type: str
    number: str | None
    akte_id: str | None
    aktenzeichen: str | None
    collection: str | None
    takes_id: bool
    """False where the Akte's id can be written nowhere."""
    texts: frozenset[str] = frozenset()
    """Those of number and akte_id that are text fields."""

    @property
    def select(self) -> list[str]:
        """The attributes that a list row has to carry."""
        names = (self.number, self.akte_id, self.aktenzeichen, self.collection)
        return ["id", *(name for name in names if name)]


class MatterRecords:
    """Matters by the names of AKTEN_MATTERS. What a server lacks of them is left out."""

    def __init__(self, espocrm: EspoCrm, settings: Settings) -> None:
        self.espocrm = espocrm
        self._settings = settings
        self._wanted = {one.entity_type: one for one in settings.akten_matters}

    def knows(self, entity_type: str) -> bool:
        """True if the settings name it, whether or not the server has it."""
        return entity_type in self._wanted

    async def types(self) -> list[MatterFields]:
        """The matter types that this server has and our role reads, each with a number or an Akte's id.

        Raises Permanent("no_access") where our role reads a part of a type: a second matter with the same number
        could be among the others. Permanent("no_entity_type") where there is no such type at all.
        """
        user = await self.espocrm.app_user()
        found: list[MatterFields] = []
        for wanted in self._wanted.values():
            level = user.rights.get(wanted.entity_type, {}).get("read", "no")
            fields = None if level == "no" else await self._fields(wanted)
            if fields is None:
                continue
            if not user.may("read", wanted.entity_type):
                raise Permanent(
                    f"EspoCRM shows our user not every {wanted.entity_type}: give its role the right to read all of "
                    "them, or leave the type out of AKTEN_MATTERS.",
                    system="espocrm",
                    reason="no_access",
                )
            found.append(fields)
        if not found:
            raise Permanent(
                "EspoCRM shows us no matter type with a number or an Akte's id: give our user's role access to one, "
                "or name the firm's own in AKTEN_MATTERS.",
                system="espocrm",
                reason="no_entity_type",
            )
        return found

    async def list_matters(self, types: Iterable[MatterFields]) -> list[Matter]:
        """Every matter of these types."""
        return [matter for fields in types for matter in await self._list(fields)]

    async def matters_of(
        self, types: Iterable[MatterFields], akte_id: int, aktennummer: int | None
    ) -> list[Matter]:
        """The matters that name the Akte or carry its number. Raises Unexpected for rows that were not asked for."""
        found: list[Matter] = []
        for fields in types:
            pairs = [(fields.akte_id, akte_id), (fields.number, aktennummer)]
            asked = [
                {"type": "equals", "attribute": name, "value": value}
                for name, value in pairs
                if name is not None and value is not None
            ]
            if fields.texts:
                # A text may be written with zeros or blanks; only a reading of all of them finds it.
                matters = [one for one in await self._list(fields) if _is_about(one, akte_id, aktennummer)]
            else:
                matters = await self._list(fields, [{"type": "or", "value": asked}]) if asked else []
            if not all(_is_about(one, akte_id, aktennummer) for one in matters):
                # A filter that EspoCRM does not understand is ignored, and then every matter would look tied.
                raise Unexpected(
                    f"espocrm gives {fields.entity_type} that were not asked for (list matters of an Akte).",
                    system="espocrm",
                )
            found += matters
        return found

    async def matter(self, key: OwnerKey) -> Matter:
        """One matter; NotFound once it is deleted."""
        return (await self._read(await self._fields_of(key), key))[0]

    async def write_akte_id(self, planned: Matter, akte_id: int) -> Matter:
        """Writes the Akte's id into a matter that names none, and returns the matter as read again.

        No write where it names this Akte already. Conflict if it names another by now, or no longer carries the
        number that it was `planned` on, or was saved meanwhile; Transient if the id was not kept.
        """
        fields = await self._fields_of(planned.key)
        present, version = await self._read(fields, planned.key)
        if present.akte_id == akte_id:
            return present
        if present.akte_id is not None or present.aktennummer != planned.aktennummer:
            raise Conflict(
                f"espocrm holds other values than this link was planned on ({planned.key}).", system="espocrm"
            )
        if fields.akte_id is None or not fields.takes_id:
            raise Permanent(
                f"{planned.key.entity_type} has no field that takes an Akte's id: create it in EspoCRM, or name "
                "the firm's own in AKTEN_MATTERS.",
                system="espocrm",
                reason="field_missing",
            )
        value = str(akte_id) if fields.akte_id in fields.texts else akte_id
        await self.espocrm.update(
            planned.key.entity_type, planned.key.id, {fields.akte_id: value}, version=version
        )
        stored, _ = await self._read(fields, planned.key)
        if stored.akte_id != akte_id:
            raise Transient(
                f"{planned.key} did not keep its Akte's id: check the field and our rights.", system="espocrm"
            )
        return stored

    async def _list(self, fields: MatterFields, where: Sequence[Mapping[str, Any]] = ()) -> list[Matter]:
        pages = self.espocrm.iterate_records(fields.entity_type, select=fields.select, where=where)
        return [_matter(fields, row) async for rows in pages for row in rows]

    async def _read(self, fields: MatterFields, key: OwnerKey) -> tuple[Matter, int | None]:
        record = await self.espocrm.get(key.entity_type, key.id)
        version = record.get("versionNumber")
        return _matter(fields, record), version if isinstance(version, int) else None

    async def _fields_of(self, key: OwnerKey) -> MatterFields:
        wanted = self._wanted.get(key.entity_type)
        fields = None if wanted is None else await self._fields(wanted)
        if fields is None:
            raise Permanent(
                f"EspoCRM has no matter type {key.entity_type}, or AKTEN_MATTERS does not name it.",
                system="espocrm",
                reason="no_entity_type",
            )
        return fields

    async def _fields(self, wanted: MatterType) -> MatterFields | None:
        definition = await self.espocrm.metadata(f"entityDefs.{wanted.entity_type}")
        if not isinstance(definition, dict):
            return None
        owner = self._settings.owner_type(wanted.entity_type)
        names = (wanted.number_field, wanted.akte_id_field, wanted.aktenzeichen_field)
        number, akte_id, aktenzeichen = (_there(definition, name) for name in names)
        if number is None and akte_id is None:
            return None
        kinds = {name: _parameters(definition, name) for name in (number, akte_id) if name}
        return MatterFields(
            wanted.entity_type,
            number,
            akte_id,
            aktenzeichen,
            _there(definition, owner.collection_field) if owner else None,
            takes_id=akte_id is not None and kinds[akte_id].get("readOnly") is not True,
            texts=frozenset(name for name, given in kinds.items() if given.get("type") != "int"),
        )


def _there(definition: Mapping[str, Any], name: str) -> str | None:
    return name if field_of(definition, name) else None


def _parameters(definition: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = field_of(definition, name)
    return found[1] if found else {}


def _is_about(matter: Matter, akte_id: int, aktennummer: int | None) -> bool:
    return matter.akte_id == akte_id or (aktennummer is not None and matter.aktennummer == aktennummer)


def _matter(fields: MatterFields, record: Record) -> Matter:
    def value(name: str | None) -> Any:
        if name is None:
            return None
        if name not in record:
            # Hidden by a role it would look empty, and a matter that is linked as if it were free.
            raise Permanent(
                f"{fields.entity_type} shows us no field {name}: let our role read it.",
                system="espocrm",
                reason="field_missing",
            )
        return record[name]

    collection, aktenzeichen = value(fields.collection), value(fields.aktenzeichen)
    return Matter(
        key=OwnerKey(fields.entity_type, record["id"]),
        aktennummer=_number(value(fields.number)),
        akte_id=_number(value(fields.akte_id)),
        collection_id=str(collection).strip() or None if collection is not None else None,
        aktenzeichen=aktenzeichen if isinstance(aktenzeichen, str) else None,
        takes_id=fields.takes_id,
    )


def _number(value: Any) -> int | None:
    """A whole number above 0; EspoCRM makes 0 of an empty one (`facts/espocrm.md` 4). `123/26` is none."""
    if isinstance(value, str) and len(value.strip()) <= 18 and value.strip().isdecimal():
        value = int(value.strip())
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and value > 0 else None
