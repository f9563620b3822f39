"""What goes wrong with a command, as a person sees it: one sentence on standard error, and an exit code."""

from __future__ import annotations

from typing import IO, Any, ClassVar

import click


class Problem(click.ClickException):
    """Something is wrong: ends the command with one sentence and exit code 1."""

    exit_code: ClassVar[int] = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the sentence on standard error."""
        click.echo(f"bitbylaw: {self.message}", file=file, err=file is None)


class NotUsable(Problem):
    """The command, or a setting, is not usable as given: exit code 2."""

    exit_code: ClassVar[int] = 2
