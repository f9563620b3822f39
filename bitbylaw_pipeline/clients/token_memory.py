"""Tokens that outlive one runtime, in this process's memory: a sensor's tick opens a new runtime each time.

Without it the poll for changes logged in to Advoware and asked for every employee's token at Google once a minute.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from bitbylaw_pipeline.clients.google_tokens import KeptTokens


@dataclass(slots=True)
class TokenMemory:
    """For all runtimes of a process. `clock` is UTC epoch seconds."""

    clock: Callable[[], float] = time.time
    google: dict[str, KeptTokens] = field(default_factory=dict, repr=False)
    """By the service account and the address that gave the tokens."""
    _texts: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)

    async def cache_get(self, key: str) -> str | None:
        """The text, None if it is not there or its time is over."""
        text, until = self._texts.get(key, ("", 0.0))
        return text if until > self.clock() else None

    async def cache_put(self, key: str, text: str, ttl: float) -> None:
        """Keeps the text for so many seconds."""
        self._texts[key] = (text, self.clock() + ttl)

    @contextlib.asynccontextmanager
    async def lock(self, name: str, ttl: float, *, wait: float = 0.0) -> AsyncIterator[bool]:
        """Nothing: it would only save a second login of two ticks at once."""
        del name, ttl, wait
        yield True
