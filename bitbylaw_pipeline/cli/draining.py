"""Asking batches to end before anything is stopped, so that nothing stays leased."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.filters import STREAM_NAMES
from bitbylaw_pipeline.cli.waking import wake_streams
from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.settings import Settings

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Draining:
    """The drain flag of one state database."""

    settings: Settings
    database: Database

    def clear(self) -> None:
        """Takes the flag down: batches may start."""
        self.database.run_sync(lambda conn: batches.clear_flag(conn, batches.DRAIN))

    def drain(self, seconds: float) -> bool:
        """Raises the flag, wakes whoever waits, and waits at most so many seconds; True if no batch runs any more.

        A batch that was only requested is not waited for: its run finds the flag and ends at once.
        """
        try:
            self.database.run_sync(
                lambda conn: batches.set_flag(conn, self.database.now(conn), batches.DRAIN)
            )
            wake_streams(self.settings, STREAM_NAMES)
            deadline = time.monotonic() + seconds
            while self.database.read(self._is_working):
                if time.monotonic() > deadline:
                    log.warning("batches_did_not_end", seconds=seconds)
                    return False
                time.sleep(LOOK_EVERY_SECONDS)
        except DatabaseUnavailable:
            # Stopping must not depend on it; the leases run out by themselves.
            log.warning("not_drained")
            return False
        return True

    def _is_working(self, conn: Connection) -> bool:
        now = self.database.now(conn)
        return any(
            batch.state == batches.RUNNING for name in STREAM_NAMES for batch in batches.live(conn, now, name)
        )
