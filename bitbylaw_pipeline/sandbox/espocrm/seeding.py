"""`POST /sandbox/seed`: the data model, users, records, files, configuration and webhooks of a stand-in."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import model, system_model, webhooks
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, compile_entity
from bitbylaw_pipeline.sandbox.espocrm.seed_records import (
    ADMIN_ID,
    SYNC_ID,
    list_of,
    only,
    seed_attachments,
    seed_records,
)
from bitbylaw_pipeline.sandbox.espocrm.system import DEFAULT_CONFIG, Espo, LinkHook, User

Document = dict[str, Any]

SYNC_API_KEY = "sandbox-espocrm-key"
ADMIN_PASSWORD = "sandbox-admin"


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
_WEBHOOK_KEYS = {"id", "event", "url", "secretKey", "skipOwn", "isActive", "userName", "createdAt"}
_LINK_HOOK_KEYS = {"url", "header", "secret"}
_USER_TYPES = ("api", "admin", "regular")


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
    """Apply a seed document (see `seed_example`); returns how much of what was added.

    Everything in it is optional and adds to what is there, unless `reset`. Raises ValueError with one sentence.
    """
    steps = {
        "entities": _seed_entities,
        "users": _seed_users,
        "attachments": seed_attachments,
        "records": seed_records,
        "config": _seed_config,
        "webhooks": _seed_webhooks,
        "linkHooks": _seed_link_hook,
    }
    document = only(document, {"reset", "model", *steps}, "The seed")
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
        raise ValueError("entities must be an object of entity types.")
    _name_relations(espo, entities)
    for name, raw in entities.items():
        given = only(raw, _ENTITY_KEYS, f"entities.{name}")
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


def _name_relations(espo: Espo, entities: Document) -> None:
    """Give a link that is hasMany at both ends its relation's name, as EspoCRM does where metadata has none."""
    for name, given in entities.items():
        for link_name, link in (given.get("links") or {}).items() if isinstance(given, dict) else ():
            target, foreign = link.get("entity", ""), link.get("foreign") or ""
            known = espo.store.schemas.get(target)
            other = ((entities.get(target) or {}).get("links") or {}).get(foreign) or (
                known.defs["links"].get(foreign, {}) if known else {}
            )
            both = {link.get("type"), other.get("type")} <= {"hasMany", "manyMany"}
            if both and not link.get("relationName"):
                ends = sorted((f"{name}.{link_name}", f"{target}.{foreign}"))
                link["relationName"] = other.get("relationName") or "~".join(ends)


def _seed_users(espo: Espo, document: Document) -> int:
    users = list_of(document, "users")
    for given in users:
        _add_user(espo, only(given, _USER_KEYS, "A user"))
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


def _seed_config(espo: Espo, document: Document) -> int:
    config = only(document["config"], set(DEFAULT_CONFIG), "config")
    espo.config.update(config)
    return len(config)


def _seed_webhooks(espo: Espo, document: Document) -> int:
    hooks = list_of(document, "webhooks")
    for raw in hooks:
        given = only(raw, _WEBHOOK_KEYS, "A webhook")
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
    given = only(document["linkHooks"], _LINK_HOOK_KEYS, "linkHooks")
    if not given.get("url"):
        raise ValueError("linkHooks needs the url that /link and /unlink are added to.")
    espo.link_hook = LinkHook(**given)
    return 1
