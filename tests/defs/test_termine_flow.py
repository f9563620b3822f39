"""The employees' appointments in Dagster: schedule, poll, batches, partitions and the check, on the stand-ins."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value

from bitbylaw_pipeline.defs import termine
from bitbylaw_pipeline.inbox import batches, work_queue
from bitbylaw_pipeline.inbox.calendar_passes import STREAM
from bitbylaw_pipeline.orchestration.streams import NO_ADVOWARE, NO_CALENDARS
from bitbylaw_pipeline.orchestration.termine_poll_sensor import OFF, UNUSABLE
from tests.defs.conftest import Office, SandboxBackend
from tests.sync.termine.office import calendar_of, mail_of

NAME = "Mandantin Grünwald"


def otherwise(office: Office, **given: Any) -> Office:
    """The same firm with something set otherwise."""
    fields = {name: getattr(office.backend, name) for name in SandboxBackend.model_fields}
    return replace(office, backend=SandboxBackend(**{**fields, **given}))


def schedule_tick(office: Office) -> str:
    """What the schedule says."""
    at = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
    with dg.build_schedule_context(
        instance=office.instance, resources={"backend": office.backend}, scheduled_execution_time=at
    ) as context:
        data = termine.termine_every_quarter_hour.evaluate_tick(context)
    assert not data.run_requests
    return str(data.skip_message)


def poll_tick(office: Office, cursor: str | None = None) -> tuple[str, str | None]:
    """What the poll says, and its cursor."""
    with dg.build_sensor_context(
        instance=office.instance, resources={"backend": office.backend}, cursor=cursor
    ) as context:
        data = termine.termine_poll.evaluate_tick(context)
    assert not data.run_requests
    return str(data.skip_message), data.cursor


def queue_tick(office: Office) -> Any:
    """What the queue's sensor requests, or why nothing."""
    with dg.build_sensor_context(instance=office.instance, resources={"backend": office.backend}) as context:
        data = termine.termine_queue.evaluate_tick(context)
    return list(data.run_requests) if data.run_requests else str(data.skip_message)


def new_termin(office: Office, fr_nr: int, kuerzel: str = "AB", **given: Any) -> None:
    """A Termin in a week, entered in Advoware."""
    day = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
    row = {
        "frNr": fr_nr, "datum": day, "uhrzeitVon": "09:30:00", "datumBis": day, "uhrzeitBis": "10:30:00",
        "text": NAME, "anwalt": kuerzel, **given,
    }  # fmt: skip
    office.stand_ins.advoware.seed({"termine": [row]})


def events_of(office: Office, kuerzel: str) -> list[dict[str, Any]]:
    """The living events of a calendar."""
    (found,) = [
        one for one in office.stand_ins.google.state()["calendars"] if one["id"] == calendar_of(kuerzel)
    ]
    return [event for event in found["events"] if event["status"] != "cancelled"]


def row_of(office: Office, kuerzel: str) -> work_queue.WorkRow | None:
    """The employee's row in the queue."""
    return office.database.read(lambda conn: work_queue.get(conn, STREAM, kuerzel))


def materialized(office: Office) -> set[str]:
    """The employees whose partition has a materialization."""
    return set(office.instance.get_materialized_partitions(termine.TERMINE))


def later(office: Office, seconds: float) -> None:
    """Time passes for us and for both systems."""
    assert office.stand_ins.clock is not None
    office.stand_ins.clock.advance(seconds)
    office.stand_ins.advoware.clock.advance(seconds)
    office.stand_ins.google.clock.advance(seconds)


@contextmanager
def draining(office: Office) -> Iterator[None]:
    """While everything is being drained."""
    database = office.database
    database.run_sync(lambda conn: batches.set_flag(conn, database.now(conn), batches.DRAIN))
    yield
    database.run_sync(lambda conn: batches.clear_flag(conn, batches.DRAIN))


def test_schedule_wants_everybody_and_a_batch_does_the_rest(with_calendars: Office) -> None:
    """A tick wants each employee and says so; the queue's sensor starts one batch, which leaves each partition made."""
    office = with_calendars
    new_termin(office, 501)
    assert schedule_tick(office).startswith("2 wanted: worked off by the batch")
    assert set(office.instance.get_dynamic_partitions("termine")) == {"AB", "CD"}
    (request,) = queue_tick(office)
    assert request.tags["bitbylaw/run"] == "batch"
    assert office.run("termine", run_config=request.run_config).success
    assert materialized(office) == {"AB", "CD"}
    assert len(events_of(office, "AB")) == 1
    assert events_of(office, "CD") == []
    event = office.instance.get_latest_materialization_event(termine.TERMINE)
    assert event is not None
    assert event.asset_materialization is not None
    # There is no record of it in EspoCRM to link to.
    assert "record" not in event.asset_materialization.metadata
    assert {"links", "writes", "held", "failed"} <= event.asset_materialization.metadata.keys()


def test_schedule_leaves_alone_who_waits_for_a_time_of_their_own(with_calendars: Office) -> None:
    """Whose pass was put off after a failure is not asked for before its time; the tick says how many that are."""
    office, database = with_calendars, with_calendars.database

    def put_off(conn: Any) -> None:
        work_queue.want(conn, database.now(conn), STREAM, ["AB"])
        (claim,) = work_queue.claim(conn, database.now(conn), STREAM, limit=1, lease_seconds=9.0)
        work_queue.retry(conn, database.now(conn), claim, error="limit", delay=3600.0)

    database.run_sync(put_off)
    assert schedule_tick(office).startswith("1 wanted; 1 wait for a time of their own")


def test_nothing_is_asked_for_while_draining(with_calendars: Office) -> None:
    """While everything is drained neither schedule nor poll wants anybody, and both say why."""
    with draining(with_calendars):
        assert schedule_tick(with_calendars).startswith("Draining:")
        assert poll_tick(with_calendars)[0].startswith("Draining:")
    assert row_of(with_calendars, "AB") is None


def test_without_calendars_everything_says_so(with_calendars: Office) -> None:
    """Without the setting, or without Advoware, schedule, poll, queue and run say in one sentence what is missing."""
    for given, sentence in (
        ({"employees": ""}, NO_CALENDARS),
        ({"has_advoware": False}, NO_ADVOWARE),
    ):
        bare = otherwise(with_calendars, **given)
        assert (schedule_tick(bare), poll_tick(bare)[0], queue_tick(bare)) == (sentence,) * 3
        result = bare.run("termine")
        assert not result.success
        texts = [serialize_value(entry) for entry in bare.instance.all_logs(result.run_id)]
        assert any(sentence.split(" (")[0] in text for text in texts)


def test_database_away_is_said(with_calendars: Office) -> None:
    """A state database that does not answer makes no red tick: schedule and poll say so."""
    away = otherwise(with_calendars, database_url="postgresql://nobody@127.0.0.1:1/none")
    assert schedule_tick(away).startswith("The state database does not answer")
    assert poll_tick(away)[0].startswith("DatabaseUnavailable")


def test_partition_launched_by_a_person(with_calendars: Office) -> None:
    """A person materializes one employee by hand, also where nothing has to be written; the others are left alone."""
    office = with_calendars
    office.instance.add_dynamic_partitions("termine", ["AB", "CD"])
    for _ in range(2):
        assert office.run("termine", partition_key="AB").success
    assert materialized(office) == {"AB"}


def test_partition_without_a_calendar_fails_with_one_sentence(with_calendars: Office) -> None:
    """A Kürzel that the setting does not know: the run fails and says where calendars are named."""
    office = with_calendars
    office.instance.add_dynamic_partitions("termine", ["ZZ"])
    result = office.run("termine", partition_key="ZZ")
    assert not result.success
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data is not None
    sentence = failure.step_failure_data.user_failure_data.description
    assert sentence == "ZZ: has no calendar: name user and calendar in GOOGLE_CALENDARS."


def test_schedule_closes_what_is_parked_of_former_employees(with_calendars: Office) -> None:
    """What is parked of a Kürzel that has left the setting is told of no more; of the others it is tried again."""
    office = with_calendars
    office.instance.add_dynamic_partitions("termine", ["ZZ"])
    assert not office.run("termine", partition_key="ZZ").success
    parked = row_of(office, "ZZ")
    assert parked is not None
    assert parked.parked_at is not None
    schedule_tick(office)
    closed = row_of(office, "ZZ")
    assert closed is not None
    assert (closed.parked_at, closed.wanted - closed.done) == (None, 0)
    # What was there of it stays to be looked at.
    assert "ZZ" in office.instance.get_dynamic_partitions("termine")


def test_poll_finds_a_change_and_comes_to_rest(with_calendars: Office) -> None:
    """The poll wants who has changed, waits for its interval, and after a few batches wants nobody any more."""
    office = with_calendars
    told, cursor = poll_tick(office)
    assert told == "Changed and wanted: AB, CD."
    assert set(office.instance.get_dynamic_partitions("termine")) == {"AB", "CD"}
    assert office.run("termine").success
    new_termin(office, 501)
    assert poll_tick(office, cursor)[0].startswith("Everybody's appointments are asked for again in ")
    said = []
    for _ in range(4):
        later(office, 61.0)
        told, cursor = poll_tick(office, cursor)
        said.append(told)
        assert office.run("termine").success
    assert said == ["Changed and wanted: AB."] * 2 + ["Nothing has changed."] * 2
    assert len(events_of(office, "AB")) == 1


def test_poll_names_whose_calendar_is_refused(with_calendars: Office) -> None:
    """One employee's refusal is said with its class, and the other's change is wanted all the same."""
    office = with_calendars
    _, cursor = poll_tick(office)
    assert office.run("termine").success
    office.stand_ins.google.edit(
        {"do": "revoke_access", "calendar": calendar_of("AB"), "user": mail_of("AB")}
    )
    new_termin(office, 601, "CD")
    later(office, 61.0)
    told, _ = poll_tick(office, cursor)
    assert told == "Changed and wanted: AB, CD. Left to their passes: AB (ScopeRefused)."


def test_poll_can_be_switched_off(with_calendars: Office) -> None:
    """With GOOGLE_POLL_SECONDS at 0 nobody is asked, and the tick says what finds changes then."""
    assert poll_tick(otherwise(with_calendars, poll_seconds=0.0))[0] == OFF


def test_poll_with_a_wrong_key_file_says_where_to_look(with_calendars: Office, tmp_path: Path) -> None:
    """A key file that is none: the poll does not fail, and names the command that tells more."""
    broken = tmp_path / "key.json"
    broken.write_text("{}", encoding="utf-8")
    office = otherwise(with_calendars, key_file=str(broken))
    _, cursor = poll_tick(with_calendars)
    later(office, 61.0)
    told, after = poll_tick(office, cursor)
    assert told == UNUSABLE
    # Each try opens everything that a run needs: it keeps the interval, and who was seen stays known.
    later(office, 5.0)
    assert poll_tick(office, after)[0].startswith("Everybody's appointments are asked for again in ")
    assert json.loads(str(after))["seen"] == json.loads(str(cursor))["seen"]
    later(office, 61.0)
    assert poll_tick(office, after)[0] == UNUSABLE


@pytest.mark.parametrize("cursor", ["", "not json", "[1]", '{"seen": {"AB": 1}}', '{"at": null}'])
def test_strange_cursor_of_the_poll_is_survived(with_calendars: Office, cursor: str) -> None:
    """A cursor that makes no sense costs everybody one pass and no failing tick."""
    assert poll_tick(with_calendars, cursor)[0] == "Changed and wanted: AB, CD."


def test_nothing_personal_in_what_dagster_stores(with_calendars: Office, tmp_path: Path) -> None:
    """No word of an appointment and no address of an account stands in an event, a log or a cursor."""
    office = with_calendars
    new_termin(office, 501, ort="Rosenstraße 7")
    _, cursor = poll_tick(office)
    assert office.run("termine").success
    office.stand_ins.google.edit(
        {"do": "revoke_access", "calendar": calendar_of("AB"), "user": mail_of("AB")}
    )
    office.database.run_sync(lambda conn: work_queue.want(conn, office.database.now(conn), STREAM, ["AB"]))
    assert office.run("termine").success
    stored = [str(cursor)]
    for run in office.instance.get_runs():
        stored += [serialize_value(entry) for entry in office.instance.all_logs(run.run_id)]
    stored += [
        file.read_bytes().decode("utf-8", errors="replace")
        for file in (tmp_path / "dagster").rglob("*")
        if file.is_file()
    ]
    assert len(stored) > 20
    for secret in (NAME, "Rosenstraße", mail_of("AB"), calendar_of("AB")):
        escaped = json.dumps(secret)[1:-1]
        assert not any(secret in text or escaped in text for text in stored), secret
