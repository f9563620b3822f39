"""One party or bank account of EspoCRM, after something may have changed about it: the stream's pass."""

from __future__ import annotations

from dataclasses import dataclass

from bitbylaw_pipeline.domain.outcome import Outcome
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.sync.person_tasks import PersonTasks
from bitbylaw_pipeline.sync.two_way_outcome import outcome_of, park_for_tasks
from bitbylaw_pipeline.sync.two_way_pairs import Pair, Pairs

SYSTEMS = frozenset({"espocrm", "advoware"})


@dataclass(frozen=True, slots=True)
class TwoWayStream:
    """A Stream: keys are ids of EspoCRM's records."""

    pair: Pair
    pairs: Pairs
    tasks: PersonTasks
    entity_type: str

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
        """Reads the record and its counterpart, and puts right what differs."""
        reconciler = await self.pairs.reconciler(self.pair, about=key)
        report = await reconciler.run_one(Side.LEFT, key)
        has_tasks = await self.tasks.follow(self.pair.value)
        outcome = outcome_of(key, report, self.asset)
        if not has_tasks:
            park_for_tasks(key, outcome)
        return outcome

    async def describe(self, key: str) -> list[str]:
        """The lines of a trial run that concern this record."""
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
