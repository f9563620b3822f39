"""`bitbylaw reconcile`: the systems compared with each other now, and what differs put into the work queue."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from bitbylaw_pipeline.cli.drift_table import (
    Reconciled,
    approvals,
    count,
    print_reports,
    with_commands,
    write_csv,
)
from bitbylaw_pipeline.cli.pair_names import ADVOWARE_PAIRS, DOCUMENTS, TERMINE, require_calendars
from bitbylaw_pipeline.cli.private_file import write_private
from bitbylaw_pipeline.cli.problems import NotUsable
from bitbylaw_pipeline.cli.screen import screen
from bitbylaw_pipeline.cli.state import load_settings
from bitbylaw_pipeline.cli.waking import wake_streams
from bitbylaw_pipeline.cli.work_keys import require_advoware
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.reconciliation import Reconciliation
from bitbylaw_pipeline.sync.reconciliation import reconcile as compare_and_repair
from bitbylaw_pipeline.wiring import Runtime, open_runtime

FLOWS = (DOCUMENTS, "collections", *ADVOWARE_PAIRS, TERMINE)
STDOUT = "-"
NO_KEY_FILE = "Google's key file is not usable: see bitbylaw doctor."


@click.command()
@click.option("--dry-run", is_flag=True, help="Only look: nothing is written anywhere, not even noted.")
@click.option(
    "--flow",
    "flows",
    type=click.Choice(FLOWS),
    multiple=True,
    help="This flow; may be given several times. Default: all that are configured.",
)
@click.option(
    "--csv",
    "target",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    default=None,
    metavar="FILE",
    help="Write all rows there (-: to standard output, everything else to standard error).",
)
@click.option(
    "--accept-smaller",
    is_flag=True,
    help="A list really has become that much shorter: believe it, once.",
)
def reconcile(dry_run: bool, flows: tuple[str, ...], target: Path | None, accept_smaller: bool) -> None:
    """Compare both sides of each flow whole, show what differs, and put the repairs into the work queue.

    documents and collections are compared together. What waits for a person's answer already is not told again here
    (bitbylaw holds). Exit code 0: nothing found; 1: something was found, or a flow could not be compared.
    """
    settings = load_settings(make_key=True)
    chosen = _chosen(settings, flows)
    is_to_stdout = target is not None and str(target) == STDOUT
    # Before anything is done: a table that cannot be written is found out about too late after an hour of lists.
    if target is not None and not is_to_stdout and not target.absolute().parent.is_dir():
        raise NotUsable(f"There is no folder {target.absolute().parent} to write the table into.")
    console = Console(stderr=True, highlight=False, emoji=False) if is_to_stdout else screen()
    found = asyncio.run(_compare(settings, chosen, is_dry=dry_run, accept_smaller=accept_smaller))
    print_reports(console, found.reports)
    _print_what_follows(console, settings, found, is_dry=dry_run)
    if is_to_stdout:
        write_csv(sys.stdout, found.drifts)
    elif target is not None:
        write_private(target.absolute(), partial(write_csv, drifts=found.drifts))
        console.print(f"{len(found.drifts)} rows in {target}.", markup=False)
    for flow, why in found.failed.items():
        click.echo(f"bitbylaw: {flow} could not be compared. {why}", err=True)
    if found.drifts or found.failed:
        sys.exit(1)


def _chosen(settings: Settings, flows: Sequence[str]) -> list[str]:
    """The reconciliations to carry out, in their order. Raises NotUsable for one that is not configured."""
    if any(flow in ADVOWARE_PAIRS for flow in flows):
        require_advoware(settings)
    if TERMINE in flows:
        require_calendars(settings)
    configured = [DOCUMENTS]
    configured += ADVOWARE_PAIRS if settings.has_advoware else ()
    configured += [TERMINE] if settings.has_calendars else []
    wanted = {DOCUMENTS if flow == "collections" else flow for flow in flows}
    return [flow for flow in configured if not wanted or flow in wanted]


async def _compare(
    settings: Settings, chosen: Sequence[str], *, is_dry: bool, accept_smaller: bool
) -> Reconciled:
    found = Reconciled()
    async with open_runtime(settings) as runtime:
        known = runtime.reconciliations(accept_smaller=accept_smaller)
        for name in chosen:
            await _one(runtime, name, known, found, is_dry=is_dry)
    return found


async def _one(
    runtime: Runtime, name: str, known: Mapping[str, Reconciliation], found: Reconciled, *, is_dry: bool
) -> None:
    if name not in known:
        found.failed[name] = NO_KEY_FILE
        return
    try:
        reports = await compare_and_repair(runtime.database, known[name], dry_run=is_dry)
    except SyncError as error:
        found.failed[name] = str(error)
        if not is_dry:
            # Noted like a batch's: status then says since when, and nobody asks in vain meanwhile.
            await runtime.outage_watch.judge(error)
    else:
        found.reports += with_commands(reports)


def _print_what_follows(console: Console, settings: Settings, found: Reconciled, *, is_dry: bool) -> None:
    drifts = found.drifts
    if found.reports and not drifts:
        console.print("Nothing differs.")
    if approve := approvals(drifts):
        console.print(
            f"{count(drifts, 'withheld')} would delete more at once than is allowed; to allow it once:"
        )
        for command in approve:
            console.print(f"  {command}", markup=False)
        console.print("and reconcile again.")
    if persons := count(drifts, "person"):
        console.print(f"{persons} wait for a person, as said above.")
    wanted = [drift for drift in drifts if drift.repair == "queue"]
    if is_dry:
        if wanted:
            console.print(f"{len(wanted)} would be put into the work queue: leave --dry-run out.")
        return
    if wanted:
        wake_streams(settings, sorted({str(drift.stream) for drift in wanted}))
        console.print(
            f"{len(wanted)} repairs are in the work queue: a running bitbylaw up carries them out (bitbylaw status)."
        )
