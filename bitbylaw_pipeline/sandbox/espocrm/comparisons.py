"""Comparing one attribute with a value, as SQL on MariaDB does: NULL never matches, text compares loosely."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError
from bitbylaw_pipeline.sandbox.espocrm.collation import fold
from bitbylaw_pipeline.sandbox.espocrm.php import floatval, strval
from bitbylaw_pipeline.sandbox.espocrm.schema import Attribute, Row

Predicate = Callable[[Row], bool]
Getter = Callable[[Row], Any]

_ARRAY_TYPES = frozenset({"arrayAnyOf", "arrayNoneOf", "arrayAllOf", "arrayIsEmpty", "arrayIsNotEmpty"})
_NUMBER_TYPES = frozenset({"int", "float", "bool", "addressFlag"})
_SAME = {
    "on": "equals",
    "notOn": "notEquals",
    "after": "greaterThan",
    "before": "lessThan",
    "ever": "isNotNull",
}


def compare(attribute: Attribute, get: Getter, kind: str, value: Any) -> Predicate:
    """One comparison of one attribute. Raises ApiError 400 for a type or value that EspoCRM refuses."""
    kind = _SAME.get(kind, kind)
    if kind in _ARRAY_TYPES:
        return _array(get, kind, value)
    if kind in ("in", "notIn", "between") and not (
        isinstance(value, list) and (kind != "between" or len(value) > 1)
    ):
        raise ApiError(400, f"Bad where item '{kind}'.")
    simple = _without_value(get, kind)
    if simple is not None:
        return simple
    make = _COMPARISONS.get(kind)
    if make is None:
        raise ApiError(400, f"Unknown where item type '{kind}'.")
    if attribute.type == "datetime":
        # Stored moments have the right form already; reading a feed is the one list that has to be quick.
        return make(get, str, _moments(value))
    return make(get, _key_for(attribute), value)


def _without_value(get: Getter, kind: str) -> Predicate | None:
    match kind:
        case "isNull":
            return lambda row: get(row) is None
        case "isNotNull":
            return lambda row: get(row) is not None
        case "isTrue":
            return lambda row: get(row) is True
        case "isFalse":
            return lambda row: get(row) is False
        case "any":
            return lambda _: True
        case "none":
            return lambda _: False
        case _:
            return None


def _key_for(attribute: Attribute) -> Callable[[Any], Any]:
    if attribute.type in _NUMBER_TYPES:
        return floatval
    return _text_key


def _moments(value: Any) -> Any:
    if isinstance(value, list):
        return [moment_key(one) for one in value if not isinstance(one, list | dict | None)]
    return None if value is None else moment_key(value)


def moment_key(value: Any) -> str:
    """A moment as it is compared: a bare day is its midnight."""
    text = strval(value).replace("T", " ")
    return f"{text} 00:00:00"[:19] if len(text) == len("2026-11-22") else text[:19]


def _text_key(value: Any) -> str:
    return fold(value if isinstance(value, str) else strval(value))


Comparison = Callable[[Getter, Callable[[Any], Any], Any], Predicate]


def _equals(get: Getter, key: Callable[[Any], Any], value: Any) -> Predicate:
    if value is None:
        return lambda row: get(row) is None
    if isinstance(value, list):
        return _in(get, key, value)
    wanted = key(value)
    return lambda row: (own := get(row)) is not None and key(own) == wanted


def _not_equals(get: Getter, key: Callable[[Any], Any], value: Any) -> Predicate:
    if value is None:
        return lambda row: get(row) is not None
    if isinstance(value, list):
        return _not_in(get, key, value)
    wanted = key(value)
    # SQL's <> is never true for NULL: never-modified records fall out (`facts/espocrm.md` 0.11).
    return lambda row: (own := get(row)) is not None and key(own) != wanted


def _in(get: Getter, key: Callable[[Any], Any], value: Any) -> Predicate:
    wanted = _keys(key, value)
    return lambda row: (own := get(row)) is not None and key(own) in wanted


def _not_in(get: Getter, key: Callable[[Any], Any], value: Any) -> Predicate:
    wanted = _keys(key, value)
    if not wanted:
        return lambda _: True
    return lambda row: (own := get(row)) is not None and key(own) not in wanted


def _keys(key: Callable[[Any], Any], values: Iterable[Any]) -> set[Any]:
    return {key(one) for one in values if one is not None and not isinstance(one, list | dict)}


def _greater(get: Getter, key: Callable[[Any], Any], value: Any) -> Predicate:
    wanted = key(value)
    return lambda row: (own := get(row)) is not None and key(own) > wanted


def _greater_or_equal(get: Getter, key: Callable[[Any], Any], value: Any) -> Predicate:
    wanted = key(value)
    return lambda row: (own := get(row)) is not None and key(own) >= wanted


def _less(get: Getter, key: Callable[[Any], Any], value: Any) -> Predicate:
    wanted = key(value)
    return lambda row: (own := get(row)) is not None and key(own) < wanted


def _less_or_equal(get: Getter, key: Callable[[Any], Any], value: Any) -> Predicate:
    wanted = key(value)
    return lambda row: (own := get(row)) is not None and key(own) <= wanted


def _between(get: Getter, key: Callable[[Any], Any], value: Any) -> Predicate:
    low, high = key(value[0]), key(value[1])
    return lambda row: (own := get(row)) is not None and low <= key(own) <= high


def _like(pattern: str) -> re.Pattern[str]:
    parts = (".*" if char == "%" else "." if char == "_" else re.escape(char) for char in fold(pattern))
    return re.compile("".join(parts), re.DOTALL)


def _like_with(before: str, after: str, *, negated: bool = False) -> Comparison:
    def make(get: Getter, _key: Callable[[Any], Any], value: Any) -> Predicate:
        pattern = _like(f"{before}{strval(value if value is not None else '')}{after}")

        def test(row: Row) -> bool:
            own = get(row)
            return own is not None and (pattern.fullmatch(_text_key(own)) is None) is negated

        return test

    return make


_COMPARISONS: dict[str, Comparison] = {
    "equals": _equals,
    "notEquals": _not_equals,
    "in": _in,
    "notIn": _not_in,
    "greaterThan": _greater,
    "greaterThanOrEquals": _greater_or_equal,
    "lessThan": _less,
    "lessThanOrEquals": _less_or_equal,
    "between": _between,
    "like": _like_with("", ""),
    "notLike": _like_with("", "", negated=True),
    "contains": _like_with("%", "%"),
    "notContains": _like_with("%", "%", negated=True),
    "startsWith": _like_with("", "%"),
    "endsWith": _like_with("%", ""),
}


def _array(get: Getter, kind: str, value: Any) -> Predicate:
    if kind == "arrayIsEmpty":
        return lambda row: not get(row)
    if kind == "arrayIsNotEmpty":
        return lambda row: bool(get(row))
    if not value and not isinstance(value, list):
        raise ApiError(
            400, "Bad where item. No value." if kind == "arrayAnyOf" else "Bad where item 'array'. No value."
        )
    wanted = {_text_key(one) for one in (value if isinstance(value, list) else [value])}

    def present(row: Row) -> set[str]:
        return {_text_key(one) for one in get(row) or ()}

    match kind:
        case "arrayAnyOf":
            return lambda row: bool(wanted & present(row))
        case "arrayNoneOf":
            return lambda row: not wanted & present(row)
        case _:
            return lambda row: wanted <= present(row)
