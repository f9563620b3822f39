"""From a finished pass to a completed row: recorded first (in Dagster), only then called done in the queue.

The other way round, a crash in between would lose the materialization without a word.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.retry import RetryLadder
from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.inbox.work_queue import Claim
from bitbylaw_pipeline.sync.entity_pass import Ended, Finished

log = structlog.get_logger(__name__)

Recorder = Callable[[Sequence[Finished]], None]
"""Blocking; called in a thread, never concurrently; work is completed only after it has returned."""

RECORD_WITHIN_SECONDS = 0.5
"""In a burst. A chunk costs Dagster's storage some 15 ms whatever is in it: at 0.1 s that was 2 ms a document."""
MOST_AT_ONCE = 200


@dataclass(slots=True)
class Completion:
    """Gathers what has ended and settles it in chunks: within half a second, at once where nothing else is under way."""

    database: Database
    ladder: RetryLadder
    record: Recorder
    is_busy: Callable[[], bool]
    let_go: Callable[[Sequence[Claim]], None]
    """Told the claims whose rows are settled."""
    counts: Counter[str] = field(default_factory=Counter)
    _ended: list[Ended] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def add(self, ended: Ended) -> None:
        """Takes in a pass that has ended."""
        self._ended.append(ended)
        self._news.set()

    async def run(self) -> None:
        """Settles for ever; cancelled by the worker, which then calls `flush` itself."""
        while True:
            await self._news.wait()
            waited = 0.0
            while self.is_busy() and waited < RECORD_WITHIN_SECONDS and len(self._ended) < MOST_AT_ONCE:
                await asyncio.sleep(0.01)
                waited += 0.01
            self._news.clear()
            await self.flush()

    async def flush(self) -> None:
        """Records and settles everything that has ended so far.

        Raises what the recorder raises; what it did not record is not done either, and its leases are still held.
        """
        async with self._turn:
            chunk, self._ended = self._ended, []
            if chunk:
                await asyncio.to_thread(self.record, [ended.finished for ended in chunk])
                await self._settle(chunk)

    async def _settle(self, chunk: Sequence[Ended]) -> None:
        for ended in chunk:
            outcome = ended.finished.outcome
            self.counts[
                outcome.result.value if outcome else ("parked" if ended.finished.is_parked else "retried")
            ] += 1
        try:
            await self.database.run(lambda conn: self._write(conn, chunk))
        except DatabaseUnavailable:
            # The leases run out; the next claim finds that nothing is left to do for these, cheaply.
            log.warning("not_completed", entities=len(chunk))
        self.let_go([ended.claim for ended in chunk])

    def _write(self, conn: Connection, chunk: Sequence[Ended]) -> None:
        now = self.database.now(conn)
        done = [ended for ended in chunk if ended.finished.outcome is not None]
        again = {
            ended.claim.key: now + ended.finished.outcome.again_in
            for ended in done
            if ended.finished.outcome is not None and ended.finished.outcome.again_in is not None
        }
        work_queue.complete(conn, now, [ended.claim for ended in done], again=again)
        for ended in chunk:
            error = ended.finished.error
            if error is None:
                continue
            text = f"{type(error).__name__}: {error}"
            if ended.finished.is_parked:
                reason = getattr(error, "reason", "attempts_exhausted")
                work_queue.park(conn, now, ended.claim, reason=reason, error=text)
            elif ended.pause is not None:
                # A little apart, so that a system that has just come back is not met by everyone at once.
                delay = ended.pause + random.uniform(0.0, min(2.0, ended.pause))
                work_queue.retry(conn, now, ended.claim, error=text, delay=delay, counts=False)
            else:
                wished = getattr(error, "retry_after", None)
                delay = self.ladder.delay(ended.claim.attempts + 1, random.random(), wished)
                work_queue.retry(conn, now, ended.claim, error=text, delay=delay)
