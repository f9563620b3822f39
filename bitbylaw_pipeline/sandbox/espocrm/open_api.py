"""GET OpenApi: the description of this very server that 9.3 and later give (`facts/espocrm.md` 10)."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm.answers import forbidden
from bitbylaw_pipeline.sandbox.espocrm.schema import Attribute, EntitySchema, Field
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User

_TEXT_OR_NULL = ["string", "null"]
_MOMENT_PATTERN = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"
_DESCRIPTIONS = {
    400: "Bad request. Check logs for details.",
    403: "Forbidden. Might be an access control error. Check logs for details.",
}


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
