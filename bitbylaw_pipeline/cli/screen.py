"""What the commands print with: tables that never cut an id, one mark for well, odd and wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_OF_A_PIPE = 200
"""Columns where standard output is no terminal: nothing is folded, so that grep finds whole lines."""

OK, WARNING, WRONG = "ok", "warning", "wrong"
_STYLES = {OK: "green", WARNING: "yellow", WRONG: "bold red"}


def screen() -> Console:
    """Standard output as it is now (a test or a pipe may have replaced it)."""
    # Without `emoji=False` the Kürzel in "termine:AB: ..." is shown as a blood group.
    console = Console(highlight=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=WIDTH_OF_A_PIPE)


def judged(level: str) -> str:
    """The level in its colour, padded to one width."""
    return f"[{_STYLES[level]}]{level:<7}[/]"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table; a column whose name begins with "#" holds numbers."""
    made = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0)
    )
    for column in columns:
        is_number = column.startswith("#")
        made.add_column(column.lstrip("#"), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        # As text: an error with "[/name]" in it is no markup, and took the whole command down.
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return made


def moment(seconds: float | None) -> str:
    """UTC epoch seconds as local time, to the second."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def span(seconds: float | None) -> str:
    """A duration in seconds, as short as a person would write it."""
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} d"
