"""Lists: access, filters, order with id as the tie-break, totals, pages (`facts/espocrm.md` 3)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import access, presentation
from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError
from bitbylaw_pipeline.sandbox.espocrm.collation import fold
from bitbylaw_pipeline.sandbox.espocrm.comparisons import Predicate
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Row
from bitbylaw_pipeline.sandbox.espocrm.search_params import SearchParams
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User
from bitbylaw_pipeline.sandbox.espocrm.where import Where, lower_bound

HAS_MORE, NO_MORE = -1, -2
# MariaDB refuses a negative LIMIT, and EspoCRM answers what the database refuses with an empty 500.
_DATABASE_ERROR = ApiError(500)


def find(
    espo: Espo,
    user: User,
    schema: EntitySchema,
    params: SearchParams,
    ids: list[str] | None = None,
    *,
    count_disabled: bool = False,
) -> dict[str, Any]:
    """A page of records the user may see, of all or of those with `ids` (a linked list)."""
    if params.max_size < 0 or params.offset < 0:
        raise _DATABASE_ERROR
    test = predicate(espo, user, schema, params)
    attribute, descending = order(espo, user, schema, params)
    rows = _rows_in_order(espo, schema, params, attribute, descending, ids)
    found = list(rows) if test is None else [row for row in rows if test(row)]
    last = params.offset + params.max_size
    page = found[params.offset : last]
    no_total = (params.no_total or count_disabled) and ids is None
    total = (HAS_MORE if len(found) > last and params.max_size else NO_MORE) if no_total else len(found)
    shown = presentation.list_attributes(schema, params.select, attribute)
    longest = espo.config["maxSelectTextAttributeLengthForList"]
    listed = [presentation.list_row(espo, user, schema, row, shown, longest) for row in page]
    return {"total": total, "list": listed}


def predicate(espo: Espo, user: User, schema: EntitySchema, params: SearchParams) -> Predicate | None:
    """All conditions of a search and of the user's rights in one test; None if there is none."""
    tests: list[Predicate] = []
    level = access.levels(user, schema.name).get("read")
    if (level not in ("all", "yes") and not user.is_admin) or params.only_my:
        tests.append(lambda row: access.owns(user, schema, row))
    where = Where(espo, user, schema).compile(params.where)
    if where is not None:
        tests.append(where)
    if params.text_filter:
        tests.append(_text_filter(params.text_filter))
    if not tests:
        return None
    return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)


def _text_filter(text: str) -> Predicate:
    wanted = fold(text.replace("*", ""))
    anywhere = text.startswith("*")

    def test(row: Row) -> bool:
        name = fold(row.get("name") or "")
        return wanted in name if anywhere else name.startswith(wanted)

    return test


def order(espo: Espo, user: User, schema: EntitySchema, params: SearchParams) -> tuple[str, bool]:
    """The field or attribute to order by and whether descending. Raises ApiError 400 for an unknown one."""
    default, default_descending = schema.default_order
    if params.order_by is None:
        return default, default_descending if params.descending is None else params.descending
    by = params.order_by
    double = espo.release < (10,)
    if "." in by or ":" in by:
        text = "Complex expressions are forbidden in 'orderBy'."
        raise ApiError(400, f"{text} {text}" if double else text)
    if by not in schema.fields and by not in schema.attributes:
        raise ApiError(400, f"Order by non-existing field '{by}'.")
    if by in access.hidden_attributes(user, schema, "read"):
        text = f"Not access to order by field '{by}'."
        raise ApiError(400, f"{text} {text}" if double else text)
    return by, bool(params.descending)


def _rows_in_order(
    espo: Espo,
    schema: EntitySchema,
    params: SearchParams,
    by: str,
    descending: bool,
    ids: list[str] | None,
) -> Iterable[Row]:
    table = espo.store.tables[schema.name]
    if ids is not None:
        rows: Iterable[Row] = (table.rows[one] for one in ids)
    elif by == "modifiedAt" and "modifiedAt" in schema.fields and table.by_modified:
        bound = lower_bound(params.where, "modifiedAt")
        start = bisect_left(table.by_modified, (bound, "")) if bound else 0
        keys = table.by_modified[start:]
        return (table.rows[one] for _, one in (reversed(keys) if descending else keys))
    else:
        rows = table.all_live()
    return sorted(rows, key=_sort_key(espo, schema, by), reverse=descending)


def _sort_key(espo: Espo, schema: EntitySchema, by: str) -> Callable[[Row], tuple[Any, ...]]:
    name_of = espo.store.name_of
    field = schema.fields.get(by)
    if by == "id":
        return lambda row: (row["id"],)
    if field is not None and f"{by}Id" in schema.attributes:
        entity = schema.links[by].entity
        return lambda row: _null_first(name_of(entity, row.get(f"{by}Id")), row["id"])
    if field is not None and field.type == "enum":
        places = {option: place for place, option in enumerate(field.params.get("options") or [])}
        return lambda row: (places.get(row.get(by) or "", -1), row["id"])
    return lambda row: _null_first(row.get(by), row["id"])


def _null_first(value: Any, record_id: str) -> tuple[Any, ...]:
    if value is None:
        return (0, "", record_id)
    return (
        1,
        fold(value) if isinstance(value, str) else str(value) if isinstance(value, list | dict) else value,
        record_id,
    )
