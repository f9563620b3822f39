"""What a reconciliation can find wrong between two systems, and what is done about it: ids and counts only. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar


class DriftKind(StrEnum):
    """The classes of drift."""

    MISSING = "missing"
    """Ought to be there, and is not."""
    ORPHANED = "orphaned"
    """Is there and carries our mark, and nothing of ours belongs to it."""
    STALE_HASH = "stale_hash"
    """There, with a content or values other than those that were agreed."""
    WRONG_COLLECTION = "wrong_collection"
    """There, and in a collection that it does not belong to."""
    DANGLING_REFERENCE = "dangling_reference"
    """A record names something that is not there, or not its own."""
    DUPLICATE_COLLECTION = "duplicate_collection"
    """There more than once."""
    UNINDEXED = "unindexed"
    """There, and not to be found by a search."""
    GONE_IN_ESPOCRM = "gone_in_espocrm"
    """Its record no longer exists in EspoCRM."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that is not as it should be. `says` and `advice` are in words without names, values or file names.

    `stream` and `key` are what the repair puts into the work queue; both None where only a person can put it right, and
    `advice` then says how. `deletes` is how many things the repair takes away from a system.
    """

    flow: str
    kind: DriftKind
    subject: str
    says: str
    stream: str | None = None
    key: str | None = None
    deletes: int = 0
    advice: str = ""
    is_withheld: bool = False
    """Its repair deletes, and more would be deleted at once than is allowed without an approval."""

    @property
    def repair(self) -> str:
        """What is done about it, in a word: queue, withheld or person."""
        if self.stream is None:
            return "person"
        return "withheld" if self.is_withheld else "queue"


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What one reconciliation of one flow came to. `begun_at` is UTC epoch seconds, `seconds` how long it took.

    `listed` says how long each list was, by a name such as `espocrm_documents`; `busy` how many rows were not judged
    because they were in work meanwhile; `calls` how many requests it made.
    """

    flow: str
    begun_at: float
    drifts: tuple[Drift, ...] = ()
    listed: Mapping[str, int] = field(default_factory=dict)
    busy: int = 0
    calls: int = 0
    seconds: float = 0.0

    def counts(self) -> dict[str, int]:
        """How many there are of each class, every class named."""
        found = Counter(drift.kind for drift in self.drifts)
        return {kind.value: found[kind] for kind in DriftKind}

    @property
    def withheld(self) -> int:
        """How many wait for an approval."""
        return sum(1 for drift in self.drifts if drift.is_withheld)


D = TypeVar("D", bound=Drift)
FEW = 3
"""So many deletes are never too large a share, however little there is."""


def are_too_many(deletes: int, total: int, limit: int, share: float) -> bool:
    """True if that many deletes at once, where `total` are listed, wait for an approval."""
    return deletes > limit or deletes > max(FEW, share * total)


def withhold(drifts: Iterable[D], total: int, limit: int, share: float, approved: int) -> list[D]:
    """The drifts, those whose repair deletes withheld where they are too many together and more than is `approved`."""
    found = list(drifts)
    deletes = sum(drift.deletes for drift in found)
    if deletes <= approved or not are_too_many(deletes, total, limit, share):
        return found
    return [replace(drift, is_withheld=True) if drift.deletes else drift for drift in found]
