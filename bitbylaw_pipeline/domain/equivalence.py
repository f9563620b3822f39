"""When two values of a field count as the same, and what a system makes of a value that it is given.

Both are written as a chain of named transforms ("nospace|upper"): a system that cuts at ten characters has the
coercion "max:10", two spellings of an IBAN are equal under "nospace|upper".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Value = Any
"""A field's value as JSON knows it; None is empty."""
Transform = Callable[[str], str]


class UnknownTransform(ValueError):
    """A chain names a transform that does not exist."""


def chain(spec: str | None) -> Transform:
    """The transforms of `spec` one after the other; the identity for an empty one. Raises UnknownTransform."""
    steps = [_step(name.strip()) for name in (spec or "").split("|") if name.strip()]

    def apply(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return apply


def apply_to(value: Value, transform: Transform) -> Value:
    """The value with every text in it transformed; lists keep their order."""
    if isinstance(value, str):
        return transform(value)
    if isinstance(value, (list, tuple)):
        return [apply_to(item, transform) for item in value]
    return value


def canonical(value: Value, transform: Transform, *, as_set: bool = False) -> Value:
    """What is compared in place of the value: hashable, None for everything empty, sets without order."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        # A file system or a browser may hand over "ü" as two code points: the same name.
        text = unicodedata.normalize("NFC", transform(value))
        return text or None
    if isinstance(value, (list, tuple)):
        items = [canonical(item, transform) for item in value]
        if as_set:
            return frozenset(item for item in items if item is not None) or None
        return tuple(items)
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), canonical(item, transform)) for name, item in value.items()))
    # True == 1 in Python, and a changed checkbox would pass unseen.
    return (type(value).__name__, value) if isinstance(value, bool) else value


def _step(name: str) -> Transform:
    if name.startswith("max:"):
        size = int(name.removeprefix("max:"))
        return lambda text: text[:size]
    if name.startswith("not:"):
        unwanted = name.removeprefix("not:")
        return lambda text: "" if text == unwanted else text
    try:
        return _STEPS[name]
    except KeyError:
        raise UnknownTransform(
            f"There is no transform {name!r}; known: {', '.join(_STEPS)}, max:n, not:text."
        ) from None


def _phone(text: str) -> str:
    # "+49 (0)30 1234" and "030 1234" are one number; the zero in brackets is dialled inside the country alone.
    digits = re.sub(r"[^\d+]", "", text.replace("(0)", ""))
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    return f"+49{digits[1:]}" if digits.startswith("0") else digits


def _instant(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    # A naive time is a wall clock's: it has no instant to compare by.
    return moment.isoformat() if moment.tzinfo is None else moment.astimezone(UTC).isoformat()


def _cut_time(pattern: str) -> Transform:
    known = re.compile(pattern)
    return lambda text: known.sub(r"\1\2", text)


_STEPS: dict[str, Transform] = {
    "trim": str.strip,
    "upper": str.upper,
    "lower": str.lower,
    "nospace": lambda text: "".join(text.split()),
    "phone": _phone,
    "nl": lambda text: text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n"),
    "lines": lambda text: "\n".join(line.strip() for line in text.splitlines() if line.strip()),
    "minute": _cut_time(r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d):\d\d(?:\.\d+)?(.*)$"),
    "second": _cut_time(r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)\.\d+(.*)$"),
    "instant": _instant,
}
