"""The check on each employee's appointments: what it says of whom, and where that is told."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from bitbylaw_pipeline.domain.errors import ScopeRefused
from bitbylaw_pipeline.domain.termin_pair import PAIR_PREFIX
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Conflict, Hold, Link, LinkState
from bitbylaw_pipeline.domain.two_way_state import HoldChanges
from bitbylaw_pipeline.inbox import calendar_passes, two_way_conflicts, two_way_holds, two_way_links
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.orchestration.pass_checks import LONGEST_SECONDS
from bitbylaw_pipeline.orchestration.standing_checks import (
    Finding,
    Moment,
    build_asset_checks,
    build_check_sensor,
)
from bitbylaw_pipeline.orchestration.streams import NO_ADVOWARE, NO_CALENDARS
from bitbylaw_pipeline.orchestration.termine_checks import GONE, IN_STEP, in_step_check
from bitbylaw_pipeline.settings import Settings
from tests.conftest import FakeClock
from tests.orchestration.toy import ToyBackend
from tests.orchestration.workbench import Workbench

ASSET = dg.AssetKey(["google", "termine"])
CHECK = in_step_check(ASSET)
ADVOWARE: dict[str, Any] = {"advoware_api_base_url": "http://advoware.example", "advoware_api_key": "app"}


def calendars(*employees: str) -> dict[str, Any]:
    """The settings of a firm where these employees have a calendar."""
    given = {
        one: {"user": f"{one}@kanzlei.example", "calendar": f"c_{one}@group.calendar.google.com"}
        for one in employees
    }
    return {**ADVOWARE, "google_calendars": given}


def look(database: Database, **given: Any) -> Finding:
    """What the check finds now."""
    settings = Settings.load(_env_file=None, **given)
    return database.read(lambda conn: CHECK.look(Moment(conn, database.now(conn), settings)))


def of(database: Database, kuerzel: str = "AB") -> Finding:
    """What it finds of one of two employees."""
    return look(database, **calendars("AB", "CD")).each[kuerzel]


def passed(database: Database, kuerzel: str, **counts: int) -> None:
    """A whole pass has just come to its end."""
    database.run_sync(
        lambda conn: calendar_passes.note_passed(
            conn, database.now(conn), kuerzel, database.now(conn), counts
        )
    )


def refused(database: Database, kuerzel: str) -> None:
    """A pass has just failed for this employee's own reason."""
    error = ScopeRefused(f"google does not show us {kuerzel}'s calendar.", system="google", reason="x")
    database.run_sync(
        lambda conn: calendar_passes.note_failed(conn, database.now(conn), kuerzel, database.now(conn), error)
    )


def test_everybody_in_step(database: Database) -> None:
    """After a whole pass of everybody the check passes, and says so of each by itself."""
    passed(database, "AB", failed=0)
    passed(database, "CD")
    found = look(database, **calendars("AB", "CD"))
    assert (found.passed, found.says) == (True, "The appointments of all 2 employees are in step.")
    assert {one: finding.says for one, finding in found.each.items()} == {"AB": IN_STEP, "CD": IN_STEP}
    assert found.facts == {"employees": 2, "out_of_step": 0}


def test_first_pass_that_is_missing_warns(database: Database) -> None:
    """An employee who never had a whole pass is out of step, also where nobody ever asked for one."""
    passed(database, "CD")
    found = look(database, **calendars("AB", "CD"))
    assert (found.passed, found.each["CD"].passed) == (False, True)
    assert found.each["AB"].says == "No whole pass yet."
    assert list(found.ids) == ["AB: No whole pass yet."]


def test_late_pass_warns_and_growing_older_is_no_news(database: Database, clock: FakeClock) -> None:
    """A pass that began more than an hour ago is too old; the minutes beyond whole hours are not told."""
    passed(database, "AB")
    passed(database, "CD")
    clock.advance(LONGEST_SECONDS)
    assert of(database).passed
    clock.advance(60.0)
    passed(database, "CD")
    first = look(database, **calendars("AB", "CD"))
    assert first.each["AB"].says == "No whole pass for over 1 h."
    assert first.each["CD"].passed
    clock.advance(600.0)
    assert look(database, **calendars("AB", "CD")).digest == first.digest
    clock.advance(3600.0)
    assert of(database).says == "No whole pass for over 2 h."


def test_failed_pass_warns_with_its_sentence(database: Database) -> None:
    """A pass that failed warns at once, with the error's class and sentence, for that employee alone, until one goes through."""
    passed(database, "AB")
    passed(database, "CD")
    refused(database, "AB")
    found = look(database, **calendars("AB", "CD"))
    assert found.says == "1 of 2 employees out of step: AB."
    assert (
        found.each["AB"].says == "The last pass failed (ScopeRefused): google does not show us AB's calendar."
    )
    assert found.each["CD"].passed
    passed(database, "AB")
    assert of(database).passed


def test_refused_appointments_warn(database: Database) -> None:
    """Appointments that a system refused in the last pass keep their employee out of step, with their number."""
    passed(database, "CD")
    passed(database, "AB", failed=3)
    found = look(database, **calendars("AB", "CD"))
    assert (found.each["AB"].passed, found.each["AB"].facts) == (False, {"refused": 3})
    assert found.facts["refused"] == 3
    assert "3 refused in the last pass" in found.each["AB"].says


def test_what_waits_for_a_person_warns(database: Database) -> None:
    """Holds, open conflicts and links left alone count for their employee, with where to look; notices do not."""
    passed(database, "AB")
    passed(database, "CD")
    waiting = Hold("left:1", "ambiguous", side=Side.LEFT)
    told = Hold("left:2", "told", "left:2", is_notice=True)
    conflict = Conflict("left:3", "text", "none", {"text": "A"}, {"text": "B"}, {"text": "C"})
    link = Link("a", "la", "ra", state=LinkState.QUARANTINED)
    ab, cd = f"{PAIR_PREFIX}AB", f"{PAIR_PREFIX}CD"
    database.run_sync(partial(two_way_holds.replace_holds, now=1.0, pair=cd, changes=HoldChanges([told])))
    assert of(database, "CD").passed
    database.run_sync(partial(two_way_holds.replace_holds, now=1.0, pair=ab, changes=HoldChanges([waiting])))
    assert of(database).facts == {"held": 1}
    conflicts = two_way_conflicts.ConflictRows([conflict], database.cipher)
    database.run_sync(partial(two_way_conflicts.store, now=1.0, pair=ab, rows=conflicts))
    links = two_way_links.rows_of([link], database.cipher)
    database.run_sync(partial(two_way_links.put, now=1.0, pair=ab, rows=links))
    found = of(database)
    assert found.facts == {"held": 1, "conflicts": 1, "quarantined": 1}
    for command in ("bitbylaw holds", "bitbylaw conflicts"):
        assert command in found.says
    assert of(database, "CD").passed


def test_former_employee_is_no_trouble(database: Database) -> None:
    """Who has left the setting is told of as such, whatever the last pass came to, and is not counted."""
    passed(database, "AB")
    refused(database, "ZZ")
    found = look(database, **calendars("AB"))
    assert (found.passed, found.facts["employees"]) == (True, 1)
    assert (found.each["ZZ"].passed, found.each["ZZ"].says) == (True, GONE)


def test_without_calendars_nothing_is_missed(database: Database) -> None:
    """A firm without Advoware or without calendars is not warned of passes that it will never have."""
    for given, sentence in (({}, NO_ADVOWARE), (ADVOWARE, NO_CALENDARS)):
        found = look(database, **given)
        assert (found.passed, found.says, found.each) == (True, sentence, {})


def test_file_of_calendars_that_goes_away_ends_no_check(database: Database, tmp_path: Path) -> None:
    """Once the settings are loaded the file is not read again: an error here would silence every other check, too."""
    file = tmp_path / "calendars.json"
    file.write_text(json.dumps(calendars("AB")["google_calendars"]))
    settings = Settings.load(_env_file=None, **ADVOWARE, google_calendars_file=file)
    file.unlink()
    found = database.read(lambda conn: CHECK.look(Moment(conn, database.now(conn), settings)))
    assert set(found.each) == {"AB"}


@pytest.fixture
def firm(bench: Workbench) -> Workbench:
    """A firm of two employees."""
    same: ToyBackend = bench.backend
    backend = ToyBackend(
        database_url=same.database_url, folder=same.folder, given={**same.given, **calendars("AB", "CD")}
    )
    return replace(bench, backend=backend)


def tick(firm: Workbench, cursor: str | None = None) -> Any:
    """One tick of the sensor, whose events are stored as the daemon stores them."""
    with dg.build_sensor_context(
        instance=firm.instance, resources={"backend": firm.backend}, cursor=cursor
    ) as context:
        data = build_check_sensor([CHECK]).evaluate_tick(context)
    for event in data.asset_events:
        firm.instance.report_runless_asset_event(event)
    return data


def observed(firm: Workbench, kuerzel: str) -> list[str | None]:
    """What was told on an employee's partition, the newest first."""
    records = firm.instance.fetch_observations(
        dg.AssetRecordsFilter(asset_key=ASSET, asset_partitions=[kuerzel]), limit=10
    ).records
    return [record.asset_observation.description for record in records if record.asset_observation]


def test_sensor_tells_each_employee_on_the_partition(firm: Workbench) -> None:
    """What changes for one employee is told on that partition alone, again and again, and in one answer for all."""
    passed(firm.database, "AB")
    passed(firm.database, "CD")
    first = tick(firm)
    assert (observed(firm, "AB"), observed(firm, "CD")) == ([IN_STEP], [IN_STEP])
    assert tick(firm, first.cursor).asset_events == []
    cursor = first.cursor
    for _ in range(2):
        refused(firm.database, "AB")
        cursor = tick(firm, cursor).cursor
        passed(firm.database, "AB")
        cursor = tick(firm, cursor).cursor
    failed = "The last pass failed (ScopeRefused): google does not show us AB's calendar."
    assert observed(firm, "AB") == [IN_STEP, failed, IN_STEP, failed, IN_STEP]
    assert observed(firm, "CD") == [IN_STEP]
    assert set(json.loads(cursor)) == {
        "google/termine/in_step", "google/termine/in_step[AB]", "google/termine/in_step[CD]",
    }  # fmt: skip


def test_one_answer_lists_everybody(firm: Workbench) -> None:
    """The check's evaluation has a row for each employee, as many as there are."""
    passed(firm.database, "CD")
    evaluation = tick(firm).asset_events[0]
    assert (evaluation.check_name, evaluation.passed) == ("in_step", False)
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    rows = evaluation.metadata["partitions"].records
    assert [(row.data["partition"], row.data["passed"]) for row in rows] == [("AB", False), ("CD", True)]


def test_execute_button_works(firm: Workbench) -> None:
    """A person runs the check in the UI: one result for all, though the asset has partitions."""
    definitions = dg.Definitions(
        assets=[dg.AssetSpec(ASSET, partitions_def=dg.DynamicPartitionsDefinition(name="termine"))],
        asset_checks=[build_asset_checks("termine_checks", [CHECK])],
        resources={"backend": firm.backend},
    )
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(instance=firm.instance)
    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.passed, evaluation.partition) == (False, None)
