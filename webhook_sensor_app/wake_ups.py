"""Wake-ups over Redis, sent after the commit and never waited for: a batch finds the work by itself soon enough."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from bitbylaw_pipeline.inbox.coordination import Coordination

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 2.0


class WakeUps:
    """Sends at most one wake-up per stream at a time: what comes meanwhile is one further wake-up."""

    def __init__(self, coordination: Coordination | None) -> None:
        self._coordination = coordination
        self._pending: set[str] = set()
        self._sending: asyncio.Task[None] | None = None

    def send(self, streams: Iterable[str]) -> None:
        """Wakes the streams' batches soon."""
        if self._coordination is None:
            return
        self._pending.update(streams)
        if self._pending and self._sending is None:
            self._sending = asyncio.create_task(self._send(self._coordination))

    async def aclose(self) -> None:
        """Gives what is pending a moment to leave."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=CLOSE_SECONDS)

    async def _send(self, coordination: Coordination) -> None:
        try:
            while self._pending:
                await coordination.wake(self._pending.pop())
        except Exception as error:  # noqa: BLE001 - the events are stored, and nobody waits for this task
            log.warning("wake_up_failed", error=type(error).__name__)
        finally:
            self._sending = None
