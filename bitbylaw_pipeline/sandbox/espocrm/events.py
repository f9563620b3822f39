"""What a save leaves behind for the webhook job: one row per event with the body of its moment (facts 11)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import presentation
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Row
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User

_NEVER_SENT = frozenset(
    {"isFollowed", "followersIds", "followersNames", "modifiedAt", "streamUpdatedAt", "versionNumber"}
)


def created(espo: Espo, user: User, schema: EntitySchema, row: Row, given: Iterable[str]) -> None:
    """Queue X.create with every attribute that is set at this moment."""
    if f"{schema.name}.create" not in espo.webhook_events:
        return
    named = {*given, *(f"{name[:-3]}Names" for name in given if name.endswith("Ids"))}
    body: dict[str, Any] = {}
    for attribute in schema.attributes.values():
        name, source_id = attribute.name, f"{attribute.source}Id"
        from_request = name in named and attribute.type in ("linkIds", "linkNames", "bareIds")
        with_id = attribute.type == "foreignName" and source_id in row and source_id not in ("createdById",)
        stored = name in row and (attribute.type != "addressData" or espo.release >= (10,))
        if stored or from_request or with_id:
            body[name] = presentation.value_of(espo, user, schema, row, attribute)
        elif attribute.type in ("isFollowed", "addressFlag"):
            body[name] = bool(presentation.value_of(espo, user, schema, row, attribute))
    queue(espo, user, schema, row, f"{schema.name}.create", body)


def updated(espo: Espo, user: User, schema: EntitySchema, row: Row, changed: dict[str, Any]) -> None:
    """Queue X.update with `changed` and one X.fieldUpdate.F per changed field that somebody listens to."""
    body = {name: changed[name] for name in schema.attributes if name in changed and name not in _NEVER_SENT}
    if not body:
        return
    entity = schema.name
    if f"{entity}.update" in espo.webhook_events:
        queue(espo, user, schema, row, f"{entity}.update", {**body, "id": row["id"]})
    for field in schema.fields.values():
        event = f"{entity}.fieldUpdate.{field.name}"
        if event not in espo.webhook_events or not any(name in body for name in field.attributes):
            continue
        values = {
            name: presentation.value_of(espo, user, schema, row, schema.attributes[name])
            for name in field.attributes
            if name not in _NEVER_SENT
        }
        queue(espo, user, schema, row, event, {"id": row["id"], **values})


def deleted(espo: Espo, user: User, schema: EntitySchema, row: Row) -> None:
    """Queue X.delete, whose body is the id alone."""
    if f"{schema.name}.delete" in espo.webhook_events:
        queue(espo, user, schema, row, f"{schema.name}.delete", {"id": row["id"]})


def queue(espo: Espo, user: User, schema: EntitySchema, row: Row, event: str, body: dict[str, Any]) -> None:
    """Write the event row."""
    if not schema.is_object:
        return
    item = espo.store.add_system_row(
        "WebhookEventQueueItem",
        {
            "event": event,
            "data": body,
            "createdAt": espo.store.now(),
            "isProcessed": False,
            "targetId": row["id"],
            "targetType": schema.name,
            "targetName": row.get("name"),
            "userId": user.id,
        },
    )
    espo.unprocessed_events.append(item["id"])
