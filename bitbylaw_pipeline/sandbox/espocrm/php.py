"""PHP's ways with values, as far as they show in EspoCRM's answers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm.answers import PhpCrash

_NUMERIC = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")
_LEADING_INT = re.compile(r"\s*([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)")
TRIMMED = " \t\n\r\0\x0b"


def is_numeric(value: Any) -> bool:
    """PHP's `is_numeric`."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) or (isinstance(value, str) and bool(_NUMERIC.fullmatch(value)))


def intval(value: Any) -> int:
    """PHP's `intval`: leading digits count, all else is 0; a list is 1 unless empty."""
    if isinstance(value, bool | int | float):
        return int(value)
    if isinstance(value, str):
        match = _LEADING_INT.match(value)
        return int(float(match[1])) if match else 0
    return 1 if value else 0


def floatval(value: Any) -> float:
    """PHP's `floatval`."""
    if isinstance(value, str):
        match = _LEADING_INT.match(value)
        return float(match[1]) if match else 0.0
    return float(intval(value)) if not isinstance(value, float) else value


def strval(value: Any) -> str:
    """PHP's `strval` of a scalar."""
    if isinstance(value, bool):
        return "1" if value else ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def timestamp(seconds: float) -> str:
    """EspoCRM's form of a moment: UTC, whole seconds, no zone mark (`facts/espocrm.md` 4)."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S")


def listed_from_query(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Nested values from `a[b][c]=d` pairs, as PHP's query parser makes them; lists where all keys are numbers."""
    root: dict[str, Any] = {}
    for name, value in pairs:
        head, _, rest = name.partition("[")
        keys = [head, *(part.removesuffix("]") for part in rest.split("["))] if rest else [head]
        _put(root, keys, value)
    return {key: _lists(value) for key, value in root.items()}


def _put(root: dict[str, Any], keys: list[str], value: str) -> None:
    node = root
    for key in keys[:-1]:
        child = node.get(key)
        if not isinstance(child, dict):
            child = node[key] = {}
        node = child
    last = keys[-1] if keys[-1] != "" or len(keys) == 1 else str(len(node))
    node[last] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    items = {key: _lists(item) for key, item in value.items()}
    # To PHP a list with gaps is an array like any other, so the numbers themselves do not count.
    return list(items.values()) if items and all(key.isdigit() for key in items) else items


def scalar_text(value: Any) -> str:
    """A value where PHP's code demands a string: scalars are converted, a list or object is a TypeError."""
    if isinstance(value, list | dict) or value is None:
        raise PhpCrash
    return strval(value)
