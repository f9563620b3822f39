"""The day of the calendars on the stand-ins, its passes run here: what the story does, and that the demo sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from bitbylaw_pipeline.demo.calendar_desk import CalendarUsers
from bitbylaw_pipeline.demo.calendar_expectations import (
    EVERYBODY,
    check_appointments,
    check_calendar_story,
    check_calendars,
    check_first_calendars,
    check_withdrawn,
    has_moved,
    is_settled_withdrawn,
)
from bitbylaw_pipeline.demo.calendar_picture import CalendarPicture, read_calendars
from bitbylaw_pipeline.demo.calendar_story import DONE, FAILED, CalendarStory
from bitbylaw_pipeline.demo.employee import Employee
from bitbylaw_pipeline.demo.expectations import Verdict
from bitbylaw_pipeline.demo.person import Person
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sandbox.samples.advoware import advoware_seed_document
from bitbylaw_pipeline.sandbox.samples.calendars import (
    CALENDARS,
    FRISTEN,
    calendar_settings,
    calendar_termine,
    coming_monday,
    google_seed_document,
)
from bitbylaw_pipeline.sandbox.server import RunningSandbox, running_sandbox
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.wiring import open_runtime
from tests.conftest import ENCRYPTION_KEY, migrated_url

MONDAY = coming_monday(datetime.now(UTC).date())


@dataclass(slots=True)
class OwnRequests:
    """Requests without a receiver: their passes are over by the time that `ask` returns."""

    settings: Settings
    outcomes: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def ask(self, kuerzel: str | None = None) -> str:
        """A pass over one employee's appointments, or over everybody's, and one more that finds it settled."""
        employees = [kuerzel] if kuerzel else list(EVERYBODY)
        asyncio.run(self._passes(employees))
        found = asyncio.run(self._passes(employees))
        reference = str(len(self.outcomes))
        self.outcomes[reference] = found
        return reference

    def without_key(self) -> int:
        """As the receiver answers."""
        return 401

    def outcome(self, reference: str) -> Mapping[str, str]:
        """How the passes ended."""
        return self.outcomes[reference]

    async def _passes(self, employees: list[str]) -> dict[str, str]:
        found = {}
        async with open_runtime(self.settings) as runtime:
            for one in employees:
                try:
                    await runtime.streams["termine"].sync(one)
                except SyncError:
                    found[one] = FAILED
                else:
                    found[one] = DONE
        return found


@dataclass(frozen=True, slots=True)
class Scene:
    """The story on the stand-ins, and how to look at it."""

    sandbox: RunningSandbox
    database: Database
    story: CalendarStory
    person: Person

    def play(self, part: str) -> None:
        """Carries out the acts of one part of the day."""
        for act in getattr(self.story, part)():
            act.do(self.person)

    def picture(self) -> CalendarPicture:
        """All sides now."""
        advoware, google = (
            httpx.get(f"{url}/sandbox/state", timeout=10).json()
            for url in (self.sandbox.advoware_url, self.sandbox.google_url)
        )
        return self.database.read(lambda conn: read_calendars(conn, advoware, google))


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """The sample firm's calendars, empty."""
    advoware = advoware_seed_document(first_monday=MONDAY)
    advoware["termine"] += calendar_termine(MONDAY)
    with running_sandbox(advoware_seed=advoware, google_seed=google_seed_document()) as sandbox:
        settings = Settings.load(
            _env_file=None,
            state_db_url=migrated_url("sqlite", folder),
            state_encryption_key=SecretStr(ENCRYPTION_KEY),
            dagster_home=folder,
            google_calendars=calendar_settings(),
            termine_fristen=FRISTEN,
            **sandbox.settings,
        )
        database = Database.open(settings.database_url, encryption_key=ENCRYPTION_KEY)
        try:
            with (
                Person(sandbox.espocrm_api_base_url) as person,
                Employee(sandbox.advoware_url) as employee,
                CalendarUsers(sandbox.google_url) as users,
            ):
                story = CalendarStory(employee, users, OwnRequests(settings), MONDAY)
                yield Scene(sandbox, database, story, person)
        finally:
            database.close()


def wrong(verdicts: list[Verdict]) -> list[str]:
    """What does not hold."""
    return [f"{one.says} [{one.detail}]" for one in verdicts if not one.is_ok]


@pytest.mark.slow
def test_the_whole_story_ends_as_it_must(tmp_path: Path) -> None:
    """Each part of the day leads to what the demo expects of it; before it does, the demo says so."""
    with scene(tmp_path) as played:
        story = played.story
        assert wrong(check_calendars(played.picture())), "nothing has been synced yet"
        played.play("first_pass")
        assert story.is_answered("first")
        before = played.picture()
        assert wrong([*check_calendars(before), *check_first_calendars(before)]) == []
        assert not has_moved(before)

        played.play("busy_hour")
        assert story.is_answered("withdrawn")
        during = played.picture()
        assert wrong(check_withdrawn(before, during)) == []
        assert wrong(check_appointments(during, story)) == [
            "the withdrawn calendar is back, and what has changed meanwhile has come into it [310007]"
        ]
        assert is_settled_withdrawn(before, during, story)
        story.note_arrival()

        played.play("comes_back")
        assert story.is_answered("back")
        played.play("last_pass")
        assert story.is_answered("last")
        last = played.picture()
        assert wrong([*check_calendars(last), *check_appointments(last, story)]) == []
        assert wrong(list(check_calendar_story(story, story.users.requests(), last.mails))) == []
        assert last.links == sum(len(one) for one in last.events.values()) - len(story.untouchable)
        assert not last.holds


def test_the_samples_are_what_the_story_needs() -> None:
    """Every employee has a Termin that is told, their calendars are their own, and clients are named in the titles."""
    rows = calendar_termine(MONDAY)
    for one in CALENDARS:
        assert any(one.kuerzel in row["anwalt"] and not row.get("privat") for row in rows)
    assert len({one.calendar_id for one in CALENDARS}) == len(CALENDARS)
    assert MONDAY.weekday() == 0
    assert all(" " in row["text"] for row in rows)
