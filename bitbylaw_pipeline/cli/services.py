"""What belongs to a running pipeline: receiver, code server, daemon, UI; as programs, with the environment they need."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bitbylaw_pipeline import loopback
from bitbylaw_pipeline.cli.problems import NotUsable, Problem
from bitbylaw_pipeline.cli.programs import Program
from bitbylaw_pipeline.loopback import LOOPBACK
from bitbylaw_pipeline.settings import Settings

LOCATION = "bitbylaw"
RUN_END_SECONDS = 20.0
"""What Dagster's runs get to end by themselves once nothing new is started."""


@dataclass(frozen=True, slots=True)
class Services:
    """The programs of one pipeline. `folder` is private and holds the code server's socket."""

    settings: Settings
    ui_port: int
    folder: Path
    inherited: Mapping[str, str] = field(default_factory=lambda: os.environ)
    working_folder: Path = field(default_factory=Path.cwd)
    """Where the programs run and find .env."""

    @property
    def ui_address(self) -> str:
        """Where a browser on this machine finds the UI; Dagster has no login, so nobody else may reach it."""
        return f"http://{LOOPBACK}:{self.ui_port}"

    @property
    def _socket(self) -> Path:
        return self.folder / "code.sock"

    @property
    def _workspace(self) -> Path:
        return self.folder / "workspace.yaml"

    def check_ports(self) -> None:
        """Raises Problem for a port that is taken: said now, it costs no half-started system."""
        for port, host, setting in (
            (self.ui_port, LOOPBACK, "--port"),
            (self.settings.receiver_port, self.settings.receiver_host, "RECEIVER_PORT"),
        ):
            if port and not is_free(host, port):
                raise Problem(
                    f"Port {port} is taken: stop what listens there, or choose another with {setting}."
                )

    def environment(self) -> dict[str, str]:
        """The inherited environment, and what Dagster and the runs must have from us."""
        settings = self.settings
        given = {
            "DAGSTER_HOME": str(settings.home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "STATE_ENCRYPTION_KEY": settings.state_encryption_key.get_secret_value(),
            "PYTHONUNBUFFERED": "1",
        }
        if url := settings.dagster_postgres_url.get_secret_value():
            given["DAGSTER_POSTGRES_URL"] = url
        return {**self.inherited, **given}

    def receiver(self) -> Program:
        """The receiver of webhooks."""
        settings = self.settings
        host = LOOPBACK if settings.receiver_host in ("0.0.0.0", "::") else settings.receiver_host  # noqa: S104  # compared, not bound
        ready = _answers(host, settings.receiver_port, "/health")
        return Program("receiver", ["-m", "webhook_sensor_app"], ready, ready_seconds=30)

    def code_server(self) -> Program:
        """The definitions, loaded once for the daemon and the UI; the runs are its children."""
        self._workspace.write_text(
            f"load_from:\n  - grpc_server:\n      socket: {self._socket}\n      location_name: {LOCATION}\n",
            "utf-8",
        )
        arguments = ["-m", "dagster", "api", "grpc", "--socket", str(self._socket), "--location-name", LOCATION,
                     "--module-name", "bitbylaw_pipeline.definitions", "--working-directory", str(self.working_folder),
                     "--use-python-environment-entry-point", "--inject-env-vars-from-instance",
                     "--log-level", "warning"]  # fmt: skip
        return Program(
            "code-server", arguments, _listens(self._socket), ready_seconds=180, stop_seconds=RUN_END_SECONDS
        )

    def daemon(self) -> Program:
        """Sensors, schedules, the run queue."""
        arguments = [
            "-m",
            "dagster._daemon",
            "run",
            "--workspace",
            str(self._workspace),
            "--log-level",
            "warning",
        ]
        return Program("daemon", arguments, stop_seconds=15)

    def webserver(self) -> Program:
        """The UI, on loopback only."""
        arguments = ["-m", "dagster_webserver", "--host", LOOPBACK, "--port", str(self.ui_port),
                     "--workspace", str(self._workspace), "--dagster-log-level", "warning"]  # fmt: skip
        return Program("ui", arguments, _answers(LOOPBACK, self.ui_port, "/server_info"), ready_seconds=120)


def is_free(host: str, port: int) -> bool:
    """True if the port can be listened on; raises NotUsable where this user may not."""
    try:
        return loopback.is_free(host, port)
    except PermissionError:
        raise NotUsable(f"Port {port} may not be opened by this user: choose one above 1023.") from None


def _listens(path: Path) -> Callable[[], bool]:
    def ask() -> bool:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return True
        return False

    return ask


def _answers(host: str, port: int, path: str) -> Callable[[], bool]:
    def ask() -> bool:
        return fetch_status(host, port, path) == 200

    return ask


def fetch_status(host: str, port: int, path: str, headers: Mapping[str, str] | None = None) -> int | None:
    """The status of a GET, None where nobody answers within two seconds."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
