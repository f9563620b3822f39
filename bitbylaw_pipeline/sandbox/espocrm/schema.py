"""Entity types compiled from EspoCRM's metadata form (`entityDefs`): attributes in answer order, fields, links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]

ATTRIBUTE_TYPES = {
    "varchar": "varchar",
    "url": "varchar",
    "enum": "varchar",
    "text": "text",
    "wysiwyg": "text",
    "bool": "bool",
    "int": "int",
    "autoincrement": "int",
    "enumInt": "int",
    "enumFloat": "float",
    "currency": "float",
    "number": "varchar",
    "barcode": "varchar",
    "datetimeOptional": "datetime",
    "float": "float",
    "date": "date",
    "datetime": "datetime",
    "array": "array",
    "multiEnum": "array",
    "checklist": "array",
    "jsonArray": "jsonArray",
    "jsonObject": "jsonObject",
}
_ONE_LINK_TYPES = frozenset({"link", "file", "image"})
_MANY_LINK_TYPES = frozenset({"linkMultiple", "attachmentMultiple"})
_ADDRESS_TYPES = frozenset({"email", "phone"})
FIELD_TYPES = frozenset(ATTRIBUTE_TYPES) | _ONE_LINK_TYPES | _MANY_LINK_TYPES | _ADDRESS_TYPES
_MANY_SIDES = frozenset({"hasMany", "manyMany", "hasChildren"})


@dataclass(frozen=True, slots=True)
class Attribute:
    """One key of a record.

    `type` is one of ATTRIBUTE_TYPES' values or: id, foreignId, foreignName (of the id attribute `source`),
    linkIds, linkNames (of the link `source`), bareIds (ids of a link without a field), addressFlag,
    addressData (of the address attribute `source`), isFollowed, followersIds, followersNames.
    """

    name: str
    type: str
    field: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the metadata with the attributes that carry it, in EspoCRM's order."""

    name: str
    type: str
    params: Mapping[str, Any]
    attributes: tuple[str, ...]

    @property
    def read_only(self) -> bool:
        """Whether the API drops what is sent for it."""
        return bool(self.params.get("readOnly"))


@dataclass(frozen=True, slots=True)
class Link:
    """A link. `table` names the many-to-many relation; empty for belongsTo and its other side."""

    name: str
    type: str
    entity: str
    foreign: str
    table: str
    audited: bool
    has_field: bool

    @property
    def many(self) -> bool:
        """Whether it leads to a list of records."""
        return self.type in _MANY_SIDES


@dataclass(slots=True)
class EntitySchema:
    """One entity type."""

    name: str
    defs: dict[str, Any]
    stream: bool
    is_object: bool
    fields: dict[str, Field] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    attributes: dict[str, Attribute] = field(default_factory=dict)
    attribute_fields: dict[str, Field] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def occ(self) -> bool:
        """Optimistic concurrency control is on."""
        return bool(self.defs.get("optimisticConcurrencyControl"))

    @property
    def duplicate_fields(self) -> list[str]:
        """Fields of the duplicate check."""
        return list(self.defs.get("duplicateCheckFieldList") or [])

    @property
    def default_order(self) -> tuple[str, bool]:
        """Attribute and whether descending."""
        collection = self.defs.get("collection") or {}
        return collection.get("orderBy", "createdAt"), collection.get("order", "desc") == "desc"

    def address_field(self, kind: str) -> Field | None:
        """The field of type email or phone, if there is one."""
        return next((item for item in self.fields.values() if item.type == kind), None)


class SchemaError(ValueError):
    """A data model that cannot be compiled; the message is one sentence for a person."""


def compile_entity(name: str, defs: dict[str, Any], *, stream: bool, is_object: bool) -> EntitySchema:
    """Compile `defs` (fields, links, collection, optimisticConcurrencyControl …). Raises SchemaError."""
    schema = EntitySchema(name, defs, stream, is_object)
    for link_name, link in (defs.get("links") or {}).items():
        schema.links[link_name] = _link(name, link_name, link, defs["fields"])
    _add_attributes(schema, defs["fields"])
    for item in schema.fields.values():
        for attribute in item.attributes:
            schema.attribute_fields[attribute] = item
        if item.type == "bool" or "default" in item.params:
            schema.defaults[item.name] = item.params.get("default", False)
    return schema


def _link(entity: str, name: str, link: Mapping[str, Any], fields: Mapping[str, Any]) -> Link:
    kind, target, foreign = link.get("type", ""), link.get("entity", ""), link.get("foreign") or ""
    if kind not in _MANY_SIDES | {"belongsTo", "hasOne", "belongsToParent"}:
        raise SchemaError(f"Link {entity}.{name} has the type {kind!r}; use belongsTo, hasMany or manyMany.")
    table = link.get("relationName") or ""
    many_many = kind == "manyMany" or (kind == "hasMany" and table)
    if many_many and not table:
        table = "~".join(sorted((f"{entity}.{name}", f"{target}.{foreign}")))
    has_field = fields.get(name, {}).get("type") in _MANY_LINK_TYPES | _ONE_LINK_TYPES
    shown_kind = "manyMany" if many_many else kind
    return Link(name, shown_kind, target, foreign, table, bool(link.get("audited")), has_field)


def _add_attributes(schema: EntitySchema, fields: Mapping[str, Mapping[str, Any]]) -> None:
    first: list[Attribute] = [Attribute("id", "id", "id")]
    flags: list[Attribute] = []
    links: list[Attribute] = []
    last: list[Attribute] = []
    for name, params in fields.items():
        kind = params.get("type", "")
        if kind not in FIELD_TYPES:
            raise SchemaError(
                f"Field {schema.name}.{name} has the type {kind!r}; known: {sorted(FIELD_TYPES)}."
            )
        if kind in _ONE_LINK_TYPES:
            made = [
                Attribute(f"{name}Id", "foreignId", name),
                Attribute(f"{name}Name", "foreignName", name, name),
            ]
            links += made
        elif kind in _MANY_LINK_TYPES:
            made = [
                Attribute(f"{name}Ids", "linkIds", name, name),
                Attribute(f"{name}Names", "linkNames", name, name),
            ]
            links += made
        elif kind in _ADDRESS_TYPES:
            own = Attribute(name, "varchar", name)
            marks = [
                Attribute(f"{name}{mark}", "addressFlag", name, name) for mark in ("IsOptedOut", "IsInvalid")
            ]
            data = Attribute(f"{name}Data", "addressData", name, name)
            first.append(own)
            flags += marks
            last.append(data)
            made = [*marks, own, data]
        else:
            made = [Attribute(name, ATTRIBUTE_TYPES[kind], name)]
            first += made
            if name == "name":
                first.append(Attribute("deleted", "bool", "deleted"))
        schema.fields[name] = Field(name, kind, params, tuple(attribute.name for attribute in made))
    if "name" not in fields:
        first.insert(1, Attribute("deleted", "bool", "deleted"))
    ordered = [*first, *flags, *links, *_stream_attributes(schema), *_version(schema), *last, *_bare(schema)]
    schema.attributes = {attribute.name: attribute for attribute in ordered}


def _stream_attributes(schema: EntitySchema) -> list[Attribute]:
    names = ("isFollowed", "followersIds", "followersNames") if schema.stream else ()
    return [Attribute(name, name, name) for name in names]


def _version(schema: EntitySchema) -> list[Attribute]:
    return [Attribute("versionNumber", "int", "versionNumber")] if schema.occ else []


def _bare(schema: EntitySchema) -> list[Attribute]:
    return [
        Attribute(f"{link.name}Ids", "bareIds", link.name, link.name)
        for link in schema.links.values()
        if link.many and not link.has_field
    ]
