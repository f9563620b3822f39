"""The nightly audit of appointments, on the stand-ins: what it materializes, whom it leaves out, what the check says."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._serdes import serialize_value
from sqlalchemy import delete

from bitbylaw_pipeline.defs import termine_audit
from bitbylaw_pipeline.inbox import batches, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import sync_link
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.standing_checks import Finding, Moment
from bitbylaw_pipeline.orchestration.streams import NO_CALENDARS
from bitbylaw_pipeline.orchestration.termine_audit import OLDEST_SECONDS
from bitbylaw_pipeline.sandbox.server import RunningSandbox, running_sandbox
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.wiring import open_runtime
from tests.conftest import ENCRYPTION_KEY, migrated_url
from tests.orchestration.workbench import dagster_instance

EMPLOYEES = ("AB", "CD")
NAME = "Besprechung Muster"
_given: dict[str, dict[str, Any]] = {}


class AuditBackend(Backend):
    """The project's backend with the settings registered under a name."""

    name: str

    def settings(self) -> Settings:
        return Settings.load(_env_file=None, **_given[self.name])

    def _open_database(self) -> Database:
        return Database.open(self.settings().database_url, encryption_key=ENCRYPTION_KEY)


@dataclass(frozen=True, slots=True)
class Firm:
    """Two employees' calendars, the state, and Dagster."""

    sandbox: RunningSandbox
    backend: AuditBackend
    instance: dg.DagsterInstance
    database: Database

    def audit(self) -> dg.ExecuteInProcessResult:
        """The nightly job, in this process."""
        ours = dg.Definitions(
            assets=[termine_audit.termine_audit],
            jobs=[termine_audit.termine_audit_job],
            resources={"backend": self.backend},
        )
        job = ours.resolve_job_def(termine_audit.JOB)
        return job.execute_in_process(instance=self.instance, raise_on_error=False)

    def numbers(self) -> dict[str, Any]:
        """The metadata of the last audit."""
        event = self.instance.get_latest_materialization_event(termine_audit.AUDIT)
        assert event is not None
        assert event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}

    def check(self, after_seconds: float = 0.0) -> Finding:
        """What the standing check says, so many seconds from now."""
        check = termine_audit.checks[0]
        settings = self.backend.settings()
        return self.database.read(
            lambda c: check.look(Moment(c, self.database.now(c) + after_seconds, settings))
        )

    def drifted(self) -> Finding:
        """What the check on drift says."""
        settings = self.backend.settings()
        return self.database.read(
            lambda c: termine_audit.checks[1].look(Moment(c, self.database.now(c), settings))
        )

    def run_passes(self) -> None:
        """A pass over everybody's appointments, and with it what is wanted."""

        async def main() -> None:
            async with open_runtime(self.backend.settings()) as runtime:
                now = self.database.read(self.database.now)
                claiming = partial(work_queue.claim, now=now, stream="termine", limit=9, lease_seconds=60.0)
                claims = await runtime.database.run(claiming)
                for kuerzel in EMPLOYEES:
                    await runtime.streams["termine"].sync(kuerzel)
                await runtime.database.run(partial(work_queue.complete, now=now, claims=claims))

        asyncio.run(main())

    def writes(self) -> int:
        """How many writing requests both calendars have had."""
        return sum(
            entry.method != "GET" and not entry.path.startswith(("/sandbox", "/token", "/security"))
            for app in (self.sandbox.google, self.sandbox.advoware)
            for entry in app.ledger.entries
        )

    def tick(self) -> dg.RunRequest | str:
        """What the schedule does when it is due."""
        with dg.build_schedule_context(
            instance=self.instance,
            resources={"backend": self.backend},
            scheduled_execution_time=datetime(2026, 11, 22, 3, tzinfo=ZoneInfo("Europe/Berlin")),
        ) as context:
            told = termine_audit.nightly_termine_audit.evaluate_tick(context)
        if told.run_requests:
            return told.run_requests[0]
        return str(told.skip_message)


def table(records: dg.TableMetadataValue) -> list[Any]:
    """The rows of a table in metadata."""
    return [record.data for record in records.records]


def calendar_of(kuerzel: str) -> str:
    """The employee's calendar."""
    return f"c_{kuerzel.lower()}@group.calendar.google.com"


@pytest.fixture
def firm(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Firm]:
    """A firm in which AB and CD have a Termin each, in step."""
    day = datetime.now(UTC).date().isoformat()
    rows = [
        {
            "frNr": 501 + n, "datum": day, "uhrzeitVon": "09:30:00", "datumBis": day, "uhrzeitBis": "10:30:00",
            "text": NAME, "anwalt": kuerzel,
        }
        for n, kuerzel in enumerate(EMPLOYEES)
    ]  # fmt: skip
    google = {
        "users": [{"mail": f"{one.lower()}@kanzlei.example"} for one in EMPLOYEES],
        "calendars": [
            {"id": calendar_of(one), "owner": f"{one.lower()}@kanzlei.example", "summary": "Termine"}
            for one in EMPLOYEES
        ],
    }
    advoware = {"mitarbeiter": [{"kuerzel": one, "name": one} for one in EMPLOYEES], "termine": rows}
    home = tmp_path / "dagster"
    home.mkdir()
    with (
        running_sandbox(google_seed=google, advoware_seed=advoware) as sandbox,
        dagster_instance("sqlite", home) as instance,
    ):
        url = migrated_url("sqlite", tmp_path)
        name = request.node.name
        _given[name] = {
            **sandbox.settings,
            "state_db_url": url,
            "state_encryption_key": ENCRYPTION_KEY,
            "dagster_home": home,
            "google_calendars": {
                one: {"user": f"{one.lower()}@kanzlei.example", "calendar": calendar_of(one)}
                for one in EMPLOYEES
            },
        }
        database = Database.open(url, encryption_key=ENCRYPTION_KEY)
        firm = Firm(sandbox, AuditBackend(name=name), instance, database)
        try:
            firm.run_passes()
            firm.run_passes()
            yield firm
        finally:
            database.close()
            del _given[name]


def test_nothing_found(firm: Firm) -> None:
    """In step: every kind is counted with zero, nothing is written, and the check passes until it is too old."""
    assert firm.check().says.startswith("AB: never audited yet; CD: never audited yet.")
    before = firm.writes()
    assert firm.audit().success
    assert firm.writes() == before
    told = firm.numbers()
    assert (told["findings"], told["employees"], told["failed"], told["events"]) == (0, 2, 0, 2)
    assert told["two_events_of_one_termin"] == told["differing"] == 0
    assert firm.check().passed
    assert firm.check(OLDEST_SECONDS - 60.0).passed
    late = firm.check(OLDEST_SECONDS + 60.0)
    assert not late.passed
    assert "AB: not audited for over 1 d" in late.says


def test_findings_are_counted_and_repaired_by_the_queue(firm: Firm) -> None:
    """Counts by kind and by class become metadata, no name stands in the run's events; the passes put it right."""
    firm.database.run_sync(lambda c: c.execute(delete(sync_link)))
    before = firm.writes()
    result = firm.audit()
    assert result.success
    assert firm.writes() == before
    told = firm.numbers()
    assert (told["findings"], told["event_without_link"], told["employees_with_findings"]) == (2, 2, "AB, CD")
    assert (told["termine_missing"], told["termine_wanted"], told["termine_for_a_person"]) == (2, 2, 0)
    assert [row["subject"].split(",")[0] for row in table(told["drift"])] == ["AB frNr 501", "CD frNr 502"]
    assert firm.drifted().passed
    found = firm.check()
    assert not found.passed
    assert found.says == (
        "AB: 1 event_without_link; CD: 1 event_without_link."
        " See `bitbylaw audit`, which also has the repairs."
    )
    assert found.facts == {"findings": 2, "event_without_link": 2}
    assert NAME not in "\n".join(serialize_value(entry) for entry in firm.instance.all_logs(result.run_id))
    firm.run_passes()
    assert firm.audit().success
    assert firm.check().passed


def test_one_refused_calendar_holds_up_nobody(firm: Firm) -> None:
    """AB's 403 is told in the metadata and by the check; CD is audited all the same."""
    firm.sandbox.google.edit({"do": "revoke_access", "calendar": calendar_of("AB"), "status": 403})
    assert firm.audit().success
    told = firm.numbers()
    assert (told["employees"], told["failed"]) == (1, 1)
    assert told["failed_for"].startswith("AB: ")
    assert "AB: could not be audited (ScopeRefused)" in firm.check().says
    assert "CD" not in firm.check().says
    assert "termine: 1 wait for a person" in firm.drifted().says


def test_nobody_to_be_seen_fails_the_run(firm: Firm) -> None:
    """Where every calendar is refused the run fails, and materializes nothing."""
    for kuerzel in EMPLOYEES:
        firm.sandbox.google.edit({"do": "revoke_access", "calendar": calendar_of(kuerzel), "status": 404})
    assert not firm.audit().success
    assert firm.instance.get_latest_materialization_event(termine_audit.AUDIT) is None
    assert "AB: could not be audited" in firm.check().says
    assert firm.drifted().says.startswith("termine: could not be compared (Scope")


def test_schedule_starts_an_audit_or_says_why_not(firm: Firm) -> None:
    """Due, it starts a run; while draining, and without calendars, it says so."""
    assert isinstance(firm.tick(), dg.RunRequest)
    firm.database.run_sync(lambda c: batches.set_flag(c, firm.database.now(c), batches.DRAIN))
    assert "Draining" in str(firm.tick())
    firm.database.run_sync(lambda c: batches.clear_flag(c, batches.DRAIN))
    _given[firm.backend.name]["google_calendars"] = {}
    assert firm.tick() == NO_CALENDARS


def test_without_calendars_there_is_nothing_to_do(firm: Firm) -> None:
    """A firm without calendars: the job materializes nothing, and the check passes."""
    _given[firm.backend.name]["google_calendars"] = {}
    assert firm.audit().success
    assert firm.instance.get_latest_materialization_event(termine_audit.AUDIT) is None
    assert firm.check() == Finding(True, NO_CALENDARS)


def test_it_is_due_every_night_in_berlin() -> None:
    """At three, by Berlin's clock, switched on from the start."""
    schedule = termine_audit.nightly_termine_audit
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 3 * * *", "Europe/Berlin")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == termine_audit.JOB
