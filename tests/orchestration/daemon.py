"""A real dagster-daemon with its code server, for a DAGSTER_HOME of its own. Each start costs some 10 s of CPU."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from tests.orchestration.workbench import PROJECT, wait_until

STOP_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon and a view of its instance."""

    process: subprocess.Popen[bytes]
    instance: dg.DagsterInstance
    home: Path
    environment: Mapping[str, str]

    def graphql(self, query: str, **variables: Any) -> Any:
        """Asks what the UI asks, and returns the data. Costs 5 s of CPU: it is a process of its own."""
        done = subprocess.run(
            [Path(sys.executable).parent / "dagster-graphql", "-w", str(self.home / "workspace.yaml"), "-t", query,
             "-v", json.dumps(variables)],
            env=dict(self.environment), cwd=PROJECT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
        assert answers, done.stdout[-1000:] + done.stderr[-2000:]
        answer = json.loads(answers[-1])
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self.home / "daemon.log").read_text(encoding="utf-8")


def prepare_home(home: Path) -> None:
    """Puts the project's own dagster.yaml into the folder, as `bitbylaw up` does."""
    home.mkdir(exist_ok=True)
    shutil.copy(PROJECT / "dagster.yaml", home / "dagster.yaml")


@contextmanager
def running_daemon(home: Path, module: str, environment: Mapping[str, str]) -> Iterator[Daemon]:
    """`dagster-daemon run` on the module's definitions until the block ends; the environment also reaches the runs."""
    prepare_home(home)
    workspace = home / "workspace.yaml"
    workspace.write_text(
        f"load_from: [{{python_module: {{module_name: {module}, location_name: bitbylaw}}}}]",
        encoding="utf-8",
    )
    given = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(PROJECT),
        **environment,
    }
    with instance_of(home) as instance, (home / "daemon.log").open("wb") as log:
        # The instance first: two that make Dagster's SQLite tables at once spoil them.
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", str(workspace)],
            env=given, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            yield Daemon(process, instance, home, given)
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            # Only this daemon's own group: what is left of its code server and its runs.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def instance_of(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a DAGSTER_HOME, as another process sees it."""
    before = os.environ.get("DAGSTER_HOME")
    os.environ["DAGSTER_HOME"] = str(home)
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance
    finally:
        if before is None:
            del os.environ["DAGSTER_HOME"]
        else:
            os.environ["DAGSTER_HOME"] = before


def wait_for_run(
    daemon: Daemon, run_id: str, *statuses: dg.DagsterRunStatus, seconds: float = 90.0
) -> dg.DagsterRun:
    """Waits until the run has one of the statuses."""

    def run() -> dg.DagsterRun:
        found = daemon.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    wait_until(
        lambda: run().status in statuses, f"run {run_id} in {[status.value for status in statuses]}", seconds
    )
    return run()
