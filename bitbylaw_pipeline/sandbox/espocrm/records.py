"""Creating, reading, changing and deleting records (`facts/espocrm.md` 4 to 6)."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import (
    access,
    events,
    links,
    presentation,
    saving,
    stream,
)
from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, encode_text, forbidden
from bitbylaw_pipeline.sandbox.espocrm.collation import fold
from bitbylaw_pipeline.sandbox.espocrm.normalise import coerce, sanitise
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
    values = {**schema.defaults, **coerced(schema, sent)}
    validate(schema, values, sent, is_new=True)
    links.check_ids(espo, user, schema, values, {})
    if not _skips_duplicate_check(request):
        _refuse_duplicates(espo, user, schema, values, None)
    row = saving.insert(espo, user, schema, values)
    given = [name for name in values if schema.attributes[name].type in saving.LISTED_ONCE]
    events.created(espo, user, schema, row, given)
    stream.record_action(espo, user, request.client, "create", schema.name, row)
    return {**presentation.created(espo, user, schema, row, given), **_echoes(schema, values, row)}


def _echoes(schema: EntitySchema, values: Row, row: Row) -> dict[str, Any]:
    # A moment sent without seconds is stored with them, but the answer repeats what was sent.
    return {
        name: value
        for name, value in values.items()
        if schema.attributes[name].type == "datetime" and row.get(name) != value
    }


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
    saving.save(espo, user, schema, row, values)
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


def _refuse_stale(espo: Espo, user: User, schema: EntitySchema, row: Row, values: Row, version: int) -> None:
    current = row.get("versionNumber")
    if not schema.occ or current is None or version == current:
        return
    fields = {schema.attribute_fields[name].name for name in saving.changes(espo, user, schema, row, values)}
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
