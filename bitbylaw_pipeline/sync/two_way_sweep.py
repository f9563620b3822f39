"""The scheduled pass over a whole pair: both sides are listed, everything is put right, failures go into the queue."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.beteiligte_advoware import PartyList
from bitbylaw_pipeline.sync.call_count import counting
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.sync.pair_lease import pair_lease
from bitbylaw_pipeline.sync.pair_pass import PairPass, hand_over
from bitbylaw_pipeline.sync.person_tasks import PersonTasks
from bitbylaw_pipeline.sync.two_way_outcome import outcome_with
from bitbylaw_pipeline.sync.two_way_pairs import Pair, Pairs
from bitbylaw_pipeline.sync.two_way_report import RunReport

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class TwoWaySweep:
    """Passes over whole pairs. Raises the error of a listing that failed: then nothing of that pair was planned."""

    pairs: Pairs
    tasks: PersonTasks
    database: Database
    clock: Callable[[], float] = time.perf_counter

    async def run_pair(self, pair: Pair, parties: PartyList | None = None) -> PairPass:
        """One pass over one pair; skipped while another run has it."""
        async with pair_lease(self.database, pair.value) as is_ours:
            return await self._run_pair(pair, parties) if is_ours else PairPass(pair.value, is_skipped=True)

    async def _run_pair(self, pair: Pair, parties: PartyList | None) -> PairPass:
        started = self.clock()
        with counting() as calls:
            wants = await self.pairs.parties_in_turn()
            reconciler = await self.pairs.reconciler(pair, parties, wants=wants)
            report = await reconciler.run()
            await self.tasks.follow(pair.value)
        seconds = self.clock() - started
        finished, failed = _finished(report, f"advoware/{pair.value}", seconds)
        await hand_over(self.database, pair.value, failed)
        counts = {**report.counts(), "calls": calls[0]}
        log.info("pair_passed", pair=pair.value, seconds=round(seconds, 1), **counts)
        return PairPass(pair.value, counts, finished, seconds, stopped_by=report.stopped_by)


def _finished(report: RunReport, asset: str, seconds: float) -> tuple[list[Finished], list[str]]:
    held: dict[str, list[str]] = {}
    for hold in report.holds:
        if not hold.is_notice:
            held.setdefault(hold.subject, []).append(hold.why)
    finished: list[Finished] = []
    failed: list[str] = []
    for link_id, result in report.results.items():
        key = result.link.left_id
        if key is None:
            continue
        if link_id in report.errors:
            failed.append(key)
            continue
        outcome = outcome_with(key, result, held.get(link_id, ()), asset)
        if outcome.assets or outcome.warning:
            finished.append(Finished(key, outcome, None, is_parked=False, seconds=seconds, calls=0))
    return finished, failed
