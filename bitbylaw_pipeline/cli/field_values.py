"""Field values on a screen: personal data, shown only where a person asked for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bitbylaw_pipeline.cli.hold_words import SIDES
from bitbylaw_pipeline.cli.screen import screen

WARNING = "These are personal data: keep them out of tickets, mails and logs."


def print_values(fields: Iterable[str], columns: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Each field with its value in every column ("agreed", "left", "right"); None: there is no such record."""
    console = screen()
    for field in fields:
        console.print(f"  {field}", markup=False)
        for name, values in columns.items():
            label = SIDES.get(name, name)
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
    # A value may hold what a terminal takes for a command.
    return "".join(letter if letter.isprintable() else "�" for letter in text)
