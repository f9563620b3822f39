"""The whole story over HTTP, with receiver and workers but without Dagster; and what happens when nobody works."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from rich.console import Console

from bitbylaw_pipeline.cli.setup_espocrm import set_up
from bitbylaw_pipeline.demo.day import Day, Interrupted
from bitbylaw_pipeline.demo.person import API_KEY, USER_NAME, Person
from bitbylaw_pipeline.demo.picture import Camera
from bitbylaw_pipeline.demo.story import TOO_LARGE_BYTES, Story
from bitbylaw_pipeline.demo.view import final_table, verdict_lines
from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sandbox.samples.matters import sample_firm
from bitbylaw_pipeline.sandbox.samples.seed import seed_document
from bitbylaw_pipeline.sandbox.server import RunningSandbox, running_sandbox
from bitbylaw_pipeline.sandbox.serving import serving
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.wiring import open_runtime
from tests.conftest import ENCRYPTION_KEY, migrated_url
from webhook_sensor_app.app import create_app

SECRET = "shared"


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    """Both stand-ins with the sample firm; xAI indexes within a second."""
    seed = seed_document(link_multiple_fields=True)
    seed["users"] = [{"userName": USER_NAME, "type": "api", "apiKey": API_KEY}]
    quick = {"stage_seconds": {"PROCESSING": 0.3, "CHUNKED": 0.1, "EMBEDDING": 0.1, "WRITING": 0.1}}
    with running_sandbox(espocrm_seed=seed, xai_switches=quick) as running:
        yield running


def settings_for(sandbox: RunningSandbox, folder: Path, **given: Any) -> Settings:
    """The demo's settings, on these stand-ins."""
    return Settings.load(
        _env_file=None,
        espocrm_api_base_url=sandbox.espocrm_api_base_url,
        espocrm_api_key=SecretStr(sandbox.espocrm_api_key),
        xai_api_key=SecretStr(sandbox.xai_api_key),
        xai_management_key=SecretStr(sandbox.xai_management_key),
        xai_api_base_url=sandbox.xai_api_base_url,
        xai_management_base_url=sandbox.xai_management_base_url,
        xai_egress=EgressRule.FIELD,
        xai_max_file_bytes=TOO_LARGE_BYTES,
        xai_indexing_check_seconds=1.0,
        xai_settle_seconds=1.0,
        state_db_url=migrated_url("sqlite", folder),
        state_encryption_key=SecretStr(ENCRYPTION_KEY),
        dagster_home=folder,
        webhook_shared_secret=SecretStr(SECRET),
        batch_poll_seconds=0.2,
        feed_interval_seconds=1.0,
        retry_first_seconds=0.5,
        **given,
    )


@contextmanager
def workers(settings: Settings) -> Iterator[None]:
    """A worker for each stream, in a thread of their own."""
    loop_ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def beat(_: str) -> bool:
        return True

    async def work() -> None:
        loop_ready.set()
        async with open_runtime(settings) as runtime:
            await asyncio.gather(
                runtime.worker("collections", polls_feed=False).work(
                    stop=stop, record=lambda _: None, beat=beat
                ),
                runtime.worker("documents").work(stop=stop, record=lambda _: None, beat=beat),
            )

    thread = threading.Thread(target=lambda: loop.run_until_complete(work()))
    thread.start()
    loop_ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


@contextmanager
def day(settings: Settings, sandbox: RunningSandbox, **given: Any) -> Iterator[Day]:
    """A day on this state, telling its lines into a buffer."""
    database = Database.open(settings.database_url, encryption_key=ENCRYPTION_KEY)
    parts: dict[str, Any] = {"stop": threading.Event(), "check_health": lambda: None, **given}
    try:
        with Person(sandbox.espocrm_api_base_url) as person:
            camera = Camera(sandbox.espocrm_url, sandbox.xai_url, database)
            yield Day(Story(sample_firm()), camera, person, Console(file=io.StringIO(), width=160), **parts)
    finally:
        database.close()


@pytest.mark.slow
def test_the_whole_story_ends_as_expected(sandbox: RunningSandbox, tmp_path: Path) -> None:
    """Every act of the story, brought in by webhooks, link hooks and the feed: every expectation holds."""
    settings = settings_for(sandbox, tmp_path)
    with serving(create_app(settings)) as (receiver_url,):
        settings = settings.model_copy(update={"receiver_public_url": receiver_url})
        database = Database.open(settings.database_url, encryption_key=ENCRYPTION_KEY)
        asyncio.run(set_up(settings, database, apply=True))
        database.close()
        hooks = {"url": f"{receiver_url}/vmh/webhook/entity", "secret": SECRET}
        config = {"webhookPeriodSeconds": 0.5, "webhookQueueEventPortionSize": 200}
        seed = {"linkHooks": hooks, "config": config}
        httpx.post(f"{sandbox.espocrm_url}/sandbox/seed", json=seed, timeout=10).raise_for_status()
        with workers(settings), day(settings, sandbox) as lived:
            picture, verdicts = lived.live(tmp_path)
    assert [one for one in verdicts if not one.is_ok] == []
    assert len(verdicts) > 20
    console = Console(file=io.StringIO(), width=200)
    console.print(final_table(picture))
    console.print(*verdict_lines(verdicts))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "does not agree" not in printed
    assert "set aside: too_large" in printed
    assert "stays in the firm: no permission" in printed


def test_when_nothing_comes_to_rest_the_day_ends_and_says_so(sandbox: RunningSandbox, tmp_path: Path) -> None:
    """Without a worker the first round is the last, after its time, and the verdicts say what is missing."""
    settings = settings_for(sandbox, tmp_path)
    with day(settings, sandbox, round_seconds=1.0) as lived:
        _, verdicts = lived.live(tmp_path)
    wrong = [one.says for one in verdicts if not one.is_ok]
    assert "all came to rest within 1 s (the first load)" in wrong
    assert any(says.startswith("EspoCRM, xAI and our state agree") for says in wrong)


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
