"""The queue's sensor: one batch while there is work, and a run of its own for each parked entity."""

import re
from typing import Any

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context

from bitbylaw_pipeline.inbox import batches, outages
from bitbylaw_pipeline.orchestration.batch_slot import REQUEST_SECONDS
from bitbylaw_pipeline.orchestration.parked_runs import RUNS_A_TICK
from tests.orchestration.toy import TOYS, ToyBackend, toy_definitions
from tests.orchestration.workbench import Workbench


def tick(bench: Workbench, **settings: Any) -> list[dg.RunRequest] | str:
    """One tick of the sensor: the run requests, or the reason why there are none."""
    backend = ToyBackend(database_url=bench.backend.database_url, folder=bench.backend.folder, given=settings)
    definitions = toy_definitions(backend)
    sensor = definitions.resolve_sensor_def(f"{TOYS.name}_queue")
    context = dg.build_sensor_context(
        instance=bench.instance, definitions=definitions, resources={"backend": backend}
    )
    # As the code server does around each tick.
    with context, partition_loading_context(dynamic_partitions_store=bench.instance):
        data = sensor.evaluate_tick(context)
    return list(data.run_requests) if data.run_requests else str(data.skip_message)


def requested(bench: Workbench, **settings: Any) -> list[dg.RunRequest]:
    """The run requests of a tick that makes some."""
    found = tick(bench, **settings)
    assert not isinstance(found, str), found
    return found


def skipped(bench: Workbench, **settings: Any) -> str:
    """What a tick without run requests says."""
    found = tick(bench, **settings)
    assert isinstance(found, str), found
    return found


def test_nothing_ready_is_said(bench: Workbench) -> None:
    """With an empty queue the tick skips and says so."""
    assert skipped(bench) == "Nothing is ready."


def test_ready_rows_request_one_batch_and_no_second_one(bench: Workbench) -> None:
    """The first tick requests a batch; the ticks until it has started do not, however long it takes to come up."""
    bench.want("ok-1", "ok-2")
    (request,) = requested(bench)
    assert request.run_key is None
    assert request.partition_key is None
    assert request.tags["bitbylaw/stream"] == TOYS.name
    assert skipped(bench).startswith("2 ready; batch in slot 0 requested since")


def test_requested_batch_takes_its_slot_over(bench: Workbench) -> None:
    """The run that the tick asked for gets the slot with the token in its config, and works."""
    bench.want("ok-1")
    (request,) = requested(bench)
    token = request.run_config["ops"][TOYS.op_name]["config"]["token"]
    assert bench.run_batch(token).success
    assert bench.materialized() == {"ok-1"}
    bench.want("ok-2")
    assert len(requested(bench)) == 1


def test_request_that_no_run_took_over_is_made_again(bench: Workbench) -> None:
    """When the requested run never starts, its slot becomes free after a minute and the next tick asks again."""
    bench.want("ok-1")
    requested(bench)
    expired = bench.live()[0]
    bench.do(lambda conn, _: batches.end(conn, TOYS.name, expired.slot, expired.token))
    bench.do(
        lambda conn, now: batches.request(conn, now - REQUEST_SECONDS - 1, TOYS.name, 1, ttl=REQUEST_SECONDS)
    )
    assert len(requested(bench)) == 1


def test_live_batch_is_named(bench: Workbench) -> None:
    """While a batch is alive the tick skips and says how much is ready, and which slot works since when."""
    bench.do(lambda conn, now: batches.take_over(conn, now, TOYS.name, None, "a-run", 60.0))
    bench.do(lambda conn, now: batches.beat(conn, now, TOYS.name, 0, "a-run", "working", 60.0))
    bench.want("ok-1")
    assert re.search(r"1 ready; batch in slot 0 working since \d+ s", skipped(bench))


def test_more_batches_a_stream(bench: Workbench) -> None:
    """With BATCHES_PER_STREAM at 2 a second batch is requested beside the first, and no third."""
    bench.want("ok-1")
    assert len(requested(bench, batches_per_stream=2)) == 1
    (second,) = requested(bench, batches_per_stream=2)
    assert second.tags["bitbylaw/slot"] == "1"
    assert "slot 0" in skipped(bench, batches_per_stream=2)


def test_drain_flag_starts_nothing(bench: Workbench) -> None:
    """While the drain flag is up no batch is requested, and the tick says so."""
    bench.want("ok-1")
    bench.do(lambda conn, now: batches.set_flag(conn, now, batches.DRAIN))
    assert "draining" in skipped(bench)


def test_paused_system_starts_nothing(bench: Workbench) -> None:
    """While a system that the stream needs is down nothing is started; another system's outage does not matter."""
    bench.want("ok-1")
    bench.do(lambda conn, now: outages.pause(conn, now, "espocrm", 30.0, "refused"))
    assert "paused because a system is down: espocrm" in skipped(bench)
    bench.do(lambda conn, _: outages.resume(conn, "espocrm"))
    bench.do(lambda conn, now: outages.pause(conn, now, "google", 30.0, "refused"))
    assert len(requested(bench)) == 1


def test_single_runs_for_a_firm_that_wants_them(bench: Workbench) -> None:
    """With SINGLE_RUNS_MAX a few ready entities get a partition run each; more of them get a batch."""
    bench.want("ok-1", "ok-2")
    few = requested(bench, single_runs_max=2)
    assert sorted(str(request.partition_key) for request in few) == ["ok-1", "ok-2"]
    again = requested(bench, single_runs_max=2)
    assert sorted(str(request.run_key) for request in again) == sorted(
        str(request.run_key) for request in few
    )
    bench.want("ok-3")
    (batch,) = requested(bench, single_runs_max=2)
    assert batch.partition_key is None


def test_parked_entity_gets_one_run_and_turns_red(bench: Workbench) -> None:
    """A parked entity gets exactly one run, which turns exactly its partition red; being parked anew asks for no other."""
    bench.want("bad-1", "ok-1")
    bench.run_batch()
    (request,) = requested(bench)
    assert request.partition_key == "bad-1"
    assert request.run_key == f"{TOYS.name}/bad-1:1:1"
    assert skipped(bench) == "Nothing is ready."
    assert not bench.run_partition("bad-1").success
    assert (bench.status("bad-1"), bench.status("ok-1")) == ("FAILED", "MATERIALIZED")
    assert bench.row("bad-1").parked_at is not None
    assert skipped(bench) == "Nothing is ready."


def test_entity_that_was_green_in_between_gets_another_run(bench: Workbench) -> None:
    """Parked, repaired, and parked again: the second parking has a run of its own under another key."""
    bench.want("bad-1")
    bench.run_batch()
    (first,) = requested(bench)
    bench.run_partition("bad-1")
    bench.teach("bad-1", "ok")
    bench.want("bad-1")
    bench.run_batch()
    assert bench.status("bad-1") == "MATERIALIZED"
    bench.teach("bad-1", "bad")
    bench.want("bad-1")
    bench.run_batch()
    (second,) = requested(bench)
    assert second.partition_key == "bad-1"
    assert second.run_key != first.run_key


def test_many_parked_entities_come_a_few_a_tick(bench: Workbench) -> None:
    """When many entities are parked at once their runs are spread over the ticks, and each gets one."""
    keys = [f"bad-{number}" for number in range(RUNS_A_TICK + 2)]
    bench.want(*keys)
    bench.run_batch()
    first = requested(bench)
    second = requested(bench)
    assert (len(first), len(second)) == (RUNS_A_TICK, 2)
    assert sorted(str(request.partition_key) for request in [*first, *second]) == keys
    assert skipped(bench) == "Nothing is ready."
