"""A command line on the stand-ins: settings in the environment, state in a folder of its own."""

from __future__ import annotations

import copy
import functools
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from bitbylaw_pipeline.cli.main import cli
from bitbylaw_pipeline.inbox import two_way_desk
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_desk import HoldView
from bitbylaw_pipeline.sandbox.samples.advoware import advoware_seed_document
from bitbylaw_pipeline.sandbox.samples.seed import seed_document
from bitbylaw_pipeline.sandbox.server import RunningSandbox, running_sandbox
from bitbylaw_pipeline.settings import Settings
from tests.conftest import ENCRYPTION_KEY, migrated_url


@pytest.fixture(autouse=True)
def _own_log_handlers() -> Iterator[None]:
    """A command sets up logging for its process; the next test wants pytest's again."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, in an environment without settings."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass(slots=True)
class Terminal:
    """Runs commands with the given settings in the environment."""

    settings: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, **changed: str) -> Result:
        """The command's result; `changed` are further settings."""
        return CliRunner().invoke(cli, arguments, env={**self.settings, **changed})


@pytest.fixture
def bare(folder: Path) -> Terminal:
    """A terminal without any setting."""
    return Terminal({"DAGSTER_HOME": str(folder / "home")})


@pytest.fixture
def with_state(bare: Terminal, folder: Path) -> Iterator[tuple[Terminal, Database]]:
    """A terminal on an empty state, and the state."""
    url = migrated_url("sqlite", folder)
    bare.settings |= {"STATE_DB_URL": url, "STATE_ENCRYPTION_KEY": ENCRYPTION_KEY}
    database = Database.open(url, encryption_key=ENCRYPTION_KEY)
    yield bare, database
    database.close()


@dataclass(slots=True)
class Office:
    """A terminal on both stand-ins with the sample firm, and their controls."""

    terminal: Terminal
    sandbox: RunningSandbox

    def run(self, *arguments: str, **changed: str) -> Result:
        """The command's result."""
        return self.terminal.run(*arguments, **changed)

    def seed(self, **seed: Any) -> None:
        """Changes EspoCRM's stand-in."""
        httpx.post(f"{self.sandbox.espocrm_url}/sandbox/seed", json=seed, timeout=10).raise_for_status()

    def webhooks(self) -> list[dict[str, Any]]:
        """What is registered there."""
        state = httpx.get(f"{self.sandbox.espocrm_url}/sandbox/state", timeout=10).json()
        return [row for row in state["webhooks"] if not row["deleted"]]

    def switch_xai(self, **switches: Any) -> None:
        """Turns switches of xAI's stand-in."""
        httpx.post(f"{self.sandbox.xai_url}/sandbox/switches", json=switches, timeout=10).raise_for_status()

    def espocrm(self, method: str, path: str, values: dict[str, Any] | None = None) -> Any:
        """What a person does in EspoCRM: a call of its API below `/api/v1`."""
        answer = httpx.request(
            method,
            f"{self.sandbox.espocrm_api_base_url}/{path}",
            json=values,
            headers={"X-Api-Key": self.sandbox.espocrm_api_key},
            timeout=10,
        )
        return answer.raise_for_status().json()

    def party(self, betnr: int) -> str:
        """EspoCRM's id of the party that is linked with that betNr."""
        rows = self.espocrm("GET", "CBeteiligte?maxSize=100")["list"]
        return str(next(row["id"] for row in rows if row["betnr"] == betnr))


@dataclass(slots=True)
class Desk:
    """An office with Advoware after its first pass, and the state behind its holds."""

    office: Office
    database: Database

    def run(self, *arguments: str, **changed: str) -> Result:
        """The command's result."""
        return self.office.run(*arguments, **changed)

    def typed(self, text: str, *arguments: str) -> Result:
        """The command's result when a person types that text at its question."""
        return CliRunner().invoke(cli, arguments, env=self.office.terminal.settings, input=text)

    def hold(self, why: str, subject: str = "") -> HoldView:
        """The one hold for that reason (and about that record)."""
        found = [
            one
            for one in self.database.read(lambda c: two_way_desk.list_holds(c, None, self.database.cipher))
            if one.why == why and subject in ("", one.subject)
        ]
        assert len(found) == 1, found
        return found[0]


@functools.cache
def _samples() -> tuple[dict[str, Any], dict[str, Any]]:
    """The sample firm for both stand-ins, made once: its files take half a second."""
    return seed_document(link_multiple_fields=True), advoware_seed_document()


EMPLOYEES = ("AB", "CD", "EF")


def mail_of(kuerzel: str) -> str:
    """The employee's Google account."""
    return f"{kuerzel.lower()}@kanzlei.example"


def calendar_of(kuerzel: str) -> str:
    """The employee's calendar for Termine."""
    return f"c_{kuerzel.lower()}@group.calendar.google.com"


def calendars(*employees: str, **changed: str) -> str:
    """GOOGLE_CALENDARS for them; `changed` has another calendar by Kürzel."""
    return json.dumps(
        {one: {"user": mail_of(one), "calendar": changed.get(one, calendar_of(one))} for one in employees}
    )


def open_office(
    terminal: Terminal, version: str, *, with_advoware: bool = False, employees: Sequence[str] = ()
) -> Iterator[Office]:
    """The office with EspoCRM in that version; `employees` have a Google account and a calendar each."""
    seed, rows = copy.deepcopy(_samples())
    rows["mitarbeiter"] += [{"kuerzel": one, "name": one} for one in employees]
    google = {
        "users": [{"mail": mail_of(one)} for one in employees],
        "calendars": [
            {"id": calendar_of(one), "owner": mail_of(one), "summary": "Termine"} for one in employees
        ],
    }
    if employees:
        terminal.settings |= {
            "GOOGLE_CALENDARS": calendars(*employees),
            "TERMINE_FRISTEN": "text:^Frist",
            "TERMINE_MASKED": "false",
            "API_KEYS": "k" * 40,
        }
    with running_sandbox(
        espocrm_version=version,
        espocrm_seed=seed,
        advoware_seed=rows if with_advoware else None,
        google_seed=google,
    ) as sandbox:
        terminal.settings |= {
            "RECEIVER_PUBLIC_URL": "http://receiver.kanzlei.example:3111",
            "XAI_EGRESS": "field",
            **{
                name: value
                for name, value in sandbox.environment.items()
                if with_advoware or not name.startswith("ADVOWARE_")
            },
        }
        yield Office(terminal, sandbox)


@pytest.fixture
def office(with_state: tuple[Terminal, Database]) -> Iterator[Office]:
    """The office with EspoCRM 9.2.7."""
    yield from open_office(with_state[0], "9.2.7")


@pytest.fixture
def advoware_office(with_state: tuple[Terminal, Database]) -> Iterator[Office]:
    """The office with Advoware beside EspoCRM; nothing has been compared yet."""
    yield from open_office(with_state[0], "9.2.7", with_advoware=True)


@pytest.fixture
def calendar_office(with_state: tuple[Terminal, Database]) -> Iterator[Office]:
    """The office with Advoware, Google and three employees' empty calendars; nothing has been compared yet."""
    yield from open_office(with_state[0], "9.2.7", with_advoware=True, employees=EMPLOYEES)


@pytest.fixture
def desk(advoware_office: Office, with_state: tuple[Terminal, Database]) -> Desk:
    """The same after the first pass."""
    assert advoware_office.run("pass").exit_code == 0
    return Desk(advoware_office, with_state[1])
