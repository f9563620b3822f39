"""When failed work is tried again: from seconds to hours, with full jitter, and never before it was asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryLadder:
    """Delays in seconds: `first` doubles up to `longest`; after `attempts` failures the work is parked."""

    first: float = 5.0
    longest: float = 4 * 3600.0
    attempts: int = 8

    def delay(self, failures: int, chance: float, retry_after: float | None = None) -> float:
        """Seconds to wait after the given number of failures (1 is the first).

        `chance` in [0, 1) spreads the retries of many keys that failed together (full jitter over the upper
        nine tenths, so that a wait is never nothing). A system's own Retry-After is a floor, capped at the
        longest delay: ten days in a header must not silence a document.
        """
        # Beyond 2**1023 a float overflows, and so would the batch of a document that fails for years.
        step = min(self.longest, self.first * 2.0 ** min(max(0, failures - 1), 64))
        jittered = step * (0.1 + 0.9 * chance)
        if retry_after is None or not 0 < retry_after < float("inf"):
            return jittered
        return max(jittered, min(retry_after, self.longest))

    def is_exhausted(self, failures: int) -> bool:
        """True once the work has failed as often as it may."""
        return failures >= self.attempts
