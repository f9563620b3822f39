"""The webhooks registered in EspoCRM, as the receiver remembers them for some seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import webhook
from webhook_sensor_app.refusal import WAIT_SECONDS

KEEP_SECONDS = 5.0
UNKNOWN_SECONDS = 1.0
"""How soon an unknown id is looked for again: a new registration counts at once, a flood of made-up ids costs
one read a second."""
GRACE_SECONDS = 3600.0
"""How long a replaced webhook's secret is still good: EspoCRM repeats a delivery for about 30 minutes
(`facts/espocrm.md` 11)."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A webhook whose signature counts."""

    webhook_id: str
    event: str
    secret: bytes = field(repr=False)


def read_registrations(database: Database, connection: Connection) -> dict[str, Registration]:
    """Every webhook that is active or was replaced within the grace period, by id.

    Raises CipherError if the secrets were stored under another key.
    """
    oldest = database.now(connection) - GRACE_SECONDS
    rows = connection.execute(
        select(webhook).where(webhook.c.is_active | (webhook.c.replaced_at > oldest))
    ).all()
    return {
        row.webhook_id: Registration(row.webhook_id, row.event, database.cipher.decrypt(row.secret).encode())
        for row in rows
    }


class Registrations:
    """Looks webhooks up in memory, and in the database when what is remembered is too old."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.monotonic,
        *,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._known: Mapping[str, Registration] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def find(self, webhook_id: str) -> Registration | None:
        """The registration of that id, None if there is none.

        Raises DatabaseUnavailable, TimeoutError if the database does not answer within `wait_seconds`, and CipherError.
        """
        age = self._clock() - self._read_at
        if age > (KEEP_SECONDS if webhook_id in self._known else UNKNOWN_SECONDS):
            await self._read_once()
        return self._known.get(webhook_id)

    async def _read_once(self) -> None:
        # All who wait share one read: one after the other they would wait out a dead database's timeout in a row.
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        async with asyncio.timeout(self._wait_seconds):
            await asyncio.shield(self._reading)

    async def _read(self) -> None:
        try:
            database = self._database
            started_at = self._clock()
            self._known = await database.run(lambda connection: read_registrations(database, connection))
            self._read_at = started_at
        finally:
            self._reading = None
