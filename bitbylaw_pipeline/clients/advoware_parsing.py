"""Advoware's answers as rows, and back: tolerant of form (`facts/advoware.md` 3), strict about which rows came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from bitbylaw_pipeline.clients import advoware_surface as surface
from bitbylaw_pipeline.clients.advoware_moments import date_text, epoch_seconds
from bitbylaw_pipeline.clients.advoware_rows import (
    Adresse,
    Akte,
    Bankverbindung,
    Kommunikation,
    Mitarbeiter,
    Partei,
    Value,
)
from bitbylaw_pipeline.clients.advoware_surface import Kind, Resource
from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.domain.errors import Permanent

_T = TypeVar("_T")
_ABSENT = object()


def rows_of(answer: Answer, key: str) -> list[dict[str, Any]]:
    """The answer's rows: a list, one object, or nothing; each must have `key` (or the answer is Unexpected)."""
    data = answer.data
    rows = [] if data is None else data if isinstance(data, list) else [data]
    if not all(isinstance(row, dict) and row.get(key) is not None for row in rows):
        raise answer.nonsense(f"rows without {key}")
    return rows


def one_of(answer: Answer, resource: Resource, wanted: int | str) -> dict[str, Any] | None:
    """The one row that was asked for by its id, None for an empty answer; Unexpected for any other row."""
    rows = rows_of(answer, resource.id)
    if any(str(row[resource.id]) != str(wanted) for row in rows) or len(rows) > 1:
        raise answer.nonsense("rows that were not asked for")
    return rows[0] if rows else None


def rows_below(answer: Answer, resource: Resource, betnr: int) -> list[dict[str, Any]]:
    """The rows of one party; Unexpected where one names another party."""
    rows = rows_of(answer, resource.id)
    if any(str(row.get(surface.PARTEI_OF_ROW, betnr)) != str(betnr) for row in rows):
        raise answer.nonsense("rows that were not asked for")
    return rows


def new_id(answer: Answer, resource: Resource) -> int:
    """The id in the answer of a create: a number, an object, or a list of one of either. Raises OutcomeUnknown."""
    data = answer.data[0] if isinstance(answer.data, list) and len(answer.data) == 1 else answer.data
    found = data.get(resource.id) if isinstance(data, dict) else data
    number = _whole_number(found)
    if number is None or number <= 0:
        raise answer.nonsense("no id of what it created")
    return number


def partei(answer: Answer, raw: Mapping[str, Any]) -> Partei:
    """A party out of its row; Unexpected for a row that cannot be one."""
    betnr = _id(answer, raw, surface.PARTEI)
    return Partei(
        betnr=betnr,
        adressen=_embedded(answer, raw, surface.EMBEDDED_ADRESSEN, adresse),
        kommunikation=_embedded(answer, raw, surface.EMBEDDED_KOMMUNIKATION, kommunikation),
        bankverbindungen=_embedded(answer, raw, surface.EMBEDDED_BANKVERBINDUNGEN, bankverbindung),
        **_parsed(raw, surface.PARTEI),
    )


def adresse(answer: Answer, raw: Mapping[str, Any]) -> Adresse:
    """An address out of its row."""
    return Adresse(id=_id(answer, raw, surface.ADRESSE), **_parsed(raw, surface.ADRESSE))


def kommunikation(answer: Answer, raw: Mapping[str, Any]) -> Kommunikation:
    """A number or mail address out of its row."""
    resource = surface.KOMMUNIKATION_ROW
    return Kommunikation(id=_id(answer, raw, resource), **_parsed(raw, resource))


def bankverbindung(answer: Answer, raw: Mapping[str, Any]) -> Bankverbindung:
    """A bank account out of its row."""
    resource = surface.BANKVERBINDUNG
    return Bankverbindung(id=_id(answer, raw, resource), **_parsed(raw, resource))


def akte(answer: Answer, raw: Mapping[str, Any]) -> Akte:
    """A matter out of its row."""
    parties = raw.get(surface.EMBEDDED_BETEILIGTE)
    numbers = None
    if isinstance(parties, list):
        given = [item.get(surface.PARTEI_OF_ROW) if isinstance(item, dict) else item for item in parties]
        numbers = tuple(number for item in given if (number := _whole_number(item)) is not None)
    return Akte(id=_id(answer, raw, surface.AKTE), beteiligte=numbers, **_parsed(raw, surface.AKTE))


def mitarbeiter(raw: Mapping[str, Any]) -> Mitarbeiter:
    """An employee out of his or her row."""
    resource = surface.MITARBEITER_ROW
    return Mitarbeiter(kuerzel=str(raw[resource.id]), **_parsed(raw, resource))


def wire_fields(resource: Resource, values: Mapping[str, Value], allowed: Iterable[str]) -> dict[str, Any]:
    """Our names and values as members of a row. Raises Permanent for a field that Advoware would ignore there."""
    refused = sorted(set(values) - set(allowed))
    if refused:
        raise Permanent(
            f"Advoware does not let us write {', '.join(refused)}; nothing was sent.",
            system="advoware",
            reason="read_only",
        )
    return {resource.fields[name].wire: _sent(resource.fields[name].kind, v) for name, v in values.items()}


def normal(value: Value) -> Value:
    """The one form of an empty value."""
    return None if value == "" else value


def _sent(kind: Kind, value: Value) -> Any:
    if value is not None:
        return f"{value}T00:00:00Z" if kind is Kind.DATE and len(str(value)) == 10 else value
    return {Kind.TEXT: "", Kind.DATE: surface.NO_DATE}.get(kind)


def _parsed(raw: Mapping[str, Any], resource: Resource) -> dict[str, Any]:
    known: dict[str, Value] = {}
    for name, wanted in resource.fields.items():
        value = raw.get(wanted.wire, _ABSENT)
        if value is None or value == "":
            known[name] = None
        elif value is not _ABSENT:
            try:
                known[name] = _read(wanted.kind, value)
            except ValueError:
                # Unreadable is like not there: one odd date must neither stop a list nor look like a cleared one.
                continue
    return {
        **dict.fromkeys(resource.fields),
        **known,
        "known": known,
        "row_id": None if raw.get(surface.ROW_ID) is None else str(raw[surface.ROW_ID]),
        "changed_at": epoch_seconds(raw.get(surface.CHANGED_AT)),
        "raw": raw,
    }


def _read(kind: Kind, value: Any) -> Value:
    match kind:
        case Kind.DATE:
            return date_text(value)
        case Kind.FLAG if isinstance(value, bool | int | str):
            return value if isinstance(value, bool) else str(value).strip().lower() not in ("0", "false")
        case Kind.NUMBER if (number := _whole_number(value)) is not None:
            return number
        case Kind.TEXT if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value)
    raise ValueError("another type")


def _whole_number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and len(value) <= 18 and value.isascii() and value.isdecimal():
        return int(value)
    return None


def _id(answer: Answer, raw: Mapping[str, Any], resource: Resource) -> int:
    number = _whole_number(raw.get(resource.id))
    if number is None:
        raise answer.nonsense(f"a row without {resource.id}")
    return number


def _embedded(
    answer: Answer, raw: Mapping[str, Any], key: str, parse: Callable[[Answer, Mapping[str, Any]], _T]
) -> tuple[_T, ...] | None:
    rows = raw.get(key)
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and _whole_number(row.get("id")) for row in rows
    ):
        return None  # what is not there as rows is read at its own path
    return tuple(parse(answer, row) for row in rows)
