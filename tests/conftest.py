"""What every test has: no network but loopback, log lines through the standard library, both databases."""

from __future__ import annotations

import atexit
import functools
import gc
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_socket
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, settings

from bitbylaw_pipeline import logs
from bitbylaw_pipeline.inbox.database import Database
from tests.servers import postgres_server

ENCRYPTION_KEY = Fernet.generate_key().decode()

# The same examples everywhere; and no limit of time, for a loaded machine takes the time it takes.
settings.register_profile(
    "everywhere-the-same",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("everywhere-the-same")

IN_MEMORY = Path("/dev/shm")  # noqa: S108  # whoever may write there is looked at below
IN_MEMORY_BYTES = 2 * 1024**3
"""Several times what all tests leave there."""


def pytest_configure(config: pytest.Config) -> None:
    """`tmp_path` in memory, where there is enough of it: thousands of small commits wait for no disk.

    What a crash leaves behind is the same there: the tests kill processes, not the machine.
    """
    # Before anything asks for a folder; the workers are given theirs by the process that starts them.
    is_said = config.option.basetemp or {"TMPDIR", "PYTEST_DEBUG_TEMPROOT"} & os.environ.keys()
    if not is_said and os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free > IN_MEMORY_BYTES:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(IN_MEMORY)
    # Nothing that is made while the tests are gathered is ever garbage; looking for some took a third of that time.
    gc.disable()


def pytest_collection_finish() -> None:
    """What is loaded by now stays: no later search for garbage goes through it again."""
    gc.enable()
    gc.collect()
    gc.freeze()


class FakeClock:
    """A clock that moves only when told to, in UTC epoch seconds."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Moves it on and returns the new time."""
        self.now += seconds
        return self.now


@pytest.fixture(autouse=True)
def unset_log_level() -> Iterator[None]:
    """Dagster sets a level on our loggers for a run in this process, and leaves it there for the next test."""
    yield
    logging.getLogger("bitbylaw_pipeline").setLevel(logging.NOTSET)


@pytest.fixture(autouse=True, scope="session")
def _log_lines() -> None:
    logs.configure_structure()


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
    yield
    pytest_socket._remove_restrictions()


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the test's database."""
    return FakeClock()


@functools.cache
def migrated_template(kind: str) -> str:
    """A database with today's tables, made once: a file on SQLite, a template's name on PostgreSQL."""
    if kind == "sqlite":
        folder = tempfile.mkdtemp(prefix="state-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        file = Path(folder) / "template.sqlite"
        Database.open(f"sqlite:///{file}", migrate=True).close()
        return str(file)
    server = postgres_server()
    name = server.create_database()
    Database.open(server.url(name), migrate=True).close()
    return name


def migrated_url(kind: str, folder: Path) -> str:
    """The URL of a fresh database with today's tables; kind is "sqlite" or "postgresql"."""
    template = migrated_template(kind)
    if kind == "sqlite":
        return f"sqlite:///{shutil.copy(template, folder / 'state.sqlite')}"
    server = postgres_server()
    return server.url(server.create_database(template))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database with all tables, once on SQLite and once on PostgreSQL."""
    return migrated_url(request.param, tmp_path)


@pytest.fixture
def database(database_url: str, clock: FakeClock) -> Iterator[Database]:
    """A fresh database on the settable clock; the test runs once on SQLite and once on PostgreSQL."""
    opened = Database.open(database_url, clock=clock, encryption_key=ENCRYPTION_KEY)
    yield opened
    opened.close()
