"""The receiver, and the whole pipeline by `bitbylaw up`, as other processes."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bitbylaw_pipeline.bench.cpu_time import all_processes
from bitbylaw_pipeline.bench.database_servers import BenchProblem, wait_until
from bitbylaw_pipeline.loopback import LOOPBACK, free_ports

STOP_SECONDS = 90.0
LEFTOVER_SECONDS = 20.0
_PARTS = {
    "receiver": "webhook_sensor_app",
    "batches": "dagster api grpc",
    "daemon": "dagster._daemon",
    "ui": "dagster_webserver",
}


@contextlib.contextmanager
def running_receiver(environment: Mapping[str, str], port: int, folder: Path) -> Iterator[int]:
    """The receiver, ready; yields its process id."""
    with _running(
        ["-m", "webhook_sensor_app"], {**environment, "RECEIVER_PORT": str(port)}, folder
    ) as process:
        wait_until(lambda: _answers(process, port, "/health", folder), "The receiver")
        yield process.pid


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A running pipeline: where its receiver listens, and the process id of each of its parts."""

    receiver_url: str
    pids: Mapping[str, int]


@contextlib.contextmanager
def running_pipeline(environment: Mapping[str, str], folder: Path) -> Iterator[Pipeline]:
    """`bitbylaw up`, as a person starts it: receiver, code server, daemon and UI, ready; ended in order."""
    receiver_port, ui_port = free_ports(2)
    given = {**environment, "RECEIVER_PORT": str(receiver_port)}
    arguments = ["-c", "from bitbylaw_pipeline.cli.main import main; main()", "up", "--port", str(ui_port)]
    with _running(arguments, given, folder) as process:
        wait_until(lambda: _answers(process, receiver_port, "/health", folder), "The receiver", 60)
        wait_until(lambda: _answers(process, ui_port, "/server_info", folder), "Dagster", 180)
        wait_until(lambda: len(_parts_of(process.pid)) == len(_PARTS), "Dagster's daemon", 60)
        yield Pipeline(f"http://127.0.0.1:{receiver_port}", _parts_of(process.pid))


@contextlib.contextmanager
def _running(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    # In a folder without a .env: the benchmark's settings are the only ones.
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def end_leftovers() -> None:
    """Ends every process that this one started and that still runs.

    A SIGTERM that comes while a server is being started raises SystemExit inside `Popen`, before anybody owns it:
    the receiver then lived on after the benchmark.
    """
    for facts in all_processes().values():
        if facts.parent == os.getpid():
            _end_child(facts.pid)


def _end_child(pid: int) -> None:
    # Again and again: a child that has not come to its `exec` yet has our handler still, and takes no notice.
    deadline = time.monotonic() + LEFTOVER_SECONDS
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(0.2)


def _parts_of(parent: int) -> dict[str, int]:
    """The parts among the children of a process, by name."""
    found: dict[str, int] = {}
    for facts in all_processes().values():
        if facts.parent != parent:
            continue
        with contextlib.suppress(OSError):
            words = (
                Path(f"/proc/{facts.pid}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode("utf-8", "replace")
            )
            found |= {name: facts.pid for name, mark in _PARTS.items() if mark in words}
    return found


def _answers(process: subprocess.Popen[bytes], port: int, path: str, folder: Path) -> bool:
    if process.poll() is not None:
        last = (folder / "log").read_text("utf-8", "replace").strip().splitlines()[-3:]
        raise BenchProblem(f"A program ended with {process.returncode} at its start: {' / '.join(last)}")
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
