"""Stands for a stream whose settings make no sense: each pass says why, and the stream pauses as for a refused key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from bitbylaw_pipeline.domain.errors import AuthFailed
from bitbylaw_pipeline.domain.outcome import Outcome

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UnusableStream:
    """A Stream of which nothing can be synced until a person has changed a setting."""

    name: str
    systems: frozenset[str]
    why: str
    """One sentence."""
    system: str
    """The system that pauses."""
    note: Callable[[str, AuthFailed], Awaitable[None]]
    """Told the key and the reason of each pass that was asked for: a standing check shows it."""

    def entity_lock(self, key: str) -> str:
        """A name of its own: nothing is done under it."""
        return f"{self.name}:{key}"

    async def sync(self, key: str) -> Outcome:
        """Raises AuthFailed with the reason."""
        log.warning("unusable", stream=self.name, key=key)
        # A new one each time: a raised error carries the traceback of its raise, and one for all would grow with each.
        refused = AuthFailed(self.why, system=self.system)
        await self.note(key, refused)
        raise refused

    async def describe(self, key: str) -> list[str]:
        """The reason."""
        return [f"{key}: {self.why}"]
