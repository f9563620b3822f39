"""Field values on a screen: personal data, shown only where a person asked for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bitbylaw_pipeline.cli.screen import screen
from bitbylaw_pipeline.domain.termin_times import to_berlin

WARNING = "These are personal data: keep them out of tickets, mails and logs."
_MOMENTS = ("start", "end")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""An appointment's begin or end as we keep it; a person reads it in Berlin's time."""


def print_values(
    fields: Iterable[str], columns: Mapping[str, Mapping[str, Any] | None], sides: Mapping[str, str]
) -> None:
    """Each field with its value in every column ("agreed", "left", "right"); None: there is no such record.

    `sides` says which system is left and which is right.
    """
    console = screen()
    for field in fields:
        console.print(f"  {field}", markup=False)
        for name, values in columns.items():
            label = sides.get(name, name)
            console.print(f"    {label:<9} {_text(field, values)}", markup=False, overflow="fold")


def _text(field: str, values: Mapping[str, Any] | None) -> str:
    if values is None:
        return "(no record)"
    if field not in values:
        return "(not readable)"
    value = values[field]
    if value in (None, "", []):
        return "(empty)"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if field in _MOMENTS and _INSTANT.fullmatch(text):
        text = f"{to_berlin(text):%Y-%m-%d %H:%M %Z}"
    # A value may hold what a terminal takes for a command.
    return "".join(letter if letter.isprintable() else "�" for letter in text)
