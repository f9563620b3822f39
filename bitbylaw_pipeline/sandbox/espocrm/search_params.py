"""Reading a list request: bracket form, one JSON parameter, aliases, limits (`facts/espocrm.md` 3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, PhpCrash, forbidden
from bitbylaw_pipeline.sandbox.espocrm.php import intval, listed_from_query
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, Request

_MAX_INPUT_VARS = 1000


@dataclass(slots=True)
class SearchParams:
    """What a list request asks for."""

    where: list[Any]
    select: list[str] | None
    order_by: str | None
    descending: bool | None
    offset: int
    max_size: int
    text_filter: str | None
    only_my: bool
    no_total: bool


def parse(espo: Espo, request: Request) -> SearchParams:
    """Read the query. Raises ApiError 400 or 403 as EspoCRM does for what it checks, ignores what it ignores."""
    query = request.query.decode("latin-1")
    pairs = parse_qsl(query, keep_blank_values=True, encoding="utf-8", errors="replace")
    values = listed_from_query(pairs[:_MAX_INPUT_VARS])
    raw = _from_json(values["searchParams"]) if "searchParams" in values else _from_brackets(values)
    return from_raw(espo, raw, no_total=(request.header(b"x-no-total") or "").lower() == "true")


def _from_json(text: Any) -> dict[str, Any]:
    try:
        raw = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        raise ApiError(400, "Invalid search params JSON.") from None
    if not isinstance(raw, dict | list):
        raise PhpCrash
    return raw if isinstance(raw, dict) else {}


def _from_brackets(values: dict[str, Any]) -> dict[str, Any]:
    where = values.get("whereGroup", values.get("where"))
    raw: dict[str, Any] = {"where": where if isinstance(where, dict | list) else None}
    for name in ("maxSize", "offset"):
        text = values.get(name)
        raw[name] = None if text in (None, "") else intval(text)
    raw["orderBy"] = values.get("orderBy") or values.get("sortBy") or None
    order = values.get("order") or None
    if order is None and values.get("asc"):
        order = "asc" if values["asc"] == "true" else "desc"
    raw["order"] = order
    raw["textFilter"] = values.get("textFilter") or values.get("q") or None
    raw["boolFilterList"] = values.get("boolFilterList") or []
    select = values.get("attributeSelect", values.get("select"))
    raw["select"] = select.split(",") if isinstance(select, str) and select else None
    return raw


def _wrong(raw: dict[str, Any], name: str, kind: type, word: str) -> str | None:
    value = raw.get(name)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return None
    return f"{name} should be {word}."


def from_raw(espo: Espo, raw: dict[str, Any], *, no_total: bool = False) -> SearchParams:
    """Check the parts of a search and fill in what is missing."""
    max_size = raw.get("maxSize")
    if max_size is not None and (isinstance(max_size, bool) or not isinstance(max_size, int)):
        raise ApiError(400, "maxSize must be integer.")
    limit = espo.config["recordListMaxSizeLimit"]
    if max_size is None:
        max_size = limit
    elif max_size > limit:
        raise forbidden(f"Max size should not exceed {limit}. Use offset and limit.")
    where = raw.get("where")
    complaint = (
        _wrong(raw, "select", list, "array")
        or _wrong(raw, "orderBy", str, "string")
        or _wrong(raw, "order", str, "string")
        or ("where should be array." if where is not None and not isinstance(where, list | dict) else None)
        or _wrong(raw, "offset", int, "int")
    )
    if complaint:
        raise ApiError(400, complaint)
    select = raw.get("select")
    if select is not None and not all(isinstance(item, str) for item in select):
        raise ApiError(400, "select has non-string item.")
    order = (raw.get("order") or "").upper()
    if order not in ("", "ASC", "DESC"):
        raise ApiError(400, "order value is bad.")
    bools = raw.get("boolFilterList") or []
    return SearchParams(
        where=_where_items(where),
        select=select or None,
        order_by=raw.get("orderBy") or None,
        descending=None if not order else order == "DESC",
        offset=raw.get("offset") or 0,
        max_size=max_size,
        text_filter=raw.get("textFilter") or raw.get("q") or None,
        only_my="onlyMy" in bools,
        no_total=no_total,
    )


def _where_items(where: Any) -> list[Any]:
    if where is None:
        return []
    return where if isinstance(where, list) else list(where.values())
