"""Attachments: upload, download, copies, and who owns a file (`facts/espocrm.md` 8)."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import access, presentation, stream
from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, forbidden
from bitbylaw_pipeline.sandbox.espocrm.blobs import Blob
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Row
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User
from bitbylaw_pipeline.sandbox.espocrm.validate import failure

_FILE_FIELD_TYPES = ("file", "image", "attachmentMultiple")
_LONGEST_NAME = 255
_NOTHING_SENT = object()


def adopt(espo: Espo, schema: EntitySchema, row: Row, values: Row, before: Row) -> None:
    """After a save: the file belongs to this record now, and the one it replaces is deleted at once.

    Nobody asks whether the file was another record's: it moves (`facts/espocrm.md` 0.13).
    """
    files = espo.store.tables["Attachment"]
    for field in schema.fields.values():
        key = f"{field.name}Id"
        if field.type not in ("file", "image") or key not in values or values[key] == before.get(key):
            continue
        previous = files.live(before[key]) if before.get(key) else None
        if previous is not None:
            previous["deleted"] = True
            espo.store.blobs.pop(previous["id"], None)
        current = files.live(values[key]) if values[key] else None
        if current is not None:
            current |= {"relatedId": row["id"], "relatedType": schema.name, "modifiedAt": espo.store.now()}


def upload(espo: Espo, user: User, data: dict[str, Any], client: str) -> dict[str, Any]:
    """POST Attachment with the contents as a data: URI."""
    contents = _contents(data)
    parent_type, related_type = data.get("parentType"), data.get("relatedType")
    owner, field = parent_type or related_type, data.get("field")
    if not owner or not field:
        raise ApiError(400, "No `field` and `parentType`.")
    role = data.get("role") or "Attachment"
    _check_field(espo, user, owner, field, role)
    name = data.get("name")
    if not isinstance(name, str) or not name:
        raise failure("Attachment", "name", "required")
    if len(name) > _LONGEST_NAME:
        raise failure("Attachment", "name", "maxLength")
    row = _new_row(espo, user, name, data.get("type"), len(contents), field, role)
    row |= {"parentType": parent_type} if parent_type else {"relatedType": related_type}
    espo.store.tables["Attachment"].rows[row["id"]] = row
    espo.store.blobs[row["id"]] = Blob(contents)
    stream.record_action(espo, user, client, "create", "Attachment", row)
    return _shown_when_new(espo, user, row)


def _contents(data: dict[str, Any]) -> bytes:
    if data.get("isBeingUploaded"):
        return b""
    sent = data.get("file", _NOTHING_SENT)
    if sent is _NOTHING_SENT:
        raise ApiError(400, "No file contents.")
    if not isinstance(sent, str):
        raise ApiError(400, "Non-string file contents.")
    _, comma, text = sent.partition(",")
    if not comma:
        raise ApiError(400, "Bad file contents.")
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


def _check_field(espo: Espo, user: User, owner: str, field: str, role: str) -> None:
    if role not in ("Attachment", "Inline Attachment"):
        raise forbidden("Role not allowed.")
    schema = espo.store.schemas.get(owner)
    defined = schema.fields.get(field) if schema is not None else None
    if schema is None or defined is None:
        raise forbidden(f"Field '{field}' does not exist.")
    if defined.type not in (_FILE_FIELD_TYPES if role == "Attachment" else ("wysiwyg",)):
        raise forbidden(f"Field type '{defined.type}' is not allowed for {role}.")
    if not access.allows(user, owner, "create") and not access.allows(user, owner, "edit"):
        raise forbidden(f"No access to {owner}.")
    if defined.attributes[0] in access.hidden_attributes(user, schema, "edit"):
        raise forbidden(f"No access to field '{field}'.")


def _new_row(espo: Espo, user: User, name: str, content_type: Any, size: int, field: str, role: str) -> Row:
    now = espo.store.now()
    row: Row = {"id": espo.store.new_id(), "name": name, "deleted": False, "size": size, "field": field}
    row |= {"isBeingUploaded": False, "createdAt": now, "modifiedAt": now, "role": role}
    row |= {"storage": "EspoUploadDir", "storageFilePath": None, "global": False, "createdById": user.id}
    return row if content_type is None else {**row, "type": content_type}


def seeded(espo: Espo, user: User, attachment_id: str, name: str, content_type: str, blob: Blob) -> Row:
    """An attachment that was there before; its record is set when a record with its id is seeded."""
    row = _new_row(espo, user, name, content_type, blob.size, "dokument", "Attachment")
    row |= {"id": attachment_id}
    espo.store.tables["Attachment"].rows[attachment_id] = row
    espo.store.blobs[attachment_id] = blob
    return row


def _shown_when_new(espo: Espo, user: User, row: Row) -> dict[str, Any]:
    shown = presentation.created(espo, user, espo.store.schemas["Attachment"], row, ())
    names = {"parentName": None, "relatedName": None}
    order = list(espo.store.schemas["Attachment"].attributes)
    return dict(sorted((shown | names).items(), key=lambda item: order.index(item[0])))


def _readable(espo: Espo, user: User, attachment_id: str) -> Row | None:
    row = espo.store.tables["Attachment"].rows.get(attachment_id)
    if row is None or (row["deleted"] and not user.is_admin):
        return None
    if not _may_read(espo, user, row):
        raise forbidden("No 'read' access.")
    return row


def _may_read(espo: Espo, user: User, row: Row) -> bool:
    parent_type = row.get("parentType") if row.get("parentId") else row.get("relatedType")
    parent_id = row.get("parentId") or row.get("relatedId")
    parent = espo.store.live(parent_type, parent_id) if parent_type and parent_id else None
    if parent is not None and parent_type is not None:
        schema = espo.store.schemas[parent_type]
        if access.allows_record(user, schema, parent, "read"):
            return f"{row['field']}Id" not in access.hidden_attributes(user, schema, "read")
    # Without a record that can be asked, the file's own maker may still read it.
    return user.is_admin or bool(row.get("createdById") == user.id)


def read(espo: Espo, user: User, attachment_id: str, client: str) -> dict[str, Any]:
    """GET Attachment/{id}."""
    row = _readable(espo, user, attachment_id)
    if row is None:
        raise ApiError(404, f"Record {attachment_id} does not exist.")
    stream.record_action(espo, user, client, "read", "Attachment", row)
    return _shown(espo, user, row)


def _shown(espo: Espo, user: User, row: Row) -> dict[str, Any]:
    shown = presentation.full(espo, user, espo.store.schemas["Attachment"], row)
    for place in ("parent", "related"):
        if row.get(f"{place}Id"):
            shown[f"{place}Name"] = espo.store.name_of(row[f"{place}Type"], row[f"{place}Id"])
    return shown


def download(espo: Espo, user: User, attachment_id: str) -> tuple[Row, Blob]:
    """GET Attachment/file/{id}."""
    row = _readable(espo, user, attachment_id)
    blob = espo.store.blobs.get(attachment_id)
    if row is None or blob is None:
        raise ApiError(404, "")
    return row, blob


def change(espo: Espo, user: User, attachment_id: str, data: dict[str, Any], client: str) -> dict[str, Any]:
    """PUT Attachment/{id}: name and type may change; new contents change the reported size only."""
    row = espo.store.live("Attachment", attachment_id)
    if row is None:
        raise ApiError(404, f"Record {attachment_id} not found.")
    access.require_record(user, espo.store.schemas["Attachment"], row, "edit")
    for name in ("name", "type"):
        if isinstance(data.get(name), str):
            row[name] = data[name]
    if isinstance(data.get("file"), str) and "," in data["file"]:
        row["size"] = len(_contents(data))
    row["modifiedAt"] = espo.store.now()
    stream.record_action(espo, user, client, "update", "Attachment", row)
    return _shown(espo, user, row)


def remove(espo: Espo, user: User, attachment_id: str, client: str) -> bool:
    """DELETE Attachment/{id}, for its maker and admins."""
    row = espo.store.live("Attachment", attachment_id)
    if row is None:
        raise ApiError(404, f"Record {attachment_id} not found.")
    access.require_record(user, espo.store.schemas["Attachment"], row, "delete")
    row["deleted"] = True
    espo.store.blobs.pop(attachment_id, None)
    stream.record_action(espo, user, client, "delete", "Attachment", row)
    return True


def copy(espo: Espo, user: User, attachment_id: str, data: dict[str, Any]) -> dict[str, Any]:
    """POST Attachment/copy/{id}: the same bytes under a new id."""
    field, owner = data.get("field"), data.get("parentType") or data.get("relatedType")
    if not field:
        raise ApiError(400, "No `field`.")
    if not owner:
        raise ApiError(400, "No parentType and relatedType passed.")
    _check_field(espo, user, owner, field, "Attachment")
    row, blob = download(espo, user, attachment_id)
    new = _new_row(espo, user, row["name"], row.get("type"), row["size"], field, "Attachment")
    new |= {"parentType": owner} if data.get("parentType") else {"relatedType": owner}
    new["sourceId"] = row.get("sourceId") or row["id"]
    espo.store.tables["Attachment"].rows[new["id"]] = new
    espo.store.blobs[new["id"]] = blob
    return _shown_when_new(espo, user, new)


def check_listing(user: User) -> None:
    """GET Attachment is for admins."""
    if not user.is_admin:
        raise forbidden()


def find_for_field(schema: EntitySchema, row: Row) -> list[str]:
    """Ids of the files that a record's file fields hold."""
    keys = (f"{field.name}Id" for field in schema.fields.values() if field.type in ("file", "image"))
    return [row[key] for key in keys if row.get(key)]
