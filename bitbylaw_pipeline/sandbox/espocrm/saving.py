"""Writing a record: what really changes, what moves with it, and what the webhooks are told (facts 0.8, 4, 11)."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import addresses, attachments, events, links, presentation, stream
from bitbylaw_pipeline.sandbox.espocrm.normalise import stored
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Row
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User

LISTED_ONCE = frozenset({"linkIds", "bareIds"})


def insert(espo: Espo, user: User, schema: EntitySchema, values: Row) -> Row:
    """Save a new record with the values set on it; fires no webhook."""
    now = espo.store.now()
    row: Row = {"id": espo.store.new_id(), "deleted": False, "createdAt": now, "modifiedAt": now}
    row["createdById"] = user.id
    if schema.stream and "streamUpdatedAt" in schema.attributes:
        row["streamUpdatedAt"] = now
    if schema.occ:
        row["versionNumber"] = 1
    row |= _stored_values(schema, values)
    espo.store.tables[schema.name].put(row)
    addresses.store_addresses(schema, row, values, {})
    _set_links(espo, user, schema, row, values, is_new=True)
    attachments.adopt(espo, schema, row, values, {})
    stream.note_created(espo, user, schema, row)
    return row


def _stored_values(schema: EntitySchema, values: Row) -> Row:
    return {
        name: stored(schema.attributes[name], value)
        for name, value in values.items()
        if schema.attributes[name].type not in (*LISTED_ONCE, "addressFlag")
    }


def _set_links(
    espo: Espo, user: User, schema: EntitySchema, row: Row, values: Row, *, is_new: bool
) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for link in schema.links.values():
        ids = values.get(f"{link.name}Ids")
        if not link.many or ids is None:
            continue
        # Without a link-multiple field a list counts at creation only; in a PUT it is dropped silently.
        if not link.has_field and not is_new:
            continue
        if links.set_list(espo, user, schema, row, link, ids) and link.has_field:
            changed[f"{link.name}Ids"] = ids
            changed[f"{link.name}Names"] = {one: espo.store.name_of(link.entity, one) for one in ids}
    return changed


def save(
    espo: Espo, user: User, schema: EntitySchema, row: Row, values: Row, *, mass_update: bool = False
) -> dict[str, Any]:
    """Set `values` on a record; returns and reports to webhooks what really changed.

    With optimistic concurrency control on, even equal values move versionNumber and modifiedAt, but are
    no event; with it off nothing happens then (`facts/espocrm.md` 0.8).
    """
    changed = changes(espo, user, schema, row, values)
    touched = bool(changed) or any(schema.attributes[name].type == "bareIds" for name in values)
    if not (touched or schema.occ or mass_update):
        return {}
    before = dict(row)
    table = espo.store.tables[schema.name]
    table.drop_from_index(row["id"])
    new_modifier = row.get("modifiedById") != user.id
    row |= _stored_values(schema, values)
    row["modifiedAt"], row["modifiedById"] = espo.store.now(), user.id
    if schema.occ:
        row["versionNumber"] = (row.get("versionNumber") or 0) + 1
    table.put(row)
    addresses.store_addresses(schema, row, values, before)
    changed |= _set_links(espo, user, schema, row, values, is_new=False)
    attachments.adopt(espo, schema, row, values, before)
    _add_derived_changes(espo, schema, row, before, changed)
    if changed:
        if new_modifier:
            changed["modifiedById"] = user.id
            if not mass_update:
                changed["modifiedByName"] = espo.store.name_of("User", user.id)
        events.updated(espo, user, schema, row, changed)
    return changed


def changes(espo: Espo, user: User, schema: EntitySchema, row: Row, values: Row) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name, value in values.items():
        kind = schema.attributes[name].type
        if kind == "linkIds":
            link = schema.links[schema.attributes[name].source]
            if set(espo.store.linked_ids(schema.name, link, row["id"])) != set(value or []):
                changed[name] = value
        elif kind == "addressData":
            field = schema.attribute_fields[name]
            if not addresses.same(field, row, value):
                changed[name] = value
        elif kind in ("array", "addressFlag"):
            old = presentation.value_of(espo, user, schema, row, schema.attributes[name])
            if not _same(old, value):
                changed[name] = value
        elif kind != "bareIds" and not _same(row.get(name), value):
            changed[name] = value
    return changed


def _same(old: Any, new: Any) -> bool:
    return type(old) is type(new) and bool(old == new)


def _add_derived_changes(
    espo: Espo, schema: EntitySchema, row: Row, before: Row, changed: dict[str, Any]
) -> None:
    for link in schema.links.values():
        key, name = f"{link.name}Id", f"{link.name}Name"
        if key in changed and name in schema.attributes:
            changed[name] = espo.store.name_of(link.entity, row.get(key))
    for kind in ("email", "phone"):
        field = schema.address_field(kind)
        if field is None or row.get(f"{field.name}Data") == before.get(f"{field.name}Data"):
            continue
        if espo.release >= (10,) or f"{field.name}Data" in changed:
            changed[f"{field.name}Data"] = row.get(f"{field.name}Data") or []
        if row.get(field.name) != before.get(field.name):
            changed[field.name] = row.get(field.name)
