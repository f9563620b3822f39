"""The checks that EspoCRM makes of each field before it saves (`facts/espocrm.md` 1 and 4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, message_body
from bitbylaw_pipeline.sandbox.espocrm.normalise import is_date, is_datetime
from bitbylaw_pipeline.sandbox.espocrm.php import is_numeric, scalar_text
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema, Field, Row

_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.[A-Za-z0-9-]{2,}"
)
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_ID = re.compile(r"[A-Za-z0-9_=\-.]+")
_URL = re.compile(r"([a-zA-Z0-9]+://)?[^\s<>\"]+\.[^\s<>\"]*")
_PATTERNS = {
    "$noBadCharacters": re.compile(r"[^<>=]+"),
    "$latinLetters": re.compile(r"[A-Za-z]+"),
    "$digits": re.compile(r"[0-9]+"),
    "$latinLettersDigits": re.compile(r"[A-Za-z0-9]+"),
}
_INT32 = 2**31
_LONGEST_ARRAY_ITEM = 100
_LONGEST = 255
_MOST_ADDRESSES = 10

Check = Callable[[Field, Any, dict[str, Any], Row], str | None]


def failure(entity: str, field: str, kind: str) -> ApiError:
    """The 400 of a failed field check."""
    reason = f"Field validation failure; entityType: {entity}, field: {field}, type: {kind}."
    return ApiError(400, reason, message_body("validationFailure", {"field": field, "type": kind}))


def validate(schema: EntitySchema, values: Row, data: dict[str, Any], *, is_new: bool) -> None:
    """Check every field (`is_new`) or those named in `data`, in the model's order. Raises ApiError 400.

    `values` is the entity with the new values set, `data` what was sent, sanitised.
    """
    for field in schema.fields.values():
        if not is_new and not any(name in data for name in field.attributes):
            continue
        check = _CHECKS.get(field.type)
        kind = check(field, _value(field, values), data, values) if check else None
        if kind is not None:
            raise failure(schema.name, field.name, kind)


def _value(field: Field, values: Row) -> Any:
    if field.type in ("link", "file", "image"):
        return values.get(f"{field.name}Id")
    if field.type in ("linkMultiple", "attachmentMultiple"):
        return values.get(f"{field.name}Ids")
    return values.get(field.name)


def _missing(field: Field, value: Any) -> bool:
    return bool(field.params.get("required")) and value in (None, "", [])


def _too_long(field: Field, value: Any, default: int | None) -> bool:
    longest = field.params.get("maxLength") or default
    return longest is not None and isinstance(value, str) and len(value) > longest


def _matches(pattern: str, text: str) -> bool:
    compiled = _PATTERNS.get(pattern)
    return bool(compiled.fullmatch(text) if compiled else re.fullmatch(pattern, text))


def _varchar(field: Field, value: Any, _data: dict[str, Any], _values: Row) -> str | None:
    if _missing(field, value):
        return "required"
    if _too_long(field, value, _LONGEST):
        return "maxLength"
    pattern = field.params.get("pattern")
    return "pattern" if pattern and value and not _matches(pattern, value) else None


def _url(field: Field, value: Any, _data: dict[str, Any], _values: Row) -> str | None:
    if _missing(field, value):
        return "required"
    if _too_long(field, value, _LONGEST):
        return "maxLength"
    return None if value is None or _URL.fullmatch(value) else "valid"


def _text(field: Field, value: Any, _data: dict[str, Any], _values: Row) -> str | None:
    if _missing(field, value):
        return "required"
    return "maxLength" if _too_long(field, value, None) else None


def _enum(field: Field, value: Any, data: dict[str, Any], values: Row) -> str | None:
    if _missing(field, value):
        return "required"
    options = field.params.get("options")
    was_set = field.name in data or field.name in values
    if isinstance(options, list) and was_set and (value or "") not in options:
        return "valid"
    return "maxLength" if _too_long(field, value, _LONGEST) else None


def _array(field: Field, value: Any, data: dict[str, Any], _values: Row) -> str | None:
    sent = data.get(field.name)
    if sent is not None and not isinstance(sent, list):
        return "array"
    items = value or []
    if not all(isinstance(item, str) for item in items):
        return "arrayOfString"
    options = None if field.params.get("allowCustomOptions") else field.params.get("options")
    if isinstance(options, list) and not all(item in options for item in items):
        return "valid"
    if _missing(field, value):
        return "required"
    return _array_limits(field, items)


def _array_limits(field: Field, items: list[str]) -> str | None:
    most = field.params.get("maxCount")
    if most is not None and len(items) > most:
        return "maxCount"
    longest = field.params.get("maxItemLength") or _LONGEST_ARRAY_ITEM
    if any(len(item) > longest for item in items):
        return "maxItemLength"
    pattern = field.params.get("pattern")
    if pattern and not all(_matches(pattern, item) for item in items if item):
        return "pattern"
    no_blank = field.type == "multiEnum" or field.params.get("noEmptyString")
    return (
        "noEmptyString"
        if no_blank and "" in items and "" not in (field.params.get("options") or [])
        else None
    )


def _json_array(field: Field, _value: Any, data: dict[str, Any], _values: Row) -> str | None:
    sent = data.get(field.name)
    return "array" if sent is not None and not isinstance(sent, list) else None


def _number(field: Field, value: Any, data: dict[str, Any], _values: Row) -> str | None:
    if bool(field.params.get("required")) and value is None:
        return "required"
    least, most = field.params.get("min"), field.params.get("max")
    if value is not None and least is not None and value < least:
        return "min"
    if value is not None and most is not None and value > most:
        return "max"
    sent = data.get(field.name)
    if sent is not None and sent != "" and not is_numeric(sent):
        return "valid"
    out_of_range = field.type == "int" and value is not None and not -_INT32 <= value < _INT32
    return "rangeInternal" if out_of_range else None


def _date(field: Field, value: Any, _data: dict[str, Any], _values: Row) -> str | None:
    if bool(field.params.get("required")) and value is None:
        return "required"
    if value is None:
        return None
    ok = is_date(value) if field.type == "date" else is_datetime(value)
    return None if ok else "valid"


def _address_items(field: Field, data: dict[str, Any]) -> list[Any]:
    sent = data.get(f"{field.name}Data")
    return sent if isinstance(sent, list) else []


def _email(field: Field, value: Any, data: dict[str, Any], _values: Row) -> str | None:
    items = _address_items(field, data)
    if not value and _missing(field, value) and not items:
        return "required"
    addresses = [value, *(item.get("emailAddress") if isinstance(item, dict) else "?" for item in items)]
    if not all(_EMAIL.fullmatch(scalar_text(one)) for one in addresses if one):
        return "emailAddress"
    if any(one and len(one) > _LONGEST for one in addresses):
        return "maxLength"
    return "maxCount" if len(items) > _MOST_ADDRESSES else None


def _phone(field: Field, value: Any, data: dict[str, Any], _values: Row) -> str | None:
    items = _address_items(field, data)
    if not value and _missing(field, value) and not items:
        return "required"
    if value and not _PHONE.fullmatch(value):
        return "valid"
    known = field.params.get("typeList")
    for item in items:
        number = item.get("phoneNumber") if isinstance(item, dict) else None
        if not isinstance(number, str) or not _PHONE.fullmatch(number):
            return "valid"
        if known is not None and item.get("type") not in (None, *known):
            return "valid"
    return "maxCount" if len(items) > _MOST_ADDRESSES else None


def _one_link(field: Field, value: Any, _data: dict[str, Any], _values: Row) -> str | None:
    if _missing(field, value):
        return "required"
    return None if value is None or _ID.fullmatch(scalar_text(value)) else "pattern"


def _many_link(field: Field, value: Any, _data: dict[str, Any], _values: Row) -> str | None:
    if _missing(field, value):
        return "required"
    ids = value or []
    if not all(isinstance(one, str) and _ID.fullmatch(one) for one in ids):
        return "pattern"
    most = field.params.get("maxCount")
    return "maxCount" if most is not None and len(ids) > most else None


_CHECKS: dict[str, Check] = {
    "varchar": _varchar,
    "url": _url,
    "text": _text,
    "wysiwyg": _text,
    "enum": _enum,
    "array": _array,
    "multiEnum": _array,
    "checklist": _array,
    "jsonArray": _json_array,
    "int": _number,
    "float": _number,
    "date": _date,
    "datetime": _date,
    "email": _email,
    "phone": _phone,
    "link": _one_link,
    "file": _one_link,
    "image": _one_link,
    "linkMultiple": _many_link,
    "attachmentMultiple": _many_link,
}
