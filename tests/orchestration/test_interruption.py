"""Cancels: idle, in the middle of a call, and signals that come when nobody expects them."""

import asyncio
import signal
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.orchestration.interruption import run_until_stopped
from tests.orchestration.toy import TOYS
from tests.orchestration.workbench import Workbench, cancel_when


def run_status(bench: Workbench) -> dg.DagsterRunStatus:
    """The status of the latest run."""
    return bench.instance.get_runs(limit=1)[0].status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_batch_cancelled_while_idle_leaves_no_lease(bench: Workbench, number: signal.Signals) -> None:
    """A cancel while a batch lingers ends it at once, with its slot given back and the run CANCELED."""
    bench.want("ok-1")
    before = signal.getsignal(number)

    def is_idle() -> bool:
        return bool(bench.materialized()) and any(batch.activity == "idle" for batch in bench.live())

    with cancel_when(bench, is_idle, number):
        assert not bench.run_batch(batch_linger_seconds=600.0).success
    assert bench.live() == []
    assert bench.materialized() == {"ok-1"}
    assert run_status(bench) is dg.DagsterRunStatus.CANCELED
    assert signal.getsignal(number) is before


def test_batch_cancelled_in_the_middle_of_a_call_gives_its_leases_back(bench: Workbench) -> None:
    """A cancel in the middle of a call: what was finished is materialized, the rest can be claimed again at once."""
    bench.want("ok-1", "slow-1", "slow-2")
    begun = bench.folder / "begun-slow-2"
    with cancel_when(bench, lambda: begun.exists() and "ok-1" in bench.materialized()):
        assert not bench.run_batch().success
    assert run_status(bench) is dg.DagsterRunStatus.CANCELED
    assert bench.live() == []
    assert bench.materialized() == {"ok-1"}
    assert bench.row("ok-1").done == 1
    assert bench.do(lambda conn, now: work_queue.ready_count(conn, now, TOYS.name)) == 2
    assert [bench.row(key).attempts for key in ("slow-1", "slow-2")] == [0, 0]


def test_cancelled_partition_run_leaves_its_work_in_the_queue(bench: Workbench) -> None:
    """A cancelled partition run is CANCELED, and what it was asked for stays in the queue, unleased."""
    begun = bench.folder / "begun-slow-1"
    with cancel_when(bench, begun.exists):
        assert not bench.run_partition("slow-1").success
    assert run_status(bench) is dg.DagsterRunStatus.CANCELED
    assert bench.do(lambda conn, now: work_queue.ready_count(conn, now, TOYS.name)) == 1


def test_failure_while_stopping_is_still_an_interruption() -> None:
    """Work that fails while it winds down after a signal counts as interrupted, not as failed."""

    async def work(stop: asyncio.Event) -> None:
        signal.raise_signal(signal.SIGTERM)
        await stop.wait()
        raise OSError("the database is gone as well")

    with pytest.raises(DagsterExecutionInterruptedError):
        run_until_stopped(work)


def test_failure_without_a_signal_stays_what_it_is() -> None:
    """Work that fails by itself raises its own error."""

    async def work(_: asyncio.Event) -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        run_until_stopped(work)


def test_hail_of_signals_ends_in_one_orderly_interruption() -> None:
    """However many signals come while it winds down, the process is not killed: the launcher sends more than one."""
    script = """
import asyncio, os, signal, subprocess, time
from dagster._core.errors import DagsterExecutionInterruptedError
from bitbylaw_pipeline.orchestration.interruption import run_until_stopped
signal.signal(signal.SIGTERM, lambda *_: None)
hail = None

async def work(stop):
    global hail
    hail = subprocess.Popen(["sh", "-c", "for n in $(seq 2000); do kill -TERM $0; done", str(os.getpid())])
    await stop.wait()
    await asyncio.sleep(0.005)

interrupted = 0
for _ in range(20):
    try:
        run_until_stopped(work)
    except DagsterExecutionInterruptedError:
        interrupted += 1
    time.sleep(0.01)
    hail.kill()
    hail.wait()
print("orderly", interrupted)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
    assert done.stdout.strip() == "orderly 20"
