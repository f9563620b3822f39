"""`bitbylaw demo`: everything at once on the built-in sandbox, so that a person can see it work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import click
import httpx

from bitbylaw_pipeline.cli.dagster_home import prepare_home
from bitbylaw_pipeline.cli.demo_home import (
    SECRET,
    Ports,
    clean_environment,
    demo_home,
    demo_secrets,
    demo_settings,
    write_env_file,
)
from bitbylaw_pipeline.cli.hold_words import LEGEND, meaning, name_of
from bitbylaw_pipeline.cli.problems import Problem
from bitbylaw_pipeline.cli.programs import Program, Programs
from bitbylaw_pipeline.cli.screen import screen
from bitbylaw_pipeline.cli.services import Services, fetch_status, is_free
from bitbylaw_pipeline.cli.setup_espocrm import set_up
from bitbylaw_pipeline.cli.state import open_own_state, with_key
from bitbylaw_pipeline.cli.up import private_folder, running, stopped_by_signals
from bitbylaw_pipeline.demo.alert_listener import AlertListener, listening
from bitbylaw_pipeline.demo.calendar_desk import CalendarRequests, CalendarUsers
from bitbylaw_pipeline.demo.calendar_story import CalendarStory
from bitbylaw_pipeline.demo.day import Day, Interrupted
from bitbylaw_pipeline.demo.employee import Employee
from bitbylaw_pipeline.demo.evening import Evening, environment_of
from bitbylaw_pipeline.demo.expectations import Verdict
from bitbylaw_pipeline.demo.leaks import KEY_FILE
from bitbylaw_pipeline.demo.ledgers import Ledgers
from bitbylaw_pipeline.demo.long_wait import skip_long_wait
from bitbylaw_pipeline.demo.materialized import check_materializations, check_warnings
from bitbylaw_pipeline.demo.passes import DagsterPasses
from bitbylaw_pipeline.demo.person import Person
from bitbylaw_pipeline.demo.picture import Camera, Picture
from bitbylaw_pipeline.demo.seeding import seed_advoware, seed_espocrm, seed_google
from bitbylaw_pipeline.demo.story import Story
from bitbylaw_pipeline.demo.terminal import Terminal
from bitbylaw_pipeline.demo.two_way_story import NEW_VALUES, TwoWayStory
from bitbylaw_pipeline.demo.view import appointments, final_table, holdings, pairs, verdict_lines
from bitbylaw_pipeline.domain.termin_times import BERLIN
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.logs import configure_process
from bitbylaw_pipeline.loopback import LOOPBACK, free_ports
from bitbylaw_pipeline.sandbox.samples.calendars import (
    CALENDARS,
    coming_monday,
)
from bitbylaw_pipeline.sandbox.samples.matters import sample_firm
from bitbylaw_pipeline.settings import Settings

UI_PORT = 3000


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays."""

    home: Path
    ports: Ports
    settings: Settings
    services: Services
    monday: date
    """From which the appointments are counted."""


@click.command()
@click.option(
    "--exit", "exits", is_flag=True, help="Stop afterwards; exit code 0 only if all is as expected."
)
@click.option(
    "--ui-port", default=None, type=click.IntRange(1, 65535), help="The UI's port (3000, or a free one)."
)
def demo(exits: bool, ui_port: int | None) -> None:
    """Show everything on the built-in sandbox: no account, no key, nothing leaves this machine.

    People work in the stand-ins of EspoCRM, Advoware and Google Calendar, the pipeline keeps them in step and brings
    documents to xAI's, and every expectation is checked.
    """
    configure_process("WARNING")
    started = time.monotonic()
    with stopped_by_signals() as stop, demo_home() as home, private_folder() as folder:
        stage = _stage(home, folder, ui_port)
        console = screen()
        console.print(f"Starting sandbox, receiver, Dagster and its UI; their logs are in {home / 'logs'}")
        try:
            with (
                listening(stage.ports.alerts) as alerts,
                _sandbox(stage, stop) as sandbox,
                _pipeline(stage, stop) as programs,
            ):
                picture, verdicts = _live_through(stage, stop, alerts, sandbox, programs)
                _print_result(picture, verdicts, time.monotonic() - started)
                if not exits:
                    _keep_running(stage, stop, sandbox, programs)
        except Interrupted:
            raise Problem("the demo was broken off; nothing of it is left running.") from None
    if not all(one.is_ok for one in verdicts):
        sys.exit(1)


def _stage(home: Path, folder: Path, ui_port: int | None) -> Stage:
    espocrm, xai, advoware, google, receiver, alerts, other_ui = free_ports(7)
    ports = Ports(
        espocrm=espocrm, xai=xai, advoware=advoware, google=google, receiver=receiver, alerts=alerts
    )
    settings = with_key(demo_settings(home, ports), make=True)
    prepare_home(settings)
    write_env_file(home, settings, ports)
    port = ui_port or (UI_PORT if is_free(LOOPBACK, UI_PORT) else other_ui)
    services = Services(settings, port, folder, inherited=clean_environment(), working_folder=home)
    services.check_ports()
    return Stage(home, ports, settings, services, coming_monday(datetime.now(UTC).astimezone(BERLIN).date()))


@contextlib.contextmanager
def _sandbox(stage: Stage, stop: threading.Event) -> Iterator[Programs]:
    """The stand-ins, with the sample firm in them and our webhooks registered."""
    arguments = ["-m", "bitbylaw_pipeline.sandbox.server"]
    arguments += ["--espocrm-port", str(stage.ports.espocrm), "--xai-port", str(stage.ports.xai)]
    arguments += ["--advoware-port", str(stage.ports.advoware), "--google-port", str(stage.ports.google)]
    program = Program("sandbox", arguments, lambda: _is_up(stage.ports), ready_seconds=30)
    with Programs(clean_environment(), stage.home / "logs", stage.home) as programs:
        programs.start(program)
        programs.wait_until_ready(stop=stop)
        if stop.is_set():
            raise Interrupted
        ports = stage.ports
        seed_espocrm(ports.espocrm_url, f"{ports.receiver_url}/vmh/webhook/entity", SECRET)
        seed_advoware(ports.advoware_url, stage.monday)
        seed_google(ports.google_url, stage.home / KEY_FILE)
        database = open_own_state(stage.settings)
        try:
            asyncio.run(set_up(stage.settings, database, apply=True))
        finally:
            database.close()
        screen().print("The sandbox holds the sample firm, and the webhooks are registered there.")
        yield programs


def _is_up(ports: Ports) -> bool:
    return all(
        fetch_status(LOOPBACK, port, "/sandbox/clock") == 200
        for port in (ports.espocrm, ports.xai, ports.advoware, ports.google)
    )


@contextlib.contextmanager
def _pipeline(stage: Stage, stop: threading.Event) -> Iterator[Programs]:
    with running(stage.services, stop, drain_timeout=15, log_folder=stage.home / "logs") as programs:
        if stop.is_set():
            raise Interrupted
        screen().print(f"Receiver, Dagster and its UI are running: {stage.services.ui_address}")
        yield programs


def _live_through(
    stage: Stage, stop: threading.Event, alerts: AlertListener, *running_programs: Programs
) -> tuple[Picture, list[Verdict]]:
    def check_health() -> None:
        for programs in running_programs:
            programs.raise_if_one_ended()

    def raise_if_over() -> None:
        if stop.is_set():
            raise Interrupted
        check_health()

    ports = stage.ports
    database: Database = open_own_state(stage.settings)
    try:
        with (
            Person(f"{ports.espocrm_url}/api/v1") as person,
            Employee(ports.advoware_url) as employee,
            CalendarUsers(ports.google_url) as users,
        ):
            two_way = TwoWayStory(
                employee,
                DagsterPasses(stage.services.ui_address),
                Ledgers((ports.espocrm_url, ports.advoware_url, ports.google_url)),
                ports.receiver_url,
                skip_wait=lambda: skip_long_wait(database),
            )
            calendars = CalendarStory(employee, users, CalendarRequests(ports.receiver_url), stage.monday)
            camera = Camera(ports.espocrm_url, ports.xai_url, ports.advoware_url, ports.google_url, database)
            story = Story(sample_firm())

            def leak_words() -> list[str]:
                return [*_leak_words(stage), *users.tokens()]

            day = Day(
                story, two_way, calendars, camera, person, screen(), stop, check_health, leak_words=leak_words
            )
            picture, verdicts = day.live(stage.home)
            ui = stage.services.ui_address
            verdicts += [*check_materializations(ui, picture), *check_warnings(ui, picture)]
            if not all(one.is_ok for one in verdicts):
                return picture, verdicts
            evening = Evening(
                camera, person, Terminal(stage.home, environment_of(clean_environment())), story.roles,
                ports.xai_url, ports.receiver_url, alerts, screen(), raise_if_over,
            )  # fmt: skip
            return picture, [*verdicts, *evening.live(stage.home, leak_words)]
    finally:
        database.close()


def _leak_words(stage: Stage) -> list[str]:
    answer = httpx.get(f"{stage.ports.advoware_url}/sandbox/tokens", timeout=30).raise_for_status()
    private_key = json.loads((stage.home / KEY_FILE).read_text("utf-8"))["private_key"]
    users = [one.user for one in CALENDARS]
    # A line of the key: in a log it could stand with other line ends.
    return [
        *NEW_VALUES,
        *demo_secrets(stage.settings),
        *answer.json()["valid"],
        *users,
        private_key.split("\n")[1],
    ]


def _print_result(picture: Picture, verdicts: list[Verdict], seconds: float) -> None:
    console = screen()
    console.print(final_table(picture))
    console.print(f"\n{holdings(picture)}\n{pairs(picture)}\n{appointments(picture)}\n")
    _print_holds(picture)
    for line in verdict_lines(verdicts):
        console.print(line)
    wrong = sum(not one.is_ok for one in verdicts)
    console.print(
        f"\n{len(verdicts) - wrong} of {len(verdicts)} expectations hold, after {seconds:.0f} s"
        + (f"; [bold red]{wrong} do not[/]" if wrong else "")
    )


def _print_holds(picture: Picture) -> None:
    """What a person still has to say, and how: the demo answers nothing in their place."""
    console = screen()
    for one in picture.two_way.holds:
        told = meaning(one.why)
        console.print(f"{one.pair} {one.subject}: {told.says}", markup=False)
        if told.answers:
            answers = "|".join(told.answers)
            console.print(f"  bitbylaw resolve {name_of(one)} --take {answers}", markup=False)
    if picture.two_way.holds:
        console.print(f"({LEGEND})\n", markup=False)


def _keep_running(stage: Stage, stop: threading.Event, *running_programs: Programs) -> None:
    console = screen()
    console.print(f"\nThe UI: [bold]{stage.services.ui_address}[/] (assets, runs, each document's partition)")
    program = Path(sys.executable).with_name("bitbylaw")
    console.print(
        f"The commands: cd {stage.home} && {program} status (or doctor, holds, resolve, inbox list, sync ...)"
    )
    console.print("It keeps running; Ctrl-C stops everything.")
    while not stop.wait(0.5):
        for programs in running_programs:
            programs.raise_if_one_ended()
    console.print("stopping")
