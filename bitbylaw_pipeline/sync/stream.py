"""What a stream is to the worker: a name, the systems it needs, and one pass over one entity."""

from __future__ import annotations

from typing import Protocol

from bitbylaw_pipeline.domain.outcome import Outcome


class Stream(Protocol):
    """One flow's work: its keys wait in the work queue under `name`."""

    @property
    def name(self) -> str:
        """The stream's name in the work queue."""
        ...

    @property
    def systems(self) -> frozenset[str]:
        """The outside systems without which it cannot work: while one is down, the stream pauses."""
        ...

    def entity_lock(self, key: str) -> str:
        """The name of the lock around one entity: {step}:{entity_type}:{entity_id}."""
        ...

    async def sync(self, key: str) -> Outcome:
        """One pass: load, plan, apply, report. Raises the errors of `domain.errors`."""
        ...

    async def describe(self, key: str) -> list[str]:
        """What a pass would do now, as lines for a person; writes nothing."""
        ...
