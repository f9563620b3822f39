"""A run for named partitions: one from the UI or the CLI, a backfill's, or the one that turns a parked entity red."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.outcome import Result
from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.logs import bound
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.interruption import run_until_stopped
from bitbylaw_pipeline.orchestration.recorder import EventRecorder
from bitbylaw_pipeline.orchestration.red_partitions import mark_red
from bitbylaw_pipeline.orchestration.streams import ADVOWARE, StreamAssets
from bitbylaw_pipeline.sync.entity_pass import Finished

if TYPE_CHECKING:
    from bitbylaw_pipeline.wiring import Runtime

CHUNK = 100
"""Keys worked at a time; a backfill of more is handed to the queue as a whole first."""

SAMPLE = 20

log = structlog.get_logger(__name__)

_WAITS_FOR_A_LINK = (
    "Its counterpart is not known yet (an account waits for its party), or an earlier write is still to be settled; the "
    "next pass goes on with it."
)

_WHY_NOT = {
    Result.WAITING: "It waits for its owner's collection, which has been asked for; it is synced when that exists.",
    Result.WITHHELD: "Nothing of it may leave the firm: XAI_EGRESS is off, its owner carries no permission, it is excluded, or the kill "
    "switch is on (bitbylaw egress allow lifts it).",
}


def run_partitions(
    context: dg.AssetExecutionContext, backend: Backend, stream: StreamAssets, keys: Sequence[str]
) -> None:
    """Syncs exactly these keys and materializes each one, though nothing had to be written.

    Raises Failure (never retried) if a key ends without a materialization: a partition run is not green for nothing.
    """
    recorder = EventRecorder(context, stream, backend.settings(), asked_for=frozenset(keys))
    results: dict[str, Finished] = {}

    async def work(stop: asyncio.Event) -> None:
        with bound(stream=stream.name, run=context.run.run_id):
            await _work(backend, stream, keys, recorder, results, stop)

    try:
        run_until_stopped(work)
    finally:
        missing = [key for key in keys if key not in recorder.materialized]
        mark_red(context.instance, stream.name, missing)
    if missing:
        raise _failure(stream, missing, results, len(keys))


async def _work(
    backend: Backend,
    stream: StreamAssets,
    keys: Sequence[str],
    recorder: EventRecorder,
    results: dict[str, Finished],
    stop: asyncio.Event,
) -> None:
    async with backend.open_runtime() as runtime:
        if len(keys) > CHUNK:
            await _hand_to_queue(runtime, stream.name, keys)
        for start in range(0, len(keys), CHUNK):
            if stop.is_set():
                return
            finished = await runtime.worker(stream.name).work_keys(
                keys[start : start + CHUNK],
                stop=stop,
                record=recorder.record,
                wait_seconds=runtime.settings.partition_wait_seconds,
            )
            results.update({one.key: one for one in finished})


async def _hand_to_queue(runtime: "Runtime", stream: str, keys: Sequence[str]) -> None:
    # Whatever becomes of this run, what it was asked for is done: by the batches, behind everything that is urgent.
    def want(conn: Connection) -> int:
        now = runtime.database.now(conn)
        return work_queue.want(conn, now, stream, keys, priority=work_queue.SWEEP_PRIORITY)

    count = await runtime.database.run(want)
    log.info("backfill handed to the queue", keys=count, priority=work_queue.SWEEP_PRIORITY)


def _failure(
    stream: StreamAssets, missing: Sequence[str], results: dict[str, Finished], asked: int
) -> dg.Failure:
    # Some reasons begin with the key by themselves.
    reasons = [
        f"{key}: {_reason(results.get(key), stream).removeprefix(f'{key} ')}" for key in missing[:SAMPLE]
    ]
    description = (
        reasons[0] if len(missing) == 1 else f"{len(missing)} of {asked} ended without a materialization."
    )
    return dg.Failure(
        description=description,
        metadata={
            "missing": dg.MetadataValue.int(len(missing)),
            "asked_for": dg.MetadataValue.int(asked),
            "sample": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in reasons)),
        },
        # What failed is in the queue, with a retry ladder of its own: a second mechanism would only double its attempts.
        allow_retries=False,
    )


def _reason(finished: Finished | None, stream: StreamAssets) -> str:
    if finished is None:
        return (
            "It is being synced by a batch and did not become free in time: launch the partition again, or leave it to "
            "the batch."
        )
    if finished.error is not None:
        return str(finished.error)
    if finished.outcome is None:
        return "It ended without an outcome."
    if finished.outcome.warning:
        return finished.outcome.warning
    if finished.outcome.result is Result.WAITING and ADVOWARE in stream.systems:
        return _WAITS_FOR_A_LINK
    return _WHY_NOT.get(finished.outcome.result, f"It ended as {finished.outcome.result.value}.")
