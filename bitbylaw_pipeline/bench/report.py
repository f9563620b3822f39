"""Numbers with their units and how each was measured: tables for a person, JSON for a program."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Number:
    """One result. `low` and `high` are the range over repetitions; `aim` is in words, `is_met` says if it was reached."""

    name: str
    value: float
    unit: str
    how: str
    low: float | None = None
    high: float | None = None
    aim: str = ""
    is_met: bool | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One scenario's results; `notes` are sentences below its table, `details` go into the JSON alone."""

    key: str
    title: str
    numbers: Sequence[Number]
    notes: Sequence[str] = ()
    details: Any = None


@dataclass(slots=True)
class Report:
    """All results of one run."""

    conditions: dict[str, Any]
    sections: list[Section] = field(default_factory=list)

    def write(self, file: Path) -> None:
        """The report as JSON."""
        data = {
            "conditions": self.conditions,
            "sections": {section.key: asdict(section) for section in self.sections},
        }
        file.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


def conditions(database: str) -> dict[str, Any]:
    """What the numbers depend on; nothing that names the machine."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "database": database,
        "load_before": round(os.getloadavg()[0], 2),
    }


def show(section: Section, console: Console) -> None:
    """Prints one scenario's table; how each number was measured stands below it, once for those measured alike."""
    hows = list(dict.fromkeys(number.how for number in section.numbers))
    table = Table(title=section.title, title_justify="left", title_style="bold")
    table.add_column("what", min_width=30)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("range", justify="right", no_wrap=True)
    table.add_column("aim")
    table.add_column("how", justify="right")
    for number in section.numbers:
        spread = (
            "" if number.low is None or number.high is None else f"{fmt(number.low)} - {fmt(number.high)}"
        )
        how = str(1 + hows.index(number.how))
        table.add_row(number.name, f"{fmt(number.value)} {number.unit}", spread, _verdict(number), how)
    console.print(table)
    for place, how in enumerate(hows, 1):
        console.print(f"  {place}  {how}", highlight=False, soft_wrap=True)
    for note in section.notes:
        console.print(f"  {note}", highlight=False, markup=False, soft_wrap=True)
    console.print()


def fmt(value: float) -> str:
    """Three digits that matter; whole numbers as they are."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def _verdict(number: Number) -> str:
    if number.is_met is None:
        return number.aim
    return f"{number.aim}: {'[green]met[/green]' if number.is_met else '[red]missed[/red]'}"
