"""Starting and stopping other programs: real processes."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from bitbylaw_pipeline.cli.problems import Problem
from bitbylaw_pipeline.cli.programs import Program, Programs

SLEEPER = ("-c", "import time; print('here', flush=True); time.sleep(60)")
STUBBORN = (
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); time.sleep(60)",
)
PARENT = (
    "-c",
    """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
""",
)


def programs(folder: Path) -> Programs:
    """Nothing started yet; their lines go to files in the folder."""
    return Programs(dict(os.environ), folder, folder)


def has_written(folder: Path, name: str) -> bool:
    """True once the program has printed something."""
    return (folder / f"{name}.log").stat().st_size > 0


def is_alive(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_all_end_with_the_block(tmp_path: Path) -> None:
    """Each by SIGTERM, within moments."""
    with programs(tmp_path) as running:
        pids = [running.start(Program(name, SLEEPER, partial(has_written, tmp_path, name))) for name in "ab"]
        running.wait_until_ready()
        assert all(is_alive(pid) for pid in pids)
    assert not any(is_alive(pid) for pid in pids)


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    """No run goes on without anybody to see it."""
    with programs(tmp_path) as running:
        running.start(Program("parent", PARENT, lambda: has_written(tmp_path, "parent")))
        running.wait_until_ready()
        grandchild = int((tmp_path / "parent.log").read_text())
        assert is_alive(grandchild)
    deadline = time.monotonic() + 10
    while is_alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(grandchild)


def test_one_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    """After its time, and the time that its group gets."""
    with programs(tmp_path) as running:
        pid = running.start(
            Program("stubborn", STUBBORN, lambda: has_written(tmp_path, "stubborn"), stop_seconds=0.2)
        )
        running.wait_until_ready()
    assert not is_alive(pid)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("print('no such table'); raise SystemExit(3)", "worker ended with exit code 3."),
        ("import os; os.kill(os.getpid(), 9)", "worker ended by SIGKILL."),
    ],
)
def test_one_that_ends_by_itself_is_a_problem(tmp_path: Path, code: str, says: str) -> None:
    """The sentence names it, how it ended, and its last lines."""
    with programs(tmp_path) as running:
        running.start(Program("sleeper", SLEEPER))
        running.start(Program("worker", ("-c", code)))
        with pytest.raises(Problem) as problem:
            running.watch(threading.Event())
        assert says in problem.value.message
        if "table" in code:
            assert "no such table" in problem.value.message


def test_one_that_does_not_get_ready_is_a_problem(tmp_path: Path) -> None:
    """After its time, not for ever."""
    with programs(tmp_path) as running:
        running.start(Program("slow", SLEEPER, lambda: False, ready_seconds=0.3))
        began = time.monotonic()
        with pytest.raises(Problem, match="slow is not ready after 0 s"):
            running.wait_until_ready()
        assert time.monotonic() - began < 10


def test_a_stop_ends_every_wait(tmp_path: Path) -> None:
    """Also that for readiness."""
    stop = threading.Event()
    stop.set()
    with programs(tmp_path) as running:
        running.start(Program("slow", SLEEPER, lambda: False))
        running.wait_until_ready(stop=stop)
        running.watch(stop)


def test_without_a_folder_lines_come_to_our_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Each after the name of its program."""
    with Programs(dict(os.environ)) as running:
        running.start(
            Program("speaker", ("-c", "print('good morning', flush=True); import time; time.sleep(60)"))
        )
        text = ""
        deadline = time.monotonic() + 20
        while "good morning" not in text and time.monotonic() < deadline:
            text += capfd.readouterr().err
            time.sleep(0.05)
    assert "speaker     good morning" in text
