"""`bitbylaw alerts`: what a person was told, or would be; and whether the ways to tell them work."""

from __future__ import annotations

import asyncio
import time
import uuid

import click
from rich.markup import escape
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.problems import Problem
from bitbylaw_pipeline.cli.screen import moment, screen, span, table
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.domain.alert import Alert
from bitbylaw_pipeline.inbox import alerts as alert_rows
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.alert_channels import HOW_TO_SET, channels_of, why_incomplete


@click.command()
@click.option(
    "--test", "is_test", is_flag=True, help="Send a test message by every channel, and say what came of it."
)
def alerts(is_test: bool) -> None:
    """List what is wrong and whom it was told by; the sensor `alerts` looks once a minute."""
    settings = load_settings()
    if is_test:
        _test(settings)
        return
    with open_state(settings) as database:

        def read(connection: Connection) -> tuple[float, list[Alert], dict[str, alert_rows.Channel]]:
            return database.now(connection), alert_rows.open_ones(connection), alert_rows.channels(connection)

        now, found, channels = database.read(read)
    console = screen()
    for alert in found:
        trouble = alert.trouble
        told = ", ".join(f"{name} {moment(when.at)}" for name, when in sorted(alert.told.items()))
        rows = [("since", span(now - alert.first_at)), ("told", told or "nobody yet"), ("do", trouble.advice)]
        rows += [("see", trouble.link)] if trouble.link else []
        console.print(f"[bold]{trouble.kind.value}[/] {escape(trouble.subject)}", markup=True)
        console.print(f"  {trouble.says}", markup=False)
        console.print(table("", ("", ""), rows))
    console.print(f"{len(found)} open")
    _print_channels(settings, channels)


def _print_channels(settings: Settings, known: dict[str, alert_rows.Channel]) -> None:
    console = screen()
    configured = channels_of(settings)
    for name in configured:
        fares = known.get(name)
        if fares is not None and fares.failures:
            console.print(f"{name}: failed {fares.failures} times ({fares.error})")
        else:
            console.print(f"{name}: set up")
    if not configured:
        console.print(f"Nobody is told: {HOW_TO_SET}.")
    if said := why_incomplete(settings):
        console.print(said)


def _test(settings: Settings) -> None:
    from bitbylaw_pipeline.sync.alerting import tell_test  # noqa: PLC0415  # for --test alone

    channels = channels_of(settings)
    said = why_incomplete(settings)
    if not channels:
        raise Problem(said or f"Nobody is told: {HOW_TO_SET}.")
    results = asyncio.run(tell_test(channels, time.time(), uuid.uuid4().hex))
    console = screen()
    for name, why in results.items():
        console.print(f"{name}: {why or 'sent'}", markup=False)
    if said or any(results.values()):
        raise Problem(said or "A test message could not be sent.")
