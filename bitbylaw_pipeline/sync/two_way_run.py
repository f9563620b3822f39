"""What one run of the two-way engine has found so far; its steps add to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bitbylaw_pipeline.domain.errors import AuthFailed, RateLimited, ScopeRefused, Unreachable
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Hold, Link, Observation
from bitbylaw_pipeline.domain.two_way_match import Matched
from bitbylaw_pipeline.domain.two_way_plan import LinkPlan
from bitbylaw_pipeline.domain.two_way_state import Seen, Snapshot
from bitbylaw_pipeline.sync.two_way_pass import Bench, LinkPass
from bitbylaw_pipeline.sync.two_way_report import RunReport

CHUNK = 500
STOPPING = (AuthFailed, RateLimited, ScopeRefused, Unreachable)
"""Every further call would meet the same; a refused key, or a limit, must not be hammered."""


@dataclass(slots=True)
class Run:
    """One run's findings on the way."""

    observed: Mapping[Side, Observation]
    seen: Mapping[Side, Seen]
    snapshot: Snapshot
    report: RunReport
    bench: Bench
    links: list[Link] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    dissolved: list[Link] = field(default_factory=list)
    """Links that recovery has taken away: their create never landed."""
    spared: set[str] = field(default_factory=set)
    """Subjects about which this run could find out nothing."""
    generations: dict[str, int] | None = field(default=None, init=False)
    """The last generation under each link name in use, worked out when first asked for."""
    stamped: list[Link] = field(default_factory=list)
    """Links that need nothing but a newer stamp."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A run that was only planned. Links with an unfinished operation have no plan: that is settled first."""

    run: Run
    plans: Sequence[tuple[LinkPass, LinkPlan]]
    matched: Matched


def chunks(links: Sequence[Link]) -> Iterator[Sequence[Link]]:
    """Portions that are stored together."""
    for start in range(0, len(links), CHUNK):
        yield links[start : start + CHUNK]
