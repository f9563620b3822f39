"""The layers hold, as a machine sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_layers_are_one_way() -> None:
    """import-linter finds every contract of pyproject.toml kept."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_what_dagster_loads_needs_neither_network_nor_settings() -> None:
    """definitions.py imports with an empty environment, and the layers below it import without Dagster."""
    code = (
        "import sys, socket; socket.socket.connect = None; "
        "import bitbylaw_pipeline.wiring, bitbylaw_pipeline.cli.main, webhook_sensor_app.app; "
        "assert 'dagster' not in sys.modules, 'dagster came along'; "
        "import bitbylaw_pipeline.definitions"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
