"""Who may do what: EspoCRM's roles as far as they show through the API (`facts/espocrm.md` 2)."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, forbidden
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Row
from bitbylaw_pipeline.sandbox.espocrm.system import User

ACTIONS = ("create", "read", "edit", "delete", "stream")
_FULL = {"create": "yes", "read": "all", "edit": "all", "delete": "all", "stream": "all"}
_OWN = {"create": "yes", "read": "own", "edit": "own", "delete": "own"}
# Rights that every user has, whatever the role says, and those that a role cannot give.
_MANDATORY: dict[str, dict[str, str]] = {
    "Attachment": _OWN,
    "Note": _OWN,
    "ActionHistoryRecord": {"read": "own"},
    "User": {"read": "own"},
    "Stream": _FULL,
}
_ADMIN_ONLY = frozenset({"WebhookQueueItem", "WebhookEventQueueItem"})


def levels(user: User, scope: str) -> dict[str, str]:
    """The user's level per action on a scope; an action that is missing is forbidden."""
    if user.is_admin:
        return _FULL
    if scope in _ADMIN_ONLY:
        return {}
    if scope in _MANDATORY:
        return _MANDATORY[scope]
    granted = True if user.acl is None else user.acl.get(scope, False)
    if scope == "Webhook":
        return _OWN if granted else {}
    if isinstance(granted, bool):
        return _FULL if granted else {}
    # A role written down without the stream action belongs to a time when edit decided over followers too.
    return {"stream": granted.get("edit", "no"), **granted}


def allows(user: User, scope: str, action: str) -> bool:
    """Whether the action is allowed on any record of the scope."""
    return levels(user, scope).get(action, "no") not in ("no", False)


def allows_any(user: User, scope: str) -> bool:
    """Whether the scope is open to the user at all."""
    return any(level != "no" for level in levels(user, scope).values())


def owns(user: User, schema: EntitySchema, row: Row) -> bool:
    """Own means: assigned to the user; where there is no assigned user, created by the user."""
    if "assignedUserId" in schema.attributes:
        return bool(row.get("assignedUserId") == user.id)
    if schema.name in ("ActionHistoryRecord", "Webhook"):
        return bool(row.get("userId") == user.id)
    return bool(row.get("createdById") == user.id) or row["id"] == user.id


def allows_record(user: User, schema: EntitySchema, row: Row, action: str) -> bool:
    """Whether the action is allowed on this record."""
    level = levels(user, schema.name).get(action, "no")
    if level in ("no", False):
        return False
    return level in ("all", "yes") or owns(user, schema, row)


def require_scope(user: User, scope: str, action: str) -> None:
    """Raises 403 `No <action> access.`"""
    if not allows(user, scope, action):
        raise forbidden(f"No {action} access.")


def require_record(user: User, schema: EntitySchema, row: Row, action: str) -> None:
    """Raises 403 with the text that EspoCRM has for a single record."""
    if not allows_record(user, schema, row, action):
        raise forbidden("No 'read' access." if action == "read" else f"No {action} access.")


def hidden_attributes(user: User, schema: EntitySchema, action: str) -> frozenset[str]:
    """Attributes that the user's roles forbid to read or (`action` edit) to write."""
    key = (schema.name, action)
    found = user.hidden.get(key)
    if found is None:
        found = user.hidden[key] = frozenset(_hidden(user, schema, action))
    return found


def _hidden(user: User, schema: EntitySchema, action: str) -> list[str]:
    if user.is_admin:
        return []
    names = [
        name
        for name, level in user.field_acl.get(schema.name, {}).items()
        if name in schema.fields and _field_level(level, action) in ("no", False)
    ]
    if schema.name == "Webhook":
        names.append("user")
    return [attribute for name in names for attribute in schema.fields[name].attributes]


def _field_level(level: Any, action: str) -> Any:
    return level.get(action, "yes") if isinstance(level, dict) else level


def link_denied(entity: str, link: str, label: str, action: str) -> ApiError:
    """403 of a link operation on a record that the user may not edit."""
    place = "record" if label == "noAccessToRecord" else "foreign record"
    return forbidden(f"No {place} access for link operation ({entity}:{link}).", label, {"action": action})
