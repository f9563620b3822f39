"""What EspoCRM makes of a value before it looks at it and stores it (`facts/espocrm.md` 4, field values)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm.php import TRIMMED, floatval, intval, scalar_text, strval
from bitbylaw_pipeline.sandbox.espocrm.schema import Attribute, EntitySchema, Field

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2})?")
_ATOM = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:?\d{2})")
_TRIMMED_TYPES = frozenset({"varchar", "url", "email"})
_TRUE_VALUES = (1, "1", True, "true")


def sanitise(schema: EntitySchema, data: dict[str, Any]) -> None:
    """Change the raw values of `data` in place, field by field, as EspoCRM's sanitizers do."""
    for field in schema.fields.values():
        for name in field.attributes:
            if name in data:
                data[name] = _sanitised(field, name, data[name])


def _sanitised(field: Field, name: str, value: Any) -> Any:
    kind = field.type
    if name == field.name and kind in _TRIMMED_TYPES and isinstance(value, str):
        return value.strip(TRIMMED) or None
    if kind == "phone" and name == field.name:
        return _phone(value)
    if kind == "phone" and name.endswith("Data") and isinstance(value, list):
        return [_phone_item(item) for item in value]
    if kind in ("text", "wysiwyg"):
        return None if value == "" else value
    if kind in ("array", "multiEnum", "checklist"):
        if isinstance(value, list):
            return [item.strip(TRIMMED) if isinstance(item, str) else item for item in value]
        return [] if value is None else value
    if kind == "datetime" and value is not None:
        return _datetime(scalar_text(value))
    if kind == "date" and value is not None:
        return _date(scalar_text(value))
    return value


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


def _datetime(text: str) -> str:
    if is_datetime(text) or not _ATOM.fullmatch(text):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _date(text: str) -> str:
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


def coerce(attribute: Attribute, value: Any) -> Any:
    """The value as it stands on the entity. A list for a text field becomes the word Array, without an error."""
    if value is None:
        return None
    match attribute.type:
        case "varchar" | "text" | "id" | "foreignId" | "foreignName":
            if isinstance(value, list | dict):
                return "Array" if isinstance(value, list) else "Object"
            return strval(value)
        case "bool" | "addressFlag":
            return any(value is true or (value == true and not isinstance(true, bool)) for true in _TRUE_VALUES)
        case "int":
            return intval(value)
        case "float":
            return floatval(value)
        case "array" | "jsonArray" | "linkIds" | "bareIds" | "addressData":
            return value if isinstance(value, list) else None
        case "jsonObject" | "linkNames":
            return value if isinstance(value, dict) else None
        case _:
            return value


def stored(attribute: Attribute, value: Any) -> Any:
    """The value as the database keeps it, where that differs from the entity's: a moment gets its seconds."""
    if attribute.type == "datetime" and isinstance(value, str) and len(value) == len("2026-11-22 08:00"):
        return f"{value}:00"
    return value
