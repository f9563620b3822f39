"""What one pass over one entity came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Fact = str | int | float | bool


class Result(StrEnum):
    """The closed set of ways in which a pass can end without an error."""

    SYNCED = "synced"
    """Something was written somewhere, and now both sides agree."""
    UNCHANGED = "unchanged"
    """Read, compared, nothing to do."""
    WAITING = "waiting"
    """It needs something else first (an owner's collection), which has been asked for."""
    DELETED = "deleted"
    """The record is gone in EspoCRM and is unlinked everywhere."""
    WITHHELD = "withheld"
    """Nothing may leave the firm for it: no permission, excluded, or egress is off."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One entity's pass: `assets` are the names of what now exists anew, `facts` its metadata (ids, counts, hashes)."""

    key: str
    result: Result
    facts: Mapping[str, Fact] = field(default_factory=dict)
    assets: tuple[str, ...] = ()
    again_in: float | None = None
    """Seconds after which another pass is due although nothing will have come in (indexing to be looked at)."""
    others: tuple[Outcome, ...] = ()
    """What other keys of the stream came to in the same pass (a pass over a whole pair); recorded like their own."""
    warning: str | None = None
    """A standing problem that is not an error, as one sentence (a file that xAI could not index)."""
