"""Which of an entity type's fields we know under a name of our own, and how their values are read and written.

Our names are the same on EspoCRM's and on Advoware's side. A value is a text, a list of texts (phones, emails) or
None; "", null, [] and a missing value are all None. A field that could not be read is absent, which is not empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bitbylaw_pipeline.clients.espocrm_contact_lists import ContactList
from bitbylaw_pipeline.domain.errors import Permanent

Value = str | list[str] | None
Record = Mapping[str, Any]

_ADDRESS_PARTS = ("Street", "PostalCode", "City", "Country", "State")
# What EspoCRM derives from a field of these types: `emailAddressData` from `emailAddress`, `beteiligteId` from a link.
_DERIVED = {
    "email": ("Data",),
    "phone": ("Data",),
    "address": _ADDRESS_PARTS,
    "link": ("Id",),
    "linkParent": ("Id", "Type"),
}


class Kind(StrEnum):
    """How a field's values are compared and written."""

    TEXT = "text"
    CODE = "code"
    """IBAN and BIC: blanks and case mean nothing."""
    EMAILS = "emails"
    PHONES = "phones"


@dataclass(frozen=True, slots=True)
class MappedField:
    """Our name, EspoCRM's attribute, and what kind of value it holds."""

    name: str
    attribute: str
    kind: Kind = Kind.TEXT

    @property
    def is_list(self) -> bool:
        """True for what only a single read carries."""
        return self.kind in (Kind.EMAILS, Kind.PHONES)


def field_of(definition: Mapping[str, Any], attribute: str) -> tuple[str, Mapping[str, Any]] | None:
    """The field (name, parameters) of `entityDefs` that carries an attribute; None if the entity type has none."""
    fields = definition.get("fields")
    if not isinstance(fields, dict):
        return None
    candidates: list[tuple[str, str | None]] = [(attribute, None)]
    candidates += [
        (attribute.removesuffix(ending), kind)
        for kind, endings in _DERIVED.items()
        for ending in endings
        if attribute.endswith(ending)
    ]
    for name, kind in candidates:
        params = fields.get(name)
        if not isinstance(params, dict) or params.get("disabled"):
            continue
        if kind is None or params.get("type") == kind:
            return name, params
    return None


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """The mapped fields that this server has."""

    entity_type: str
    fields: Mapping[str, MappedField]
    lists: Mapping[str, ContactList]
    read_only: frozenset[str]

    @classmethod
    def of(
        cls, entity_type: str, definition: Mapping[str, Any], wanted: Iterable[MappedField], country: str = ""
    ) -> FieldMapping:
        """What `entityDefs.{entity_type}` has of the wanted fields; `country` is that of local phone numbers."""
        fields: dict[str, MappedField] = {}
        lists: dict[str, ContactList] = {}
        read_only: set[str] = set()
        for field in wanted:
            found = field_of(definition, field.attribute)
            if found is None:
                continue
            fields[field.name] = field
            if found[1].get("readOnly") is True:
                read_only.add(field.name)
            if field.kind is Kind.EMAILS:
                lists[field.name] = ContactList("emailAddress")
            elif field.kind is Kind.PHONES:
                lists[field.name] = ContactList("phoneNumber", country, _new_type(found[1].get("typeList")))
        return cls(entity_type, fields, lists, frozenset(read_only))

    def read(self, record: Record) -> dict[str, Value]:
        """Our fields of a record or list row; what the record does not show is absent."""
        return {
            field.name: self._value(field, record[field.attribute])
            for field in self.fields.values()
            if field.attribute in record
        }

    def as_stored(self, name: str, value: Value) -> Value:
        """What EspoCRM keeps of a value that is written: trimmed, IBANs without blanks, phones international."""
        field, contacts = self.fields[name], self.lists.get(name)
        if contacts is not None:
            return contacts.as_stored(_texts(value)) or None
        text = _text(value)
        return "".join(text.split()).upper() if text and field.kind is Kind.CODE else text

    def same(self, name: str, one: Value, other: Value) -> bool:
        """True if EspoCRM would keep the same for both; lists in any order."""
        contacts = self.lists.get(name)
        if contacts is not None:
            return not contacts.differs(_texts(one), _texts(other))
        return self.as_stored(name, one) == self.as_stored(name, other)

    def differing(self, record: Record, patch: Mapping[str, Value]) -> dict[str, Any]:
        """EspoCRM's attributes and values to send so that the record holds `patch`; empty if it does already.

        Raises Permanent for a field that the server lacks, hides from us, or would drop in silence.
        """
        present = self.read(record)
        values: dict[str, Any] = {}
        for name, wanted in patch.items():
            self.require_readable(name, present)
            if self.same(name, present[name], wanted):
                continue
            if name in self.read_only:
                raise self._refused(name, "is read-only in EspoCRM", "field_read_only")
            values[self.fields[name].attribute] = self._sent(name, record, wanted)
        return values

    def for_create(self, fields: Mapping[str, Value]) -> dict[str, Any]:
        """EspoCRM's attributes for a new record: the fields that have a value and that this server takes."""
        values: dict[str, Any] = {}
        for name, value in fields.items():
            if name in self.fields and name not in self.read_only and self.as_stored(name, value) is not None:
                values[self.fields[name].attribute] = self._sent(name, {}, value)
        return values

    def require_readable(self, name: str, present: Mapping[str, Value]) -> None:
        """Raises Permanent("field_missing") unless the field came with the record."""
        if name not in present:
            raise self._refused(name, "does not come with the record", "field_missing")

    def _sent(self, name: str, record: Record, value: Value) -> Any:
        contacts = self.lists.get(name)
        if contacts is not None:
            return contacts.written(record.get(self.fields[name].attribute), _texts(value))
        return self.as_stored(name, value)

    def _value(self, field: MappedField, raw: Any) -> Value:
        contacts = self.lists.get(field.name)
        return _text(raw) if contacts is None else contacts.read(raw) or None

    def _refused(self, name: str, what: str, reason: str) -> Permanent:
        attribute = self.fields[name].attribute if name in self.fields else name
        return Permanent(
            f"{self.entity_type}.{attribute} {what}: create it in EspoCRM, let our role read and edit it, "
            "or name the firm's own field in the settings.",
            system="espocrm",
            reason=reason,
        )


def _new_type(types: Any) -> str | None:
    known = types if isinstance(types, list) else []
    return "Office" if "Office" in known else next((item for item in known if isinstance(item, str)), None)


def _text(value: Any) -> str | None:
    return str(value).strip() or None if value is not None else None


def _texts(value: Value) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
