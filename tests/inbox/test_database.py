"""Transactions, group commit, and what becomes of callers when the database goes away."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, func, select, text
from sqlalchemy.exc import IntegrityError

from bitbylaw_pipeline.inbox import batches, work_queue
from bitbylaw_pipeline.inbox.cipher import Cipher, CipherError
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.inbox.schema import flag, work
from tests.conftest import ENCRYPTION_KEY, FakeClock, migrated_url
from tests.servers import postgres_server, postgres_url


def flag_count(database: Database) -> int:
    return database.read(lambda c: c.execute(select(func.count()).select_from(flag)).scalar_one())


def setter(name: str) -> Callable[[Connection], str]:
    def work_function(connection: Connection) -> str:
        batches.set_flag(connection, 0.0, name)
        return name

    return work_function


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Database]:
    """A database on PostgreSQL that runs on the server's clock."""
    opened = Database.open(migrated_url("postgresql", tmp_path), wait_seconds=30.0)
    yield opened
    opened.close()


def backend_of(connection: Connection) -> int:
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def kill_backend(pid: int) -> None:
    postgres_server().execute(f"SELECT pg_terminate_backend({pid})")


def test_result_comes_after_the_commit(database: Database) -> None:
    """Whoever got a result can read what was written through any other connection."""

    async def main() -> None:
        async def one(number: int) -> None:
            name = await database.run(setter(f"f{number}"))
            assert await asyncio.to_thread(database.read, lambda c: batches.get_flag(c, name)) == "1"

        await asyncio.gather(*(one(number) for number in range(40)))

    asyncio.run(main())
    assert flag_count(database) == 40


def test_works_of_one_moment_share_a_transaction(database: Database) -> None:
    """What is submitted while a commit is under way is committed together."""
    gate = threading.Event()
    transactions: list[object] = []

    def hold(connection: Connection) -> None:
        gate.wait(30)

    def note(connection: Connection) -> None:
        transactions.append(connection.get_transaction())

    async def main() -> None:
        first = asyncio.create_task(database.run(hold))
        await asyncio.sleep(0)
        others = [asyncio.create_task(database.run(note)) for _ in range(30)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, *others)

    asyncio.run(main())
    assert len(transactions) == 30
    assert len(set(map(id, transactions))) <= 2


def test_failing_work_fails_alone(database: Database) -> None:
    """An error in one work reaches its caller only; its neighbours in the group are committed, it is not."""
    gate = threading.Event()

    def fail_in_python(connection: Connection) -> None:
        batches.set_flag(connection, 0.0, "never")
        raise KeyError("mine")

    def fail_in_sql(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(flag.insert().values(name="never", value="", set_at=0.0))

    async def main() -> list[object]:
        tasks: list[asyncio.Task[object]] = [asyncio.create_task(database.run(lambda _: gate.wait(30)))]
        await asyncio.sleep(0)
        for number in range(20):
            works: list[Callable[[Connection], Any]] = [setter(f"f{number}"), fail_in_python, fail_in_sql]
            tasks += [asyncio.create_task(database.run(w)) for w in works[: 3 if number == 7 else 1]]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*tasks[1:], return_exceptions=True)

    results = asyncio.run(main())
    assert sorted(type(r).__name__ for r in results if isinstance(r, BaseException)) == [
        "IntegrityError",
        "KeyError",
    ]
    assert flag_count(database) == 20
    assert database.run_sync(lambda c: batches.get_flag(c, "never")) is None


def test_cancelled_caller_does_not_cancel_the_work(database: Database) -> None:
    """Work that was submitted is committed although its caller was cancelled, and the others get their results."""
    gate = threading.Event()

    async def main() -> None:
        first = asyncio.create_task(database.run(lambda _: gate.wait(30)))
        cancelled = asyncio.create_task(database.run(setter("cancelled")))
        after = asyncio.create_task(database.run(setter("after")))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
        gate.set()
        assert await after == "after"
        assert await first
        assert cancelled.cancelled()

    asyncio.run(main())
    assert database.run_sync(lambda c: batches.get_flag(c, "cancelled")) == "1"


def test_impatient_caller_is_told_that_the_database_is_unavailable(database_url: str) -> None:
    """A caller waits no longer than `wait_seconds`, and work that was not begun by then is never run."""
    database = Database.open(database_url, wait_seconds=1.0)
    begun, gate = threading.Event(), threading.Event()

    def block(_: Connection) -> None:
        begun.set()
        gate.wait(30)

    async def main() -> None:
        blocker = asyncio.create_task(database.run(block))
        # In one group with it, what comes late would be begun, too.
        assert await asyncio.to_thread(begun.wait, 30)
        with pytest.raises(DatabaseUnavailable):
            await database.run(setter("late"))
        with pytest.raises(DatabaseUnavailable):
            await blocker
        gate.set()

    asyncio.run(main())
    database.close()
    reopened = Database.open(database_url)
    assert flag_count(reopened) == 0
    reopened.close()


def test_closing_finishes_what_was_submitted(database_url: str) -> None:
    """Work submitted before the close is committed; work after it is refused."""

    async def main() -> None:
        database = Database.open(database_url)
        tasks = [asyncio.create_task(database.run(setter(f"f{number}"))) for number in range(100)]
        await asyncio.sleep(0)
        await database.aclose()
        assert len(await asyncio.gather(*tasks)) == 100
        with pytest.raises(RuntimeError):
            await database.run(setter("late"))

    asyncio.run(main())
    reopened = Database.open(database_url)
    assert flag_count(reopened) == 100
    reopened.close()


def test_many_threads_and_processes_write_side_by_side(database_url: str) -> None:
    """Several openings of one database written to by threads lose nothing and fail nothing."""
    databases = [Database.open(database_url) for _ in range(3)]

    def count_up(database: Database) -> None:
        for _ in range(25):
            database.run_sync(lambda c: work_queue.want(c, database.now(c), "s", ["b", "a"]))

    threads = [
        threading.Thread(target=count_up, args=(database,)) for database in databases for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row = databases[0].run_sync(lambda c: work_queue.get(c, "s", "a"))
    assert row is not None
    assert row.wanted == 150
    for database in databases:
        database.close()


def test_clock_is_the_databases_unless_one_is_given(database_url: str) -> None:
    """Without a given clock the time is the server's at the start of the transaction, and that of a reader too."""
    database = Database.open(database_url)
    before = time.time()
    written = database.run_sync(database.now)
    read = database.read(database.now)
    assert before - 1 <= written <= read + 0.001 <= time.time() + 1
    database.close()
    fixed = Database.open(database_url, clock=FakeClock(42.0))
    assert fixed.run_sync(fixed.now) == 42.0
    fixed.close()


def test_reading_goes_on_beside_a_writer(database: Database) -> None:
    """A reader sees the last commit while a writing transaction is open."""
    database.run_sync(setter("a"))

    def write_and_read(connection: Connection) -> int:
        batches.set_flag(connection, 0.0, "b")
        return flag_count(database)

    assert database.run_sync(write_and_read) == 1
    assert flag_count(database) == 2


def test_errors_of_the_work_reach_the_caller(database: Database) -> None:
    """A violated constraint is raised as it is, without its parameters."""

    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(flag.insert().values(name="secret-name", value="", set_at=0.0))

    with pytest.raises(IntegrityError) as caught:
        database.run_sync(twice)
    assert "secret-name" not in str(caught.value).replace("DETAIL:  Key (name)=(secret-name)", "")
    assert flag_count(database) == 0


def test_wrong_urls_are_refused_with_one_sentence() -> None:
    """Only SQLite files and PostgreSQL are accepted."""
    for url in ("sqlite://", "sqlite:///:memory:", "mysql://x/y"):
        with pytest.raises(ValueError, match="STATE_DB_URL"):
            Database.open(url)


def test_cipher_needs_its_key(database_url: str) -> None:
    """Without a key, with a malformed or with another one, one clear error says so."""
    database = Database.open(database_url)
    with pytest.raises(CipherError, match="must be set"):
        _ = database.cipher
    database.close()
    with pytest.raises(CipherError, match="not a usable key"):
        Cipher("too short")
    token = Cipher(ENCRYPTION_KEY).encrypt("Geheimnis")
    assert "Geheimnis" not in token
    other = Cipher("PvVQ0fN2pTLfXy5gWw5kqDAeXbzVt4mSm2mOdFQNpjI=")
    with pytest.raises(CipherError, match="not the key"):
        other.decrypt(token)
    assert (
        Cipher(f"PvVQ0fN2pTLfXy5gWw5kqDAeXbzVt4mSm2mOdFQNpjI=,{ENCRYPTION_KEY}").decrypt(token) == "Geheimnis"
    )


def test_sqlite_file_is_durable_and_private(tmp_path: Path) -> None:
    """The file is made with its folder, readable for its owner only, in WAL mode with full synchronisation."""
    file = tmp_path / "deep" / "state.sqlite"
    database = Database.open(f"sqlite:///{file}", migrate=True)

    def pragma(name: str) -> object:
        return database.run_sync(lambda c: c.exec_driver_sql(f"PRAGMA {name}").scalar_one())

    assert (pragma("journal_mode"), pragma("synchronous"), pragma("foreign_keys")) == ("wal", 2, 1)
    assert file.stat().st_mode & 0o077 == 0
    database.close()


def test_locked_sqlite_file_is_waited_for(tmp_path: Path) -> None:
    """A writer in another process that holds the file for a moment only delays ours."""
    url = migrated_url("sqlite", tmp_path)
    other = sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, other.execute, ["COMMIT"])
    timer.start()
    database = Database.open(url)
    assert database.run_sync(setter("a")) == "a"
    timer.join()
    other.close()
    database.close()


def test_connection_lost_before_the_commit_is_not_noticed_by_the_caller(postgres: Database) -> None:
    """Work whose connection is cut once before the commit is done again, and takes effect once."""
    cut: list[int] = []

    def increment(connection: Connection) -> None:
        work_queue.want(connection, 0.0, "s", ["a"])
        if not cut:
            cut.append(backend_of(connection))
            kill_backend(cut[0])
        work_queue.want(connection, 0.0, "s", ["b"])

    asyncio.run(postgres.run(increment))
    assert postgres.run_sync(lambda c: c.execute(select(func.sum(work.c.wanted))).scalar_one()) == 2


def test_connection_that_keeps_breaking_ends_in_one_error_and_the_next_call_works(postgres: Database) -> None:
    """Connections cut again and again raise DatabaseUnavailable for the whole group, nothing lands, then all is well."""

    def cut(connection: Connection) -> None:
        batches.set_flag(connection, 0.0, "never")
        kill_backend(backend_of(connection))
        batches.set_flag(connection, 0.0, "never again")

    async def main() -> None:
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await postgres.run(cut)
        # By its connections, not by the end of its patience.
        assert time.monotonic() - began < 9
        assert await postgres.run(setter("after")) == "after"

    asyncio.run(main())
    assert flag_count(postgres) == 1


def test_connection_cut_during_the_commit_is_never_repeated(postgres: Database) -> None:
    """If the connection goes just before the commit, the caller is told and nothing is done twice."""
    runs: list[int] = []

    def cut_at_the_end(connection: Connection) -> None:
        runs.append(work_queue.want(connection, 0.0, "s", ["a"]))
        kill_backend(backend_of(connection))

    with pytest.raises(DatabaseUnavailable, match="during a commit"):
        postgres.run_sync(cut_at_the_end)
    assert len(runs) == 1
    assert postgres.run_sync(lambda c: work_queue.get(c, "s", "a")) is None


def test_server_that_is_down_is_reported_within_seconds() -> None:
    """With the server stopped every caller gets DatabaseUnavailable soon, and the first call after its start works."""
    server = postgres_server()
    database = Database.open(postgres_url(), migrate=True, wait_seconds=1.0)

    async def attempt() -> None:
        began = time.monotonic()
        results = await asyncio.gather(
            *(database.run(setter(f"f{n}")) for n in range(50)), return_exceptions=True
        )
        assert all(isinstance(result, DatabaseUnavailable) for result in results)
        assert time.monotonic() - began < 15

    server.stop()
    try:
        for _ in range(2):
            asyncio.run(attempt())
        with pytest.raises(DatabaseUnavailable):
            database.read(database.now)
    finally:
        server.start()
    assert database.run_sync(setter("after")) == "after"
    assert flag_count(database) == 1
    database.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
def test_server_restarted_under_load_loses_nothing_that_was_confirmed(how: signal.Signals) -> None:
    """Sixteen writers through a restart of the server: every confirmed write is there, the rest got one clear error."""
    server = postgres_server()
    database = Database.open(postgres_url(), migrate=True, wait_seconds=2.0)
    confirmed: list[str] = []
    refused: list[str] = []
    is_over = threading.Event()

    async def writer(number: int) -> None:
        count = 0
        while not is_over.is_set():
            count += 1
            name = f"{number}-{count}"
            try:
                confirmed.append(await database.run(setter(name)))
            except DatabaseUnavailable:
                refused.append(name)
                await asyncio.sleep(0.05)

    async def load() -> None:
        await asyncio.gather(*(writer(number) for number in range(16)))

    async def main() -> None:
        running = asyncio.create_task(load())
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.restart, how)
        confirmed_before = len(confirmed)
        deadline = time.monotonic() + 20
        while len(confirmed) < confirmed_before + 200 and time.monotonic() < deadline:  # noqa: ASYNC110  # threads count
            await asyncio.sleep(0.02)
        is_over.set()
        await running
        assert len(confirmed) >= confirmed_before + 200

    asyncio.run(main())
    stored = set(database.read(lambda c: c.execute(select(flag.c.name)).scalars().all()))
    assert set(confirmed) <= stored
    assert stored <= set(confirmed) | set(refused)
    database.close()


def test_deadlock_with_a_stranger_is_survived(postgres: Database) -> None:
    """A transaction that PostgreSQL aborts to resolve a deadlock is repeated without its caller's noticing."""
    postgres.run_sync(setter("a"))
    postgres.run_sync(setter("b"))
    engine = create_engine(postgres.engine.url)
    runs: list[int] = []
    stranger = engine.connect()
    stranger.begin()
    lock = text("SELECT 1 FROM flag WHERE name = :name FOR UPDATE")
    stranger.execute(lock, {"name": "b"})

    def cross_over() -> None:
        stranger.execute(lock, {"name": "a"})
        stranger.rollback()

    crossing = threading.Thread(target=cross_over)

    def cross(connection: Connection) -> None:
        runs.append(1)
        connection.execute(lock, {"name": "a"})
        if len(runs) == 1:
            # Ours is the one to be aborted: it waits with the shorter patience.
            connection.exec_driver_sql("SET LOCAL deadlock_timeout = '50ms'")
            crossing.start()
            wait_for_lock_waiter(engine.url.database)
        connection.execute(lock, {"name": "b"})

    postgres.run_sync(cross)
    assert len(runs) == 2
    crossing.join()
    stranger.close()
    engine.dispose()


def wait_for_lock_waiter(database: str | None) -> None:
    engine = create_engine(postgres_server().url(str(database)))
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            if connection.execute(waiting).scalar_one():
                break
        time.sleep(0.01)
    engine.dispose()
