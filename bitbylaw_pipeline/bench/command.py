"""The command line of the benchmark."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bitbylaw_pipeline import logs
from bitbylaw_pipeline.bench.appointments import measure_appointments
from bitbylaw_pipeline.bench.burst import measure_burst
from bitbylaw_pipeline.bench.calls import measure_calls
from bitbylaw_pipeline.bench.cold import measure_cold
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.engine_burst import measure_engine
from bitbylaw_pipeline.bench.ground import POSTGRESQL, Ground, open_ground
from bitbylaw_pipeline.bench.options import Options
from bitbylaw_pipeline.bench.parties import measure_parties
from bitbylaw_pipeline.bench.programs import end_leftovers
from bitbylaw_pipeline.bench.receiver_load import measure_receiver
from bitbylaw_pipeline.bench.reconcile import measure_reconcile
from bitbylaw_pipeline.bench.report import Report, Section, conditions, show
from bitbylaw_pipeline.bench.trickle import measure_trickle
from bitbylaw_pipeline.bench.whole_pipeline import WholePipeline, open_whole_pipeline

Alone = Callable[[Ground, Options], Awaitable[Section]]
OnPipeline = Callable[[WholePipeline, Options], Awaitable[Section]]

ALONE: dict[str, Alone] = {
    "receiver": measure_receiver,
    "calls": measure_calls,
    "engine": measure_engine,
    "parties": measure_parties,
    "appointments": measure_appointments,
    "reconcile": measure_reconcile,
}
ON_PIPELINE: dict[str, OnPipeline] = {
    "trickle": measure_trickle,
    "burst": measure_burst,
    "cold": measure_cold,
}
_DEFAULTS = Options()
BUSY_LOAD_PER_CPU = 0.3


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--only", multiple=True, type=click.Choice([*ALONE, *ON_PIPELINE]), help="Just this; may be repeated."
)
@click.option(
    "--database", default=POSTGRESQL, show_default=True, type=click.Choice(["sqlite", POSTGRESQL]),
    help="The state's (and with PostgreSQL also Dagster's), started for the purpose.",
)  # fmt: skip
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the numbers here.",
)
@click.option(
    "--documents",
    default=_DEFAULTS.documents,
    show_default=True,
    type=click.IntRange(1, 5000),
    help="In a burst.",
)
@click.option(
    "--repetitions",
    default=_DEFAULTS.repetitions,
    show_default=True,
    type=click.IntRange(1),
    help="Of a burst.",
)
@click.option(
    "--latency-ms", multiple=True, default=_DEFAULTS.latency_ms, show_default=True, type=click.FloatRange(0),
    help="Added to each call to the stand-ins; bursts run under each, the other scenarios under the first.",
)  # fmt: skip
@click.option(
    "--trickle-seconds", default=_DEFAULTS.trickle_seconds, show_default=True, type=click.FloatRange(1)
)
@click.option(
    "--trickle-rate",
    default=_DEFAULTS.trickle_rate,
    show_default=True,
    type=click.FloatRange(0.1),
    help="Events per second.",
)
@click.option("--cold-tries", default=_DEFAULTS.cold_tries, show_default=True, type=click.IntRange(1))
@click.option(
    "--load-seconds",
    default=_DEFAULTS.load_seconds,
    show_default=True,
    type=click.FloatRange(0.5),
    help="Of each closed loop on the receiver.",
)
@click.option(
    "--open-loop-rate",
    default=_DEFAULTS.open_loop_rate,
    show_default=True,
    type=click.FloatRange(1),
    help="Requests per second.",
)
@click.option(
    "--open-loop-seconds", default=_DEFAULTS.open_loop_seconds, show_default=True, type=click.FloatRange(1)
)
@click.option(
    "--call-documents",
    default=_DEFAULTS.call_documents,
    show_default=True,
    type=click.IntRange(1),
    help="Documents whose calls are counted.",
)
@click.option(
    "--parties",
    default=_DEFAULTS.parties,
    show_default=True,
    type=click.IntRange(40),
    help="Parties on each side, once in step.",
)
@click.option(
    "--employees",
    default=_DEFAULTS.employees,
    show_default=True,
    type=click.IntRange(2, 600),
    help="With a calendar each.",
)
@click.option(
    "--appointments",
    default=_DEFAULTS.appointments,
    show_default=True,
    type=click.IntRange(40),
    help="Of each employee in Advoware.",
)
@click.option(
    "--reconciled-documents",
    default=_DEFAULTS.reconciled_documents,
    show_default=True,
    type=click.IntRange(100),
    help="Documents whose reconciliation is measured, beside that of a tenth of them.",
)
@click.option(
    "--polls/--no-polls",
    default=_DEFAULTS.polls,
    show_default=True,
    help="Whether to wait for a changed appointment that only the poll finds.",
)
def bench(only: tuple[str, ...], database: str, json_file: Path | None, **sizes: Any) -> None:
    """Measures the pipeline against the built-in stand-ins, beside a bare asyncio + aiohttp loop.

    Before a number is printed, EspoCRM, xAI and our own state are compared for every document that it counts.
    """
    logs.configure_structure()
    logging.basicConfig(level=logging.ERROR)
    # By default SIGTERM ends a process without its clean-up, and every server started here would live on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = Options(**{field.name: sizes[field.name] for field in fields(Options)})
    console = Console()
    report = Report(conditions(database))
    console.print(
        f"{report.conditions['cpus']} CPUs, Python {report.conditions['python']}, {database}; "
        f"load before the start {report.conditions['load_before']}",
        highlight=False,
    )
    if report.conditions["load_before"] > BUSY_LOAD_PER_CPU * report.conditions["cpus"]:
        console.print("The machine is busy: rates and latencies suffer; CPU per document and calls do not.")
    started = time.monotonic()
    try:
        asyncio.run(_measure(set(only) or {*ALONE, *ON_PIPELINE}, database, options, report, console))
    except BenchProblem as problem:
        console.print(f"[red]{problem}[/red]", highlight=False)
        sys.exit(1)
    finally:
        end_leftovers()
        if json_file is not None and report.sections:
            report.write(json_file)
    console.print(f"{time.monotonic() - started:.0f} s in all", highlight=False)


async def _measure(
    wanted: set[str], database: str, options: Options, report: Report, console: Console
) -> None:
    def take(section: Section) -> None:
        report.sections.append(section)
        show(section, console)

    async with open_ground(database) as ground:
        for name, measure in ALONE.items():
            if name in wanted:
                with console.status(f"measuring: {name}"):
                    section = await measure(ground, options)
                take(section)
        if not wanted & ON_PIPELINE.keys():
            return
        with console.status("starting the whole pipeline") as status:
            async with open_whole_pipeline(ground) as pipeline:
                for name, measure_on in ON_PIPELINE.items():
                    if name in wanted:
                        status.update(f"measuring: {name}")
                        take(await measure_on(pipeline, options))
                status.update("stopping")
