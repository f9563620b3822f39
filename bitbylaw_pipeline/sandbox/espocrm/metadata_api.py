"""What the server tells about itself: App/user, Metadata, OpenApi (`facts/espocrm.md` 2 and 10)."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import access
from bitbylaw_pipeline.sandbox.espocrm.answers import forbidden
from bitbylaw_pipeline.sandbox.espocrm.schema import Attribute, EntitySchema, Field
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User

_TEXT_OR_NULL = ["string", "null"]
_MOMENT_PATTERN = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"
_DESCRIPTIONS = {
    400: "Bad request. Check logs for details.",
    403: "Forbidden. Might be an access control error. Check logs for details.",
}


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


def open_api(espo: Espo, user: User) -> dict[str, Any]:
    """GET OpenApi (9.3 and later): admins, and API users whose role has the scope OpenApi."""
    granted = user.acl is not None and bool(user.acl.get("OpenApi"))
    if not user.is_admin and not granted:
        raise forbidden()
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for name, schema in espo.store.schemas.items():
        if not schema.is_object or name == "User":
            continue
        paths[f"/{name}"] = {"post": _create_operation(name), "get": _list_operation(name, schema)}
        paths[f"/{name}/{{id}}"] = _record_operations(name)
        for link in schema.links.values():
            if link.many:
                paths[f"/{name}/{{id}}/{link.name}"] = _link_operations(name, link.name, link.entity)
        schemas[name] = {"type": "object", "properties": _properties(schema)}
        required = [field.name for field in schema.fields.values() if field.params.get("required")]
        reference = {"$ref": f"#/components/schemas/{name}", "type": "object"}
        schemas[f"{name}_create"] = {**reference, "required": required}
    info = {"title": "EspoCRM API", "version": "1.0.0"}
    return {"openapi": "3.1.1", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _answer(name: str) -> dict[str, Any]:
    return {
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}},
        "description": "Success.",
    }


def _refusals(*statuses: int) -> dict[str, Any]:
    return {str(status): {"description": _DESCRIPTIONS.get(status, "Conflict.")} for status in statuses}


def _body(name: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


def _create_operation(name: str) -> dict[str, Any]:
    return {
        "tags": [name],
        "requestBody": _body(f"{name}_create"),
        "parameters": [_header("X-Skip-Duplicate-Check", "Skip duplicate check.")],
        "summary": f"Create {name}",
        "description": f"Create a new '{name}' record.",
        "responses": {"200": _answer(name), **_refusals(400, 403, 409)},
    }


def _header(name: str, text: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "schema": {"type": "string"}, "description": text}


def _list_operation(name: str, schema: EntitySchema) -> dict[str, Any]:
    integer = {"type": "integer", "minimum": 0}
    query: list[dict[str, Any]] = [
        {"name": "offset", "in": "query", "schema": integer},
        {"name": "maxSize", "in": "query", "schema": {**integer, "maximum": 200}},
        {"name": "orderBy", "in": "query", "schema": {"type": "string"}},
        {"name": "order", "in": "query", "schema": {"type": "string", "enum": ["asc", "desc"]}},
        {
            "name": "attributeSelect",
            "in": "query",
            "schema": {"type": "array", "items": {"enum": list(_properties(schema))}},
        },
        {"name": "whereGroup", "in": "query", "schema": {"type": "array"}},
    ]
    return {
        "tags": [name],
        "parameters": [_header("X-No-Total", "Disable calculation of the total number of records."), *query],
        "summary": f"List {name}",
        "description": f"List {name} records.",
        "responses": {"200": {"description": "Success."}, **_refusals(400, 403)},
    }


def _record_operations(name: str) -> dict[str, Any]:
    version = _header("X-Version-Number", "A version number for optimistic concurrency control.")
    return {
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "get": {
            "tags": [name],
            "summary": f"Read {name}",
            "responses": {"200": _answer(name), **_refusals(403)},
        },
        "patch": {
            "tags": [name],
            "requestBody": _body(name),
            "parameters": [version],
            "summary": f"Update {name}",
            "responses": {"200": _answer(name), **_refusals(400, 403, 409)},
        },
        "delete": {"tags": [name], "summary": f"Remove {name}", "responses": _refusals(400, 403)},
    }


def _link_operations(name: str, link: str, target: str) -> dict[str, Any]:
    body = {
        "content": {
            "application/json": {"schema": {"type": "object", "properties": {"id": {"type": "string"}}}}
        }
    }
    done = {"200": {"description": "Success."}, **_refusals(400, 403)}
    return {
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "get": {
            "tags": [name],
            "summary": f"List {name} . {link}",
            "responses": {"200": _answer(target), **_refusals(403)},
        },
        "post": {
            "tags": [name],
            "requestBody": body,
            "summary": f"Relate {name} . {link}",
            "responses": done,
        },
        "delete": {
            "tags": [name],
            "requestBody": body,
            "summary": f"Unrelate {name} . {link}",
            "responses": done,
        },
    }


def _properties(schema: EntitySchema) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": {"type": "string", "readOnly": True, "description": "An ID."}}
    for field in schema.fields.values():
        for name in field.attributes:
            attribute = schema.attributes[name]
            if attribute.type != "jsonArray":
                shown[name] = {
                    **_property(field, attribute),
                    "readOnly": field.read_only or name.endswith(("Name", "Names")),
                }
    return shown


_PROPERTIES: dict[str, dict[str, Any]] = {
    "bool": {"type": "boolean"},
    "addressFlag": {"type": "boolean"},
    "int": {"type": ["integer", "null"]},
    "float": {"type": ["number", "null"]},
    "datetime": {"type": _TEXT_OR_NULL, "pattern": _MOMENT_PATTERN},
    "array": {"type": "array", "items": {"type": "string"}},
    "linkIds": {"type": ["array", "null"], "items": {"type": "string"}},
    "linkNames": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
}


def _property(field: Field, attribute: Attribute) -> dict[str, Any]:
    if field.type == "multiEnum":
        return {"type": "array", "items": {"type": "string", "enum": field.params.get("options") or []}}
    if attribute.type in _PROPERTIES:
        return _PROPERTIES[attribute.type]
    if field.type == "enum":
        return {"type": "string", "enum": field.params.get("options") or []}
    longest = field.params.get("maxLength") or (255 if field.type == "varchar" else None)
    shown: dict[str, Any] = {"type": "string" if field.params.get("required") else _TEXT_OR_NULL}
    return {**shown, "maxLength": longest} if longest else shown
