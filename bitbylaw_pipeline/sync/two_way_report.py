"""What one run of the two-way engine came to: counts, and what happened to each link. Ids and field names only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Hold, Link


@dataclass(frozen=True, slots=True)
class Made:
    """One write that was made."""

    side: Side
    op: str
    fields: tuple[str, ...]


@dataclass(slots=True)
class LinkResult:
    """What became of one link in this run."""

    link: Link
    made: list[Made] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    error: SyncError | None = None
    is_new: bool = False
    is_agreed: bool = False
    """A base moved, with or without a write."""


@dataclass(slots=True)
class RunReport:
    """One run's outcome."""

    links: int = 0
    results: dict[str, LinkResult] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    errors: dict[str, SyncError] = field(default_factory=dict)
    """Failures by subject: a link's id, or "side:id"."""
    overtaken: set[str] = field(default_factory=set)
    """Links that somebody else has in hand now: whoever asked for one of them comes again."""
    unsettled: int = 0
    quarantined: int = 0
    recovered: int = 0
    withheld: int = 0
    stopped_by: SyncError | None = None
    """A system went away in the middle; what was not reached is for the next run."""
    lines: list[str] = field(default_factory=list)
    """The plan in words, for a trial."""

    def result(self, link: Link) -> LinkResult:
        """The link's entry, made if it is not there yet."""
        found = self.results.setdefault(link.link_id, LinkResult(link))
        found.link = link
        return found

    def counts(self) -> dict[str, int]:
        """Everything as numbers, for metadata and log lines."""
        made = Counter(
            f"{one.side.value}_{one.op}s" for result in self.results.values() for one in result.made
        )
        found = {
            "links": self.links,
            "writes": sum(made.values()),
            "conflicts": sum(len(result.conflicts) for result in self.results.values()),
            "held": sum(1 for hold in self.holds if not hold.is_notice),
            "failed": len(self.errors),
            "unsettled": self.unsettled,
            "quarantined": self.quarantined,
            "recovered": self.recovered,
            "withheld": self.withheld,
            "agreed": sum(1 for result in self.results.values() if result.is_agreed),
        }
        return {**found, **dict(sorted(made.items()))}
