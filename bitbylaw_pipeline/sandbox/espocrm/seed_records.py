"""The records and files of a seed (`seeding`)."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import addresses, attachments
from bitbylaw_pipeline.sandbox.espocrm.blobs import Blob
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema
from bitbylaw_pipeline.sandbox.espocrm.system import Espo

Document = dict[str, Any]

ADMIN_ID = "6b029f4cd2b817b4e"
SYNC_ID = "6b02a015841cd014d"

_ATTACHMENT_FACTS = {"relatedType", "relatedId", "parentType", "parentId", "field", "createdAt", "modifiedAt"}
_ATTACHMENT_KEYS = {"id", "name", "type", "contentBase64", "size", "fill", "createdById", *_ATTACHMENT_FACTS}
# Shown in answers, but not stored with the record: a seed may be made from an answer as it is.
_DERIVED = frozenset(
    {"linkIds", "bareIds", "linkNames", "foreignName", "addressData", "addressFlag"}
    | {"isFollowed", "followersIds", "followersNames"}
)


def only(given: Any, known: set[str], where: str) -> Document:
    """The object, if it has known keys alone. Raises ValueError with one sentence."""
    if not isinstance(given, dict):
        raise ValueError(f"{where} must be a JSON object.")
    if unknown := sorted(set(given) - known):
        raise ValueError(f"{where} has unknown keys {unknown}; known are {sorted(known)}.")
    return given


def list_of(document: Document, key: str) -> list[Any]:
    """The list under a key, empty if it is missing. Raises ValueError."""
    value = document.get(key) or []
    if not isinstance(value, list):
        raise ValueError(f"{key} must be a list.")
    return value


def seed_attachments(espo: Espo, document: Document) -> int:
    """Add the files; returns how many."""
    files = list_of(document, "attachments")
    for raw in files:
        given = only(raw, _ATTACHMENT_KEYS, "An attachment")
        if not given.get("id") or ("contentBase64" in given) == ("size" in given):
            raise ValueError("An attachment needs an id and either contentBase64 or size.")
        if "size" in given:
            blob = Blob(size=int(given["size"]), fill=str(given.get("fill", "")))
        else:
            try:
                blob = Blob(base64.b64decode(given["contentBase64"], validate=True))
            except (binascii.Error, TypeError):
                raise ValueError(f"contentBase64 of attachment {given['id']} is not base64.") from None
        user = espo.users.get(given.get("createdById", SYNC_ID)) or espo.users[ADMIN_ID]
        kind = str(given.get("type", "application/octet-stream"))
        name = str(given.get("name", given["id"]))
        row = attachments.seeded(espo, user, str(given["id"]), name, kind, blob)
        row |= {key: given[key] for key in _ATTACHMENT_FACTS if key in given}
    return len(files)


def seed_records(espo: Espo, document: Document) -> int:
    """Add the records and then join them; returns how many."""
    records = document["records"]
    if not isinstance(records, dict):
        raise ValueError("records must be an object of lists per entity type.")
    links: list[tuple[EntitySchema, Document, Document]] = []
    for entity, given in records.items():
        schema = espo.store.schemas.get(entity)
        if schema is None or not isinstance(given, list):
            raise ValueError(f"records.{entity} is no list, or there is no entity type {entity}.")
        links += [(schema, _add_record(espo, schema, raw), raw) for raw in given]
    # Only now, so that records may name each other in any order.
    for schema, row, raw in links:
        _link_record(espo, schema, row, raw)
    return len(links)


def _add_record(espo: Espo, schema: EntitySchema, raw: Document) -> Document:
    given = only(raw, {*schema.attributes, "deleted"}, f"A record of {schema.name}")
    now = given.get("createdAt") or espo.store.now()
    row: Document = {"id": given.get("id") or espo.store.new_id(), "deleted": False, "createdAt": now}
    row |= {"modifiedAt": now, "createdById": SYNC_ID, **schema.defaults}
    if "streamUpdatedAt" in schema.attributes:
        row["streamUpdatedAt"] = now
    if schema.occ:
        row["versionNumber"] = 1
    plain = {
        name: value
        for name, value in given.items()
        if schema.attributes[name].type not in _DERIVED and value is not None
    }
    row |= plain
    espo.store.tables[schema.name].put(row)
    addresses.store_addresses(schema, row, given, {})
    return row


def _link_record(espo: Espo, schema: EntitySchema, row: Document, raw: Document) -> None:
    for link in schema.links.values():
        for foreign_id in raw.get(f"{link.name}Ids") or []:
            table = espo.store.tables.get(link.entity)
            if not link.table and (table is None or foreign_id not in table.rows):
                raise ValueError(
                    f"{schema.name}.{link.name} names {link.entity} {foreign_id}, which is not there."
                )
            espo.store.relate(schema.name, link, row["id"], foreign_id)
    for file_id in attachments.find_for_field(schema, row):
        file = espo.store.tables["Attachment"].rows.get(file_id)
        if file is not None:
            file |= {"relatedId": row["id"], "relatedType": schema.name}
