"""Telling one bad document from a whole system that is down, and pausing for the latter.

A pause is kept in the database, so that the sensor, `status` and every batch know of it. Failures during an outage
count no attempts: attempts count only while neighbours succeed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.errors import AuthFailed, RateLimited, ScopeLimited, SyncError, Transient
from bitbylaw_pipeline.inbox import outages
from bitbylaw_pipeline.inbox.database import Database

log = structlog.get_logger(__name__)

Probe = Callable[[], Awaitable[None]]
BAD_NEWS_HOLDS_SECONDS = 2.0
AUTH_PAUSE_SECONDS = 60.0
REFUSED = outages.REFUSED
"""The reason of a pause after a refused key; `doctor` does not try such a one again."""
DEFAULT_RATE_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class Pauses:
    """Which of the systems are to be left alone, and which of them are ours to ask whether they are back."""

    seconds_left: float | None = None
    """Until the first of them is to be asked again; None if none of them is paused."""
    to_probe: Mapping[str, float] = field(default_factory=dict)
    """By system, the time until which it stays paused for everybody else meanwhile (UTC epoch seconds)."""

    @property
    def is_open(self) -> bool:
        """True if nothing is paused."""
        return self.seconds_left is None


@dataclass(frozen=True, slots=True)
class _Answer:
    asked_at: float
    ended_at: float
    error: SyncError | None


@dataclass(slots=True)
class OutageWatch:
    """Judges errors and keeps the pauses; `probes` has one cheap read a system. Times are in seconds."""

    database: Database
    probes: Mapping[str, Probe]
    probe_seconds: float
    auth_seconds: float = AUTH_PAUSE_SECONDS
    """Ten refused keys within a minute lock our whole address out of EspoCRM (`facts/espocrm.md` 0.15)."""
    _answers: dict[str, _Answer] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def judge(self, error: SyncError) -> float | None:
        """Seconds for which the error's system is paused from now on, or None if the fault is the entity's own.

        A limit of one employee alone ("google:AB") pauses nobody else: its seconds are the entity's delay.
        """
        match error:
            case ScopeLimited():
                # A pause is kept for what can be asked whether it is back: this one would never end.
                return min(error.retry_after or DEFAULT_RATE_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            case RateLimited() | AuthFailed():
                return await self._pause_for(error, error.system)
            case Transient() if error.system in self.probes:
                found = await self._probe(error.system)
                return None if found is None else await self._pause_for(found, error.system)
            case _:
                return None

    def look(self, conn: Connection, now: float, systems: Collection[str]) -> Pauses:
        """The pauses among these systems, in the caller's transaction.

        A pause whose time is over ends only when the system answers a probe: the first thing after an outage is one
        cheap read, not sixteen documents. Whoever looks first gets to ask, the others see the pause prolonged.
        """
        left: list[float] = []
        to_probe: dict[str, float] = {}
        for outage in outages.listing(conn):
            if outage.system not in systems:
                continue
            if outage.until <= now:
                to_probe[outage.system] = now + self.probe_seconds
                outages.pause(conn, now, outage.system, self.probe_seconds, outage.reason)
            left.append(max(outage.until - now, 0.0))
        return Pauses(min(left) if left else None, to_probe)

    async def may_call(self, systems: Collection[str]) -> bool:
        """True if none of the systems is paused (any more); asks those whose pause is over."""
        pauses = await self.database.run(lambda conn: self.look(conn, self.database.now(conn), systems))
        if pauses.is_open:
            return True
        await self.ask_paused(pauses)
        return (
            await self.database.run(lambda conn: self.look(conn, self.database.now(conn), systems))
        ).is_open

    async def ask_paused(self, pauses: Pauses) -> bool:
        """Asks the systems that are ours to ask; lifts the pauses or prolongs them. True if any is back."""
        is_any_back = False
        for system, paused_until in pauses.to_probe.items():
            error = await self._probe(system)
            if error is not None:
                await self._pause_for(error, system)
            elif await self._resume(system, paused_until):
                log.info("system_back", system=system)
                is_any_back = True
        return is_any_back

    async def _resume(self, system: str, paused_until: float) -> bool:
        def commit(conn: Connection) -> bool:
            # Somebody may have been told meanwhile to keep away for longer: then that stands.
            is_as_we_left_it = any(
                outage.system == system and outage.until <= paused_until for outage in outages.listing(conn)
            )
            return is_as_we_left_it and outages.resume(conn, system)

        return await self.database.run(commit)

    async def _pause_for(self, error: SyncError, system: str) -> float:
        """Pauses for as long as the error asks for, and never for less than its kind needs."""
        wished = max(0.0, getattr(error, "retry_after", None) or 0.0)
        match error:
            case RateLimited():
                seconds, reason = wished or DEFAULT_RATE_PAUSE_SECONDS, "asks us to slow down"
            case AuthFailed():
                seconds, reason = self.auth_seconds, REFUSED
            case _:
                seconds, reason = max(self.probe_seconds, wished), "does not answer"
        seconds = min(seconds, LONGEST_PAUSE_SECONDS)

        def commit(conn: Connection) -> bool:
            now = self.database.now(conn)
            known = any(outage.system == system and outage.until > now for outage in outages.listing(conn))
            outages.pause(conn, now, system, seconds, reason)
            return known

        # Sixteen documents under way fail together: that is one outage, said once.
        if not await self.database.run(commit):
            log.warning("system_paused", system=system, seconds=round(seconds, 1), reason=reason)
        return seconds

    async def _probe(self, system: str) -> SyncError | None:
        """The probe's error, or None if the system answers; many failures at once share one probe."""
        probe = self.probes.get(system)
        if probe is None:
            return None
        came = time.monotonic()
        async with self._locks.setdefault(system, asyncio.Lock()):
            known = self._answers.get(system)
            if known is not None and self._still_counts(known, came):
                return known.error
            asked_at = time.monotonic()
            error = await _ask(probe, system)
            self._answers[system] = _Answer(asked_at, time.monotonic(), error)
            return error

    def _still_counts(self, answer: _Answer, came: float) -> bool:
        if answer.error is None:
            # Good news from before the failure proves nothing: the system may have gone down since.
            return answer.asked_at >= came
        return time.monotonic() - answer.ended_at < min(BAD_NEWS_HOLDS_SECONDS, self.probe_seconds / 2)


async def _ask(probe: Probe, system: str) -> SyncError | None:
    try:
        await probe()
    except SyncError as failure:
        return failure
    except Exception as bug:  # noqa: BLE001  # a probe's fault must not end the batch that asked
        log.error("probe_failed", system=system, error=type(bug).__name__)  # noqa: TRY400  # no foreign texts
        return Transient(f"The probe failed with {type(bug).__name__}.", system=system)
    return None
