"""Commits what came in, many requests at a time, before any of them is answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence

from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import events
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.events import Want
from webhook_sensor_app.intake import Intake
from webhook_sensor_app.refusal import WAIT_SECONDS, unavailable
from webhook_sensor_app.wake_ups import WakeUps

MAX_WAITING = 512
"""Requests that wait for a commit at once; more could not be served before their senders give up."""
ROWS_AT_ONCE = 5000


class Store:
    """While one group of requests is committed, the next gathers.

    `Database.run` groups commits, too, but runs each work's statements by themselves; here a group is one insert and
    one upsert per stream however many requests it consists of (nearly twice as many requests a second). What is in an
    Intake is checked already, so none can spoil its group.
    """

    def __init__(
        self,
        database: Database,
        wake_ups: WakeUps,
        *,
        max_waiting: int = MAX_WAITING,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._database = database
        self._wake_ups = wake_ups
        self._max_waiting = max_waiting
        self._wait_seconds = wait_seconds
        self._waiting = 0
        self._gathered: deque[tuple[Intake, asyncio.Future[None]]] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def commit(self, intake: Intake) -> None:
        """Returns after the commit, and wakes who waits for the work.

        Raises Refusal (503) at once when too many wait already, or after `wait_seconds`; DatabaseUnavailable.
        """
        if self._waiting >= self._max_waiting:
            raise unavailable("overload")
        done = asyncio.get_running_loop().create_future()
        self._gathered.append((intake, done))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await done
        except TimeoutError:
            raise unavailable("commit_takes_too_long") from None
        finally:
            self._waiting -= 1
        self._wake_ups.send(wanted.stream for wanted in intake.wants)

    async def _commit_all(self) -> None:
        try:
            while self._gathered:
                await self._commit_group(self._take_group())
        finally:
            self._committing = None

    def _take_group(self) -> list[tuple[Intake, asyncio.Future[None]]]:
        group = []
        rows = 0
        while self._gathered and rows < ROWS_AT_ONCE:
            intake, done = self._gathered.popleft()
            # Nobody waits for it any more, and its sender was told to come again.
            if not done.done():
                group.append((intake, done))
                rows += intake.accepted
        return group

    async def _commit_group(self, group: Sequence[tuple[Intake, asyncio.Future[None]]]) -> None:
        if not group:
            return
        database = self._database
        received = [event for intake, _ in group for event in intake.received]
        wants = _merged([wanted for intake, _ in group for wanted in intake.wants])

        def work(connection: Connection) -> None:
            events.receive(connection, database.now(connection), received, wants)

        error: Exception | None = None
        try:
            await database.run(work)
        except Exception as raised:  # noqa: BLE001 - it belongs to those who wait
            error = raised
        for _, done in group:
            with contextlib.suppress(asyncio.InvalidStateError):
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)


def _merged(wants: Sequence[Want]) -> list[Want]:
    """One want per stream: a key that several requests name is one generation, which nobody has seen yet."""
    keys: dict[str, dict[str, None]] = {}
    for wanted in wants:
        keys.setdefault(wanted.stream, {}).update(dict.fromkeys(wanted.keys))
    return [Want(stream, list(of_stream)) for stream, of_stream in keys.items()]
