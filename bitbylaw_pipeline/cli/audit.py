"""`bitbylaw audit`: both calendars looked at anew, what is wrong between them, and its repair."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import click

from bitbylaw_pipeline.cli.pair_names import TERMINE, named_kuerzel, require_calendars, require_kuerzel
from bitbylaw_pipeline.cli.problems import NotUsable, Problem
from bitbylaw_pipeline.cli.screen import screen
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.cli.waking import wake_streams
from bitbylaw_pipeline.cli.wanting import want
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.termine_audit import Audited, audit_each
from bitbylaw_pipeline.sync.termine_findings import AuditReport, Finding, Repair
from bitbylaw_pipeline.sync.termine_pairs import TerminePairs
from bitbylaw_pipeline.sync.termine_repair import Repaired, RepairStopped, carry_out, why_too_many
from bitbylaw_pipeline.wiring import open_runtime


@click.command()
@click.argument("employees", nargs=-1, metavar="[KÜRZEL]...")
@click.option("--repair", is_flag=True, help="Carry out what is planned, for one KÜRZEL; asks first.")
@click.option("--yes", "is_confirmed", is_flag=True, help="With --repair: do not ask.")
@click.option(
    "--delete-limit",
    type=click.IntRange(min=0),
    default=None,
    metavar="N",
    help="With --repair: delete up to N events, where the plan has more than 10 % of a calendar, or 20.",
)
def audit(employees: tuple[str, ...], repair: bool, is_confirmed: bool, delete_limit: int | None) -> None:
    """Look for doubles, orphans and differences between Advoware's Termine and Google, of each KÜRZEL or of all.

    Both sides are listed whole; nothing is written. Every finding stands with its planned repair: what --repair does,
    or what a person has to do. In Advoware a repair never writes. Exit code 1 while there are findings.
    """
    settings = load_settings(make_key=True)
    require_calendars(settings)
    chosen = list(dict.fromkeys(named_kuerzel(settings, one) for one in employees))
    for kuerzel in chosen:
        require_kuerzel(settings, kuerzel)
    if not repair and (is_confirmed or delete_limit is not None):
        raise NotUsable("--yes and --delete-limit belong to --repair.")
    if repair and len(chosen) != 1:
        raise NotUsable("A repair is for one employee: bitbylaw audit KÜRZEL --repair.")
    audited = asyncio.run(_audit(settings, chosen or sorted(settings.calendars)))
    for report in audited.reports.values():
        _print(report)
    for kuerzel, error in audited.failed.items():
        screen().print(f"{kuerzel}: could not be looked at. {error}", markup=False)
    if repair and audited.reports:
        _repair(settings, audited.reports[chosen[0]], delete_limit, is_confirmed=is_confirmed)
    elif audited.failed or any(report.findings for report in audited.reports.values()):
        sys.exit(1)


def _print(report: AuditReport) -> None:
    console = screen()
    seen = f"{report.termine} Termine, {report.events} events, {report.links} links"
    console.print(f"{report.kuerzel}: {len(report.findings) or 'no'} findings ({seen})", markup=False)
    for finding in report.findings:
        console.print(f"  {finding.line}", markup=False, soft_wrap=True)


def _repair(settings: Settings, report: AuditReport, delete_limit: int | None, *, is_confirmed: bool) -> None:
    left = report.of(Repair.PERSON)
    planned = len(report.findings) - len(left)
    if planned:
        if (refused := why_too_many(report, delete_limit)) is not None:
            raise Problem(refused)
        if not is_confirmed and not click.confirm(f"Carry out {planned} of {len(report.findings)}?"):
            raise Problem("Nothing has been changed.")
        _print_done(settings, report.kuerzel, asyncio.run(_carry_out(settings, report, delete_limit)))
    if left:
        screen().print(f"{len(left)} wait for a person, as said above.")
        sys.exit(1)


def _print_done(settings: Settings, kuerzel: str, done: Repaired) -> None:
    console = screen()
    console.print(f"{done.deleted} events deleted in Google, {done.forgotten} links corrected.")
    if not done.needs_pass:
        return
    with open_state(settings) as database:
        database.run_sync(lambda c: want(c, database, settings, TERMINE, kuerzel, "audit"))
    wake_streams(settings, [TERMINE])
    console.print(
        f"A pass over {kuerzel} is wanted; it is carried out at once if bitbylaw up runs, or by bitbylaw pass"
        f" {TERMINE}:{kuerzel}.",
        markup=False,
    )


async def _audit(settings: Settings, employees: Sequence[str]) -> Audited:
    async with _opened(settings) as pairs:
        return await audit_each(pairs, employees)


async def _carry_out(settings: Settings, report: AuditReport, delete_limit: int | None) -> Repaired:
    def told(finding: Finding) -> None:
        screen().print(f"  done: {finding.kind} {finding.subject}", markup=False, soft_wrap=True)

    async with _opened(settings) as pairs:
        try:
            return await carry_out(pairs, report, delete_limit=delete_limit, on_step=told)
        except RepairStopped as stopped:
            raise Problem(str(stopped)) from None


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[TerminePairs]:
    async with open_runtime(settings) as runtime:
        if runtime.calendars is None:
            raise Problem("Google's key file is not usable: see bitbylaw doctor.")
        yield runtime.calendars.pairs
