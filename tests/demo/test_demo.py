"""`bitbylaw demo --exit` as a person starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from bitbylaw_pipeline.cli.main import main; main()", "demo"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_everything_is_as_expected(tmp_path: Path) -> None:
    """Sandbox, receiver, Dagster and UI start, the story is lived through, every expectation holds, all stops."""
    done = subprocess.run(
        [*COMMAND, "--exit"], cwd=tmp_path, capture_output=True, text=True, timeout=380, check=False
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "What is where" in told
    assert "set aside: too_large" in told
    assert "stays in the firm: no permission" in told
    assert "does not agree" not in told
    assert "ok    EspoCRM, xAI and our state agree on each of" in told
    assert "ok    EspoCRM and Advoware agree on each of 18 linked parties" in told
    assert "ok    Advoware and Google agree on each of 17 Termine" in told
    assert "ok    Dagster shows 3 partitions of google/termine materialized" in told
    assert "\nwrong " not in told
    assert re.search(r"bitbylaw resolve \w+-\w+ --take left\|right", told), (
        "the changed IBAN is not in the summary"
    )
    assert int(re.findall(r"(\d+) of \1 expectations hold", told)[0]) > 65
    left = list((tmp_path / ".bitbylaw" / "demo").iterdir())
    assert len(left) == 1
    assert (left[0] / "logs" / "code-server.log").stat().st_size > 0


@pytest.mark.slow
def test_ctrl_c_while_it_starts_stops_all_of_it(tmp_path: Path) -> None:
    """One sentence, exit code 1, and no process of it is left."""
    marker = f"demo-{tmp_path.name}"
    process = subprocess.Popen(
        [*COMMAND, "--exit"], cwd=tmp_path, env={**os.environ, "DEMO_MARKER": marker}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    logs = tmp_path / ".bitbylaw" / "demo"
    deadline = time.monotonic() + 60
    while not list(logs.glob("run-*/logs/code-server.log")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "bitbylaw: the demo was broken off; nothing of it is left running."
    assert _processes_with(marker) == []


def _processes_with(marker: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            if marker.encode() in environment:
                found.append(folder.name)
    return found
