"""The arithmetic of the benchmark: percentiles, medians with their range, and an open loop's schedule."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed (nearest rank, nothing invented).

    Raises ValueError where there are no values, or for a share outside 0 to 1.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError("A percentile needs values and a share from 0 to 1.")
    ordered = sorted(values)
    # 0.07 * 100 is a little above 7: without the rounding its rank would be 8.
    rank = math.ceil(round(share * len(ordered), 9))
    return ordered[max(0, rank - 1)]


@dataclass(frozen=True, slots=True)
class Spread:
    """A number measured several times."""

    median: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread:
    """Median and range; raises ValueError without values."""
    if not values:
        raise ValueError("A spread needs values.")
    return Spread(statistics.median(values), min(values), max(values))


def schedule(per_second: float, seconds: float) -> Iterator[float]:
    """The moments (seconds from the start) at which an open loop sends, whatever became of the earlier requests."""
    if per_second <= 0 or seconds <= 0:
        raise ValueError("An open loop needs a rate and a duration above zero.")
    # By multiplication: adding up 1/rate would drift.
    for number in range(round(per_second * seconds)):
        yield number / per_second
