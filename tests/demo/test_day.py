"""The day's frame: what happens when nobody works, when a person breaks it off, when a part dies (`test_demo` has the
whole story)."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from rich.console import Console

from bitbylaw_pipeline.demo.calendar_desk import CalendarUsers
from bitbylaw_pipeline.demo.calendar_story import CalendarStory
from bitbylaw_pipeline.demo.day import Day, Interrupted
from bitbylaw_pipeline.demo.employee import Employee
from bitbylaw_pipeline.demo.ledgers import Ledgers
from bitbylaw_pipeline.demo.person import API_KEY, USER_NAME, Person
from bitbylaw_pipeline.demo.picture import Camera
from bitbylaw_pipeline.demo.story import Story
from bitbylaw_pipeline.demo.two_way_story import TwoWayStory
from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sandbox.samples.advoware import FIRST_MONDAY, advoware_seed_document
from bitbylaw_pipeline.sandbox.samples.calendars import google_seed_document
from bitbylaw_pipeline.sandbox.samples.matters import sample_firm
from bitbylaw_pipeline.sandbox.samples.seed import seed_document
from bitbylaw_pipeline.sandbox.server import RunningSandbox, running_sandbox
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.wiring import open_runtime
from tests.conftest import ENCRYPTION_KEY, migrated_url


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    """All stand-ins with the sample firm."""
    seed = seed_document(link_multiple_fields=True)
    seed["users"] = [{"userName": USER_NAME, "type": "api", "apiKey": API_KEY}]
    with running_sandbox(
        espocrm_seed=seed, advoware_seed=advoware_seed_document(), google_seed=google_seed_document()
    ) as running:
        yield running


def settings_for(sandbox: RunningSandbox, folder: Path) -> Settings:
    """The demo's settings, on these stand-ins."""
    return Settings.load(
        _env_file=None,
        xai_egress=EgressRule.FIELD,
        state_db_url=migrated_url("sqlite", folder),
        state_encryption_key=SecretStr(ENCRYPTION_KEY),
        dagster_home=folder,
        **sandbox.settings,
    )


@dataclass(frozen=True, slots=True)
class OwnPasses:
    """Passes without Dagster: over by the time that `launch` returns."""

    settings: Settings

    def launch(self) -> str:
        """A pass over everything."""

        async def run() -> None:
            async with open_runtime(self.settings) as runtime:
                assert runtime.advoware is not None
                for start in runtime.advoware.passes().values():
                    await start()

        asyncio.run(run())
        return "run"

    def status(self, _: str) -> str:
        """It has ended."""
        return "SUCCESS"


@dataclass(frozen=True, slots=True)
class NoRequests:
    """Requests that nobody works on."""

    def ask(self, kuerzel: str | None = None) -> str:
        """Taken."""
        return kuerzel or "all"

    def without_key(self) -> int:
        """As the receiver answers."""
        return 401

    def outcome(self, reference: str) -> Mapping[str, str]:
        """It stays so."""
        return {reference: "waiting"}


@contextmanager
def day(settings: Settings, sandbox: RunningSandbox, **given: Any) -> Iterator[Day]:
    """A day on this state, telling its lines into a buffer."""
    database = Database.open(settings.database_url, encryption_key=ENCRYPTION_KEY)
    parts: dict[str, Any] = {"stop": threading.Event(), "check_health": lambda: None, **given}
    try:
        with (
            Person(sandbox.espocrm_api_base_url) as person,
            Employee(sandbox.advoware_url) as employee,
            CalendarUsers(sandbox.google_url) as users,
        ):
            urls = sandbox.espocrm_url, sandbox.xai_url, sandbox.advoware_url, sandbox.google_url
            camera = Camera(*urls, database)
            ledgers = Ledgers((sandbox.espocrm_url, sandbox.advoware_url, sandbox.google_url))
            two_way = TwoWayStory(employee, OwnPasses(settings), ledgers, "", lambda: None)
            console = Console(file=io.StringIO(), width=160)
            calendars = CalendarStory(employee, users, NoRequests(), FIRST_MONDAY)
            yield Day(Story(sample_firm()), two_way, calendars, camera, person, console, **parts)
    finally:
        database.close()


def test_when_nothing_comes_to_rest_the_day_ends_and_says_so(sandbox: RunningSandbox, tmp_path: Path) -> None:
    """Without a worker the first round is the last, after its time, and the verdicts say what is missing: the pass was all."""
    settings = settings_for(sandbox, tmp_path)
    with day(settings, sandbox, round_seconds=1.0) as lived:
        _, verdicts = lived.live(tmp_path)
    wrong = [one.says for one in verdicts if not one.is_ok]
    assert "all came to rest within 1 s (the first load)" in wrong
    assert any(says.startswith("EspoCRM, xAI and our state agree") for says in wrong)
    assert not any(says.startswith("EspoCRM and Advoware agree") for says in wrong)
    assert any(says.startswith("Advoware and Google agree") for says in wrong)


def test_ctrl_c_breaks_the_day_off(sandbox: RunningSandbox, tmp_path: Path) -> None:
    """At once, in the middle of a round."""
    stop = threading.Event()
    stop.set()
    with (
        day(settings_for(sandbox, tmp_path), sandbox, stop=stop) as lived,
        pytest.raises(Interrupted),
    ):
        lived.live(tmp_path)


def test_a_dead_part_ends_the_day(sandbox: RunningSandbox, tmp_path: Path) -> None:
    """What watches the parts is asked all the time, and what it raises comes out."""

    def check_health() -> None:
        raise RuntimeError("receiver ended")

    with (
        day(settings_for(sandbox, tmp_path), sandbox, check_health=check_health) as lived,
        pytest.raises(RuntimeError, match="receiver ended"),
    ):
        lived.live(tmp_path)
