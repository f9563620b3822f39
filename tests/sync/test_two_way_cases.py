"""The two-way engine against cases as field dictionaries (`facts/two_way_sync.md` 4)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.sync.two_way import run_case
from bitbylaw_pipeline.sync.two_way_case import CaseRun

HERE = Path(__file__).parent / "cases"
CASES = [
    pytest.param(case, id=case["name"])
    for name in ("two_way_cases.json", "two_way_more.json")
    for case in json.loads((HERE / name).read_text())
]


def counted(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """The rows without their order."""
    return Counter(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)


@pytest.mark.parametrize("case", CASES)
def test_the_case_comes_to_what_the_specification_says(case: Mapping[str, Any]) -> None:
    """Both sides, the writes, the conflicts and the holds are those of the case."""
    came_to = run_case(case)
    assert came_to["left"] == case["expected_left"]
    assert came_to["right"] == case["expected_right"]
    assert counted(came_to["writes"]) == counted(case["expected_writes"])
    for told in ("conflicts", "held"):
        if f"expected_{told}" in case:
            assert counted(came_to[told]) == counted(case[f"expected_{told}"])


@pytest.mark.parametrize("case", CASES)
def test_one_more_run_finds_nothing_to_do(case: Mapping[str, Any]) -> None:
    """After every case a further run writes nothing, adds no conflict and moves no base."""

    async def main() -> None:
        run = CaseRun(case)
        before = await run.run()
        bases = {link.link_id: (link.base_left, link.base_right) for link in run.store.links.values()}
        run.steps = [{"run": True}]
        after = await run.run()
        assert counted(after["writes"]) == counted(before["writes"])
        assert counted(after["conflicts"]) == counted(before["conflicts"])
        assert bases == {link.link_id: (link.base_left, link.base_right) for link in run.store.links.values()}

    asyncio.run(main())
