"""Reconciliation of parties and of bank accounts between EspoCRM and Advoware: both sides whole, and our links.

What differs is found with the engine's own eyes: a trial run, which lists, matches and plans, and writes nothing. What
waits for a person already (a hold, a link in quarantine or ended, parked work) is no drift.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.drift import DriftReport
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import open_work, reconciliations, two_way_desk, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.open_work import InMotion
from bitbylaw_pipeline.sync.call_count import counting
from bitbylaw_pipeline.sync.drift_guards import refuse_shrunken
from bitbylaw_pipeline.sync.pair_drift import Known, drifts_of
from bitbylaw_pipeline.sync.two_way_pairs import Pair, Pairs
from bitbylaw_pipeline.sync.two_way_run import Trial


@dataclass(frozen=True, slots=True)
class PairReconciliation:
    """One pair's Reconciliation. `clock` counts seconds."""

    pair: Pair
    pairs: Pairs
    accepts_smaller: bool = False
    clock: Callable[[], float] = time.perf_counter

    @property
    def flows(self) -> tuple[str, ...]:
        """The pair's name."""
        return (self.pair.value,)

    async def look(self) -> list[DriftReport]:
        """One report. Raises the errors of a list that failed, and Unexpected for one that is not to be believed.

        Where Advoware lists no parties, each linked one is read by itself.
        """
        started, flow, database = self.clock(), self.pair.value, self.pairs.database
        begun_at = await database.run(database.now)
        with counting() as calls:
            wants: tuple[str, ...] = ()
            if not self.pairs.advoware.lists_beteiligte:
                wants = tuple(sorted((await self.pairs.betnrs()).values()))
            trial = await (await self.pairs.reconciler(self.pair, wants=wants)).trial()
            listed = {
                f"espocrm_{flow}": len(trial.run.observed[Side.LEFT].items),
                f"advoware_{flow}": len(trial.run.observed[Side.RIGHT].items),
            }
            known = await self._known(trial, begun_at)
            await self._refuse(trial, listed)
        # Of a part alone nothing can be found to be gone.
        listed["partly_readable_types"] = int(not trial.run.observed[Side.LEFT].complete)
        drifts, busy = drifts_of(self.pair, trial, known)
        return [
            DriftReport(flow, begun_at, tuple(drifts), listed, busy, calls[0], self.clock() - started),
        ]

    async def repair(self, reports: Sequence[DriftReport]) -> int:
        """Wants each record, and a pass over the whole pair for what has none in EspoCRM."""
        return await want_repairs(self.pairs.database, reports)

    async def _refuse(self, trial: Trial, listed: dict[str, int]) -> None:
        former = await asyncio.to_thread(self.pairs.database.read, reconciliations.load)
        before = dict(former[self.pair.value].listed) if self.pair.value in former else {}
        active = trial.run.snapshot.active_links
        # Also before the first one has come to its end: what is linked was there.
        refuse_shrunken(
            self.pair.value,
            listed,
            {name: max(before.get(name, 0), active) for name in listed},
            accepts_smaller=self.accepts_smaller,
        )

    async def _known(self, trial: Trial, begun_at: float) -> Known:
        """What the state says by now, after the lists: what has moved meanwhile is not judged."""
        after = await self.pairs.store(self.pair).load()
        before = {link.link_id: link.row_rev for link in trial.run.snapshot.links}
        moved = [link for link in after.links if before.get(link.link_id) != link.row_rev]
        holds, keys = await asyncio.to_thread(
            self.pairs.database.read, partial(_state, self.pairs.database, self.pair.value, begun_at)
        )
        return Known(
            holds,
            keys.open | keys.later,
            keys.parked,
            {side: frozenset(own for link in moved if (own := link.id(side))) for side in Side},
        )


def _state(
    database: Database, pair: str, begun_at: float, connection: Connection
) -> tuple[frozenset[tuple[str, str]], InMotion]:
    holds = two_way_desk.list_holds(connection, pair)
    return (
        frozenset((hold.subject, hold.why) for hold in holds if not hold.is_notice),
        open_work.load(connection, database.now(connection), pair, begun_at),
    )


async def want_repairs(database: Database, reports: Sequence[DriftReport]) -> int:
    """Puts the repairs that are neither withheld nor a person's into the work queue, all of them or none; how many."""
    wanted: dict[str, set[str]] = {}
    repairs = [drift for report in reports for drift in report.drifts if drift.repair == "queue"]
    for drift in repairs:
        wanted.setdefault(str(drift.stream), set()).add(str(drift.key))
    await database.run(partial(_want, database, wanted))
    return len(repairs)


def _want(database: Database, wanted: dict[str, set[str]], connection: Connection) -> None:
    now = database.now(connection)
    for stream, keys in sorted(wanted.items()):
        work_queue.want(connection, now, stream, keys, priority=work_queue.SWEEP_PRIORITY)
