"""What the two-way engine loads at the begin of a run and stores during it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Conflict, Hold, Link, LinkState, LogEntry


class LinkChanged(Exception):
    """Somebody else changed the link since it was loaded: nothing was stored, the next run looks again."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said about a hold: which side's values to take, or what to do with a record."""

    take: str
    """left, right, create, or link:<id of the record on the other side>."""
    digest: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The records of one side that were ever seen: id -> the number of the observation that showed it first."""

    number: int
    first: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One pair's state at the begin of a run.

    `links` are those asked for; `linked` holds the ids of all links by side. `decisions`: hold subject -> why -> what a
    person said. `approved_deletes` and `approved_updates` are ceilings for the next run. `now` is UTC epoch seconds by
    the store's clock.
    """

    links: Sequence[Link]
    linked: Mapping[Side, frozenset[str]]
    active_links: int
    decisions: Mapping[str, Mapping[str, Decision]]
    approved_deletes: Mapping[Side, int]
    approved_updates: Mapping[Side, int]
    now: float


@dataclass(frozen=True, slots=True)
class Changes:
    """What is stored together or not at all.

    `links` are compared and set: each must still have the revision that it was loaded with (`row_rev`; 0 for a new
    one) and gets the next. A conflict whose winner is "none" stays open under its link and unit, once.
    """

    links: tuple[Link, ...] = ()
    removed: tuple[Link, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    log: tuple[LogEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class HoldChanges:
    """The holds of a run: those found, and whose earlier ones end if they were not found again.

    With a hold that ends, the open conflict of the same link and unit ends too.
    """

    found: Sequence[Hold]
    covers: frozenset[str] | None = None
    """Subjects that the run looked at; None: all of the pair."""
    spares: frozenset[str] = frozenset()
    """Subjects about which it could find out nothing: theirs stay."""


def active(links: Iterable[Link]) -> int:
    """How many of the links are active."""
    return sum(1 for link in links if link.state is LinkState.ACTIVE)
