"""Reads what the status page shows, at most once in a while, however many ask, and never for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import alerts
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.overview import Overview, read_overview
from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.refusal import WAIT_SECONDS

KEEP_SECONDS = 2.0
_STATEMENT_MS = 5000


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """Something that people were told of and that lasts; `since` is in UTC epoch seconds."""

    kind: str
    subject: str
    says: str
    advice: str
    link: str | None
    since: float


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the page shows, as of one moment."""

    overview: Overview
    alerts: Sequence[OpenAlert]


class StatusReading:
    """The facts, read in a thread of their own beside any writer; `clock` is monotonic, in seconds.

    One read at a time, even where it hangs: webhooks need the connections and the processor more. What it came to,
    facts or error, is kept for `KEEP_SECONDS`.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        wait_seconds: float = WAIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._database = database
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._reading: asyncio.Task[Facts] | None = None
        self._ended_at = float("-inf")

    async def facts(self) -> Facts:
        """The facts, at most `KEEP_SECONDS` old.

        Raises DatabaseUnavailable, and TimeoutError if the database does not answer within `wait_seconds`.
        """
        reading = self._reading
        if reading is None or (reading.done() and self._clock() - self._ended_at > KEEP_SECONDS):
            reading = self._reading = asyncio.create_task(self._read())
            reading.add_done_callback(self._note_end)
        async with asyncio.timeout(self._wait_seconds):
            return await asyncio.shield(reading)

    async def _read(self) -> Facts:
        return await asyncio.to_thread(self._database.read, self._read_all)

    def _read_all(self, connection: Connection) -> Facts:
        if not self._database.is_sqlite:
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_STATEMENT_MS}")
        overview = read_overview(connection, self._database.now(connection), self._settings)
        return Facts(overview, read_alerts(connection))

    def _note_end(self, reading: asyncio.Task[Facts]) -> None:
        self._ended_at = self._clock()
        # Looked at here, or asyncio complains of an error that nobody waited for long enough to see.
        if not reading.cancelled():
            reading.exception()


def read_alerts(connection: Connection) -> list[OpenAlert]:
    """Every alert that has not ended, the oldest first."""
    return [
        OpenAlert(
            one.trouble.kind.value,
            one.trouble.subject,
            one.trouble.says,
            one.trouble.advice,
            one.trouble.link,
            one.first_at,
        )
        for one in alerts.open_ones(connection)
    ]
