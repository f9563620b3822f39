"""Other programs, started and stopped together: the receiver and Dagster's parts.

Each runs in a session of its own, so that Ctrl-C reaches us alone and we decide who ends when; what it starts in turn
(Dagster's runs) is in its process group and ends with it at the latest.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import structlog

from bitbylaw_pipeline.cli.problems import Problem

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 0.1
LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class Program:
    """What to start. `is_ready` is asked until it says so; `stop_seconds` is what it may take to end by itself."""

    name: str
    arguments: Sequence[str]
    is_ready: Callable[[], bool] | None = None
    ready_seconds: float = 60.0
    stop_seconds: float = 10.0


@dataclass(slots=True)
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    pump: threading.Thread | None = None


@dataclass(slots=True)
class Programs:
    """The running programs; use it as a context manager, which stops them all, last started first.

    With `log_folder` each writes to a file of its own there; without, to our standard error, each line after its name.
    """

    environment: Mapping[str, str]
    log_folder: Path | None = None
    working_folder: Path | None = None
    """Where they look for .env; None: where we do."""
    _running: list[_Running] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, program: Program) -> int:
        """Starts it and returns its process id at once."""
        arguments = [sys.executable, *program.arguments]
        output: IO[bytes] | int = subprocess.PIPE
        if self.log_folder is not None:
            output = (self.log_folder / f"{program.name}.log").open("ab")
        process = subprocess.Popen(  # noqa: S603  # our own programs
            arguments,
            env=dict(self.environment),
            cwd=self.working_folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        running = _Running(program, process)
        if not isinstance(output, int):
            output.close()
        elif process.stdout is not None:
            running.pump = threading.Thread(target=_pump, args=(program.name, process.stdout), daemon=True)
            running.pump.start()
        self._running.append(running)
        log.info("started", program=program.name, pid=process.pid)
        return process.pid

    def wait_until_ready(
        self, names: Iterable[str] | None = None, *, stop: threading.Event | None = None
    ) -> None:
        """Waits for the named (or all) programs; raises Problem if one ends or takes too long. `stop` ends the wait."""
        wanted = None if names is None else set(names)
        begun = time.monotonic()
        waiting = [one for one in self._running if wanted is None or one.program.name in wanted]
        while waiting and not (stop and stop.is_set()):
            self.raise_if_one_ended()
            waiting = [one for one in waiting if one.program.is_ready and not one.program.is_ready()]
            for one in waiting:
                if time.monotonic() - begun > one.program.ready_seconds:
                    raise Problem(
                        f"{one.program.name} is not ready after {one.program.ready_seconds:.0f} s."
                        f"{self._last_lines(one.program.name)}"
                    )
            time.sleep(LOOK_EVERY_SECONDS)

    def raise_if_one_ended(self) -> None:
        """Raises Problem if a program has ended by itself."""
        for one in self._running:
            code = one.process.poll()
            if code is not None:
                how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
                raise Problem(f"{one.program.name} ended {how}.{self._last_lines(one.program.name)}")

    def watch(self, stop: threading.Event) -> None:
        """Returns once `stop` is set; raises Problem as soon as a program ends."""
        while not stop.wait(0.5):
            self.raise_if_one_ended()

    def stop(self) -> None:
        """Ends them one after the other, last started first: by SIGTERM, with everything it started by SIGKILL."""
        for one in reversed(self._running):
            _end(one)
        self._running.clear()

    def _last_lines(self, name: str) -> str:
        if self.log_folder is None:
            return " Its last lines stand above."
        file = self.log_folder / f"{name}.log"
        lines = file.read_text("utf-8", "replace").splitlines()[-LAST_LINES:]
        return f" Its last lines ({file}):\n" + "\n".join(f"  {line}" for line in lines)


def _end(one: _Running) -> None:
    group = one.process.pid
    if one.process.poll() is None:
        one.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(one.program.stop_seconds)
    if one.process.poll() is None:
        log.warning("does_not_end", program=one.program.name, seconds=one.program.stop_seconds)
        _signal_group(group, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(3)
    # Also where the leader has ended: a run that it left behind would go on without anybody to see it.
    _signal_group(group, signal.SIGKILL)
    one.process.wait(5)
    if one.pump is not None:
        one.pump.join(2)
    log.info("stopped", program=one.program.name, exit_code=one.process.returncode)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _pump(name: str, source: IO[bytes]) -> None:
    with source:
        for line in source:
            text = line.decode("utf-8", "replace").rstrip("\n")
            with contextlib.suppress(ValueError, OSError):
                sys.stderr.write(f"{name:<11} {text}\n")
