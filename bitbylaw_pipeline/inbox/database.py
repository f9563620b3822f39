"""The state database: one writer at a time, group commit, and one clear error when it is not there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import structlog
from sqlalchemy import Connection, Double, Engine, cast, extract, func, select
from sqlalchemy.exc import DBAPIError

from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.engines import READ_ONLY, SQLITE_BUSY_SECONDS, open_engine
from bitbylaw_pipeline.inbox.failures import DatabaseUnavailable, Meaning, meaning_of
from bitbylaw_pipeline.inbox.group_commit import GroupCommit, Together
from bitbylaw_pipeline.inbox.prepared import Prepared

__all__ = ["Database", "DatabaseUnavailable"]

log = structlog.get_logger(__name__)
T = TypeVar("T")
C = TypeVar("C")
S = TypeVar("S")
Work = Callable[[Connection], T]

REPETITIONS = 6
WRITERS_LOCK = 0x62697462
_NOW = "bitbylaw_now"

# Transactions touch rows of `work` in any order (one item completes b, the next wants a): two of them at once
# deadlock, and PostgreSQL notices only after a second. So there is one writing transaction at a time, as on SQLite;
# group commit makes up for it. The same round trip brings the server's time.
_CLOCK = cast(extract("epoch", func.clock_timestamp()), Double)
_BEGIN_WRITING = Prepared(select(func.pg_advisory_xact_lock(WRITERS_LOCK), _CLOCK))
_READ_CLOCK = Prepared(select(_CLOCK))


class Database:
    """Transactions on the state database.

    A work function gets a connection inside a transaction and returns its result. It may be run more than once (after
    a deadlock, a lost connection, or a neighbour's error), so it changes nothing but the database.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Callable[[], float] | None,
        encryption_key: str | None,
        wait_seconds: float,
    ) -> None:
        self.engine = engine
        self._clock = clock
        self._encryption_key = encryption_key
        self._cipher: Cipher | None = None
        self._is_sqlite = engine.dialect.name == "sqlite"
        # SQLite's own wait for a lock sleeps up to 0.1 s at a time and is not fair; threads need not suffer that.
        self._sqlite_writer = threading.Lock()
        self._group_commit = GroupCommit(self._write, wait_seconds)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Callable[[], float] | None = None,
        encryption_key: str | None = None,
        migrate: bool = False,
        wait_seconds: float = 10.0,
    ) -> Self:
        """Opens the database at the URL; no connection is made until the first use, unless `migrate` is set.

        `clock` replaces the database's clock (tests). `wait_seconds` bounds every wait for a connection, for a lock
        and for the group commit; then DatabaseUnavailable is raised. Raises ValueError for an unusable URL.
        """
        engine = open_engine(url, wait_seconds=wait_seconds)
        database = cls(engine, clock=clock, encryption_key=encryption_key, wait_seconds=wait_seconds)
        if migrate:
            from bitbylaw_pipeline.inbox.migrate import upgrade  # noqa: PLC0415  # Alembic: 0.2 s of CPU

            upgrade(database)
        return database

    @property
    def is_sqlite(self) -> bool:
        """True for a file of SQLite, False for PostgreSQL."""
        return self._is_sqlite

    @property
    def cipher(self) -> Cipher:
        """What encrypts the columns with secrets; raises CipherError if the key is missing or malformed."""
        if self._cipher is None:
            self._cipher = Cipher(self._encryption_key or "")
        return self._cipher

    def now(self, connection: Connection) -> float:
        """The time in UTC epoch seconds: the given clock's, else the start of this transaction by the database's clock.

        Hosts disagree about the time, so leases are judged by the server's; a SQLite file has one host only.
        """
        if self._clock is not None:
            return self._clock()
        known: float | None = connection.info.get(_NOW)
        if known is not None:
            return known
        return time.time() if self._is_sqlite else float(_READ_CLOCK(connection, {}).scalar_one())

    def run_sync(self, work: Work[T]) -> T:
        """Runs the work in a transaction of its own, in this thread, and returns its result after the commit.

        Raises what the work raises, and DatabaseUnavailable.
        """
        result: T = self._write([work])[0]
        return result

    async def run(self, work: Work[T]) -> T:
        """Runs the work in the next group commit and returns its result after the commit.

        An error of one work leaves its neighbours alone. Cancelling the caller does not cancel the work. Raises what
        the work raises, and DatabaseUnavailable (also when it is not done after `wait_seconds`).
        """
        result: T = await self._group_commit.submit(work)
        return result

    async def run_together(
        self, work: Callable[[Connection, C, Sequence[S]], Sequence[T]], common: C, subject: S
    ) -> T:
        """`run` for work that costs hardly more for many subjects than for one.

        Whatever waits of the same function and the same `common` becomes one call of it; it returns a result for each
        subject, in their order. An error in one costs the others nothing but a repetition: each is then run alone.
        """
        result: T = await self._group_commit.submit(Together(work, common, subject))
        return result

    def read(self, work: Work[T]) -> T:
        """Runs work that only reads, beside any writer, and returns its result. Raises as `run_sync` does."""

        def attempt() -> T:
            with (
                self.engine.connect().execution_options(**{READ_ONLY: True}) as connection,
                connection.begin(),
            ):
                return work(connection)

        return self._repeat(attempt)

    def close(self) -> None:
        """Finishes what was submitted and closes all connections."""
        self._group_commit.close()
        self.engine.dispose()

    async def aclose(self) -> None:
        """`close` without holding up the event loop."""
        await asyncio.to_thread(self.close)

    def _write(self, works: Sequence[Work[Any]]) -> list[Any]:
        if not self._is_sqlite:
            return self._repeat(lambda: self._transact(works))
        if not self._sqlite_writer.acquire(timeout=SQLITE_BUSY_SECONDS):
            raise DatabaseUnavailable(f"The state database was busy for {SQLITE_BUSY_SECONDS:.0f} s.")
        try:
            return self._repeat(lambda: self._transact(works))
        finally:
            self._sqlite_writer.release()

    def _transact(self, works: Sequence[Work[Any]]) -> list[Any]:
        with self.engine.connect() as connection:
            transaction = connection.begin()
            facts = connection.info
            facts[_NOW] = self._begin_writing(connection)
            try:
                results = [work(connection) for work in works]
            finally:
                facts.pop(_NOW, None)
            try:
                transaction.commit()
            except DBAPIError as error:
                if meaning_of(error) is Meaning.LOST:
                    # Here alone a repetition could do everything twice.
                    raise DatabaseUnavailable("The state database went away during a commit.") from error
                raise
            return results

    def _begin_writing(self, connection: Connection) -> float:
        if self._is_sqlite:
            return time.time()
        return float(_BEGIN_WRITING(connection, {}).one()[1])

    def _repeat(self, attempt: Callable[[], T]) -> T:
        failures = losses = 0
        while True:
            try:
                return attempt()
            except Exception as error:
                match meaning_of(error):
                    case Meaning.AGAIN if failures < REPETITIONS:
                        failures += 1
                        time.sleep(0.005 * 2**failures)
                    case Meaning.LOST if losses == 0:
                        # After a restart of the server every pooled connection is dead; a new one may work.
                        losses = 1
                        self.engine.dispose()
                    case Meaning.FAULT:
                        raise
                    case meaning:
                        log.warning(
                            "database_unavailable", meaning=meaning.name.lower(), error=type(error).__name__
                        )
                        raise DatabaseUnavailable(
                            f"The state database is not available ({meaning.name.lower()})."
                        ) from error
