"""Engines for the two databases, set so that a commit is durable and no wait is without end."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import QueuePool

SQLITE_BUSY_SECONDS = 30.0
READ_ONLY = "bitbylaw_read_only"


def open_engine(url: str, *, wait_seconds: float, pool_size: int = 5) -> Engine:
    """An engine for `sqlite:///file` or `postgresql://…`; raises ValueError for anything else.

    `wait_seconds` bounds the wait for a pooled connection and for a lock.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, wait_seconds, pool_size)
    if parsed.get_backend_name() == "postgresql":
        return _open_postgresql(parsed, wait_seconds, pool_size)
    raise ValueError("STATE_DB_URL must begin with sqlite:/// or postgresql://.")


def _open_sqlite(url: URL, wait_seconds: float, pool_size: int) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ValueError("STATE_DB_URL must name a file: a database in memory is gone with the process.")
    if sqlite3.sqlite_version_info < (3, 35):
        raise ValueError(
            f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed (or PostgreSQL)."
        )
    file = Path(url.database)
    file.parent.mkdir(parents=True, exist_ok=True)
    # Nobody but the owner reads the state; its WAL files take over these rights.
    file.touch(mode=0o600)
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=pool_size,
        pool_timeout=wait_seconds,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": SQLITE_BUSY_SECONDS},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    # Python's driver would open transactions by itself, and deferred ones: two of those that read and then write
    # cannot both go on, and waiting does not help them.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _open_postgresql(url: URL, wait_seconds: float, pool_size: int) -> Engine:
    engine = create_engine(
        # A plain postgresql:// is psycopg 3 from SQLAlchemy 2.1 on.
        url.set(drivername="postgresql+psycopg2"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=wait_seconds,
        hide_parameters=True,
        connect_args={
            "connect_timeout": max(2, round(wait_seconds)),
            "application_name": "bitbylaw",
            # A host that vanished answers nothing: without these the wait is 15 minutes and more.
            "keepalives_idle": 10,
            "keepalives_interval": 3,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        },
    )
    # A process that is stopped in the middle of a transaction would hold the writers' lock for ever.
    settings = (
        f"SET lock_timeout = {max(1, int(wait_seconds * 1000))}; SET statement_timeout = 60000; "
        "SET idle_in_transaction_session_timeout = 5000; SET default_transaction_isolation = 'read committed'"
    )

    @event.listens_for(engine, "connect")
    def _prepare_postgresql(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(settings)
        connection.commit()

    return engine
