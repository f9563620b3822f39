"""The administrator's terminal: the commands as a person types them, in the demo's own folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Terminal:
    """Runs `bitbylaw` in the folder with the demo's `.env`."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str) -> Said:
        """Waits for the command's end; raises subprocess.TimeoutExpired after two minutes."""
        program = Path(sys.executable).with_name("bitbylaw")
        done = subprocess.run(  # noqa: S603  # our own program, with a list of arguments
            [str(program), *arguments],
            cwd=self.folder,
            env={**self.environment, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Said(done.returncode, done.stdout + done.stderr)
