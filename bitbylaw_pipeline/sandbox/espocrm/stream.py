"""The stream and the action history, as little of them as was recorded (`facts/espocrm.md` 9)."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import access, search
from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, forbidden
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Link, Row
from bitbylaw_pipeline.sandbox.espocrm.search_params import SearchParams
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User


def record_action(espo: Espo, user: User, client: str, action: str, entity: str, row: Row) -> None:
    """One row of ActionHistoryRecord: single reads and every write, but not lists."""
    espo.store.add_system_row(
        "ActionHistoryRecord",
        {
            "action": action,
            "createdAt": espo.store.now(),
            "ipAddress": client,
            "targetId": row["id"],
            "targetType": entity,
            "targetName": row.get("name"),
            "userId": user.id,
        },
    )


def _note(
    espo: Espo, user: User, schema: EntitySchema, row: Row, kind: str, data: dict[str, Any], **more: Any
) -> None:
    now = espo.store.now()
    espo.store.add_system_row(
        "Note",
        {
            "post": None,
            "data": data,
            "type": kind,
            "targetType": None,
            "isGlobal": False,
            "isInternal": False,
            "isPinned": False,
            "reactionCounts": None,
            "myReactions": [],
            "createdAt": now,
            "modifiedAt": now,
            "parentId": row["id"],
            "parentType": schema.name,
            "createdById": user.id,
            **more,
        },
    )
    if "streamUpdatedAt" in schema.attributes:
        row["streamUpdatedAt"] = now


def note_created(espo: Espo, user: User, schema: EntitySchema, row: Row) -> None:
    """The stream's Create entry."""
    if schema.stream:
        _note(espo, user, schema, row, "Create", {})


def note_relation(
    espo: Espo, user: User, schema: EntitySchema, row: Row, link: Link, foreign_id: str, what: str
) -> None:
    """The stream's entry for an audited link; it moves streamUpdatedAt and nothing else."""
    kind = "Relate" if what == "link" else "Unrelate"
    _note(espo, user, schema, row, kind, {}, relatedId=foreign_id, relatedType=link.entity)


def of_record(
    espo: Espo, user: User, schema: EntitySchema, record_id: str, params: SearchParams
) -> dict[str, Any]:
    """GET {E}/{id}/stream."""
    row = espo.store.live(schema.name, record_id)
    if row is None:
        raise ApiError(404, "")
    if not access.allows_record(user, schema, row, "stream"):
        raise forbidden()
    notes = espo.store.tables["Note"].rows
    ids = [
        one
        for one, note in notes.items()
        if note["parentId"] == record_id and note["parentType"] == schema.name
    ]
    found = search.find(espo, _everything(user), espo.store.schemas["Note"], params, ids)
    return {**found, "pinnedList": []}


def of_user(espo: Espo, user: User, params: SearchParams) -> dict[str, Any]:
    """GET Stream: entries of the records that the user follows."""
    followed = {key for key, users in espo.store.followers.items() if user.id in users}
    notes = espo.store.tables["Note"].rows
    ids = [one for one, note in notes.items() if (note["parentType"], note["parentId"]) in followed]
    found = search.find(espo, _everything(user), espo.store.schemas["Note"], params, ids)
    total = search.HAS_MORE if len(ids) > params.offset + params.max_size else search.NO_MORE
    return {
        "total": total,
        "list": found["list"],
        "reactionsCheckDate": espo.store.now(),
        "updatedReactions": [],
    }


def of_all(espo: Espo, user: User, params: SearchParams) -> dict[str, Any]:
    """GET GlobalStream: for admins here; API users get 403."""
    if not user.is_admin:
        raise forbidden()
    return search.find(espo, user, espo.store.schemas["Note"], params, count_disabled=True)


def _everything(user: User) -> User:
    # Whoever may see the record may see its entries, though they are other people's.
    return User(id=user.id, user_name=user.user_name, type="admin")


def follow(espo: Espo, user: User, schema: EntitySchema, record_id: str, *, followed: bool) -> bool:
    """PUT and DELETE {E}/{id}/subscription."""
    row = espo.store.live(schema.name, record_id)
    if row is None:
        raise ApiError(404, "")
    if followed and not access.allows_record(user, schema, row, "stream"):
        raise forbidden()
    users = espo.store.followers.setdefault((schema.name, record_id), [])
    if followed and user.id not in users:
        users.append(user.id)
    elif not followed and user.id in users:
        users.remove(user.id)
    return True


def followers(espo: Espo, user: User, schema: EntitySchema, record_id: str) -> dict[str, Any]:
    """GET {E}/{id}/followers."""
    row = espo.store.live(schema.name, record_id)
    if row is None:
        raise ApiError(404, "")
    access.require_record(user, schema, row, "read")
    ids = espo.store.followers.get((schema.name, record_id), [])
    return {"total": len(ids), "list": [{"id": one, "name": espo.store.name_of("User", one)} for one in ids]}
