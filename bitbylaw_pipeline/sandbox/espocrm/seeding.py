"""`POST /sandbox/seed`: the data model, users, records, files, configuration and webhooks of a stand-in."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import addresses, attachments, model, system_model, webhooks
from bitbylaw_pipeline.sandbox.espocrm.blobs import Blob
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, compile_entity
from bitbylaw_pipeline.sandbox.espocrm.system import DEFAULT_CONFIG, Espo, LinkHook, User

Document = dict[str, Any]

ADMIN_ID = "6b029f4cd2b817b4e"
SYNC_ID = "6b02a015841cd014d"
SYNC_API_KEY = "sandbox-espocrm-key"
ADMIN_PASSWORD = "sandbox-admin"

EXAMPLE: Document = {
    "reset": True,
    "model": "kanzlei",
    "entities": {
        "CDokumente": {
            "fields": {"vermerk": {"type": "varchar", "maxLength": 50}},
            "linkMultipleFields": ["rumungsklages"],
            "optimisticConcurrencyControl": True,
            "duplicateCheckFieldList": ["xaiId"],
        }
    },
    "users": [
        {"userName": "leser", "type": "api", "apiKey": "leser-key", "acl": {"CDokumente": {"read": "all"}},
         "fieldAcl": {"CDokumente": {"sha256": {"read": "no", "edit": "no"}}}}
    ],
    "attachments": [
        {"id": "6b02a1efbed120d8c", "name": "klage.txt", "type": "text/plain", "contentBase64": "S2xhZ2U="},
        {"id": "6b02a1efbed120d8d", "name": "gross.txt", "type": "text/plain", "size": 48000000, "fill": "1"},
    ],
    "records": {
        "CVmhRumungsklage": [{"id": "6b02a0dd6bb97434d", "name": "Räumungsklage Beispielstraße 5"}],
        "CDokumente": [
            {"id": "6b02a0dd1a3b9b634", "name": "Klage", "dokumentId": "6b02a1efbed120d8c",
             "rumungsklagesIds": ["6b02a0dd6bb97434d"]}
        ],
    },
    "config": {"webhookPeriodSeconds": 120, "webhookAllowedAddressList": ["127.0.0.1:3111"]},
    "webhooks": [{"event": "CDokumente.update", "url": "http://127.0.0.1:3111/vmh/webhook/document/update"}],
    "linkHooks": {"url": "http://127.0.0.1:3111/vmh/webhook/entity", "header": "X-Webhook-Secret", "secret": "s"},
}  # fmt: skip

_ENTITY_KEYS = {
    "fields",
    "links",
    "collection",
    "indexes",
    "optimisticConcurrencyControl",
    "duplicateCheckFieldList",
    "updateDuplicateCheck",
    "stream",
    "linkMultipleFields",
    "removeFields",
}
_USER_KEYS = {
    "id",
    "userName",
    "name",
    "type",
    "apiKey",
    "authMethod",
    "secretKey",
    "password",
    "isActive",
    "acl",
    "fieldAcl",
    "massUpdate",
}
_ATTACHMENT_FACTS = {"relatedType", "relatedId", "parentType", "parentId", "field", "createdAt", "modifiedAt"}
_ATTACHMENT_KEYS = {"id", "name", "type", "contentBase64", "size", "fill", "createdById", *_ATTACHMENT_FACTS}
_WEBHOOK_KEYS = {"id", "event", "url", "secretKey", "skipOwn", "isActive", "userName", "createdAt"}
_LINK_HOOK_KEYS = {"url", "header", "secret"}
_USER_TYPES = ("api", "admin", "regular")


def _only(given: Any, known: set[str], where: str) -> Document:
    if not isinstance(given, dict):
        raise ValueError(f"{where} must be a JSON object.")  # noqa: TRY004
    if unknown := sorted(set(given) - known):
        raise ValueError(f"{where} has unknown keys {unknown}; known are {sorted(known)}.")
    return given


def _list_of(document: Document, key: str) -> list[Any]:
    value = document.get(key) or []
    if not isinstance(value, list):
        raise ValueError(f"{key} must be a list.")  # noqa: TRY004
    return value


def reset(espo: Espo, model_name: str = "recorded") -> None:
    """Empty the stand-in and give it the data model, the user sync with all rights, and an admin."""
    espo.clear()
    for name, defs in system_model.system_model().items():
        espo.store.add_schema(compile_entity(name, defs, stream=False, is_object=name == "User"))
    for name, defs in model.model(model_name).items():
        _compile(espo, name, defs)
    admin = {
        "id": ADMIN_ID,
        "userName": "admin",
        "name": "Admin",
        "type": "admin",
        "password": ADMIN_PASSWORD,
    }
    _add_user(espo, admin)
    _add_user(espo, {"id": SYNC_ID, "userName": "sync", "type": "api", "apiKey": SYNC_API_KEY})


def seed(espo: Espo, document: Any) -> Document:
    """Apply a seed document (see EXAMPLE); returns how much of what was added.

    Everything in it is optional and adds to what is there, unless `reset`. Raises ValueError with one sentence.
    """
    steps = {
        "entities": _seed_entities,
        "users": _seed_users,
        "attachments": _seed_attachments,
        "records": _seed_records,
        "config": _seed_config,
        "webhooks": _seed_webhooks,
        "linkHooks": _seed_link_hook,
    }
    document = _only(document, {"reset", "model", *steps}, "The seed")
    name = document.get("model", "recorded")
    if name not in model.MODELS:
        raise ValueError(f"There is no model {name!r}; choose one of {sorted(model.MODELS)}.")
    if document.get("reset"):
        reset(espo, name)
    elif "model" in document:
        for entity, defs in model.model(name).items():
            _compile(espo, entity, defs)
    for user in espo.users.values():
        user.hidden.clear()
    return {key: apply(espo, document) for key, apply in steps.items() if key in document}


def _compile(espo: Espo, name: str, defs: Document) -> EntitySchema:
    schema = compile_entity(name, defs, stream=bool(defs.get("stream")), is_object=True)
    espo.store.add_schema(schema)
    return schema


def _seed_entities(espo: Espo, document: Document) -> int:
    entities = document["entities"]
    if not isinstance(entities, dict):
        raise ValueError("entities must be an object of entity types.")  # noqa: TRY004
    for name, raw in entities.items():
        given = _only(raw, _ENTITY_KEYS, f"entities.{name}")
        known = espo.store.schemas.get(name)
        old: Document = known.defs if known else {"fields": model.base_fields(), "links": model.base_links()}
        fields = {**old["fields"], **(given.get("fields") or {})}
        links = {**old["links"], **(given.get("links") or {})}
        for link in given.get("linkMultipleFields") or []:
            if link not in links:
                raise ValueError(f"{name} has no link {link!r} that could get a link-multiple field.")
            fields[link] = {"type": "linkMultiple"}
        for field in given.get("removeFields") or []:
            fields.pop(field, None)
        flags = {
            key: value for key, value in given.items() if key not in ("linkMultipleFields", "removeFields")
        }
        defs = {**old, **flags, "fields": fields, "links": links}
        if defs.get("stream") and "streamUpdatedAt" not in fields:
            fields["streamUpdatedAt"] = {"type": "datetime", "readOnly": True}
        _compile(espo, name, defs)
    return len(entities)


def _seed_users(espo: Espo, document: Document) -> int:
    users = _list_of(document, "users")
    for given in users:
        _add_user(espo, _only(given, _USER_KEYS, "A user"))
    return len(users)


def _add_user(espo: Espo, given: Document) -> User:
    name, kind = given.get("userName"), given.get("type", "api")
    if not name or kind not in _USER_TYPES:
        raise ValueError(f"A user needs userName and one of the types {', '.join(_USER_TYPES)}.")
    acl = given.get("acl")
    if acl is not None and acl != "all" and not isinstance(acl, dict):
        raise ValueError(f'The acl of user {name!r} must be "all" or an object of scopes.')
    old = next((user for user in espo.users.values() if user.user_name == name), None)
    user = User(
        id=given.get("id") or (old.id if old else espo.store.new_id()),
        user_name=name,
        type=kind,
        api_key=given.get("apiKey", ""),
        auth_method=given.get("authMethod", "ApiKey"),
        secret_key=given.get("secretKey", ""),
        password=given.get("password", ""),
        is_active=given.get("isActive", True),
        acl=acl if isinstance(acl, dict) else None,
        field_acl=given.get("fieldAcl") or {},
        mass_update=given.get("massUpdate", True),
    )
    if old is not None:
        del espo.users[old.id]
    espo.users[user.id] = user
    now = espo.store.now()
    row = {"id": user.id, "userName": name, "name": given.get("name", name), "type": kind, "deleted": False}
    row |= {"lastName": row["name"], "isActive": user.is_active, "createdAt": now, "modifiedAt": now}
    espo.store.tables["User"].put({**row, "createdById": ADMIN_ID})
    return user


def _seed_attachments(espo: Espo, document: Document) -> int:
    files = _list_of(document, "attachments")
    for raw in files:
        given = _only(raw, _ATTACHMENT_KEYS, "An attachment")
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


def _seed_records(espo: Espo, document: Document) -> int:
    records = document["records"]
    if not isinstance(records, dict):
        raise ValueError("records must be an object of lists per entity type.")  # noqa: TRY004
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
    given = _only(raw, {*schema.attributes, "deleted"}, f"A record of {schema.name}")
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
        if schema.attributes[name].type
        not in ("linkIds", "bareIds", "linkNames", "foreignName", "addressData")
        and value is not None
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


def _seed_config(espo: Espo, document: Document) -> int:
    config = _only(document["config"], set(DEFAULT_CONFIG), "config")
    espo.config.update(config)
    return len(config)


def _seed_webhooks(espo: Espo, document: Document) -> int:
    hooks = _list_of(document, "webhooks")
    for raw in hooks:
        given = _only(raw, _WEBHOOK_KEYS, "A webhook")
        parts = str(given.get("event", "")).split(".")
        if len(parts) < 2 or parts[0] not in espo.store.schemas or not given.get("url"):
            raise ValueError("A webhook needs url and an event such as CDokumente.update.")
        name = given.get("userName", "sync")
        user = next((user for user in espo.users.values() if user.user_name == name), None)
        if user is None:
            raise ValueError(f"There is no user {name!r} to own a webhook.")
        values = {
            "event": given["event"],
            "url": given["url"],
            "isActive": given.get("isActive", True),
            "skipOwn": given.get("skipOwn", False),
            "entityType": parts[0],
            "type": parts[1],
            "field": parts[2] if len(parts) > 2 else None,
            "userId": user.id,
        }
        row = webhooks.register(espo, user, values, given.get("id", ""), given.get("secretKey", ""))
        row |= {key: given["createdAt"] for key in ("createdAt", "modifiedAt") if "createdAt" in given}
    return len(hooks)


def _seed_link_hook(espo: Espo, document: Document) -> int:
    if document["linkHooks"] is None:
        espo.link_hook = None
        return 0
    given = _only(document["linkHooks"], _LINK_HOOK_KEYS, "linkHooks")
    if not given.get("url"):
        raise ValueError("linkHooks needs the url that /link and /unlink are added to.")
    espo.link_hook = LinkHook(**given)
    return 1
