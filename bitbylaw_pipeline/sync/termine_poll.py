"""Asks each employee's window for changes between the passes: one list call of each side, and nothing is taken in.

Who has changed is given a pass, which reads both sides anew; so a poll may well be wrong towards "changed". What a pass
writes is seen by the next poll, leads to one more pass, which writes nothing, and that is the end of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.advoware_termin_rows import Termin
from bitbylaw_pipeline.domain.errors import ScopeRefused, SyncError
from bitbylaw_pipeline.inbox import calendar_passes, events, work_queue
from bitbylaw_pipeline.inbox.calendar_passes import ENTITY_TYPE, STREAM, TOPIC
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.sync.outage import OutageWatch
from bitbylaw_pipeline.sync.termine_pairs import TerminePairs
from bitbylaw_pipeline.sync.termine_stream import SYSTEMS

log = structlog.get_logger(__name__)

CONCURRENCY = 8
"""Employees asked at once; how many calls a system gets at once is the clients' to say."""
LONGEST_SECONDS = 40.0
"""A tick of Dagster's has 60 seconds. Who is not reached comes first the next time."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a poll remembers of one employee.

    `digest` is of Advoware's window, "" before the first poll. `until` is when Google may be asked again about a
    calendar whose limits were exceeded (UTC epoch seconds).
    """

    digest: str = ""
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class PollReport:
    """What one poll came to. `memory` is for the next one, in the order in which it is to ask.

    `asked` counts the employees whose both sides answered, `wanted` are those that get a pass, `left` those whose
    question was refused, each with the error's class.
    """

    memory: Mapping[str, Memory]
    asked: int = 0
    wanted: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    is_down: bool = False
    """Advoware or Google is down for everybody."""


@dataclass(slots=True)
class _Round:
    """One poll under way."""

    memory: dict[str, Memory]
    asked: int = 0
    changed: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    is_down: bool = False


@dataclass(frozen=True, slots=True)
class TerminePoll:
    """Polls all employees with a calendar; good for any number of polls. Times are in seconds."""

    pairs: TerminePairs
    outage_watch: OutageWatch
    coordination: Coordination
    concurrency: int = CONCURRENCY
    longest_seconds: float = LONGEST_SECONDS

    async def run(self, memory: Mapping[str, Memory]) -> PollReport:
        """One poll: wants a pass for whoever has changed, or was never asked before. Raises DatabaseUnavailable.

        Left alone are those who get a pass anyway, those who are parked (their next pass is the schedule's), and
        everybody while Advoware or Google is down. One employee's refusal is noted by that one's pass, and holds up nobody.
        """
        kept = {one: memory[one] for one in memory if one in self.pairs.calendars}
        order = [*(one for one in self.pairs.calendars if one not in kept), *kept]
        if not await self.outage_watch.may_call(SYSTEMS):
            return PollReport(kept, is_down=True)
        to_ask = await self.pairs.database.run(lambda conn: self._to_ask(conn, order, kept))
        under_way = _Round(kept)
        try:
            async with asyncio.timeout(self.longest_seconds):
                await self._ask_all(to_ask, under_way)
        except TimeoutError:
            log.warning("poll_too_slow", employees=len(to_ask), asked=under_way.asked)
        wanted = await self._want(under_way.changed)
        return PollReport(
            under_way.memory, under_way.asked, wanted, dict(sorted(under_way.left.items())), under_way.is_down
        )

    def _to_ask(self, conn: Connection, order: list[str], memory: Mapping[str, Memory]) -> list[str]:
        now = self.pairs.database.now(conn)
        return [
            one
            for one in order
            if memory.get(one, Memory()).until <= now and _is_quiet(work_queue.get(conn, STREAM, one))
        ]

    async def _ask_all(self, employees: list[str], under_way: _Round) -> None:
        slots = asyncio.Semaphore(self.concurrency)

        async def ask(kuerzel: str) -> None:
            async with slots:
                if not under_way.is_down:
                    await self._ask(kuerzel, under_way)

        try:
            async with asyncio.TaskGroup() as group:
                for kuerzel in employees:
                    group.create_task(ask(kuerzel))
        except ExceptionGroup as failures:
            # By itself: whoever called has a sentence for a database that is away, and none for a group.
            raise failures.exceptions[0] from None

    async def _ask(self, kuerzel: str, under_way: _Round) -> None:
        before = under_way.memory.get(kuerzel, Memory())
        try:
            has_changed = await self.pairs.mirror(kuerzel).has_changed()
            digest = await self._digest(kuerzel)
        except SyncError as error:
            under_way.left[kuerzel] = type(error).__name__
            if isinstance(error, ScopeRefused):
                # Its pass meets the same, notes it and is parked: a person hears of it now, and is asked no more.
                under_way.changed.append(kuerzel)
            await self._heed(error, kuerzel, before, under_way)
            return
        under_way.asked += 1
        if has_changed or digest != before.digest:
            under_way.changed.append(kuerzel)
        _remember(under_way, kuerzel, Memory(digest))

    async def _heed(self, error: SyncError, kuerzel: str, before: Memory, under_way: _Round) -> None:
        seconds = await self.outage_watch.judge(error)
        log.info("poll_refused", kuerzel=kuerzel, error=type(error).__name__, says=str(error))
        if seconds is not None and error.system in SYSTEMS:
            under_way.is_down = True
            return
        now = await self.pairs.database.run(self.pairs.database.now)
        # This calendar's limits: each question before their time prolongs them.
        _remember(under_way, kuerzel, replace(before, until=now + (seconds or 0.0)))

    async def _digest(self, kuerzel: str) -> str:
        """What tells this state of the window from any other: all of it that a pass looks at, hashed."""
        window = self.pairs.rules.window(self.pairs.clock())
        found = await self.pairs.termine.list_for(kuerzel, window.first, window.last)
        rows = sorted((self._told(one) for one in found if not one.is_synthetic), key=lambda row: row[0])
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:32]

    def _told(self, one: Termin) -> list[Any]:
        # Not the row as it came: a member that is made up anew for each answer would ask for a pass each minute.
        return [
            one.fr_nr,
            one.changed_at.isoformat() if one.changed_at else None,
            [one.times.start, one.times.end, one.times.is_all_day] if one.times else None,
            [one.series.rrule, one.series.reason] if one.series else None,
            one.text,
            one.notiz,
            one.ort,
            one.is_private,
            self.pairs.rules.fristen.counts(one.text, one.raw),
        ]

    async def _want(self, changed: list[str]) -> tuple[str, ...]:
        if not changed:
            return ()
        database = self.pairs.database
        event_id = uuid.uuid4().hex

        def commit(conn: Connection) -> list[str]:
            now = database.now(conn)
            items = [(ENTITY_TYPE, one, "update") for one in sorted(changed)]
            events.record(conn, now, "feed", TOPIC, items, "", event_id)
            return calendar_passes.want_passes(conn, now, sorted(changed), priority=work_queue.EVENT_PRIORITY)

        wanted = await database.run(commit)
        await self.coordination.wake(STREAM)
        log.info("poll_wanted", event_id=event_id, employees=wanted)
        return tuple(wanted)


def _is_quiet(row: work_queue.WorkRow | None) -> bool:
    # A parked row is open, too: a want would lift it back into the queue every minute, to be refused again.
    return row is None or row.wanted <= row.done


def _remember(under_way: _Round, kuerzel: str, memory: Memory) -> None:
    # At the end: who was asked the longest ago is asked first.
    under_way.memory.pop(kuerzel, None)
    under_way.memory[kuerzel] = memory
