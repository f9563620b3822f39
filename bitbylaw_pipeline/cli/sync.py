"""`bitbylaw sync`: one document, owner, party, bank account, Akte, or one employee's appointments, now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import click
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.filters import STREAM_NAMES
from bitbylaw_pipeline.cli.inbox import state_of
from bitbylaw_pipeline.cli.problems import Problem
from bitbylaw_pipeline.cli.screen import screen
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.cli.waking import wake_streams
from bitbylaw_pipeline.cli.wanting import want
from bitbylaw_pipeline.cli.work_keys import parse_key, require_stream
from bitbylaw_pipeline.inbox import batches, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.work_queue import WorkRow
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.wiring import open_runtime

LOOK_EVERY_SECONDS = 0.25


@click.command()
@click.argument("stream", type=click.Choice(STREAM_NAMES))
@click.argument("key")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@click.option(
    "--here", is_flag=True, help="Do it in this process, without Dagster (shown nowhere in its UI)."
)
@click.option(
    "--timeout", default=120.0, show_default=True, type=click.FloatRange(min=0), help="Seconds to wait."
)
def sync(stream: str, key: str, dry_run: bool, here: bool, timeout: float) -> None:
    """Sync one document, party or bank account (its id in EspoCRM), one owner's collection (EntityType:id), or
    one Akte (its id at Advoware), or the appointments of one employee (`termine AB`).

    Without --here the work is put into the queue, where it survives everything, and followed until it is done.
    """
    key = parse_key(stream, key)
    settings = load_settings(make_key=dry_run or here)
    key = require_stream(settings, stream, key)
    if dry_run:
        _print_plan(settings, stream, key)
    elif here:
        _work_here(settings, stream, key, timeout)
    else:
        _want_and_follow(settings, stream, key, timeout)


def _print_plan(settings: Settings, stream: str, key: str) -> None:
    async def describe() -> list[str]:
        async with open_runtime(settings) as runtime:
            return await runtime.streams[stream].describe(key)

    for line in asyncio.run(describe()):
        screen().print(line, markup=False)


def _work_here(settings: Settings, stream: str, key: str, timeout: float) -> None:
    async def work() -> list[Finished]:
        async with open_runtime(settings) as runtime:
            worker = runtime.worker(stream, polls_feed=False)
            return await worker.work_keys(
                [key], stop=asyncio.Event(), record=_record_nowhere, wait_seconds=timeout
            )

    finished = asyncio.run(work())[0]
    outcome = finished.outcome
    if outcome is None:
        verdict = "parked" if finished.is_parked else "not done, it is tried again later"
        raise Problem(f"{stream} {key} is {verdict}: {finished.error}")
    console = screen()
    console.print(f"{key}: {outcome.result.value} ({finished.seconds:.1f} s, {finished.calls} calls)")
    for name, fact in outcome.facts.items():
        console.print(f"  {name}: {fact}", markup=False)
    if outcome.warning:
        console.print(f"[yellow]warning[/] {escape(outcome.warning)}")


def _record_nowhere(finished: Sequence[Finished]) -> None:
    del finished


def _want_and_follow(settings: Settings, stream: str, key: str, timeout: float) -> None:
    with open_state(settings) as database:
        wanted = database.run_sync(lambda conn: want(conn, database, settings, stream, key, "sync"))
        wake_streams(settings, [stream])
        row = _follow(database, stream, key, wanted, timeout)
    if row.done >= wanted:
        screen().print(f"{stream} {key}: done")
        return
    if row.parked_at is not None:
        raise Problem(f"{stream} {key} is parked ({row.park_reason}): {row.last_error}")
    said = (
        f" Last error: {row.last_error}"
        if row.last_error
        else " Is bitbylaw up running? See bitbylaw status."
    )
    raise Problem(f"{stream} {key} is not done after {timeout:.0f} s; it stays in the queue.{said}")


def _follow(database: Database, stream: str, key: str, wanted: int, timeout: float) -> WorkRow:
    """Shows the row's state until it is done, parked, or the time is up; returns the row as it is then."""
    deadline = time.monotonic() + timeout
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = screen()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"{stream} {key}", total=None)
        while True:
            now, row, has_batch = database.read(_reader(database, stream, key))
            if row is None or row.done >= wanted or row.parked_at is not None or time.monotonic() > deadline:
                break
            hint = "" if has_batch else ", no batch is alive yet"
            progress.update(task, description=f"{stream} {key}: {state_of(row, now)}{hint}")
            time.sleep(LOOK_EVERY_SECONDS)
    if row is None:
        raise Problem(f"{stream} {key} was removed from the queue while it was waited for.")
    return row


def _reader(
    database: Database, stream: str, key: str
) -> Callable[[Connection], tuple[float, WorkRow | None, bool]]:
    def read(conn: Connection) -> tuple[float, WorkRow | None, bool]:
        now = database.now(conn)
        return now, work_queue.get(conn, stream, key), bool(batches.live(conn, now, stream))

    return read
