"""Both of Dagster's databases, and a workbench around the toy stream."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.orchestration.workbench import Workbench, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    """A workbench on SQLite."""
    with workbench(tmp_path) as made:
        yield made
