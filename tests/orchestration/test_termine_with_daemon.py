"""Appointments kept in step by a real daemon on the project's own definitions; the stand-ins speak real HTTP."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.defs import termine
from bitbylaw_pipeline.inbox import batches, calendar_passes, work_queue
from bitbylaw_pipeline.inbox.calendar_passes import STREAM
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sandbox.server import RunningSandbox, running_sandbox
from tests.conftest import ENCRYPTION_KEY, migrated_url
from tests.orchestration.daemon import Daemon, running_daemon, wait_for_run
from tests.orchestration.graphql import launch_checks
from tests.orchestration.workbench import wait_until
from tests.sync.termine.office import calendar_of, mail_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

EMPLOYEES = ("AB", "CD")
PATIENCE_SECONDS = 400.0
"""For one wait; a daemon on a slow machine takes long to start its first run."""
SETTINGS = {
    "BATCH_LINGER_SECONDS": "600", "BATCH_POLL_SECONDS": "0.2", "LEASE_SECONDS": "30",
    "GOOGLE_POLL_SECONDS": "1",
    "GOOGLE_CALENDARS": json.dumps(
        {one: {"user": mail_of(one), "calendar": calendar_of(one)} for one in EMPLOYEES}
    ),
    # Appointments alone: no collections, and no run for them.
    "COLLECTION_OWNERS": "[]",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Firm:
    """A running daemon, both calendars of each employee, and our state database."""

    daemon: Daemon
    sandbox: RunningSandbox
    database: Database

    def new_termin(self, fr_nr: int, kuerzel: str) -> None:
        """Somebody enters a Termin in Advoware, and does nothing else."""
        day = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
        row = {
            "frNr": fr_nr, "datum": day, "uhrzeitVon": "09:30:00", "datumBis": day, "uhrzeitBis": "10:30:00",
            "text": "Besprechung", "anwalt": kuerzel,
        }  # fmt: skip
        self.sandbox.advoware.seed({"termine": [row]})

    def events(self, kuerzel: str) -> list[str]:
        """The numbers of the Termine that stand in an employee's calendar."""
        (found,) = [
            one for one in self.sandbox.google.state()["calendars"] if one["id"] == calendar_of(kuerzel)
        ]
        return [
            event["extendedProperties"]["private"]["bitbylaw_frnr"]
            for event in found["events"]
            if event["status"] != "cancelled"
        ]

    def edit_google(self, kind: str, kuerzel: str) -> None:
        """What happens to an employee's calendar in Google."""
        self.sandbox.google.edit({"do": kind, "calendar": calendar_of(kuerzel), "user": mail_of(kuerzel)})

    def want(self, kuerzel: str) -> None:
        """What the schedule does every quarter of an hour."""
        database = self.database
        database.run_sync(lambda conn: calendar_passes.want_passes(conn, database.now(conn), [kuerzel]))

    def row(self, kuerzel: str) -> work_queue.WorkRow | None:
        """The employee's row in the queue."""
        return self.database.read(lambda conn: work_queue.get(conn, STREAM, kuerzel))

    def materialized(self) -> set[str]:
        """The employees whose partition has a materialization."""
        return set(self.daemon.instance.get_materialized_partitions(termine.TERMINE))

    def red_runs(self) -> list[dg.DagsterRun]:
        """The failed runs that showed a parked employee on the partition."""
        filters = dg.RunsFilter(tags={"bitbylaw/run": "parked"}, statuses=[dg.DagsterRunStatus.FAILURE])
        return list(self.daemon.instance.get_runs(filters=filters))

    def in_step(self) -> dict[str, bool]:
        """A person executes the check in the UI; what it says of each employee."""
        run_id = launch_checks(self.daemon, termine.TERMINE.path, "in_step")
        ended = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
        assert (
            wait_for_run(self.daemon, run_id, *ended, seconds=PATIENCE_SECONDS).status
            is dg.DagsterRunStatus.SUCCESS
        )
        (entry,) = self.daemon.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        evaluation: Any = entry.asset_check_evaluation
        return {
            str(row.data["partition"]): bool(row.data["passed"])
            for row in evaluation.metadata["partitions"].records
        }


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firm]:
    """One daemon for the tests of this module; each brings about what it stands on, for another may not have run."""
    folder = tmp_path_factory.mktemp("termine-daemon")
    url = migrated_url("sqlite", folder)
    database = Database.open(url, encryption_key=ENCRYPTION_KEY)
    google_seed = {
        "users": [{"mail": mail_of(one)} for one in EMPLOYEES],
        "calendars": [
            {"id": calendar_of(one), "owner": mail_of(one), "summary": "Termine"} for one in EMPLOYEES
        ],
    }
    advoware_seed = {"mitarbeiter": [{"kuerzel": one, "name": one} for one in EMPLOYEES]}
    try:
        with running_sandbox(advoware_seed=advoware_seed, google_seed=google_seed) as sandbox:
            environment = {
                **SETTINGS,
                "STATE_DB_URL": url,
                "STATE_ENCRYPTION_KEY": ENCRYPTION_KEY,
                **sandbox.environment,
            }
            with running_daemon(folder / "home", "bitbylaw_pipeline.definitions", environment) as daemon:
                opened = Firm(daemon, sandbox, database)
                try:
                    yield opened
                finally:
                    drain(opened)
    finally:
        database.close()


def drain(firm: Firm) -> None:
    """As `bitbylaw` does before it stops anything: the code server waits for its runs."""
    database = firm.database
    database.run_sync(lambda conn: batches.set_flag(conn, database.now(conn), batches.DRAIN))

    def is_over() -> bool:
        def live(conn: Connection) -> int:
            now = database.now(conn)
            return sum(
                len(batches.live(conn, now, name))
                for name in ("termine", "beteiligte", "bankverbindungen", "akten", "documents")
            )

        return not database.read(live)

    wait_until(is_over, "drained", PATIENCE_SECONDS)


def test_termin_reaches_the_calendar_by_itself(firm: Firm) -> None:
    """A Termin that is entered in Advoware stands in its employee's calendar, and on the partition, without anybody's doing."""
    firm.new_termin(501, "AB")
    wait_until(lambda: "501" in firm.events("AB"), "the event in Google", PATIENCE_SECONDS)
    wait_until(lambda: "AB" in firm.materialized(), "the materialization", PATIENCE_SECONDS)
    assert firm.events("CD") == []


def test_one_withdrawn_calendar_is_red_and_holds_up_nobody(firm: Firm) -> None:
    """A calendar withdrawn from us: that partition turns red, the check names that employee alone, the other goes on."""
    wait_until(lambda: firm.materialized() == set(EMPLOYEES), "everybody's first pass", PATIENCE_SECONDS)
    before = len(firm.events("AB"))
    firm.edit_google("revoke_access", "AB")
    firm.want("AB")

    def is_parked() -> bool:
        row = firm.row("AB")
        return row is not None and row.parked_at is not None

    wait_until(is_parked, "the refused employee parked", PATIENCE_SECONDS)
    firm.new_termin(601, "CD")
    wait_until(lambda: "601" in firm.events("CD"), "the other employee's change", PATIENCE_SECONDS)
    wait_until(lambda: bool(firm.red_runs()), "the red partition", PATIENCE_SECONDS)
    assert {run.tags["dagster/partition"] for run in firm.red_runs()} == {"AB"}
    assert firm.in_step() == {"AB": False, "CD": True}
    # What we cannot see any more is deleted nowhere.
    assert len(firm.events("AB")) == before
    assert len(firm.sandbox.advoware.store.termine) == before + 1
