"""`--only cold`: no batch is alive; from the webhook to the document linked at xAI."""

from __future__ import annotations

import asyncio
import time

from bitbylaw_pipeline.bench.firm import DOCUMENT_TYPE, add_documents
from bitbylaw_pipeline.bench.options import Options, latency_label
from bitbylaw_pipeline.bench.queue_watch import STREAMS, until_no_batch, until_quiet
from bitbylaw_pipeline.bench.report import Number, Section
from bitbylaw_pipeline.bench.statistics import spread
from bitbylaw_pipeline.bench.whole_pipeline import WholePipeline, linked_at
from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.coordination import Coordination

FACTS_DEMAND_SECONDS = 6.0


async def measure_cold(pipeline: WholePipeline, options: Options) -> Section:
    """Raises BenchProblem where what was done is not right."""
    latency = options.latency_ms[0]
    await pipeline.ground.sandbox.set_latency(latency)
    seconds = [await _try(pipeline, number) for number in range(options.cold_tries)]
    await pipeline.ground.sandbox.set_latency(0)
    found = spread(seconds)
    how = (
        f"{options.cold_tries} tries after both batches were drained, {latency_label(latency)}: the sensor's tick (every "
        "5 s), the run's start and its imports, then the document"
    )
    number = Number("webhook to linked, no batch alive", found.median, "s", how, found.lowest, found.highest)
    note = (
        "A batch lingers after its last work and is rotated after ten minutes; only the first event after a longer "
        "quiet pays this."
    )
    return Section("cold", "From cold", [number], [note], details=seconds)


async def _try(pipeline: WholePipeline, number: int) -> float:
    sandbox, database = pipeline.ground.sandbox, pipeline.database
    (document,) = await add_documents(sandbox, f"cold-{number}", 1, pipeline.matters[:1])
    await _drain(pipeline)
    await sandbox.reset_ledgers()
    sent = time.time()
    await pipeline.notify([document.id])
    await until_quiet(database)
    rows = await sandbox.calls_since_reset()
    await pipeline.check([document])
    file_id = str((await sandbox.records(DOCUMENT_TYPE))[document.id]["xaiId"])
    return linked_at(rows, {file_id: document.id})[document.id] - sent


async def _drain(pipeline: WholePipeline) -> None:
    """Ends the batches as `bitbylaw` does before an upgrade, and lets new ones start."""
    database = pipeline.database
    coordination = Coordination.open(pipeline.settings)
    try:
        await asyncio.to_thread(
            database.run_sync, lambda conn: batches.set_flag(conn, database.now(conn), batches.DRAIN)
        )
        for stream in STREAMS:
            await coordination.wake(stream)
        await until_no_batch(database)
        await asyncio.to_thread(database.run_sync, lambda conn: batches.clear_flag(conn, batches.DRAIN))
    finally:
        await coordination.aclose()
