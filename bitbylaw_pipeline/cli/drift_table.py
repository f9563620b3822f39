"""What a reconciliation found, as tables for a screen and as CSV: ids, counts and classes alone."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TextIO

from rich.console import Console
from rich.markup import escape

from bitbylaw_pipeline.cli.pair_names import DOCUMENTS, TERMINE
from bitbylaw_pipeline.cli.screen import table
from bitbylaw_pipeline.domain.drift import Drift, DriftReport

SHOWN = 50
"""Rows of a flow on the screen; all of them are in the CSV."""
CSV_COLUMNS = ("flow", "class", "subject", "says", "repair", "stream", "key", "advice")


@dataclass(slots=True)
class Reconciled:
    """The reports, in their order, and why flows could not be compared."""

    reports: list[DriftReport] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def drifts(self) -> list[Drift]:
        """Everything that was found."""
        return [drift for report in self.reports for drift in report.drifts]


def count(drifts: Iterable[Drift], repair: str) -> int:
    """How many of them are repaired that way."""
    return sum(1 for drift in drifts if drift.repair == repair)


def approvals(drifts: Iterable[Drift]) -> list[str]:
    """The commands that let what is withheld go on, each once."""
    return list(dict.fromkeys(drift.advice for drift in drifts if drift.is_withheld and drift.advice))


def with_commands(reports: Sequence[DriftReport]) -> list[DriftReport]:
    """The reports of flows that one approval is for, with the command that gives it beside each withheld row."""
    deletes = sum(drift.deletes for report in reports for drift in report.drifts if drift.is_withheld)
    command = f"bitbylaw approve-deletes {DOCUMENTS} right {deletes}"
    return [
        replace(
            report,
            drifts=tuple(
                replace(drift, advice=command) if drift.is_withheld and not drift.advice else drift
                for drift in report.drifts
            ),
        )
        for report in reports
    ]


def print_reports(console: Console, reports: Sequence[DriftReport]) -> None:
    """One line a flow, then what was found in each."""
    columns = (
        "flow",
        "listed",
        "#found",
        "#wanted",
        "#withheld",
        "#person",
        "#busy",
        "#requests",
        "#seconds",
    )
    rows = [
        (
            report.flow,
            _listed(report),
            len(report.drifts),
            count(report.drifts, "queue"),
            report.withheld,
            count(report.drifts, "person"),
            report.busy,
            report.calls,
            f"{report.seconds:.1f}",
        )
        for report in reports
    ]
    console.print(table("", columns, rows))
    for report in reports:
        if report.drifts:
            _print_drifts(console, report)


def _listed(report: DriftReport) -> str:
    """How long the lists were, without those that had nothing; of appointments those of all employees together."""
    lengths: Counter[str] = Counter()
    for name, number in report.listed.items():
        lengths[name.rpartition("_")[2] if report.flow == TERMINE else name] += number
    return ", ".join(f"{number} {name}" for name, number in lengths.items() if number) or "nothing"


def _print_drifts(console: Console, report: DriftReport) -> None:
    counts = ", ".join(f"{number} {kind}" for kind, number in report.counts().items() if number)
    console.print(f"\n[bold]{report.flow}[/]: {counts}")
    rows = [
        tuple(
            escape(text) for text in (drift.kind.value, drift.subject, drift.says, drift.repair, drift.advice)
        )
        for drift in report.drifts[:SHOWN]
    ]
    console.print(table("", ("class", "subject", "says", "repair", "what to do"), rows))
    if len(report.drifts) > SHOWN:
        console.print(f"and {len(report.drifts) - SHOWN} more: --csv FILE has all of them.")


def write_csv(file: TextIO, drifts: Iterable[Drift]) -> None:
    """All rows, with a heading."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in drifts:
        writer.writerow(
            (one.flow, one.kind.value, one.subject, one.says, one.repair, one.stream, one.key, one.advice)
        )
