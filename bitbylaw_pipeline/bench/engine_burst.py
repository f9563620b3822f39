"""`--only engine`: the burst through the worker in this process, beside the bare loop: what Dagster and HTTP add is not in."""

from __future__ import annotations

from collections.abc import Sequence

from bitbylaw_pipeline.bench.agreement import check_agreement
from bitbylaw_pipeline.bench.bare_loop import BareLoop
from bitbylaw_pipeline.bench.burst_trial import Pair, Trial, check_same_calls, measure, numbers
from bitbylaw_pipeline.bench.engine import EngineRun, make_collections
from bitbylaw_pipeline.bench.firm import BARE_TYPE, DOCUMENT_TYPE, add_documents, add_matters, open_firm
from bitbylaw_pipeline.bench.ground import Ground, settings_of
from bitbylaw_pipeline.bench.options import AIM_LATENCY_MS, MATTERS, WARM_UP_DOCUMENTS, Options, latency_label
from bitbylaw_pipeline.bench.report import Section
from bitbylaw_pipeline.wiring import Runtime, open_runtime

AIM = 0.6


async def measure_engine(ground: Ground, options: Options) -> Section:
    """Raises BenchProblem where what was done is not right."""
    await open_firm(ground.sandbox)
    settings = settings_of(ground.values(ground.new_folder(), xai_indexing_check_seconds=3600.0))
    async with open_runtime(settings) as runtime, BareLoop(ground.sandbox) as bare:
        bench = _EngineBench(ground, options, runtime, bare)
        await bench.prepare()
        found = []
        for latency in options.latency_ms:
            await ground.sandbox.set_latency(latency)
            pairs = [
                await bench.repeat(f"{latency}-{number}", number) for number in range(options.repetitions)
            ]
            aim = AIM if latency == AIM_LATENCY_MS else None
            found += numbers(pairs, latency_label(latency), aim=aim, how=_how(options))
        await ground.sandbox.set_latency(0)
        await bench.run.stop()
    notes = ["The engine shares this process with the benchmark, so its CPU time stands under `bench`."]
    return Section("engine", "Engine: the burst without receiver and Dagster", found, notes)


def _how(options: Options) -> str:
    return (
        f"{options.documents} new documents of 64 KiB wanted by 50, worker in this process, state and Redis "
        "as in production; to the last write-back"
    )


class _EngineBench:
    def __init__(self, ground: Ground, options: Options, runtime: Runtime, bare: BareLoop) -> None:
        self._ground = ground
        self._options = options
        self._runtime = runtime
        self._bare = bare
        self._meter = ground.meter()
        self.run = EngineRun(runtime)

    async def prepare(self) -> None:
        """Collections on both sides, and a first small burst that is not measured."""
        sandbox = self._ground.sandbox
        self._ours = await add_matters(sandbox, "engine", MATTERS)
        self._theirs = await add_matters(sandbox, "bare-engine", MATTERS)
        self._our_collections = await make_collections(self._runtime, self._ours)
        self._their_collections = await self._bare.create_collections(self._theirs)
        await self.run.start()
        await self._one("warm", WARM_UP_DOCUMENTS, is_ours=False)
        await self._one("warm", WARM_UP_DOCUMENTS, is_ours=True)

    async def repeat(self, label: str, number: int) -> Pair:
        """Both bursts, in turns first."""
        trials = {
            is_ours: await self._one(label, self._options.documents, is_ours=is_ours)
            for is_ours in ((False, True) if number % 2 == 0 else (True, False))
        }
        pair = Pair(trials[False], trials[True])
        check_same_calls(pair)
        return pair

    async def _one(self, label: str, count: int, *, is_ours: bool) -> Trial:
        matters: Sequence[str] = self._ours if is_ours else self._theirs
        collections = self._our_collections if is_ours else self._their_collections
        sandbox = self._ground.sandbox
        entity_type = DOCUMENT_TYPE if is_ours else BARE_TYPE
        made = await add_documents(sandbox, f"engine-{label}", count, matters, entity_type=entity_type)

        async def work() -> None:
            if is_ours:
                await self.run.sync([document.id for document in made])
            else:
                await self._bare.run(made, collections, 16)

        trial = await measure(sandbox, count, self._meter, work)
        await check_agreement(sandbox, made, collections, self._runtime.database if is_ours else None)
        return trial
