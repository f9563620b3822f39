"""What a scheduled pass over a whole pair came to, and what becomes of the records that failed in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.entity_pass import Finished


@dataclass(frozen=True, slots=True)
class PairPass:
    """One pass over a pair: `counts` for metadata, `finished` what its records came to."""

    pair: str
    counts: dict[str, int] = field(default_factory=dict)
    finished: Sequence[Finished] = ()
    seconds: float = 0.0
    is_skipped: bool = False
    """Another run has the pair in hand."""
    stopped_by: SyncError | None = None


async def hand_over(database: Database, pair: str, keys: Collection[str]) -> None:
    """What failed is tried again by the queue, with its delays, and parked in the end."""
    if not keys:
        return
    priority = work_queue.SWEEP_PRIORITY
    await database.run(lambda c: work_queue.want(c, database.now(c), pair, sorted(keys), priority=priority))
