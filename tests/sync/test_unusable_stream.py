"""A wrong key file: appointments say why and wait; documents and parties go on as if nothing were."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.domain.errors import AuthFailed
from bitbylaw_pipeline.inbox import calendar_passes, outages, work_queue
from bitbylaw_pipeline.sandbox.samples.advoware import advoware_seed_document
from bitbylaw_pipeline.sandbox.samples.matters import person_record_id
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS
from bitbylaw_pipeline.sandbox.samples.seed import seed_document
from bitbylaw_pipeline.sandbox.server import running_sandbox
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.sync.unusable_stream import UnusableStream
from bitbylaw_pipeline.wiring import Runtime, open_runtime
from tests.conftest import ENCRYPTION_KEY, migrated_url

WHY = "GOOGLE_SERVICE_ACCOUNT_FILE names a file that is not there."
SHORT: dict[str, Any] = {
    "batch_poll_seconds": 0.02,
    "batch_linger_seconds": 0.1,
    "feed_interval_seconds": 0.0,
}
CALENDARS = {"AB": {"user": "ab@kanzlei.example", "calendar": "c_ab@group.calendar.google.com"}}
BAD: dict[str, Callable[[Path], object]] = {
    "is not there": lambda _: None,
    "is not JSON": lambda file: file.write_text("geheim-1234"),
    "is not service_account": lambda file: file.write_text('{"type": "geheim-1234"}'),
    "without client_email": lambda file: file.write_text(
        '{"type": "service_account", "private_key": "geheim-1234"}'
    ),
}


def test_it_does_nothing_and_says_why() -> None:
    """Each pass notes and raises the reason, a plan is the reason; name, systems and lock are its own."""
    told: list[tuple[str, AuthFailed]] = []

    async def note(key: str, why: AuthFailed) -> None:
        told.append((key, why))

    stream = UnusableStream("termine", frozenset({"google"}), WHY, "google", note)

    async def story() -> None:
        assert await stream.describe("AB") == [f"AB: {WHY}"]
        assert told == []
        for _ in range(2):
            with pytest.raises(AuthFailed, match="is not there") as refused:
                await stream.sync("AB")
            assert refused.value.system == "google"
            assert told[-1] == ("AB", refused.value)
        (_, first), (_, second) = told
        assert first is not second, "one error for all passes would grow by a traceback with each"

    asyncio.run(story())
    assert stream.entity_lock("AB") == "termine:AB"


async def batch(runtime: Runtime, stream: str, key: str) -> Finished | None:
    """Wants one key and makes a batch; what came of it, None if it was not tried."""
    database, found = runtime.database, dict[str, Finished]()

    async def beat(_: str) -> bool:
        return True

    await database.run(lambda c: work_queue.want(c, database.now(c), stream, [key]))
    await runtime.worker(stream, polls_feed=False).work(
        stop=asyncio.Event(), record=lambda done: found.update((one.key, one) for one in done), beat=beat
    )
    return found.get(key)


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_key_file_stops_appointments_alone(tmp_path: Path, what: str) -> None:
    """The runtime opens; termine pauses google without an attempt; documents and parties are synced."""
    file = tmp_path / "geheim-1234.json"
    BAD[what](file)
    party = person_record_id(PERSONS[0])

    async def story(settings: Settings) -> None:
        async with open_runtime(settings) as runtime:
            assert runtime.calendars is None
            stream = runtime.streams["termine"]
            assert isinstance(stream, UnusableStream)
            assert stream.systems == {"google"}
            tried = await batch(runtime, "termine", "AB")
            assert tried is not None
            assert isinstance(tried.error, AuthFailed)
            assert what in str(tried.error)
            assert "geheim" not in str(tried.error)
            assert not tried.is_parked
            (outage,) = await runtime.database.run(outages.listing)
            assert (outage.system, outage.reason) == ("google", "refuses our key")
            assert await batch(runtime, "termine", "AB") is None
            row = await runtime.database.run(lambda c: work_queue.get(c, "termine", "AB"))
            assert row is not None
            note = await runtime.database.run(lambda c: calendar_passes.get(c, "AB"))
            assert note is not None
            assert note.failure is not None
            assert note.failure.error == "AuthFailed"
            assert (row.attempts, row.parked_at) == (0, None)
            assert "geheim" not in str(row.last_error)
            for name, key in (("beteiligte", party), ("documents", "0" * 17)):
                done = await batch(runtime, name, key)
                assert done is not None, name
                assert done.error is None, (name, done.error)

    with running_sandbox(espocrm_seed=seed_document(), advoware_seed=advoware_seed_document()) as sandbox:
        settings = Settings.load(
            **{
                **sandbox.settings,
                **SHORT,
                "google_service_account_file": str(file),
                "google_calendars": CALENDARS,
                "state_encryption_key": ENCRYPTION_KEY,
                "state_db_url": migrated_url("sqlite", tmp_path),
                "dagster_home": tmp_path,
                "_env_file": None,
            }
        )
        asyncio.run(story(settings))
