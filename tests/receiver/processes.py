"""The receiver as the process that runs in production, on a free port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from tests.conftest import ENCRYPTION_KEY
from tests.receiver.deliveries import SHARED_SECRET

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0


class ReceiverProcess:
    """`python -m webhook_sensor_app`; a context manager that kills what still runs at the end."""

    def __init__(self, database_url: str, folder: Path, **environment: str) -> None:
        self.log_file = folder / "receiver.log"
        self._folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "STATE_DB_URL": database_url,
            "STATE_ENCRYPTION_KEY": ENCRYPTION_KEY,
            "WEBHOOK_SHARED_SECRET": SHARED_SECRET,
            "RECEIVER_PORT": "0",
        } | environment
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self) -> Self:
        """Starts it and returns when it listens."""
        known = self.log().count("event=listening")
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "webhook_sensor_app"],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while len(ports := re.findall(r"event=listening .*port=(\d+)", self.log())) <= known:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The receiver did not start: {self.log()[-2000:]}")
            time.sleep(0.02)
        self.port = int(ports[-1])
        return self

    def log(self) -> str:
        """What it wrote so far."""
        return self.log_file.read_text("utf-8") if self.log_file.exists() else ""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        assert self._process is not None
        return self._process

    def peak_bytes(self) -> int:
        """The most memory that it ever held."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    def send(self, how: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(how)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(START_SECONDS)

    def kill(self) -> None:
        """Ends it as a crash would."""
        self.send(signal.SIGKILL)
        self.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
