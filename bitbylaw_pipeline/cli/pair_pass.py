"""`bitbylaw pass` and `bitbylaw plan`: a whole comparison of a pair now, and what it would do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import click
from sqlalchemy import Connection

from bitbylaw_pipeline.cli import termine_pass
from bitbylaw_pipeline.cli.pair_names import (
    ADVOWARE_PAIRS,
    PairName,
    kuerzel_of,
    legend_of,
    shown,
)
from bitbylaw_pipeline.cli.problems import Problem
from bitbylaw_pipeline.cli.screen import screen, table
from bitbylaw_pipeline.cli.state import load_settings
from bitbylaw_pipeline.cli.termine_pass import Planned
from bitbylaw_pipeline.cli.waking import wake_streams
from bitbylaw_pipeline.cli.work_keys import require_advoware
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox import outages
from bitbylaw_pipeline.inbox.pass_times import conclude_pass
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.pair_pass import PairPass
from bitbylaw_pipeline.sync.two_way_pairs import Pair
from bitbylaw_pipeline.wiring import AdvowareParts, Runtime, open_runtime

PLANNED = ADVOWARE_PAIRS[:2]
"""Akten have no links to plan."""
Start = Callable[[], Awaitable[PairPass]]
_COLUMNS = ("pair", "#links", "#writes", "#conflicts", "#held", "#failed", "#seconds")
# Akten have states instead of links.
_NUMBERS = (("links", "linked"), ("writes", "written"), ("conflicts",), ("held",), ("failed",))


@click.command("pass")
@click.argument("pair", type=PairName(takes_all=True), required=False)
def run_pass(pair: str | None) -> None:
    """Compare all of PAIR (or of every pair) with Advoware now, in this process, and put right what differs.

    termine:AB are the appointments of the employee AB, between Advoware and Google; termine are everybody's. It is the pass that runs every 15 minutes; the Dagster UI does not show this one. One at a time per pair.
    """
    settings = load_settings(make_key=True)
    require_advoware(settings)
    employees = termine_pass.chosen(settings, pair)
    passed = asyncio.run(_pass(settings, _chosen(pair, ADVOWARE_PAIRS), employees))
    console = screen()
    done = [one for one in passed if not one.is_skipped]
    rows = [
        (shown(one.pair), *(_count(one, *names) for names in _NUMBERS), f"{one.seconds:.1f}") for one in done
    ]
    console.print(table("", _COLUMNS, rows))
    # An employee's appointments are looked at again by the pass after this one.
    failed = [one.pair for one in done if one.counts.get("failed", 0) and one.pair in ADVOWARE_PAIRS]
    wake_streams(settings, failed)
    _judge(passed, failed)


def _count(passed: PairPass, *names: str) -> int:
    return next((passed.counts[name] for name in names if name in passed.counts), 0)


def _judge(passed: Sequence[PairPass], failed: Sequence[str]) -> None:
    console = screen()
    if any(one.counts.get("held", 0) for one in passed):
        console.print("What waits for a person: bitbylaw holds")
    if failed:
        console.print(f"What failed is tried again by the queue: {', '.join(failed)} (bitbylaw inbox parked)")
    for one in passed:
        kuerzel, failures = kuerzel_of(one.pair), one.counts.get("failed", 0)
        if kuerzel is not None and failures:
            console.print(
                f"{shown(one.pair)}: {failures} could not be written; bitbylaw sync termine {kuerzel} --here says why."
            )
        if one.is_skipped:
            console.print(f"{shown(one.pair)}: another run has it in hand; try again in a minute.")
        if one.stopped_by is not None:
            console.print(f"{shown(one.pair)}: stopped half way. {one.stopped_by}", markup=False)
    if any(one.counts.get("failed", 0) or one.is_skipped or one.stopped_by is not None for one in passed):
        sys.exit(1)


@click.command()
@click.argument("pair", type=PairName(PLANNED, takes_all=True), required=False)
def plan(pair: str | None) -> None:
    """Show what a pass over PAIR (or all) would do now, by ids and field names. Nothing is done, no link is stored.

    termine:AB are the appointments of the employee AB, termine are everybody's. Whoever cannot be planned for has the
    reason as their line, and the exit code is 1.
    """
    settings = load_settings(make_key=True)
    require_advoware(settings)
    employees = termine_pass.chosen(settings, pair)
    found = asyncio.run(_plan(settings, [Pair(one) for one in _chosen(pair, PLANNED)], employees))
    console = screen()
    for name, lines in found.lines.items():
        console.print(f"[bold]{shown(name)}[/] ({legend_of(name)})")
        for line in lines or ["Nothing to do."]:
            console.print(f"  {line}", markup=False)
    if found.refused:
        sys.exit(1)


def _chosen(pair: str | None, names: Sequence[str]) -> list[str]:
    """The pairs with Advoware among what a person named; all of them where nothing was named."""
    return [name for name in names if pair in (None, name)]


async def _pass(settings: Settings, names: Sequence[str], employees: Sequence[str]) -> list[PairPass]:
    passed: list[PairPass] = []
    async with _opened(settings) as (runtime, advoware):
        starts = advoware.passes()
        for name in names:
            one = await _one_pass(runtime, name, starts[name])
            passed.append(one)
            if one.stopped_by is not None:
                return passed
        passed += await termine_pass.run(runtime, employees)
    return passed


async def _one_pass(runtime: Runtime, name: str, start: Start) -> PairPass:
    try:
        one = await start()
    except SyncError as error:
        # Noted like a batch's: status then says since when, and nobody asks in vain meanwhile.
        await runtime.outage_watch.judge(error)
        raise
    if one.stopped_by is not None:
        await runtime.outage_watch.judge(one.stopped_by)
    elif not one.is_skipped:
        await runtime.database.run(lambda c: _note(c, runtime.database.now(c), name))
    return one


def _note(connection: Connection, now: float, name: str) -> None:
    conclude_pass(connection, now, name)
    # Both systems have just answered as a whole: no batch needs to ask first.
    outages.resume(connection, "advoware")


async def _plan(settings: Settings, pairs: Sequence[Pair], employees: Sequence[str]) -> Planned:
    async with _opened(settings) as (runtime, advoware):
        shared = advoware.pairs.party_list()
        found: dict[str, list[str]] = {}
        for pair in pairs:
            wants = await advoware.pairs.parties_in_turn()
            reconciler = await advoware.pairs.reconciler(pair, shared, wants=wants)
            found[pair.value] = (await reconciler.plan()).lines
        planned = await termine_pass.plan(runtime, employees)
        return Planned({**found, **planned.lines}, planned.refused)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Runtime, AdvowareParts]]:
    async with open_runtime(settings) as runtime:
        if runtime.advoware is None:
            raise Problem("Advoware is not configured.")
        yield runtime, runtime.advoware
