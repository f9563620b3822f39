"""The burst through the sync engine alone, in this process: the worker with its inbox, clients and locks, no Dagster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from sqlalchemy import Connection

from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.firm import MATTER_TYPE
from bitbylaw_pipeline.inbox import collection_states, work_queue
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.wiring import Runtime

WEBHOOK_EVENTS = 50
"""As many as EspoCRM puts into one webhook at most (`facts/espocrm.md` 11)."""
PATIENCE_SECONDS = 120.0


class EngineRun:
    """One worker on one stream, kept lingering: `start`, then `sync` as often as wanted, then `stop`."""

    def __init__(
        self, runtime: Runtime, stream: str = "documents", *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._runtime = runtime
        self._patience_seconds = patience_seconds
        self._stream = stream
        self._stop = asyncio.Event()
        self._beating = asyncio.Event()
        self._finished: dict[str, Finished] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[object] | None = None

    async def start(self) -> None:
        """Starts the worker and returns when it waits for work."""
        self._loop = asyncio.get_running_loop()
        worker = self._runtime.worker(self._stream, polls_feed=False)
        self._task = asyncio.create_task(worker.work(stop=self._stop, record=self._record, beat=self._beat))
        await self._beating.wait()
        await asyncio.sleep(0.3)

    async def sync(self, keys: Sequence[str]) -> float:
        """Wants the keys by webhook-sized portions; seconds from the first want to the last pass recorded."""
        self._finished.clear()
        started = time.perf_counter()
        for start in range(0, len(keys), WEBHOOK_EVENTS):
            portion = list(keys[start : start + WEBHOOK_EVENTS])

            def want(conn: Connection, portion: list[str] = portion) -> None:
                work_queue.want(conn, self._runtime.database.now(conn), self._stream, portion)

            await self._runtime.database.run(want)
            await self._runtime.coordination.wake(self._stream)
        await self._until_finished(set(keys), started)
        return time.perf_counter() - started

    async def _until_finished(self, keys: set[str], started: float) -> None:
        while not keys <= self._finished.keys():
            self._news.clear()
            if (
                time.perf_counter() - started > self._patience_seconds
                or self._task is None
                or self._task.done()
            ):
                raise BenchProblem(f"Only {len(self._finished)} of {len(keys)} passes ended.")
            try:
                async with asyncio.timeout(1.0):
                    await self._news.wait()
            except TimeoutError:
                continue
        errors = [str(one.error) for one in self._finished.values() if one.error is not None]
        if errors:
            raise BenchProblem(f"{len(errors)} passes failed. First: {errors[0]}")

    async def stop(self) -> None:
        """Ends the worker."""
        self._stop.set()
        if self._task is not None:
            await self._task

    def _record(self, finished: Sequence[Finished]) -> None:
        self._finished.update((one.key, one) for one in finished)
        self._loop.call_soon_threadsafe(self._news.set)

    async def _beat(self, _: str) -> bool:
        self._beating.set()
        return True


async def make_collections(runtime: Runtime, matters: Sequence[str]) -> dict[str, str]:
    """The matters' collections, made by the pipeline itself; ids by matter id. Not measured."""
    keys = [f"{MATTER_TYPE}:{matter}" for matter in matters]
    run = EngineRun(runtime, "collections")
    await run.start()
    await run.sync(keys)
    await run.stop()
    states = await runtime.database.run(lambda conn: collection_states.get_many(conn, keys))
    return {key.partition(":")[2]: str(state.collection_id) for key, state in states.items()}
