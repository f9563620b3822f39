"""Advoware without its connector is left alone for more than a minute; nobody wants to watch that in a demo."""

from __future__ import annotations

from sqlalchemy import Connection, update

from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import outage, work

SECONDS = 120.0


def skip_long_wait(database: Database) -> None:
    """Lets the pause of Advoware, and what waits because of it, be over now; all else goes by itself."""

    def commit(conn: Connection) -> None:
        conn.execute(
            update(outage).where(outage.c.system == "advoware").values(until=outage.c.until - SECONDS)
        )
        now = database.now(conn)
        is_late = work.c.not_before > now
        conn.execute(update(work).where(is_late).values(not_before=now))

    database.run_sync(commit)
