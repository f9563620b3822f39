"""A record that is never what a write was planned on: it is told of, and nothing is written over it."""

from __future__ import annotations

import asyncio
from typing import Any

from bitbylaw_pipeline.domain.errors import Conflict
from bitbylaw_pipeline.domain.three_way import Side
from tests.sync.two_way_world import World

ROWS: dict[str, dict[str, Any]] = {"r1": {"text": "Alt"}, "r2": {"text": "Alt"}}


def world_of() -> World:
    """Two records in step."""
    return World({"base": ROWS, "left": ROWS, "right": ROWS, "policy": {}})


def test_a_write_that_is_always_overtaken_ends_as_an_error() -> None:
    """Refused as changed in each of three rounds: the pass says so, the other record goes through."""

    async def main() -> None:
        world = world_of()
        for key in ROWS:
            world.user_edits(Side.LEFT, key, {"text": f"Neu {key}"})
        world.systems[Side.RIGHT].refusing["r1"] = Conflict("Something else is there.", system="right")
        report = await world.run()
        assert report is not None
        (error,) = report.errors.values()
        assert isinstance(error, Conflict)
        assert "r1" in str(error)
        assert world.shown()[Side.RIGHT] == {"r1": {"text": "Alt"}, "r2": {"text": "Neu r2"}}

    asyncio.run(main())


def test_one_edit_in_between_is_no_error() -> None:
    """Overtaken once: planned anew, and the pass ends well."""

    async def main() -> None:
        world = world_of()
        world.user_edits(Side.LEFT, "r1", {"text": "Neu"})
        world.systems[Side.RIGHT].races.append({"text": "Neuer"})
        report = await world.run()
        assert report is not None
        assert report.errors == {}

    asyncio.run(main())
