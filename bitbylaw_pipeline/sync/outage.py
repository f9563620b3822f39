"""Telling one bad document from a whole system that is down, and pausing for the latter.

A pause is kept in the database, so that the sensor, `status` and every batch know of it. Failures during an outage
count no attempts: attempts count only while neighbours succeed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from bitbylaw_pipeline.domain.errors import AuthFailed, RateLimited, SyncError, Transient
from bitbylaw_pipeline.inbox import outages
from bitbylaw_pipeline.inbox.database import Database

log = structlog.get_logger(__name__)

Probe = Callable[[], Awaitable[None]]
PROBE_ANSWER_HOLDS_SECONDS = 2.0
AUTH_PAUSE_SECONDS = 60.0
DEFAULT_RATE_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 4 * 3600.0


@dataclass(slots=True)
class OutageWatch:
    """Judges errors and keeps the pauses; `probes` has one cheap read a system."""

    database: Database
    probes: Mapping[str, Probe]
    probe_seconds: float
    _asked: dict[str, tuple[float, SyncError | None]] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def judge(self, error: SyncError) -> float | None:
        """Seconds for which the error's system is paused from now on, or None if the fault is the entity's own."""
        match error:
            case RateLimited():
                wished = error.retry_after if error.retry_after and error.retry_after > 0 else None
                seconds = min(wished or DEFAULT_RATE_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
                return await self._pause(error.system, seconds, "asks us to slow down")
            case AuthFailed():
                return await self._pause(error.system, AUTH_PAUSE_SECONDS, "refuses our key")
            case Transient() if error.system in self.probes:
                if await self._probe(error.system) is None:
                    return None
                return await self._pause(error.system, self.probe_seconds, "does not answer")
            case _:
                return None

    async def lift_if_back(self, system: str) -> bool:
        """Asks a paused system whether it is back; lifts the pause, or prolongs it."""
        error = await self._probe(system)
        if error is None:
            await self.database.run(lambda conn: outages.resume(conn, system))
            log.info("system_back", system=system)
            return True
        await self.judge(error)
        return False

    async def _pause(self, system: str, seconds: float, reason: str) -> float:
        def commit(conn):  # type: ignore[no-untyped-def]
            outages.pause(conn, self.database.now(conn), system, seconds, reason)

        await self.database.run(commit)
        log.warning("system_paused", system=system, seconds=round(seconds, 1), reason=reason)
        return seconds

    async def _probe(self, system: str) -> SyncError | None:
        """The probe's error, or None if the system answers; many failures at once share one probe."""
        probe = self.probes.get(system)
        if probe is None:
            return None
        async with self._locks.setdefault(system, asyncio.Lock()):
            asked_at, error = self._asked.get(system, (float("-inf"), None))
            if time.monotonic() - asked_at < PROBE_ANSWER_HOLDS_SECONDS:
                return error
            try:
                await probe()
                error = None
            except SyncError as failure:
                error = failure
            self._asked[system] = (time.monotonic(), error)
            return error
