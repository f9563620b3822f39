"""Kills the engine before and after every remote effect and every commit, and resumes (I6, `facts/two_way_sync.md` 1.13)."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.two_way_database import DatabaseLinkStore
from bitbylaw_pipeline.sync.two_way_store import LinkStore
from tests.conftest import ENCRYPTION_KEY, migrated_url
from tests.sync.test_two_way_cases import CASES, counted
from tests.sync.two_way_choices import BARE
from tests.sync.two_way_world import NOBODY, World

ABILITIES: list[dict[str, Any]] = [{}, {"markers": False}, {"client_ids": False}, BARE]
PLAIN = [
    case
    for param in CASES
    if isinstance(case := param.values[0], dict)
    and case["expected_writes"]
    and not {"observe", "race", "steps"} & set(case)
    and len(case["left"]) < 8
    # A copy that carries the very marker under which a lost create is searched cannot be told from it.
    and case["name"] != "two_copies_of_one_marker_are_new"
]
BUSY: dict[str, Any] = {
    "base": {
        "a": {"t": "0", "x": "0", "y": "0", "s": ["1"]},
        "b": {"t": "0"},
        "c": {"t": "0"},
        "d": {"t": "0"},
        "e": {"t": "0"},
    },
    "left": {
        "a": {"t": "L", "x": "1", "y": "0", "s": ["1", "2"]},
        "b": {"t": "L"},
        "c": {"t": "0"},
        "e": {"t": "L"},
        "n": {"t": "n"},
    },
    "right": {
        "a": {"t": "R", "x": "0", "y": "1", "s": ["3"]},
        "b": {"t": "0"},
        "d": {"t": "0"},
        "m": {"t": "n"},
    },
    "policy": {
        "default": {"merge": "right_wins"},
        "fields": {"x": {"group": "g"}, "y": {"group": "g"}, "s": {"merge": "set3"}},
    },
}
"""One of everything: conflicts, a group, a set, updates, creates and deletes both ways, a re-creation."""


async def outcome(world: World, kill_at: int = NOBODY) -> dict[str, Any]:
    """What a run and, after it, undisturbed ones come to."""
    await world.run(kill_at)
    for _ in range(3):
        await world.run()
    conflicts = [(one.link_id, one.what, one.winner) for one in world.store.conflicts]
    return {
        "shown": world.shown(),
        "writes": counted(world.writes),
        "created": {side: Counter(world.systems[side].created) for side in Side},
        "decided": Counter(one for one in conflicts if one[2] != "none"),
        "open": {one for one in conflicts if one[2] == "none"},
    }


async def assert_every_boundary(make: Callable[[], World]) -> int:
    """Each kill comes to what the undisturbed run comes to; returns the number of boundaries."""
    counting = make()
    await counting.run()
    boundaries = counting.boundaries.count
    expected = await outcome(make())
    for kill_at in range(1, boundaries + 1):
        assert await outcome(make(), kill_at) == expected, f"killed at boundary {kill_at} of {boundaries}"
    return boundaries


def with_abilities(case: Mapping[str, Any], left: Any, right: Any) -> dict[str, Any]:
    """The case with systems that can do this."""
    return {**case, "policy": {**case["policy"], "sides": {"left": left, "right": right}}}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in PLAIN])
def test_a_case_survives_a_kill_anywhere(case: Mapping[str, Any]) -> None:
    """I6: the same records, the same writes, creates and conflicts, wherever the process dies."""
    assert asyncio.run(assert_every_boundary(lambda: World(case))) > 4


@pytest.mark.parametrize("right", ABILITIES)
@pytest.mark.parametrize("left", ABILITIES)
def test_everything_at_once_survives_a_kill_anywhere(left: dict[str, Any], right: dict[str, Any]) -> None:
    """I6 with every kind of operation in one run, for systems of every ability."""
    case = with_abilities(BUSY, left, right)
    assert asyncio.run(assert_every_boundary(lambda: World(case))) > 40


def test_a_second_kill_during_recovery_changes_nothing() -> None:
    """I6: the run that picks up the pieces may die as well, at any boundary."""

    async def main() -> None:
        case = with_abilities(BUSY, {"markers": False}, {})
        expected = await outcome(World(case))
        for first in range(5, 60, 6):
            for second in range(3, 40, 5):
                world = World(case)
                await world.run(first)
                assert await outcome(world, second) == expected, (first, second)

    asyncio.run(main())


@contextlib.contextmanager
def sqlite_stores() -> Iterator[Callable[[Callable[[], float]], LinkStore]]:
    """Makes stores in fresh SQLite files."""
    with contextlib.ExitStack() as closing:

        def make(clock: Callable[[], float]) -> LinkStore:
            folder = closing.enter_context(tempfile.TemporaryDirectory())
            database = Database.open(
                migrated_url("sqlite", Path(folder)), clock=clock, encryption_key=ENCRYPTION_KEY
            )
            closing.callback(database.close)
            return DatabaseLinkStore(database, "termine")

        yield make


@pytest.mark.parametrize(
    "name", ["left_wins", "left_edited_right_deleted_edit_wins", "set_adds_on_both_sides"]
)
def test_a_database_survives_a_kill_anywhere(name: str) -> None:
    """I6 with the engine's state on SQLite."""
    (case,) = [case for case in PLAIN if case["name"] == name]
    with sqlite_stores() as make:
        assert asyncio.run(assert_every_boundary(lambda: World(case, make))) > 4
