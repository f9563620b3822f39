"""Links between records: what may be linked, setting whole lists, the link endpoints (`facts/espocrm.md` 7)."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import access, search, stream
from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, forbidden
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Link, Row
from bitbylaw_pipeline.sandbox.espocrm.search_params import SearchParams
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User


def check_ids(espo: Espo, user: User, schema: EntitySchema, values: Row, previous: Row) -> None:
    """Refuse ids that lead nowhere or to records the user may not use. Raises ApiError 403."""
    for link in schema.links.values():
        if link.many and f"{link.name}Ids" in values:
            _check_many(espo, user, schema, link, values, previous)
    for link in schema.links.values():
        key = f"{link.name}Id"
        if not link.many and values.get(key) is not None and values[key] != previous.get(key):
            _existing(espo, user, schema, link, values[key], "read" if link.has_field else "edit")


def _check_many(espo: Espo, user: User, schema: EntitySchema, link: Link, values: Row, previous: Row) -> None:
    ids: list[str] = values[f"{link.name}Ids"] or []
    if not link.has_field and len(ids) > 1:
        raise forbidden(f"Cannot set multiple IDs for link '{link.name}' as there's no link-multiple field.")
    known = espo.store.linked_ids(schema.name, link, previous["id"]) if previous else []
    for one in ids:
        if one not in known:
            _existing(espo, user, schema, link, one, "read" if link.has_field else "edit")


def _existing(espo: Espo, user: User, schema: EntitySchema, link: Link, foreign_id: str, action: str) -> None:
    row = espo.store.live(link.entity, foreign_id)
    if row is None:
        raise forbidden(
            f"Can't relate with non-existing record. entity type: {schema.name}, link: {link.name}.",
            "cannotRelateNonExisting",
            {"foreignEntityType": link.entity},
        )
    target = espo.store.schemas[link.entity]
    if link.entity not in ("User", "Attachment") and not access.allows_record(user, target, row, action):
        raise forbidden(
            f"No foreign record access for link operation ({schema.name}:{link.name}).",
            "cannotRelateForbidden",
            {"foreignEntityType": link.entity, "action": action},
        )


def set_list(espo: Espo, user: User, schema: EntitySchema, row: Row, link: Link, ids: list[str]) -> bool:
    """Make exactly `ids` the linked records; returns whether anything changed."""
    before = espo.store.linked_ids(schema.name, link, row["id"])
    for gone in [one for one in before if one not in ids]:
        part(espo, user, schema, row, link, gone)
    for new in [one for one in ids if one not in before]:
        join(espo, user, schema, row, link, new)
    return set(before) != set(ids)


def join(espo: Espo, user: User, schema: EntitySchema, row: Row, link: Link, foreign_id: str) -> None:
    """Link two records, and tell the firm's own hook."""
    espo.store.relate(schema.name, link, row["id"], foreign_id)
    _after(espo, user, schema, row, link, foreign_id, "link")


def part(espo: Espo, user: User, schema: EntitySchema, row: Row, link: Link, foreign_id: str) -> None:
    """Unlink two records, and tell the firm's own hook."""
    espo.store.unrelate(schema.name, link, row["id"], foreign_id)
    _after(espo, user, schema, row, link, foreign_id, "unlink")


def _after(
    espo: Espo, user: User, schema: EntitySchema, row: Row, link: Link, foreign_id: str, what: str
) -> None:
    if link.audited and schema.stream:
        stream.note_relation(espo, user, schema, row, link, foreign_id, what)
    if espo.link_hook is not None:
        espo.link_calls.append(
            {
                "action": what,
                "entityType": schema.name,
                "id": row["id"],
                "foreignEntityType": link.entity,
                "foreignId": foreign_id,
                "link": link.name,
            }
        )


def list_linked(
    espo: Espo, user: User, schema: EntitySchema, record_id: str, name: str, params: SearchParams
) -> dict[str, Any]:
    """GET {E}/{id}/{link}."""
    if not access.allows(user, schema.name, "read"):
        raise forbidden("No access.")
    row = espo.store.live(schema.name, record_id)
    if row is None:
        raise ApiError(404, "")
    if not access.allows_record(user, schema, row, "read"):
        raise forbidden("No read access.")
    link = schema.links.get(name)
    target = espo.store.schemas.get(link.entity) if link is not None else None
    if link is None or target is None:
        raise ApiError(404, "Link does not exist.")
    if not access.allows(user, link.entity, "read"):
        raise forbidden()
    ids = espo.store.linked_ids(schema.name, link, record_id)
    return search.find(espo, user, target, params, ids)


def change_link(
    espo: Espo,
    user: User,
    schema: EntitySchema,
    record_id: str,
    name: str,
    data: dict[str, Any],
    *,
    joined: bool,
) -> bool:
    """POST and DELETE {E}/{id}/{link}: one id after the other; those before a bad one stay done."""
    if data.get("massRelate") and joined:
        raise forbidden("Mass link is not allowed.")
    ids = [data["id"]] if data.get("id") is not None else []
    if isinstance(data.get("ids"), list):
        ids += data["ids"]
    for one in ids:
        _change_one(espo, user, schema, record_id, name, one, joined=joined)
    return bool(ids)


def _change_one(
    espo: Espo, user: User, schema: EntitySchema, record_id: str, name: str, foreign_id: Any, *, joined: bool
) -> None:
    if not access.allows_any(user, schema.name):
        raise forbidden()
    if not foreign_id:
        raise ApiError(400, "")
    link = schema.links.get(name)
    if link is not None and not link.many:
        raise forbidden("Only manyMany, hasMany & hasChildren relations are allowed.")
    row = espo.store.live(schema.name, record_id)
    if row is None:
        raise ApiError(404, "")
    if not access.allows_record(user, schema, row, "edit"):
        raise access.link_denied(schema.name, name, "noAccessToRecord", "edit")
    if link is None:
        raise ApiError(404, f"Entity {schema.name} does not have link {name}.")
    foreign = espo.store.live(link.entity, str(foreign_id))
    if foreign is None:
        raise ApiError(404, "")
    target = espo.store.schemas[link.entity]
    if not access.allows_record(user, target, foreign, "edit"):
        raise access.link_denied(schema.name, name, "noAccessToForeignRecord", "edit")
    if joined:
        join(espo, user, schema, row, link, foreign["id"])
        return
    _refuse_required(target, link)
    part(espo, user, schema, row, link, foreign["id"])


def _refuse_required(target: EntitySchema, link: Link) -> None:
    field = target.fields.get(link.foreign)
    if not link.table and field is not None and field.params.get("required"):
        raise forbidden(
            f"Can't unlink required field ({target.name}:{link.foreign}}}).", "cannotUnrelateRequiredLink", {}
        )
