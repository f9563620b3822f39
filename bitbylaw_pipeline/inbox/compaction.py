"""Makes what was deleted from the state database unreadable in its files, too."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from sqlalchemy import text

from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import metadata

TRIES = 3


def compact(database: Database) -> bool:
    """SQLite: writes the file anew and empties its log; False while a reader keeps the log from being emptied.

    PostgreSQL: a plain VACUUM, after which the space of deleted rows is free to be written over; its files do not shrink.
    """
    if database.is_sqlite:
        return any(_compact_file(database) for _ in range(TRIES))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as opened:
        for table in metadata.sorted_tables:
            opened.execute(text(f'VACUUM "{table.name}"'))
    return True


def _compact_file(database: Database) -> bool:
    # SQLAlchemy would begin a transaction, and VACUUM does not run in one.
    with closing(database.engine.raw_connection()) as connection:
        try:
            connection.cursor().execute("VACUUM")
            busy, _, _ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            # A writer that did not end within SQLite's own wait.
            return False
    return not busy
