"""A batch run: claims ready work of one stream, syncs many entities at once, lingers, and rotates."""

import asyncio

import dagster as dg
import structlog

from bitbylaw_pipeline.logs import bound
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.batch_slot import hold_slot
from bitbylaw_pipeline.orchestration.dagster_storage import keep_connections
from bitbylaw_pipeline.orchestration.interruption import run_until_stopped
from bitbylaw_pipeline.orchestration.recorder import EventRecorder
from bitbylaw_pipeline.orchestration.run_log import batch_run_log
from bitbylaw_pipeline.orchestration.streams import ESPOCRM, StreamAssets

log = structlog.get_logger(__name__)


def run_batch(
    context: dg.AssetExecutionContext, backend: Backend, stream: StreamAssets, token: str | None
) -> None:
    """Works until nothing is left and the linger is over, or it is told to stop.

    `token` is the sensor's request; without one (a batch launched by hand) a free slot is taken. Ends at once, and
    green, where the stream is held by another batch. Raises DagsterExecutionInterruptedError after a cancel, once
    every lease has been given back.
    """
    settings = backend.settings()
    keep_connections(context.instance)
    recorder = EventRecorder(context, stream, settings)

    async def work(stop: asyncio.Event) -> None:
        with bound(stream=stream.name, run=context.run.run_id):
            await _work(context, backend, stream, token, recorder, stop)

    with batch_run_log(settings.log_level):
        run_until_stopped(work)


async def _work(
    context: dg.AssetExecutionContext,
    backend: Backend,
    stream: StreamAssets,
    token: str | None,
    recorder: EventRecorder,
    stop: asyncio.Event,
) -> None:
    run_id = context.run.run_id
    async with backend.open_runtime() as runtime:
        slots = runtime.settings.batches_per_stream
        async with hold_slot(runtime.database, stream.name, token, run_id, slots=slots) as slot:
            if slot is None:
                log.info("stream is held by another batch, nothing to do here")
                return
            log.info("batch begins", slot=slot.slot)
            # A batch that has nothing to do with EspoCRM leaves its change feed to those that have, and to the sensor.
            worker = runtime.worker(stream.name, polls_feed=ESPOCRM in stream.systems)
            summary = await worker.work(stop=stop, record=recorder.record, beat=slot.beat)
            log.info("batch ends", slot=slot.slot, reason=summary.reason, **summary.counts)
