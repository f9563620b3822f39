"""What EspoCRM makes of a value before it looks at it and stores it (`facts/espocrm.md` 4, field values)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm.php import TRIMMED, floatval, intval, scalar_text, strval
from bitbylaw_pipeline.sandbox.espocrm.schema import Attribute, EntitySchema, Field

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2})?")
_ATOM = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:?\d{2})")


def sanitise(schema: EntitySchema, data: dict[str, Any]) -> None:
    """Change the raw values of `data` in place, field by field, as EspoCRM's sanitizers do."""
    for field in schema.fields.values():
        for name in field.attributes:
            if name in data:
                data[name] = _sanitised(field, name, data[name])


def _sanitised(field: Field, name: str, value: Any) -> Any:
    if field.type == "phone":
        if name == field.name:
            return _phone(value)
        return [_phone_item(item) for item in value] if isinstance(value, list) else value
    make = _SANITISERS.get(field.type)
    return value if make is None or name != field.name else make(value)


def _trimmed(value: Any) -> Any:
    return value.strip(TRIMMED) or None if isinstance(value, str) else value


def _blank_to_null(value: Any) -> Any:
    return None if value == "" else value


def _array(value: Any) -> Any:
    if isinstance(value, list):
        return [item.strip(TRIMMED) if isinstance(item, str) else item for item in value]
    return [] if value is None else value


def is_date(text: str) -> bool:
    """Whether it is an existing day as YYYY-MM-DD."""
    try:
        return bool(_DATE.fullmatch(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def is_datetime(text: str) -> bool:
    """Whether it is an existing moment as YYYY-MM-DD HH:MM, seconds optional."""
    try:
        return bool(_DATETIME.fullmatch(text)) and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def _datetime(value: Any) -> str | None:
    if value is None:
        return None
    text = scalar_text(value)
    if is_datetime(text) or not _ATOM.fullmatch(text):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _date(value: Any) -> str | None:
    if value is None:
        return None
    text = scalar_text(value)
    return text[:10] if _ATOM.fullmatch(text) and is_date(text[:10]) else text


def _phone(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip(TRIMMED)
    if not text:
        return None
    if not text.startswith("+"):
        return text
    digits = re.sub(r"\D", "", text.replace("(0)", ""))
    return f"+{digits}" if digits and not re.search(r"[A-Za-z]", text) else text


def _phone_item(item: Any) -> Any:
    if isinstance(item, dict) and isinstance(item.get("phoneNumber"), str):
        return {**item, "phoneNumber": _phone(item["phoneNumber"])}
    return item


_SANITISERS: dict[str, Callable[[Any], Any]] = {
    "varchar": _trimmed,
    "url": _trimmed,
    "email": _trimmed,
    "text": _blank_to_null,
    "wysiwyg": _blank_to_null,
    "array": _array,
    "multiEnum": _array,
    "checklist": _array,
    "datetime": _datetime,
    "date": _date,
}


def coerce(attribute: Attribute, value: Any) -> Any:
    """The value as it stands on the entity. A list for a text field becomes the word Array, without an error."""
    make = _COERCIONS.get(attribute.type)
    return value if value is None or make is None else make(value)


def _text(value: Any) -> str:
    if isinstance(value, list | dict):
        return "Array" if isinstance(value, list) else "Object"
    return strval(value)


def _bool(value: Any) -> bool:
    return value is True or value in ("1", "true") or (value == 1 and isinstance(value, int))


def _list(value: Any) -> list[Any] | None:
    return value if isinstance(value, list) else None


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


_COERCIONS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("varchar", "text", "id", "foreignId", "foreignName"), _text),
    **dict.fromkeys(("bool", "addressFlag"), _bool),
    **dict.fromkeys(("array", "jsonArray", "linkIds", "bareIds", "addressData"), _list),
    **dict.fromkeys(("jsonObject", "linkNames"), _object),
    "int": intval,
    "float": floatval,
}


def stored(attribute: Attribute, value: Any) -> Any:
    """The value as the database keeps it, where that differs from the entity's: a moment gets its seconds."""
    if attribute.type == "datetime" and isinstance(value, str) and len(value) == len("2026-11-22 08:00"):
        return f"{value}:00"
    return value
