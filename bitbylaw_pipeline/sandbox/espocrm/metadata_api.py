"""What the server tells about itself: App/user and Metadata (`facts/espocrm.md` 2 and 10)."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import access
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User


def app_user(espo: Espo, user: User) -> dict[str, Any]:
    """GET App/user: who I am, what I may do, which version this is."""
    row = espo.store.tables["User"].rows[user.id]
    shown: dict[str, Any] = {
        "id": user.id,
        "name": row["name"],
        "deleted": False,
        "userName": user.user_name,
        "type": user.type,
        "salutationName": None,
        "firstName": None,
        "lastName": row["name"],
        "isActive": True,
        "title": None,
        "emailAddress": None,
        "phoneNumber": None,
        "ipAddress": "127.0.0.1",
        "avatarColor": None,
        "createdAt": row["createdAt"],
        "modifiedAt": row["modifiedAt"],
        "middleName": None,
        "emailAddressIsOptedOut": None,
        "emailAddressIsInvalid": None,
        "phoneNumberIsOptedOut": None,
        "phoneNumberIsInvalid": None,
        "defaultTeamId": None,
        "defaultTeamName": None,
        "teamsIds": [],
        "teamsNames": {},
        "teamsColumns": {},
        "contactId": None,
        "contactName": None,
        "avatarId": None,
        "avatarName": None,
        "createdById": row.get("createdById"),
        "createdByName": espo.store.name_of("User", row.get("createdById")),
        "workingTimeCalendarId": None,
        "emailAddressList": [],
        "userEmailAddressList": [],
        "excludeFromReplyEmailAddressList": [],
    }
    return {
        "user": shown,
        "acl": {"table": _acl_table(espo, user), "fieldTable": user.field_acl, "userPermission": "no"},
        "preferences": {"id": user.id, "timeZone": "", "dateFormat": "", "language": ""},
        "token": None,
        "settings": {"version": espo.version, "siteUrl": espo.config["siteUrl"], "timeZone": "UTC"},
        "language": "de_DE",
        "appParams": {"maxUploadSize": espo.config["maxBodyBytes"] // (1024 * 1024)},
    }


def _acl_table(espo: Espo, user: User) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, schema in espo.store.schemas.items():
        levels = access.levels(user, name)
        if schema.is_object and name != "User":
            table[name] = {
                action: levels.get(action, "no") for action in ("read", "stream", "edit", "delete", "create")
            }
            if not levels:
                table[name] = False
    table["Webhook"] = access.allows(user, "Webhook", "create")
    return table


def metadata(espo: Espo, user: User, key: str | None) -> Any:
    """GET Metadata, whole or the part under `key`; a key that leads nowhere gives None, an empty body."""
    allowed = {name: schema for name, schema in espo.store.schemas.items() if access.allows_any(user, name)}
    tree: dict[str, Any] = {
        "entityDefs": {name: _entity_defs(schema) for name, schema in allowed.items()},
        "scopes": {name: _scope(schema) for name, schema in allowed.items()},
        "recordDefs": {
            name: {"updateDuplicateCheck": bool(schema.defs.get("updateDuplicateCheck"))}
            for name, schema in allowed.items()
        },
        "app": {"version": espo.version},
    }
    if key is None:
        return tree
    node: Any = tree
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _entity_defs(schema: EntitySchema) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name in ("fields", "links", "collection", "indexes"):
        if name in schema.defs:
            shown[name] = schema.defs[name]
    if schema.occ:
        shown["optimisticConcurrencyControl"] = True
    return shown


def _scope(schema: EntitySchema) -> dict[str, Any]:
    custom = schema.name.startswith("C") and schema.is_object
    scope: dict[str, Any] = {
        "entity": True,
        "acl": schema.is_object,
        "object": schema.is_object,
        "stream": schema.stream,
    }
    scope |= {"isCustom": True, "type": "Base", "module": "Custom"} if custom else {}
    return scope | ({"duplicateCheckFieldList": schema.duplicate_fields} if schema.duplicate_fields else {})
