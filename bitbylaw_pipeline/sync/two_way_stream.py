"""One party or bank account of EspoCRM, after something may have changed about it: the stream's pass."""

from __future__ import annotations

from dataclasses import dataclass

from bitbylaw_pipeline.domain.outcome import Outcome, Result
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.sync.person_tasks import PersonTasks
from bitbylaw_pipeline.sync.two_way_outcome import outcome_of, park_for_tasks
from bitbylaw_pipeline.sync.two_way_pairs import Pair, Pairs
from bitbylaw_pipeline.sync.two_way_sweep import TwoWaySweep

SYSTEMS = frozenset({"espocrm", "advoware"})
PASS = "pass"  # noqa: S105  # a key of the work queue, no password
"""The key of a pass over the whole pair: what exists at Advoware alone has no record in EspoCRM to be asked for."""
AGAIN_SECONDS = 60.0
"""After which a pass over the whole pair is tried again that found another one at work."""


@dataclass(frozen=True, slots=True)
class TwoWayStream:
    """A Stream: keys are ids of EspoCRM's records, and `pass`."""

    pair: Pair
    pairs: Pairs
    tasks: PersonTasks
    entity_type: str
    sweep: TwoWaySweep

    @property
    def name(self) -> str:
        """The stream's name in the work queue."""
        return self.pair.value

    @property
    def systems(self) -> frozenset[str]:
        """EspoCRM and Advoware."""
        return SYSTEMS

    @property
    def asset(self) -> str:
        """The asset that a pass materializes."""
        return f"advoware/{self.pair.value}"

    def entity_lock(self, key: str) -> str:
        """`beteiligte_sync:CBeteiligte:{id}`."""
        return f"{self.pair.value}_sync:{self.entity_type}:{key}"

    async def sync(self, key: str) -> Outcome:
        """Reads the record and its counterpart, and puts right what differs; under `pass`, all of them."""
        if key == PASS:
            return await self._pass()
        reconciler = await self.pairs.reconciler(self.pair, about=key)
        report = await reconciler.run_one(Side.LEFT, key)
        has_tasks = await self.tasks.follow(self.pair.value)
        outcome = outcome_of(key, report, self.asset)
        if not has_tasks:
            park_for_tasks(key, outcome)
        return outcome

    async def describe(self, key: str) -> list[str]:
        """The lines of a trial run that concern this record; under `pass`, all of them."""
        if key == PASS:
            wants = await self.pairs.parties_in_turn()
            whole = await self.pairs.reconciler(self.pair, wants=wants)
            return (await whole.plan()).lines or ["Nothing to do."]
        links = (await self.pairs.store(self.pair).load(left_ids=[key])).links
        # Where Advoware lists no parties, a linked one is looked at only if it is named.
        wants = (
            tuple(link.right_id for link in links if link.right_id) if self.pair is Pair.BETEILIGTE else ()
        )
        reconciler = await self.pairs.reconciler(self.pair, wants=wants, about=key)
        report = await reconciler.plan()
        ids = {f"left:{key}", *(link.link_id for link in links)}
        lines = [line for line in report.lines if line.partition(": ")[0] in ids]
        return lines or ["Nothing to do."]

    async def _pass(self) -> Outcome:
        passed = await self.sweep.run_pair(self.pair)
        if passed.stopped_by is not None:
            raise passed.stopped_by
        if passed.is_skipped:
            # The other one may have listed before what this one was wanted for.
            return Outcome(PASS, Result.WAITING, again_in=AGAIN_SECONDS)
        outcomes = [one.outcome for one in passed.finished if one.outcome is not None]
        return Outcome(
            PASS,
            Result.SYNCED if passed.counts["writes"] or passed.counts["agreed"] else Result.UNCHANGED,
            facts=dict(passed.counts),
            # As after a scheduled pass: what is held is shown by the asset's checks, not by an event each time.
            others=tuple(one for one in outcomes if one.assets),
        )
