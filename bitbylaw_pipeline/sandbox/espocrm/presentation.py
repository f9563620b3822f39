"""Records as they stand in answers: single reads, create answers, list rows (`facts/espocrm.md` 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import access
from bitbylaw_pipeline.sandbox.espocrm.schema import Attribute, EntitySchema, Row
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User

_PLAIN = frozenset(
    {
        "id",
        "varchar",
        "text",
        "bool",
        "int",
        "float",
        "date",
        "datetime",
        "jsonArray",
        "jsonObject",
        "foreignId",
    }
)
_NOT_IN_LISTS = frozenset(
    {"linkIds", "linkNames", "bareIds", "isFollowed", "followersIds", "followersNames", "addressData"}
)
_LOADED_AFTER_CREATE = frozenset(
    {"foreignName", "linkIds", "linkNames", "isFollowed", "followersIds", "followersNames", "addressData"}
)
_ACL_ATTRIBUTES = ("assignedUserId", "createdById")
_FOLLOWERS_SHOWN = 6


def full(espo: Espo, user: User, schema: EntitySchema, row: Row) -> dict[str, Any]:
    """A single read: every readable attribute, null where it was never set."""
    hidden = access.hidden_attributes(user, schema, "read")
    shown: dict[str, Any] = {}
    get = row.get
    for attribute in schema.attributes.values():
        name = attribute.name
        if name in hidden:
            continue
        if attribute.type in _PLAIN:
            shown[name] = get(name)
        elif attribute.type != "bareIds" and _is_shown(user, schema, row, attribute):
            shown[name] = value_of(espo, user, schema, row, attribute)
    return shown


def created(espo: Espo, user: User, schema: EntitySchema, row: Row, given: Iterable[str]) -> dict[str, Any]:
    """The answer to a create: what was set and what EspoCRM loads afterwards; the rest is absent."""
    hidden = access.hidden_attributes(user, schema, "read")
    was_given = set(given)
    shown: dict[str, Any] = {}
    for attribute in schema.attributes.values():
        name = attribute.name
        if name in hidden or (attribute.type == "bareIds" and name not in was_given):
            continue
        if attribute.type == "addressFlag":
            # A flag begins as false on a new record, also where there is no address yet.
            shown[name] = bool(value_of(espo, user, schema, row, attribute))
        elif (
            name in row
            or attribute.type == "bareIds"
            or (attribute.type in _LOADED_AFTER_CREATE and _is_shown(user, schema, row, attribute))
        ):
            shown[name] = value_of(espo, user, schema, row, attribute)
    return shown


def _is_shown(user: User, schema: EntitySchema, row: Row, attribute: Attribute) -> bool:
    if attribute.type in ("followersIds", "followersNames"):
        return access.allows_record(user, schema, row, "stream")
    return True


def value_of(espo: Espo, user: User, schema: EntitySchema, row: Row, attribute: Attribute) -> Any:
    """One attribute of one record."""
    name, source = attribute.name, attribute.source
    match attribute.type:
        case "foreignName":
            return espo.store.name_of(schema.links[source].entity, row.get(f"{source}Id"))
        case "array":
            value = row.get(name)
            # 10.0 gives the column an empty list by default; the new entity itself still has nothing set.
            return [] if value is None and espo.arrays_default_empty else value
        case "linkIds" | "bareIds" | "linkNames":
            return _linked(espo, schema, row, attribute)
        case "isFollowed" | "followersIds" | "followersNames":
            return _followers(espo, user, schema, row, attribute.type)
        case "addressFlag":
            return _address_flag(row, source, "optOut" if name.endswith("IsOptedOut") else "invalid")
        case "addressData":
            return row.get(name) or []
        case _:
            return row.get(name)


def _linked(espo: Espo, schema: EntitySchema, row: Row, attribute: Attribute) -> Any:
    link = schema.links[attribute.source]
    ids = espo.store.linked_ids(schema.name, link, row["id"])
    return (
        {one: espo.store.name_of(link.entity, one) for one in ids} if attribute.type == "linkNames" else ids
    )


def _followers(espo: Espo, user: User, schema: EntitySchema, row: Row, kind: str) -> Any:
    ids = espo.store.followers.get((schema.name, row["id"]), [])
    if kind == "isFollowed":
        return user.id in ids
    shown = ids[:_FOLLOWERS_SHOWN]
    return shown if kind == "followersIds" else {one: espo.store.name_of("User", one) for one in shown}


def _address_flag(row: Row, source: str, flag: str) -> bool | None:
    items = row.get(f"{source}Data") or []
    return next((bool(item[flag]) for item in items if item["primary"]), None) if row.get(source) else None


def list_attributes(schema: EntitySchema, select: list[str] | None, order_by: str) -> list[Attribute]:
    """The attributes of a list row: all but links' ids; or the selected ones with what comes along unasked."""
    if select is None:
        return [one for one in schema.attributes.values() if one.type not in _NOT_IN_LISTS]
    wanted = {"id", *_ACL_ATTRIBUTES, *select}
    ordered_by = schema.fields.get(order_by)
    wanted.update(ordered_by.attributes if ordered_by else (order_by,))
    # A link without a link-multiple field gives no ids in a list, asked or not.
    never = ("bareIds", "isFollowed", "followersIds", "followersNames", "addressData")
    return [one for one in schema.attributes.values() if one.name in wanted and one.type not in never]


def list_row(
    espo: Espo, user: User, schema: EntitySchema, row: Row, attributes: list[Attribute], longest: int | None
) -> dict[str, Any]:
    """A record in a list. Texts are cut to `longest` characters (None: whole)."""
    hidden = access.hidden_attributes(user, schema, "read")
    shown: dict[str, Any] = {}
    get = row.get
    for attribute in attributes:
        name = attribute.name
        if name in hidden:
            continue
        value = get(name) if attribute.type in _PLAIN else value_of(espo, user, schema, row, attribute)
        if attribute.type == "text" and longest is not None and isinstance(value, str):
            value = value[:longest]
        shown[name] = value
    return shown
