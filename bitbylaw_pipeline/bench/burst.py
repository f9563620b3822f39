"""`--only burst`: new documents by webhooks of 50 through the whole pipeline, beside the bare loop."""

from __future__ import annotations

import asyncio
import time

from bitbylaw_pipeline.bench.agreement import check_agreement
from bitbylaw_pipeline.bench.burst_trial import WRITE_BACK, Pair, Trial, check_same_calls, measure, numbers
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.firm import BARE_TYPE, DOCUMENT_TYPE, add_documents
from bitbylaw_pipeline.bench.options import AIM_LATENCY_MS, Options, latency_label
from bitbylaw_pipeline.bench.queue_watch import until_quiet
from bitbylaw_pipeline.bench.report import Section
from bitbylaw_pipeline.bench.whole_pipeline import WholePipeline

AIM = 0.4
PATIENCE_SECONDS = 180.0


async def measure_burst(pipeline: WholePipeline, options: Options) -> Section:
    """Raises BenchProblem where what was done is not right."""
    sandbox = pipeline.ground.sandbox
    found = []
    how = (
        f"{options.documents} new documents of 64 KiB, signed webhooks of 50; from the first send to the last write-back; "
        "receiver, daemon, batch, Redis and state each in its own process"
    )
    for latency in options.latency_ms:
        await sandbox.set_latency(latency)
        pairs = [await _repeat(pipeline, options, latency, number) for number in range(options.repetitions)]
        aim = AIM if latency == AIM_LATENCY_MS and pipeline.ground.postgres else None
        found += numbers(pairs, latency_label(latency), aim=aim, how=how)
    await sandbox.set_latency(0)
    note = (
        "`batches` is the code server with the batch runs in it; CPU counts from the first send until Dagster has every "
        "materialization. `bench` is this process: sending, and watching the ledger."
    )
    return Section("burst", "Burst through the whole pipeline", found, [note])


async def _repeat(pipeline: WholePipeline, options: Options, latency: float, number: int) -> Pair:
    trials = {
        is_ours: await _one(pipeline, options.documents, f"burst-{latency}-{number}", is_ours=is_ours)
        for is_ours in ((False, True) if number % 2 == 0 else (True, False))
    }
    pair = Pair(trials[False], trials[True])
    check_same_calls(pair)
    return pair


async def _one(pipeline: WholePipeline, count: int, label: str, *, is_ours: bool) -> Trial:
    sandbox = pipeline.ground.sandbox
    matters = pipeline.matters if is_ours else pipeline.bare_matters
    entity_type = DOCUMENT_TYPE if is_ours else BARE_TYPE
    made = await add_documents(sandbox, label, count, matters, entity_type=entity_type)

    async def work() -> None:
        if not is_ours:
            await pipeline.bare.run(made, pipeline.bare_collections, 16)
            return
        await pipeline.notify([document.id for document in made])
        await _until_written_back(pipeline, count)
        await until_quiet(pipeline.database)

    meter = pipeline.ground.meter(**pipeline.programs.pids)
    trial = await measure(sandbox, count, meter, work)
    if is_ours:
        await pipeline.check(made)
        await pipeline.until_feed_has_passed()
    else:
        await check_agreement(sandbox, made, pipeline.bare_collections)
    return trial


async def _until_written_back(pipeline: WholePipeline, count: int) -> None:
    sandbox = pipeline.ground.sandbox
    deadline = time.monotonic() + PATIENCE_SECONDS
    while await sandbox.count(sandbox.espocrm_url, WRITE_BACK) < count:
        if time.monotonic() > deadline:
            raise BenchProblem(f"FAILED: the burst did not end within {PATIENCE_SECONDS:.0f} s.")
        await asyncio.sleep(0.1)
