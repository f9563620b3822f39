"""A real dagster-daemon and a code server, for a DAGSTER_HOME of its own. Each start costs some 10 s of CPU."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_graphql.cli import execute_query

from tests.orchestration.workbench import PROJECT, wait_until

STOP_SECONDS = 40.0
LOCATION = "bitbylaw"


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon and a view of its instance."""

    process: subprocess.Popen[bytes]
    instance: dg.DagsterInstance
    home: Path
    environment: Mapping[str, str]

    def graphql(self, query: str, **variables: Any) -> Any:
        """Asks what the UI asks, of the same code server, and returns the data.

        In this process: as a command, each question loaded all definitions anew, for 5 s of CPU.
        """
        target = WorkspaceFileTarget([str(self.home / "workspace.yaml")])
        with WorkspaceProcessContext(self.instance, target) as context, warnings.catch_warnings():
            # Dagster's own calls of what it means to take away.
            warnings.simplefilter("ignore", DeprecationWarning)
            answer = execute_query(context, query, variables)
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
    """`dagster-daemon run` on the module's definitions until the block ends; the environment also reaches the runs.

    The definitions are served by a program of their own, as `bitbylaw up` has them.
    """
    prepare_home(home)
    listens_on = home / "code.sock"
    (home / "workspace.yaml").write_text(
        f"load_from: [{{grpc_server: {{socket: {listens_on}, location_name: {LOCATION}}}}}]", encoding="utf-8"
    )
    given = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(PROJECT),
        **environment,
    }
    code_server = [
        "dagster", "api", "grpc", "--socket", str(listens_on), "--location-name", LOCATION, "--module-name", module,
        "--use-python-environment-entry-point", "--inject-env-vars-from-instance",
    ]  # fmt: skip
    # The instance first: two that make Dagster's SQLite tables at once spoil them.
    code_log = home / "code-server.log"
    with instance_of(home) as instance, _running(code_server, given, code_log) as server:

        def listens() -> bool:
            assert server.poll() is None, code_log.read_text(encoding="utf-8")[-2000:]
            return _listens(listens_on)

        wait_until(listens, "the code server")
        workspace = ["-w", str(home / "workspace.yaml")]
        with _running(["dagster._daemon", "run", *workspace], given, home / "daemon.log") as process:
            yield Daemon(process, instance, home, given)


@contextmanager
def _running(
    arguments: list[str], environment: Mapping[str, str], log_file: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=dict(environment), cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        # Only its own group: what is left of its runs.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False


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
