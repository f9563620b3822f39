"""`bitbylaw up` as a process of its own, on the stand-ins."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.loopback import free_port, free_ports
from tests.cli.conftest import Office, Terminal

SECONDS = 120.0


@dataclass(slots=True)
class Up:
    """A running `bitbylaw up`, and what it has printed so far."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def listen(self) -> None:
        """Collects its lines until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.rstrip())
                self.news.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line that matches; fails after two minutes."""

        def find() -> re.Match[str] | None:
            return next((match for line in self.lines if (match := re.search(pattern, line))), None)

        with self.news:
            found = self.news.wait_for(find, SECONDS)
        assert found, "\n".join(self.lines)
        return found


@pytest.fixture
def up(office: Office, folder: Path, with_state: tuple[Terminal, Database]) -> Iterator[Up]:
    """Started on free ports, after an earlier one was stopped."""
    database = with_state[1]
    database.run_sync(lambda conn: batches.set_flag(conn, database.now(conn), batches.DRAIN))
    receiver_port, ui_port = free_ports(2)
    settings = office.terminal.settings | {
        "RECEIVER_PORT": str(receiver_port),
        "WEBHOOK_SHARED_SECRET": "secret",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", "from bitbylaw_pipeline.cli.main import main; main()", "up", "--port", str(ui_port)],
        env={**os.environ, **settings}, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    running = Up(process)
    thread = threading.Thread(target=running.listen, daemon=True)
    thread.start()
    yield running
    process.terminate()
    process.wait(SECONDS)
    thread.join(10)
    assert process.stdout is not None
    process.stdout.close()


def flags(office: Office) -> list[str]:
    """The flags that are raised in the state."""
    database = Database.open(office.terminal.settings["STATE_DB_URL"])
    try:
        return database.read(
            lambda conn: [name for name in (batches.DRAIN,) if batches.get_flag(conn, name) is not None]
        )
    finally:
        database.close()


@pytest.mark.slow
def test_it_runs_until_it_is_told_to_stop(office: Office, up: Up, folder: Path) -> None:
    """All parts come up, the flag of an earlier stop is taken down; SIGTERM drains, stops all and ends with 0."""
    up.wait_for(r"^running; Ctrl-C stops it in order")
    assert flags(office) == []
    assert (folder / "home" / "dagster.yaml").is_file()
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(SECONDS) == 0
    up.wait_for(r"^stopped$")
    assert flags(office) == [batches.DRAIN]
    # Dagster's own daemon may print one while it ends: a tick under way finds its code location gone.
    before = up.lines[: up.lines.index("stopping: batches give back what they hold")]
    ours = [line for line in up.lines if not line.startswith("daemon ")]
    assert not any("Traceback" in line for line in (*before, *ours)), "\n".join(up.lines)


@pytest.mark.slow
def test_a_part_that_dies_ends_it_with_1(up: Up) -> None:
    """Its name and how it ended are told, and nothing is left running."""
    pid = int(up.wait_for(r"uvicorn.error Started server process \[(\d+)\]")[1])
    os.kill(pid, signal.SIGKILL)
    assert up.process.wait(SECONDS) == 1
    up.wait_for(r"^bitbylaw: receiver ended by SIGKILL\.")


def test_a_taken_port_is_told_at_once(office: Office) -> None:
    """Before anything is started."""
    taken = office.sandbox.xai_url.rpartition(":")[2]
    result = office.run("up", "--port", taken, RECEIVER_PORT=str(free_port()))
    assert result.exit_code == 1
    assert f"Port {taken} is taken" in result.stderr
