"""The nightly comparison with Advoware: what it materializes and wants, and what becomes of it in the queue."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._serdes import serialize_value

from bitbylaw_pipeline.defs import advoware_drift, beteiligte
from bitbylaw_pipeline.orchestration.standing_checks import Finding, Moment
from bitbylaw_pipeline.orchestration.streams import NO_ADVOWARE
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS
from bitbylaw_pipeline.sync.two_way_stream import PASS
from tests.defs.conftest import Office
from tests.defs.test_advoware_flows import edit_at_advoware, in_step, row, wait

__all__ = ["in_step"]  # a fixture
FLOWS = ("beteiligte", "bankverbindungen", "akten")


def numbers(office: Office) -> dict[str, Any]:
    """The metadata of the last comparison."""
    event = office.instance.get_latest_materialization_event(advoware_drift.DRIFT)
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def checks(office: Office) -> dict[str, Finding]:
    """What the checks say, by the asset's last name."""
    settings = office.backend.settings()
    return office.database.read(
        lambda c: {
            check.asset.path[-1]: check.look(Moment(c, office.database.now(c), settings))
            for check in advoware_drift.checks
        }
    )


def test_nothing_differs_after_a_pass(in_step: Office) -> None:
    """Every class of each flow is a number; nothing is wanted, and the checks pass."""
    assert not any(finding.passed for finding in checks(in_step).values())
    wait(in_step, 60.0)
    assert in_step.run(advoware_drift.JOB).success
    told = numbers(in_step)
    assert [told[f"{flow}_found"] for flow in FLOWS] == [0, 0, 0]
    assert told["beteiligte_listed_advoware_beteiligte"] > 18
    assert told["akten_requests"] > 0
    assert "drift" not in told
    assert {name: finding.passed for name, finding in checks(in_step).items()} == dict.fromkeys(FLOWS, True)


def test_drift_is_wanted_and_the_batch_repairs_it(in_step: Office) -> None:
    """A change nobody told of is in the table, without a name, and in the queue; the batch carries it over."""
    wait(in_step, 60.0)
    (party,) = [
        key
        for key in in_step.instance.get_materialized_partitions(beteiligte.BETEILIGTE)
        if in_step.espo("GET", f"/api/v1/CBeteiligte/{key}")["betnr"] == 20001
    ]
    edit_at_advoware(in_step, 20001, titel="Prof.")
    new = in_step.stand_ins.advoware.edit({"table": "beteiligte", "set": {"name": "Neuling", "vorname": "N"}})
    result = in_step.run(advoware_drift.JOB)
    assert result.success
    assert (numbers(in_step)["beteiligte_stale_hash"], numbers(in_step)["beteiligte_missing"]) == (1, 1)
    told = "\n".join(serialize_value(entry) for entry in in_step.instance.all_logs(result.run_id))
    for name in ("Neuling", "Prof.", *(person.nachname for person in PERSONS[:5])):
        assert name not in told
    assert {row(in_step, "beteiligte", key).wanted for key in (party, PASS)} == {1}
    assert in_step.run("beteiligte").success
    assert in_step.espo("GET", f"/api/v1/CBeteiligte/{party}")["titel"] == "Prof."
    made = [
        key
        for key in in_step.instance.get_materialized_partitions(beteiligte.BETEILIGTE)
        if in_step.espo("GET", f"/api/v1/CBeteiligte/{key}")["betnr"] == new[0]["betNr"]
    ]
    assert len(made) == 1, "what the pass over the whole pair has made is materialized"
    assert PASS not in in_step.instance.get_dynamic_partitions("beteiligte")
    wait(in_step, 60.0)
    assert in_step.run(advoware_drift.JOB).success
    assert [numbers(in_step)[f"{flow}_found"] for flow in FLOWS] == [0, 0, 0]


def test_one_flow_that_fails_leaves_the_others(in_step: Office) -> None:
    """Akten cannot be listed: told in the metadata and by its own check alone; with nothing to list the run fails."""
    wait(in_step, 60.0)
    in_step.stand_ins.advoware.faults.add(Fault("status", ".*/Akten.*", status=404))
    assert in_step.run(advoware_drift.JOB).success
    assert numbers(in_step)["not_compared"].startswith("akten: ")
    found = checks(in_step)
    assert {name: finding.passed for name, finding in found.items()} == {
        "beteiligte": True, "bankverbindungen": True, "akten": False,
    }  # fmt: skip
    assert "akten: could not be compared" in found["akten"].says
    in_step.stand_ins.advoware.faults.add(Fault("status", ".*/advonet/.*", status=500))
    assert not in_step.run(advoware_drift.JOB).success


def test_without_advoware_there_is_nothing_to_do(office: Office) -> None:
    """Nothing is materialized, the schedule says why, and the checks pass."""
    assert office.run(advoware_drift.JOB).success
    assert office.instance.get_latest_materialization_event(advoware_drift.DRIFT) is None
    assert all(finding == Finding(True, NO_ADVOWARE) for finding in checks(office).values())
    with dg.build_schedule_context(
        instance=office.instance,
        resources={"backend": office.backend},
        scheduled_execution_time=datetime(2026, 11, 22, 3, 50, tzinfo=ZoneInfo("Europe/Berlin")),
    ) as context:
        assert advoware_drift.nightly_advoware_drift.evaluate_tick(context).skip_message == NO_ADVOWARE


def test_it_is_due_every_night_in_berlin() -> None:
    """Ten to four, never in the hour that comes twice."""
    schedule = advoware_drift.nightly_advoware_drift
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("50 3 * * *", "Europe/Berlin")
    assert schedule.job_name == advoware_drift.JOB
