"""A user's values, known again wherever they turn up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def tokens(value: Any) -> tuple[str, ...]:
    """The value's parts as users know them again, however a system spells them."""
    items = value if isinstance(value, list) else [value]
    return tuple(str(item).lower() for item in items if item is not None)


def all_tokens(fields: Mapping[str, Any]) -> set[str]:
    """The parts of all values."""
    return {token for value in fields.values() for token in tokens(value)}
