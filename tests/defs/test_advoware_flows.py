"""The pass over Advoware and its streams, from both systems' records to materializations, on the stand-ins."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value

from bitbylaw_pipeline.defs import advoware_pass, akten, bankverbindungen, beteiligte
from bitbylaw_pipeline.inbox import akte_states, batches, outages, run_leases, two_way_desk, work_queue
from bitbylaw_pipeline.orchestration.advoware_pass import PassConfig
from bitbylaw_pipeline.orchestration.streams import NO_ADVOWARE
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS
from tests.defs.conftest import Office
from tests.orchestration.workbench import signal_when

PARTY = "CBeteiligte"
TWO_HOURS = 7200.0


def run_pass(office: Office, pair: str = "") -> dg.ExecuteInProcessResult:
    """One pass, as the schedule or a person launches it."""
    config = dg.RunConfig(ops={advoware_pass.OP: PassConfig(pair=pair)})
    return office.run("advoware_pass", run_config=config)


def numbers(office: Office) -> dict[str, Any]:
    """The metadata of the last pass."""
    event = office.instance.get_latest_materialization_event(advoware_pass.PASS)
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def materialized(office: Office, asset: dg.AssetKey) -> set[str]:
    """The partitions of an asset that have a materialization."""
    return set(office.instance.get_materialized_partitions(asset))


def told_by(office: Office, result: dg.ExecuteInProcessResult) -> str:
    """Everything that the run's event log says."""
    return "\n".join(serialize_value(entry) for entry in office.instance.all_logs(result.run_id))


def writes(office: Office) -> int:
    """How many writing requests the two systems have had so far."""
    ledgers = (office.stand_ins.advoware.ledger, office.stand_ins.espocrm.ledger)
    return sum(
        entry.method != "GET" and not entry.path.startswith(("/security", "/sandbox"))
        for ledger in ledgers
        for entry in ledger.entries
    )


def number_of(office: Office, party: str) -> int:
    """A party's number at Advoware, as EspoCRM shows it."""
    return int(office.espo("GET", f"/api/v1/{PARTY}/{party}")["betnr"])


def linked_parties(office: Office) -> list[str]:
    """Ids of parties in EspoCRM that are linked."""
    return sorted(materialized(office, beteiligte.BETEILIGTE))


def vorname_at_advoware(office: Office, betnr: int) -> str:
    """A party's given name at Advoware."""
    return str(office.stand_ins.advoware.store.beteiligte[betnr].row["vorname"])


def edit_at_advoware(office: Office, betnr: int, **fields: Any) -> None:
    """A person's edit in Advoware itself."""
    office.stand_ins.advoware.edit({"table": "beteiligte", "id": betnr, "set": fields})


def want(office: Office, stream: str, *keys: str) -> None:
    """What a webhook does."""
    database = office.database
    database.run_sync(lambda conn: work_queue.want(conn, database.now(conn), stream, keys))


def row(office: Office, stream: str, key: str) -> work_queue.WorkRow:
    """The key's row in the queue."""
    found = office.database.read(lambda conn: work_queue.get(conn, stream, key))
    assert found is not None
    return found


def wait(office: Office, seconds: float) -> None:
    """Time passes for us and for both systems."""
    clock = office.stand_ins.clock
    assert clock is not None
    clock.advance(seconds)
    office.stand_ins.advoware.clock.advance(seconds)
    office.stand_ins.espocrm.clock.advance(seconds)


def go_offline(office: Office, seconds: float) -> None:
    """The connector in the firm is not there for so long."""
    advoware = office.stand_ins.advoware
    # Our own clock stands still meanwhile: only the stand-in's moves.
    advoware.switches.update({"offline_until": advoware.clock.now() + seconds, "clock_window_seconds": 1e6})


@pytest.fixture
def in_step(two_sided: Office) -> Office:
    """The sample firm after its first pass."""
    assert run_pass(two_sided).success
    return two_sided


def test_first_pass_materializes_each_record_and_tells_its_numbers(in_step: Office) -> None:
    """Each party and account gets its materialization with the record's address; the pass has its counts as numbers."""
    told = numbers(in_step)
    parties = materialized(in_step, beteiligte.BETEILIGTE)
    assert len(parties) == told["beteiligte_recorded"] == 18
    assert len(materialized(in_step, bankverbindungen.BANKVERBINDUNGEN)) == 8
    assert told["bankverbindungen_agreed"] == 8
    for pair in ("beteiligte", "bankverbindungen"):
        assert {
            f"{pair}_{name}" for name in ("held", "conflicts", "failed", "writes", "calls")
        } <= told.keys()
    assert all(isinstance(value, int | float) for value in told.values()), told
    event = in_step.instance.get_latest_materialization_event(beteiligte.BETEILIGTE)
    assert event is not None
    assert event.asset_materialization is not None
    partition = event.asset_materialization.partition
    assert partition in parties
    link = event.asset_materialization.metadata["record"]
    assert link == dg.MetadataValue.url(f"http://crm.example/#{PARTY}/view/{partition}")
    assert set(in_step.instance.get_dynamic_partitions("beteiligte")) >= parties


def test_akte_leads_to_its_matter_and_its_collection(in_step: Office) -> None:
    """An Akte's materialization is linked to its matter in EspoCRM, and names the collection once the matter has one."""
    linked = materialized(in_step, akten.AKTEN)
    assert len(linked) == numbers(in_step)["akten_linked"] == 10
    for name in ("collections", "akten"):
        assert in_step.run(name, **collect(in_step, name, linked)).success
    event = in_step.instance.get_latest_materialization_event(akten.AKTEN)
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    entity_type, _, matter = str(metadata["matter"].value).partition(":")
    assert metadata["record"] == dg.MetadataValue.url(f"http://crm.example/#{entity_type}/view/{matter}")
    stored = in_step.espo("GET", f"/api/v1/{entity_type}/{matter}")
    assert stored["advowareAkteId"] == int(str(event.asset_materialization.partition))
    assert metadata["collection_id"].value == stored["xaiCollectionId"]


def collect(office: Office, stream: str, keys: set[str]) -> dict[str, Any]:
    """One partition to run: an Akte, or the collection of its matter."""
    akte = min(keys)
    if stream == "akten":
        return {"partition_key": akte}
    with_matter = office.database.read(lambda conn: akte_states.get(conn, akte))
    assert with_matter is not None
    assert with_matter.owner_key is not None
    office.instance.add_dynamic_partitions("collections", [with_matter.owner_key])
    return {"partition_key": with_matter.owner_key}


def test_second_pass_writes_nothing(in_step: Office) -> None:
    """A pass over two sides in step makes no writing request and logs nothing about any record."""
    before = writes(in_step)
    assert before > 0
    second = run_pass(in_step)
    assert second.success
    assert writes(in_step) == before
    assert told_of_records(in_step, second) == []
    told = numbers(in_step)
    assert [told[f"{pair}_recorded"] for pair in ("beteiligte", "bankverbindungen")] == [0, 0]


def told_of_records(office: Office, result: dg.ExecuteInProcessResult) -> list[dg.DagsterEvent]:
    """The run's events about single records."""
    stored = [entry.dagster_event for entry in office.instance.all_logs(result.run_id)]
    return [event for event in stored if event is not None and event.partition is not None]


def test_held_record_is_not_told_again_at_every_pass(in_step: Office) -> None:
    """A changed account waits for approval: the passes count it, and do not log an event about it each time."""
    account = min(materialized(in_step, bankverbindungen.BANKVERBINDUNGEN))
    in_step.espo("PUT", f"/api/v1/CBankverbindungen/{account}", {"iban": "DE89370400440532013000"})
    before = writes(in_step)
    for _ in range(2):
        held = run_pass(in_step)
        assert held.success
        assert numbers(in_step)["bankverbindungen_held"] == 1
        assert told_of_records(in_step, held) == []
    assert writes(in_step) == before


def test_edits_on_both_sides_arrive_on_the_other(in_step: Office) -> None:
    """One party edited in EspoCRM and another in Advoware: a pass brings both changes over and materializes just these."""
    first, second = linked_parties(in_step)[:2]
    in_step.espo("PUT", f"/api/v1/{PARTY}/{first}", {"vorname": "Anders"})
    edit_at_advoware(in_step, number_of(in_step, second), vorname="Jette")
    result = run_pass(in_step)
    assert result.success
    assert vorname_at_advoware(in_step, number_of(in_step, first)) == "Anders"
    assert in_step.espo("GET", f"/api/v1/{PARTY}/{second}")["vorname"] == "Jette"
    partitions = {
        entry.dagster_event.partition
        for entry in in_step.instance.all_logs(
            result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        if entry.dagster_event is not None and entry.dagster_event.asset_key == beteiligte.BETEILIGTE
    }
    assert partitions == {first, second}


def test_config_arrives(two_sided: Office) -> None:
    """A pass launched for one pair runs that pair alone; an unknown pair is refused in one sentence."""
    assert run_pass(two_sided, "beteiligte").success
    assert {name.partition("_")[0] for name in numbers(two_sided)} == {"beteiligte"}
    assert materialized(two_sided, bankverbindungen.BANKVERBINDUNGEN) == set()
    refused = run_pass(two_sided, "parties")
    assert not refused.success
    assert "say one of beteiligte, bankverbindungen, akten" in told_by(two_sided, refused)


def test_pass_leaves_a_pair_alone_that_another_run_has(in_step: Office) -> None:
    """While another run holds a pair it is skipped, which the metadata says; the other pair runs."""
    database = in_step.database
    database.run_sync(lambda conn: run_leases.take(conn, database.now(conn), "beteiligte", 600.0))
    assert run_pass(in_step).success
    told = numbers(in_step)
    assert told["beteiligte_skipped"] == "Another run has it in hand."
    assert "beteiligte_writes" not in told
    assert told["bankverbindungen_writes"] == 0


def test_pass_that_can_list_nothing_fails_in_one_sentence(in_step: Office) -> None:
    """With the connector offline the run fails and says so; while Advoware is left alone the next one asks nothing."""
    advoware = in_step.stand_ins.advoware
    go_offline(in_step, TWO_HOURS)
    failed = run_pass(in_step)
    assert not failed.success
    assert "Nothing could be listed." in told_by(in_step, failed)
    paused = in_step.database.read(lambda conn: outages.paused(conn, in_step.database.now(conn)))
    assert set(paused) == {"advoware"}
    before = advoware.ledger.total
    again = run_pass(in_step)
    assert not again.success
    assert "is left alone for a while" in told_by(in_step, again)
    assert advoware.ledger.total == before


def test_one_pair_that_cannot_be_listed_does_not_stop_the_others(in_step: Office) -> None:
    """Where only the bank accounts cannot be listed the run is green, and its metadata says what stopped them."""
    in_step.stand_ins.espocrm.faults.add(Fault("status", "/api/v1/CBankverbindungen", status=500))
    assert run_pass(in_step).success
    told = numbers(in_step)
    assert told["beteiligte_writes"] == 0
    assert "CBankverbindungen" in told["bankverbindungen_stopped_by"]


def test_offline_for_two_hours_loses_nothing_and_counts_no_attempt(in_step: Office) -> None:
    """What is wanted and edited while the connector is away waits, uncounted, and is done by itself once it is back."""
    first, second = linked_parties(in_step)[:2]
    numbers_there = [number_of(in_step, party) for party in (first, second)]
    go_offline(in_step, TWO_HOURS)
    in_step.espo("PUT", f"/api/v1/{PARTY}/{first}", {"vorname": "Anders"})
    edit_at_advoware(in_step, numbers_there[1], vorname="Jette")
    want(in_step, "beteiligte", first, second)
    for _ in range(4):
        assert in_step.run("beteiligte").success
        for party in (first, second):
            waiting = row(in_step, "beteiligte", party)
            assert (waiting.attempts, waiting.parked_at) == (0, None)
            assert waiting.wanted > waiting.done
        wait(in_step, TWO_HOURS / 4)
    wait(in_step, 60.0)
    # No linger: the first batch asks whether Advoware is back, a later one finds the rows due.
    for _ in range(3):
        assert in_step.run("beteiligte").success
        wait(in_step, 60.0)
    assert vorname_at_advoware(in_step, numbers_there[0]) == "Anders"
    assert in_step.espo("GET", f"/api/v1/{PARTY}/{second}")["vorname"] == "Jette"
    for party in (first, second):
        done = row(in_step, "beteiligte", party)
        assert (done.attempts, done.wanted) == (0, done.done)


def test_token_that_expires_in_the_middle_of_a_pass(two_sided: Office) -> None:
    """The token turns invalid between two calls of a pass: one new one is fetched, and nothing fails."""
    advoware = two_sided.stand_ins.advoware
    advoware.faults.add(Fault("status", "/relay/api/v1/advonet/Beteiligte/.*", status=401, after=5, times=1))
    assert run_pass(two_sided).success
    assert advoware.tokens.given == 2
    told = numbers(two_sided)
    assert [told[f"{pair}_failed"] for pair in ("beteiligte", "bankverbindungen")] == [0, 0]
    before = writes(two_sided)
    assert run_pass(two_sided).success
    assert writes(two_sided) == before


def test_stopped_pass_keeps_what_is_finished(two_sided: Office) -> None:
    """SIGTERM in the middle: what is finished is recorded, no pair stays leased, and the next pass does the rest."""
    faults = two_sided.stand_ins.espocrm.faults
    slow = faults.add(Fault("latency", "/api/v1/CBankverbindungen", seconds=60.0))
    with signal_when(lambda: slow.applied > 0):
        stopped = run_pass(two_sided)
    faults.clear(slow.id)
    assert not stopped.success
    assert len(materialized(two_sided, beteiligte.BETEILIGTE)) == 18
    assert materialized(two_sided, bankverbindungen.BANKVERBINDUNGEN) == set()
    assert two_sided.instance.get_latest_materialization_event(advoware_pass.PASS) is None
    assert run_pass(two_sided).success
    assert len(materialized(two_sided, bankverbindungen.BANKVERBINDUNGEN)) == 8


def assert_done_by_batches(office: Office, party: str) -> None:
    """Runs batches until the party is done: the change feed, read beside a batch, may want it once more at its end."""

    def is_done() -> bool:
        assert office.run("beteiligte").success
        found = row(office, "beteiligte", party)
        return found.done == found.wanted

    assert any(is_done() for _ in range(3))


def test_wanted_party_is_synced_by_a_batch(in_step: Office) -> None:
    """A webhook's want ends, by a batch of the stream, as a materialization of that party alone."""
    party = linked_parties(in_step)[0]
    in_step.espo("PUT", f"/api/v1/{PARTY}/{party}", {"vorname": "Anders"})
    want(in_step, "beteiligte", party)
    assert_done_by_batches(in_step, party)
    assert vorname_at_advoware(in_step, number_of(in_step, party)) == "Anders"


@pytest.mark.parametrize(
    ("stream", "asset"),
    [
        ("beteiligte", beteiligte.BETEILIGTE),
        ("bankverbindungen", bankverbindungen.BANKVERBINDUNGEN),
        ("akten", akten.AKTEN),
    ],
)
def test_partitions_can_be_launched_and_backfilled(in_step: Office, stream: str, asset: dg.AssetKey) -> None:
    """A partition launched by hand, and a backfill over a range, materialize exactly their keys though nothing differs."""
    keys = sorted(in_step.instance.get_dynamic_partitions(stream))[:3]
    one = in_step.run(stream, partition_key=keys[0])
    assert one.success
    assert run_partitions_of(in_step, one, asset) == {keys[0]}
    ordered = in_step.instance.get_dynamic_partitions(stream)[:3]
    tags = {
        "dagster/asset_partition_range_start": ordered[0],
        "dagster/asset_partition_range_end": ordered[-1],
    }
    several = in_step.run(stream, tags=tags)
    assert several.success
    assert run_partitions_of(in_step, several, asset) == set(ordered)


def run_partitions_of(
    office: Office, result: dg.ExecuteInProcessResult, asset: dg.AssetKey
) -> set[str | None]:
    """The partitions of the asset that this run materialized."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    events = [entry.dagster_event for entry in office.instance.all_logs(result.run_id, of_type=kind)]
    return {event.partition for event in events if event is not None and event.asset_key == asset}


def test_partition_that_is_held_says_for_what_it_waits(in_step: Office) -> None:
    """A party of whom two look alike at Advoware fails its own run with the sentence that a person is waited for."""
    holds = in_step.database.read(lambda conn: two_way_desk.list_holds(conn, "beteiligte"))
    held = next(hold.subject.removeprefix("left:") for hold in holds if hold.subject.startswith("left:"))
    in_step.instance.add_dynamic_partitions("beteiligte", [held])
    failed = in_step.run("beteiligte", partition_key=held)
    assert not failed.success
    assert "Waits for a person" in told_by(in_step, failed)


def test_parked_record_is_looked_at_again_by_the_next_pass(in_step: Office) -> None:
    """What was given up on goes back into the queue after a pass: a person may have put it right on the other side."""
    party = linked_parties(in_step)[0]
    database = in_step.database
    want(in_step, "beteiligte", party)
    (claim,) = database.run_sync(
        lambda conn: work_queue.claim(conn, database.now(conn), "beteiligte", limit=1, lease_seconds=9.0)
    )
    database.run_sync(lambda conn: work_queue.park(conn, database.now(conn), claim, "refused", "no"))
    assert run_pass(in_step).success
    assert row(in_step, "beteiligte", party).parked_at is None
    assert_done_by_batches(in_step, party)


def tick(office: Office, sensor: dg.SensorDefinition) -> list[dg.RunRequest] | str:
    """One tick of a queue's sensor: what it requests, or why nothing."""
    with dg.build_sensor_context(instance=office.instance, resources={"backend": office.backend}) as context:
        data = sensor.evaluate_tick(context)
    return list(data.run_requests) if data.run_requests else str(data.skip_message)


SENSORS = (beteiligte.beteiligte_queue, bankverbindungen.bankverbindungen_queue, akten.akten_queue)


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: str(sensor.name))
def test_queue_sensors_request_one_batch(two_sided: Office, sensor: dg.SensorDefinition) -> None:
    """Each stream's sensor is quiet without work and asks for one batch when something is wanted."""
    stream = sensor.name.removesuffix("_queue")
    assert tick(two_sided, sensor) == "Nothing is ready."
    want(two_sided, stream, "17")
    requested = tick(two_sided, sensor)
    assert not isinstance(requested, str)
    assert [request.tags["bitbylaw/stream"] for request in requested] == [stream]
    assert str(tick(two_sided, sensor)).startswith("1 ready; batch in slot 0 requested")


def schedule_tick(office: Office) -> Sequence[dg.RunRequest] | str:
    """One tick of the schedule: what it requests, or why nothing."""
    schedule = advoware_pass.advoware_every_quarter_hour
    at = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
    with dg.build_schedule_context(
        instance=office.instance, resources={"backend": office.backend}, scheduled_execution_time=at
    ) as context:
        data = schedule.evaluate_tick(context)
    return list(data.run_requests) if data.run_requests else str(data.skip_message)


def test_schedule_starts_one_pass_at_a_time(two_sided: Office) -> None:
    """A tick asks for a pass; not while the last one is going on, and not while everything is being drained."""
    assert len(schedule_tick(two_sided)) == 1
    run = dg.DagsterRun(job_name="advoware_pass", status=dg.DagsterRunStatus.STARTED)
    two_sided.instance.add_run(run)
    assert schedule_tick(two_sided) == "The last pass is still going on."
    two_sided.instance.delete_run(run.run_id)
    database = two_sided.database
    database.run_sync(lambda conn: batches.set_flag(conn, database.now(conn), batches.DRAIN))
    assert str(schedule_tick(two_sided)).startswith("Draining:")


def test_without_advoware_everything_says_so_and_does_nothing(office: Office) -> None:
    """In a firm without Advoware sensors and schedule skip with one sentence, and a pass by hand materializes nothing."""
    for sensor in SENSORS:
        want(office, sensor.name.removesuffix("_queue"), "17")
        assert tick(office, sensor) == NO_ADVOWARE
    assert schedule_tick(office) == NO_ADVOWARE
    result = run_pass(office)
    assert result.success
    assert NO_ADVOWARE in told_by(office, result)
    assert office.instance.get_latest_materialization_event(advoware_pass.PASS) is None
    by_hand = office.run("beteiligte")
    assert not by_hand.success
    assert NO_ADVOWARE in told_by(office, by_hand)


def test_nothing_personal_in_what_dagster_stores_of_a_pass(in_step: Office, tmp_path: Path) -> None:
    """No sample person's name, street, IBAN or mail stands in any event, log or file of Dagster's after a pass."""
    first = linked_parties(in_step)[0]
    in_step.espo("PUT", f"/api/v1/{PARTY}/{first}", {"vorname": "Anders"})
    want(in_step, "beteiligte", first)
    assert in_step.run("beteiligte").success
    stored = [json.dumps(dict(run.tags)) + json.dumps(run.run_config) for run in in_step.instance.get_runs()]
    for run in in_step.instance.get_runs():
        stored += [serialize_value(entry) for entry in in_step.instance.all_logs(run.run_id)]
    stored += [
        file.read_bytes().decode("utf-8", errors="replace")
        for file in (tmp_path / "dagster").rglob("*")
        if file.is_file()
    ]
    assert len(stored) > 50
    secrets = {text for person in PERSONS for text in (person.nachname, person.strasse, person.email)}
    for secret in secrets | {"Anders", "DE6400120100"}:
        escaped = json.dumps(secret)[1:-1]
        assert not any(secret in text or escaped in text for text in stored), secret
