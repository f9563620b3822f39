"""Mass actions: the same values on many records in one call (`facts/espocrm.md` 4)."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import access, links, saving, search, search_params, stream
from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, forbidden
from bitbylaw_pipeline.sandbox.espocrm.records import coerced, writable
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Row
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User
from bitbylaw_pipeline.sandbox.espocrm.validate import validate


def mass_action(espo: Espo, user: User, data: dict[str, Any], client: str) -> dict[str, Any]:
    """POST MassAction with the action update: the same values on many records, webhooks per record."""
    entity, action, params = data.get("entityType"), data.get("action"), data.get("params")
    if not entity or not action or not isinstance(params, dict):
        raise ApiError(400, "")
    schema = espo.store.schemas.get(entity)
    if schema is None or not access.allows_any(user, entity):
        raise forbidden()
    if action != "update":
        raise ApiError(404, f"Mass action '{action}' not found.")
    access.require_scope(user, entity, "edit")
    if not user.mass_update:
        raise forbidden("No mass-update permission.")
    return _mass_update(espo, user, schema, params, data.get("data") or {}, client)


def _mass_update(
    espo: Espo, user: User, schema: EntitySchema, params: dict[str, Any], given: dict[str, Any], client: str
) -> dict[str, Any]:
    sent = writable(user, schema, given.get("values", given))
    ids = params.get("ids")
    by_search = params.get("where") is not None or params.get("searchParams") is not None
    table = espo.store.tables[schema.name]
    if by_search:
        raw = {
            **(params.get("searchParams") or {}),
            **({"where": params["where"]} if params.get("where") else {}),
        }
        raw.pop("select", None)
        test = search.predicate(espo, user, schema, search_params.from_raw(espo, raw))
        rows = [row for row in table.all_live() if test is None or test(row)]
    elif isinstance(ids, list) and ids:
        rows = [row for one in sorted(map(str, ids)) if (row := table.live(one)) is not None]
    else:
        raise ApiError(400, "Bad search params for mass action.") if ids is None else ApiError(500)
    done = [row["id"] for row in rows if sent and _update_one(espo, user, schema, row, sent, client)]
    return {"count": len(done)} if by_search else {"count": len(done), "ids": done}


def _update_one(
    espo: Espo, user: User, schema: EntitySchema, row: Row, sent: dict[str, Any], client: str
) -> bool:
    values = coerced(schema, sent)
    try:
        access.require_record(user, schema, row, "edit")
        validate(schema, {**row, **values}, sent, is_new=False)
        links.check_ids(espo, user, schema, values, row)
    except ApiError:
        return False
    saving.save(espo, user, schema, row, values, mass_update=True)
    stream.record_action(espo, user, client, "update", schema.name, row)
    return True
