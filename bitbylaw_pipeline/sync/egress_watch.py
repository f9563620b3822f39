"""Breaks off what is leaving the firm, within seconds after the kill switch is thrown."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from bitbylaw_pipeline.inbox import egress_switch
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 1.0
T = TypeVar("T")


class EgressStopped(Exception):  # not an error: somebody stopped all egress on purpose
    """The kill switch is on: what was to leave has not left, or may have and is journaled as unclear."""


@dataclass(slots=True)
class EgressWatch:
    """Looks at the switch once a second while something is leaving, and not at all while nothing is."""

    database: Database
    look_every: float = LOOK_EVERY_SECONDS
    _leaving: set[asyncio.Task[Any]] = field(default_factory=set)
    _broken_off: set[asyncio.Task[Any]] = field(default_factory=set)
    _timer: asyncio.TimerHandle | None = None
    _look: asyncio.Task[None] | None = None

    async def unless_stopped(self, leaving: Coroutine[Any, Any, T]) -> T:
        """Its result; it is cancelled once the switch is thrown, and EgressStopped raised."""
        task = asyncio.create_task(leaving)
        self._leaving.add(task)
        self._look_later()
        try:
            await asyncio.wait([task])
        finally:
            self._leaving.discard(task)
            if not self._leaving and self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not task.done():  # the pass itself was cancelled
                task.cancel()
                await asyncio.wait([task])
            is_broken_off = task in self._broken_off
            self._broken_off.discard(task)
        if is_broken_off and (task.cancelled() or task.exception() is not None):
            raise EgressStopped
        return task.result()

    def _look_later(self) -> None:
        if self._timer is None and (self._look is None or self._look.done()):
            self._timer = asyncio.get_running_loop().call_later(self.look_every, self._begin_look)

    def _begin_look(self) -> None:
        self._timer = None
        self._look = asyncio.create_task(self._look_now())

    async def _look_now(self) -> None:
        try:
            is_stopped = await asyncio.to_thread(self.database.read, egress_switch.is_stopped)
        except DatabaseUnavailable:
            is_stopped = (
                False  # nothing new begins without the state; what is on its way goes on until it answers
            )
        except Exception as error:  # noqa: BLE001  # it would end the looking, and nothing be broken off any more
            log.error("egress_watch_failed", error=type(error).__name__)  # noqa: TRY400  # a driver's text may hold values
            is_stopped = False
        if is_stopped and self._leaving:
            log.warning("egress_broken_off", count=len(self._leaving))
            self._broken_off |= self._leaving
            for task in self._leaving:
                task.cancel()
        self._look = None
        if self._leaving:
            self._look_later()
