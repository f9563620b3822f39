"""How often one caller may call: a bucket of tokens for each, refilled at a steady rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable


class TokenBuckets:
    """One bucket per name, full at the beginning; `clock` is monotonic, in seconds."""

    def __init__(
        self,
        names: Iterable[str],
        *,
        per_minute: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_minute / 60
        self._burst = float(burst)
        self._clock = clock
        self._buckets = dict.fromkeys(names, (self._burst, clock()))

    def take(self, name: str) -> float:
        """Takes a token and returns 0, or, where there is none, the seconds until there is one."""
        tokens, filled_at = self._buckets[name]
        now = self._clock()
        tokens = min(self._burst, tokens + (now - filled_at) * self._per_second)
        is_granted = tokens >= 1
        self._buckets[name] = (tokens - 1 if is_granted else tokens, now)
        return 0.0 if is_granted else (1 - tokens) / self._per_second
