"""Creating, reading, changing and deleting records (`facts/espocrm.md` 4 to 6)."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import (
    access,
    addresses,
    attachments,
    events,
    links,
    presentation,
    stream,
)
from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, encode_text, forbidden
from bitbylaw_pipeline.sandbox.espocrm.collation import fold
from bitbylaw_pipeline.sandbox.espocrm.normalise import coerce, sanitise, stored
from bitbylaw_pipeline.sandbox.espocrm.php import intval
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Row
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, Request, User
from bitbylaw_pipeline.sandbox.espocrm.validate import validate

_SYSTEM_ATTRIBUTES = frozenset(
    [
        "deleted",
        "id",
        "modifiedById",
        "modifiedByName",
        "modifiedAt",
        "createdById",
        "createdByName",
        "createdAt",
        "versionNumber",
    ]
)
_NEVER_SET = frozenset({"foreignName", "linkNames", "isFollowed", "followersIds", "followersNames"})
_LISTED_ONCE = frozenset({"linkIds", "bareIds"})
_MOST_DUPLICATES = 5


def read(espo: Espo, user: User, schema: EntitySchema, record_id: str, client: str) -> dict[str, Any]:
    """GET {E}/{id}; an admin sees deleted records too."""
    access.require_scope(user, schema.name, "read")
    row = espo.store.tables[schema.name].rows.get(record_id)
    if row is None or (row["deleted"] and not user.is_admin):
        raise ApiError(404, f"Record {record_id} does not exist.")
    access.require_record(user, schema, row, "read")
    stream.record_action(espo, user, client, "read", schema.name, row)
    return presentation.full(espo, user, schema, row)


def writable(user: User, schema: EntitySchema, data: dict[str, Any]) -> dict[str, Any]:
    """What is left of the sent data: known attributes that may be written, sanitised."""
    forbidden_names = access.hidden_attributes(user, schema, "edit")
    kept: dict[str, Any] = {}
    for name, value in data.items():
        attribute = schema.attributes.get(name)
        if attribute is None or name in _SYSTEM_ATTRIBUTES or name in forbidden_names:
            continue
        field = schema.attribute_fields.get(name)
        if attribute.type in _NEVER_SET or (field is not None and field.read_only):
            continue
        kept[name] = value
    sanitise(schema, kept)
    return kept


def coerced(schema: EntitySchema, data: dict[str, Any]) -> Row:
    """The sanitised data as it stands on the entity."""
    return {name: coerce(schema.attributes[name], value) for name, value in data.items()}


def create(
    espo: Espo, user: User, schema: EntitySchema, data: dict[str, Any], request: Request
) -> dict[str, Any]:
    """POST {E}."""
    access.require_scope(user, schema.name, "create")
    sent = writable(user, schema, data)
    values = {**_defaults(espo, schema), **coerced(schema, sent)}
    validate(schema, values, sent, is_new=True)
    links.check_ids(espo, user, schema, values, {})
    if not _skips_duplicate_check(request):
        _refuse_duplicates(espo, user, schema, values, None)
    row = insert(espo, user, schema, values)
    given = [name for name in values if schema.attributes[name].type in _LISTED_ONCE]
    events.created(espo, user, schema, row, given)
    stream.record_action(espo, user, request.client, "create", schema.name, row)
    return {**presentation.created(espo, user, schema, row, given), **_echoes(schema, values, row)}


def _defaults(espo: Espo, schema: EntitySchema) -> Row:
    values = dict(schema.defaults)
    if espo.arrays_default_empty:
        for field in schema.fields.values():
            if field.type in ("array", "multiEnum", "checklist"):
                values.setdefault(field.name, [])
    return values


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
        if schema.attributes[name].type not in _LISTED_ONCE
    }


def _echoes(schema: EntitySchema, values: Row, row: Row) -> dict[str, Any]:
    # A moment sent without seconds is stored with them, but the answer repeats what was sent.
    return {
        name: value
        for name, value in values.items()
        if schema.attributes[name].type == "datetime" and row.get(name) != value
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


def update(
    espo: Espo, user: User, schema: EntitySchema, record_id: str, data: dict[str, Any], request: Request
) -> dict[str, Any]:
    """PUT and PATCH {E}/{id}: both change only what is given."""
    access.require_scope(user, schema.name, "edit")
    sent = writable(user, schema, data)
    row = espo.store.live(schema.name, record_id)
    if row is None:
        raise ApiError(404, f"Record {record_id} not found.")
    access.require_record(user, schema, row, "edit")
    values = coerced(schema, sent)
    version = request.header(b"x-version-number")
    if version is not None:
        _refuse_stale(espo, user, schema, row, values, intval(version))
    validate(schema, {**row, **values}, sent, is_new=False)
    links.check_ids(espo, user, schema, values, row)
    if schema.defs.get("updateDuplicateCheck") and not _skips_duplicate_check(request):
        _refuse_duplicates(espo, user, schema, {**row, **values}, record_id)
    before = dict(row)
    save(espo, user, schema, row, values)
    stream.record_action(espo, user, request.client, "update", schema.name, row)
    answer = {**presentation.full(espo, user, schema, row), **_echoes(schema, values, row)}
    return _with_old_addresses(espo, schema, answer, before)


def _with_old_addresses(
    espo: Espo, schema: EntitySchema, answer: dict[str, Any], before: Row
) -> dict[str, Any]:
    # 9.x loads the lists before it saves and does not look again.
    if espo.release < (10,):
        for kind in ("email", "phone"):
            field = schema.address_field(kind)
            if field is not None and f"{field.name}Data" in answer:
                answer[f"{field.name}Data"] = before.get(f"{field.name}Data") or []
    return answer


def save(
    espo: Espo, user: User, schema: EntitySchema, row: Row, values: Row, *, mass_update: bool = False
) -> dict[str, Any]:
    """Set `values` on a record; returns and reports to webhooks what really changed.

    With optimistic concurrency control on, even equal values move versionNumber and modifiedAt, but are
    no event; with it off nothing happens then (`facts/espocrm.md` 0.8).
    """
    changed = _changes(espo, schema, row, values)
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


def _changes(espo: Espo, schema: EntitySchema, row: Row, values: Row) -> dict[str, Any]:
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
        elif kind not in ("bareIds", "addressFlag") and not _same(row.get(name), value):
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


def _refuse_stale(espo: Espo, user: User, schema: EntitySchema, row: Row, values: Row, version: int) -> None:
    current = row.get("versionNumber")
    if not schema.occ or current is None or version == current:
        return
    fields = {schema.attribute_fields[name].name for name in _changes(espo, schema, row, values)}
    if not fields:
        return
    shown = {
        name: presentation.value_of(espo, user, schema, row, schema.attributes[name])
        for field in schema.fields.values()
        if field.name in fields
        for name in field.attributes
    }
    raise ApiError(409, "modified", encode_text({"values": shown, "versionNumber": current}))


def _skips_duplicate_check(request: Request) -> bool:
    return (request.header(b"x-skip-duplicate-check") or "").lower() == "true"


def _refuse_duplicates(espo: Espo, user: User, schema: EntitySchema, values: Row, own_id: str | None) -> None:
    wanted = {
        name: fold(value)
        for name in schema.duplicate_fields
        if name in schema.attributes and isinstance(value := values.get(name), str) and value
    }
    if not wanted:
        return
    found = [
        row
        for row in espo.store.tables[schema.name].all_live()
        if row["id"] != own_id
        and any(row.get(name) and fold(row[name]) == key for name, key in wanted.items())
    ][:_MOST_DUPLICATES]
    if found:
        shown = presentation.list_attributes(schema, None, "id")
        body = [presentation.list_row(espo, user, schema, row, shown, None) for row in found]
        raise ApiError(409, "duplicate", encode_text(body))


def delete(espo: Espo, user: User, schema: EntitySchema, record_id: str, client: str) -> bool:
    """DELETE {E}/{id}: hides the record; its link rows and its file stay."""
    access.require_scope(user, schema.name, "delete")
    row = espo.store.live(schema.name, record_id)
    if row is None:
        raise ApiError(404, f"Record {record_id} not found.")
    access.require_record(user, schema, row, "delete")
    espo.store.tables[schema.name].drop_from_index(record_id)
    row["deleted"] = True
    if "modifiedAt" in schema.attributes:
        row["modifiedAt"] = espo.store.now()
    if "modifiedById" in schema.attributes:
        row["modifiedById"] = user.id
    events.deleted(espo, user, schema, row)
    stream.record_action(espo, user, client, "delete", schema.name, row)
    return True


def restore(espo: Espo, user: User, schema: EntitySchema, data: dict[str, Any]) -> bool:
    """POST {E}/action/restoreDeleted, for admins: no webhook, modifiedAt stays (`facts/espocrm.md` 0.6)."""
    if not user.is_admin:
        raise forbidden()
    if not data.get("id"):
        raise ApiError(400, "")
    row = espo.store.tables[schema.name].rows.get(data["id"])
    if row is None:
        raise ApiError(404, "")
    if not row["deleted"]:
        raise ApiError(409, "Record type is not soft-deleted.")
    row["deleted"] = False
    espo.store.tables[schema.name].put(row)
    return True
