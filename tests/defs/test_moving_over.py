"""docs/moving-over.md, tried: crons against the real schedules, names, paths and addresses against what there is."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from bitbylaw_pipeline.definitions import defs
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from tests.receiver.calendar_office import API_KEY, OFFICE
from tests.receiver.conftest import register
from tests.receiver.deliveries import DOCUMENT_UPDATE, SHARED_SECRET
from tests.receiver.receiver_settings import receiver_settings
from webhook_sensor_app.app import create_app

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "moving-over.md").read_text("utf-8")
SIX_TO_FIVE = re.findall(
    r"^\| `((?:[\d*/-]+ ){5}[\d*/-]+)` \| `((?:[\d*/-]+ ){4}[\d*/-]+)` \|", TEXT, re.MULTILINE
)
SCHEDULES = re.findall(r"\| `(\w+)` \| `([\d*/ -]+)` \| `([\w/]+\.py)` \|$", TEXT, re.MULTILINE)


def test_every_schedule_stands_on_the_page_with_its_real_times() -> None:
    """Name and five-field cron are those that Dagster has loaded, all of them, by the clock in Germany."""
    real = {schedule.name: schedule for schedule in defs().get_repository_def().schedule_defs}
    assert {name: cron for name, cron, _ in SCHEDULES} == {
        name: schedule.cron_schedule for name, schedule in real.items()
    }
    assert {schedule.execution_timezone for schedule in real.values()} == {"Europe/Berlin"}


@pytest.mark.parametrize(("name", "cron", "file"), SCHEDULES)
def test_the_times_are_changed_where_the_page_says(name: str, cron: str, file: str) -> None:
    """The module that it names has this schedule with this cron in it."""
    code = (ROOT / file).read_text("utf-8")
    assert f'"{name}"' in code
    assert f'cron_schedule="{cron}"' in code


def test_six_fields_become_five_by_leaving_the_seconds_out() -> None:
    """Each pair of the page differs by the first field alone."""
    assert len(SIX_TO_FIVE) == 4
    for six, five in SIX_TO_FIVE:
        assert six == f"0 {five}"


def test_every_path_on_the_page_exists() -> None:
    """Modules and pages that are named are there."""
    paths = set(
        re.findall(r"((?:bitbylaw_pipeline|webhook_sensor_app|docs)/[\w/-]+(?:\.(?:py|md)|(?=/`)))", TEXT)
    )
    assert len(paths) > 20
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_setting_on_the_page_exists() -> None:
    """Whatever is written in capitals with an underscore, and is no variable of the examples, is a setting."""
    names = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", TEXT))
    assert len(names) > 15
    assert names <= {name.upper() for name in Settings.model_fields}


def _examples() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 2
    return [*blocks[0].strip().splitlines(), blocks[1]]


@pytest.mark.parametrize(
    ("example", "status"),
    # Advoware does not answer here: that it is asked shows that the key was taken.
    list(zip(_examples(), (202, 503, 202, 202), strict=True)),
    ids=["secret", "proxy", "calendar", "signature"],
)
def test_the_examples_are_answered(example: str, status: int, database: Database) -> None:
    """Each is run by a shell whose curl prints what it was given, and that is sent to a receiver."""
    register(database, DOCUMENT_UPDATE)
    printed = subprocess.run(
        ["bash", "-euc", f"curl() {{ printf '%s\\0' \"$@\"; }}\n{example}"],
        capture_output=True,
        check=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "WEBHOOK_SHARED_SECRET": SHARED_SECRET,
            "KEY": API_KEY,
            "WEBHOOK_ID": DOCUMENT_UPDATE.webhook_id,
            "WEBHOOK_SECRET": DOCUMENT_UPDATE.secret,
        },
    ).stdout
    request = _request(printed.rstrip("\0").split("\0"))
    settings = receiver_settings(**OFFICE, proxy_api_keys=API_KEY)

    async def main() -> int:
        app = create_app(settings, database, wait_seconds=30.0)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client,
        ):
            return (await client.send(request)).status_code

    assert asyncio.run(main()) == status


def _request(words: list[str]) -> httpx.Request:
    given = iter(words)
    method, url, body, headers = "GET", "", None, {}
    for word in given:
        match word:
            case "-H":
                name, _, value = next(given).partition(": ")
                headers[name] = value
            case "-X":
                method = next(given)
            case "-d":
                body = next(given)
            case _:
                url = word
    return httpx.Request(method, url, headers=headers, content=body)
