"""`bitbylaw up`: the whole pipeline on this machine, until it is told to stop."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import click

from bitbylaw_pipeline.cli.dagster_home import prepare_home
from bitbylaw_pipeline.cli.draining import Draining
from bitbylaw_pipeline.cli.programs import Programs
from bitbylaw_pipeline.cli.screen import screen
from bitbylaw_pipeline.cli.services import Services
from bitbylaw_pipeline.cli.state import load_settings, open_own_state
from bitbylaw_pipeline.inbox.overview import EGRESS_IN_WORDS
from bitbylaw_pipeline.wiring import REQUIRED


@click.command()
@click.option(
    "--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="The UI's, on loopback."
)
@click.option(
    "--drain-timeout",
    default=30.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds for batches to end.",
)
def up(port: int, drain_timeout: float) -> None:
    """Start receiver, Dagster and its UI for the systems named in .env; stop with Ctrl-C.

    Stopping asks the batches to end first, so that nothing stays leased. If a part dies, everything stops and the exit
    code is 1: systemd or whoever started this then starts it anew.
    """
    settings = load_settings(make_key=True)
    settings.require(*REQUIRED)
    prepare_home(settings)
    with private_folder() as folder, stopped_by_signals() as stop:
        services = Services(settings, port, folder)
        services.check_ports()
        console = screen()
        console.print(f"egress    {EGRESS_IN_WORDS[settings.xai_egress]}")
        with running(services, stop, drain_timeout=drain_timeout) as programs:
            if not stop.is_set():
                console.print(f"receiver  http://{settings.receiver_host}:{settings.receiver_port}")
                console.print(f"UI        {services.ui_address}")
                console.print("running; Ctrl-C stops it in order")
            programs.watch(stop)
            console.print("stopping: batches give back what they hold")
    screen().print("stopped")


@contextlib.contextmanager
def running(
    services: Services, stop: threading.Event, *, drain_timeout: float, log_folder: Path | None = None
) -> Iterator[Programs]:
    """Everything started and ready (unless `stop` came first); drained and stopped in order at the end.

    Raises Problem if a part ends by itself or does not get ready.
    """
    database = open_own_state(services.settings)
    draining = Draining(services.settings, database)
    draining.clear()
    try:
        with Programs(services.environment(), log_folder, services.working_folder) as programs:
            programs.start(services.receiver())
            programs.start(services.code_server())
            programs.wait_until_ready(["code-server"], stop=stop)
            if not stop.is_set():
                programs.start(services.webserver())
                programs.start(services.daemon())
                programs.wait_until_ready(stop=stop)
            try:
                yield programs
            finally:
                draining.drain(drain_timeout)
    finally:
        database.close()


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A short-lived folder that nobody else can read; its path is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="bitbylaw-") as name:
        yield Path(name)


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set, in place of what they do otherwise."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
