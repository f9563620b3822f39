"""What a check found, as one line for a person: how it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bitbylaw_pipeline.cli.screen import OK, WARNING, WRONG, judged, screen


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` is ok, warning or wrong; `advice` says what to do where it is not ok.

    Further lines of the advice are to be copied: they are printed as they stand.
    """

    area: str
    level: str
    says: str
    advice: str = ""


def fine(area: str, says: str) -> Finding:
    """All is well."""
    return Finding(area, OK, says)


def odd(area: str, says: str, advice: str) -> Finding:
    """It works, but a person should know."""
    return Finding(area, WARNING, says, advice)


def bad(area: str, says: str, advice: str) -> Finding:
    """It does not work like this."""
    return Finding(area, WRONG, says, advice)


def print_findings(findings: Iterable[Finding]) -> None:
    """One line each, the advice below it."""
    console = screen()
    for one in findings:
        console.print(f"{judged(one.level)} {one.area:<9}", end=" ")
        console.print(one.says, markup=False)
        if one.advice:
            first, *to_copy = one.advice.splitlines()
            console.print(f"{'':<18}-> {first}", style="dim", markup=False)
            for line in to_copy:
                console.print(line, markup=False, soft_wrap=True)
