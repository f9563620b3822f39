"""E-mail addresses and phone numbers of a record: the value itself and the list behind it."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Field, Row


def store_addresses(schema: EntitySchema, row: Row, values: Row, previous: Row) -> None:
    """Bring address and list of `row` into agreement after `values` were set on it.

    A list that was sent decides; otherwise a new address takes the old primary one's place.
    """
    for kind in ("email", "phone"):
        field = schema.address_field(kind)
        if field is None:
            continue
        data_name = f"{field.name}Data"
        sent = values.get(data_name)
        if isinstance(sent, list):
            items = _normalised(field, kind, sent)
            row[data_name] = items
            row[field.name] = next((item[_key(kind)] for item in items if item["primary"]), None)
        elif field.name in values and values[field.name] != previous.get(field.name):
            others = [item for item in previous.get(data_name) or [] if not item["primary"]]
            row[data_name] = _with_primary(field, kind, values[field.name], others)
        _set_flags(field, row, values)


def _set_flags(field: Field, row: Row, values: Row) -> None:
    for mark, key in (("IsOptedOut", "optOut"), ("IsInvalid", "invalid")):
        flag = values.get(f"{field.name}{mark}")
        if flag is not None:
            items = row.get(f"{field.name}Data") or []
            row[f"{field.name}Data"] = [{**item, key: flag} if item["primary"] else item for item in items]


def same(field: Field, row: Row, sent: Any) -> bool:
    """Whether the sent list says what is stored already."""
    if not isinstance(sent, list):
        return True
    return _normalised(field, field.type, sent) == (row.get(f"{field.name}Data") or [])


def _key(kind: str) -> str:
    return "emailAddress" if kind == "email" else "phoneNumber"


def _item(field: Field, kind: str, address: str, *, primary: bool, given: dict[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = {_key(kind): address}
    if kind == "email":
        item["lower"] = address.lower()
    else:
        item["type"] = given.get("type") or (field.params.get("typeList") or ["Mobile"])[0]
    item |= {"primary": primary, "optOut": bool(given.get("optOut")), "invalid": bool(given.get("invalid"))}
    return item


def _normalised(field: Field, kind: str, sent: list[Any]) -> list[dict[str, Any]]:
    kept = [item for item in sent if isinstance(item, dict) and str(item.get(_key(kind)) or "").strip()]
    first = next((place for place, item in enumerate(kept) if item.get("primary")), 0)
    items = [
        _item(field, kind, str(item[_key(kind)]).strip(), primary=place == first, given=item)
        for place, item in enumerate(kept)
    ]
    return sorted(items, key=lambda item: not item["primary"])


def _with_primary(
    field: Field, kind: str, address: str | None, others: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    if not address:
        return others
    rest = [item for item in others if item[_key(kind)].lower() != address.lower()]
    return [_item(field, kind, address, primary=True, given={}), *rest]
