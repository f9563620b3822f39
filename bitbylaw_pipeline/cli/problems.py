"""What goes wrong with a command, as a person sees it: one sentence on standard error, and an exit code."""

from __future__ import annotations

from typing import IO, Any

import click

WRONG = 1
NOT_USABLE = 2


class Problem(click.ClickException):
    """Ends the command with one sentence; `exit_code` is WRONG or NOT_USABLE (bad usage or settings)."""

    def __init__(self, message: str, exit_code: int = WRONG) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the sentence on standard error."""
        click.echo(f"bitbylaw: {self.message}", file=file, err=file is None)
