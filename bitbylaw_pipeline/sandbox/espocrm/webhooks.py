"""Registering webhooks: what is accepted, who sees which, what may change (`facts/espocrm.md` 11)."""

from __future__ import annotations

import ipaddress
import secrets
from typing import Any
from urllib.parse import urlsplit

from bitbylaw_pipeline.sandbox.espocrm import access, presentation, records, stream
from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, forbidden
from bitbylaw_pipeline.sandbox.espocrm.schema import Row
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, Request, User
from bitbylaw_pipeline.sandbox.espocrm.validate import failure, validate

_EVENT_TYPES = ("create", "update", "delete", "fieldUpdate")
_INTERNAL_CHECK_SINCE = (9, 3, 2)
_CHANGEABLE = ("url", "isActive", "skipOwn")


def check_user(user: User) -> None:
    """Webhooks are for API users and admins."""
    if not user.is_admin and user.type != "api":
        raise forbidden("No access to 'Webhook'.")


def create(espo: Espo, user: User, data: dict[str, Any], request: Request) -> dict[str, Any]:
    """POST Webhook. Registering the same event and url twice gives two webhooks and two deliveries."""
    access.require_scope(user, "Webhook", "create")
    schema = espo.store.schemas["Webhook"]
    sent = records.writable(user, schema, data)
    values = {**schema.defaults, **records.coerced(schema, sent)}
    validate(schema, values, sent, is_new=True)
    check_target(espo, values["url"])
    if user.type == "api":
        values["userId"] = user.id
    elif not values.get("userId"):
        values["skipOwn"] = False
    _check_owner(espo, values.get("userId"))
    values |= _event_parts(espo, user, values["event"])
    _check_count(espo, user)
    row = register(espo, user, values)
    stream.record_action(espo, user, request.client, "create", "Webhook", row)
    return presentation.created(espo, user, schema, row, ())


def register(espo: Espo, user: User, values: Row, webhook_id: str = "", secret_key: str = "") -> Row:
    """Store a webhook with checked values."""
    now = espo.store.now()
    row = {
        **values,
        "id": webhook_id or espo.store.new_id(),
        "deleted": False,
        "secretKey": secret_key or secrets.token_hex(16),
        "createdAt": now,
        "modifiedAt": now,
        "createdById": user.id,
    }
    espo.store.tables["Webhook"].rows[row["id"]] = row
    refresh_events(espo)
    return row


def refresh_events(espo: Espo) -> None:
    """Count anew which events have an active webhook; saves look here before they queue anything."""
    espo.webhook_events.clear()
    for row in espo.store.tables["Webhook"].all_live():
        if row["isActive"]:
            espo.webhook_events[row["event"]] = espo.webhook_events.get(row["event"], 0) + 1


def _check_owner(espo: Espo, user_id: str | None) -> None:
    if user_id is None:
        return
    owner = espo.users.get(user_id)
    if owner is None or owner.type != "api":
        raise forbidden("User must be an API User.")


def _event_parts(espo: Espo, user: User, event: str) -> Row:
    parts = event.split(".")
    if len(parts) not in (2, 3):
        raise forbidden("Not supported event.")
    entity, kind = parts[0], parts[1]
    if not entity:
        raise forbidden("Entity Type is empty.")
    schema = espo.store.schemas.get(entity)
    if schema is None or not schema.is_object:
        raise forbidden("Entity type is not available for Webhooks.")
    if not access.allows(user, entity, "read"):
        raise forbidden("Entity type is forbidden.")
    if kind not in _EVENT_TYPES:
        raise forbidden("Not supported event.")
    field = None
    if kind == "fieldUpdate":
        field = parts[2] if len(parts) == 3 else None
        if not field:
            raise forbidden("Field is empty.")
        defined = schema.fields.get(field)
        if defined and access.hidden_attributes(user, schema, "read") & set(defined.attributes):
            raise forbidden("Field is forbidden.")
        if not defined:
            raise forbidden("Field does not exist.")
    return {"entityType": entity, "type": kind, "field": field}


def _check_count(espo: Espo, user: User) -> None:
    own = sum(row.get("userId") == user.id for row in espo.store.tables["Webhook"].all_live())
    most = espo.config["webhookMaxCountPerUser"]
    if not user.is_admin and most and own >= most:
        raise forbidden("Webhook number per user exceeded the limit.")


def check_target(espo: Espo, url: str) -> None:
    """9.3.2 and later refuse targets inside the own network, 10.0 also what is no URL. Raises ApiError 400."""
    if espo.release >= (10,) and not (urlsplit(url).scheme and urlsplit(url).hostname):
        raise failure("Webhook", "url", "valid")
    if espo.release >= _INTERNAL_CHECK_SINCE and is_refused_target(espo, url):
        raise failure("Webhook", "url", "notInternal")


def is_refused_target(espo: Espo, url: str) -> bool:
    """Whether the url leads into the own network and is not in webhookAllowedAddressList (host:port).

    The real server asks DNS; here a name without a dot, or under local, internal or localhost, counts as inside.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.scheme not in ("http", "https"):
        return False
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if f"{host}:{port}" in espo.config["webhookAllowedAddressList"]:
        return False
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.rsplit(".", 1)[1] in ("local", "internal", "localhost")


def _own(espo: Espo, user: User, webhook_id: str, action: str) -> Row:
    access.require_scope(user, "Webhook", action)
    row = espo.store.live("Webhook", webhook_id)
    if row is None:
        raise ApiError(404, f"Record {webhook_id} {'does not exist' if action == 'read' else 'not found'}.")
    if not user.is_admin and row.get("userId") != user.id:
        raise forbidden("No 'read' access." if action == "read" else f"No {action} access.")
    return row


def read(espo: Espo, user: User, webhook_id: str) -> dict[str, Any]:
    """GET Webhook/{id}; the secret key is readable again."""
    return presentation.full(espo, user, espo.store.schemas["Webhook"], _own(espo, user, webhook_id, "read"))


def update(espo: Espo, user: User, webhook_id: str, data: dict[str, Any]) -> dict[str, Any]:
    """PUT Webhook/{id}: url, isActive and skipOwn; the event stays what it is."""
    schema = espo.store.schemas["Webhook"]
    row = _own(espo, user, webhook_id, "edit")
    sent = records.writable(user, schema, data)
    if user.is_admin and sent.get("event", row["event"]) != row["event"]:
        raise forbidden("Event can't be changed.")
    sent = {name: value for name, value in sent.items() if name in _CHANGEABLE}
    values = records.coerced(schema, sent)
    validate(schema, {**row, **values}, sent, is_new=False)
    if "url" in values:
        check_target(espo, values["url"])
    if any(row.get(name) != value for name, value in values.items()):
        row |= values
        row |= {"modifiedAt": espo.store.now(), "modifiedById": user.id}
        refresh_events(espo)
    return presentation.full(espo, user, schema, row)


def delete(espo: Espo, user: User, webhook_id: str) -> bool:
    """DELETE Webhook/{id}."""
    _own(espo, user, webhook_id, "delete")["deleted"] = True
    refresh_events(espo)
    return True
