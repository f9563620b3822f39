"""After a restore from a backup a third of all records seems edited: nothing is written before a person has looked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Guard
from bitbylaw_pipeline.sync.two_way_case import CaseRun

COUNT = 10


def edited(number: int) -> CaseRun:
    """Ten linked records, so many of them edited on the left."""
    before: dict[str, Any] = {f"r{n}": {"t": "old"} for n in range(COUNT)}
    after = {key: {"t": "new" if n < number else "old"} for n, key in enumerate(before)}
    run = CaseRun({"base": before, "left": after, "right": before, "policy": {"default": {"merge": "hold"}}})
    run.policy = replace(run.policy, update_guard=Guard(min_abs=2, frac=0.3, hard_abs=1000))
    return run


def test_a_mass_change_is_held_as_a_whole() -> None:
    """Four of ten: not one is written, each is held, and a second pass holds them still."""
    run = edited(4)
    outcome = asyncio.run(run.run())
    assert outcome["writes"] == []
    assert outcome["held"] == [{"key": f"r{n}", "why": "update_guard"} for n in range(4)]
    assert asyncio.run(run.run())["writes"] == []


def test_a_few_changes_pass() -> None:
    """Three of ten are people at work."""
    assert len(asyncio.run(edited(3).run())["writes"]) == 3


def test_an_approved_mass_change_passes_once() -> None:
    """A person's ceiling lets it through; the next mass change is held again."""
    run = edited(4)
    run.store.approved_updates[Side.RIGHT] = 4
    outcome = asyncio.run(run.run())
    assert len(outcome["writes"]) == 4
    assert outcome["held"] == []
    run.systems[Side.LEFT].edit({f"r{n}": {"t": "newer"} for n in range(4)})
    assert len(asyncio.run(run.run())["writes"]) == 4


def test_an_approval_for_less_or_for_the_other_side_does_not_count() -> None:
    """The ceiling is one for that side, and a change above it stays whole."""
    run = edited(4)
    run.store.approved_updates = {Side.RIGHT: 3, Side.LEFT: 100}
    assert asyncio.run(run.run())["writes"] == []
