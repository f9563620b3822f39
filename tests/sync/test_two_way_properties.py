"""What holds against lying listings, triggers, races and bad records (`facts/two_way_sync.md` 1.13, I7 to I15)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.three_way import Side
from tests.sync.test_two_way_cases import counted
from tests.sync.two_way_choices import LIES, PLACES, SIDES, settings_for
from tests.sync.two_way_world import World

VALUES = st.sampled_from(["0", "1", "2", None])
RECORD = st.fixed_dictionaries(dict.fromkeys("tabu", VALUES))
EDITS = st.dictionaries(st.tuples(SIDES, st.sampled_from(["r0", "r1", "r2", "r3"])), RECORD, max_size=5)
OPEN_GUARD = {"min_abs": 99, "frac": 1.0, "hard_abs": 99}


def in_step(count: int, **policy: Any) -> dict[str, Any]:
    """A case of so many records that are in step."""
    rows = {f"r{n}": {"t": f"t{n}", "a": f"a{n}", "b": f"b{n}", "u": f"u{n}", "x": "x"} for n in range(count)}
    fields = {"a": {"group": "g"}, "b": {"group": "g"}, "x": {"direction": "ignore"}}
    default: dict[str, Any] = {"default": {"merge": "left_wins"}, "fields": fields, "guard": OPEN_GUARD}
    return {"base": rows, "left": rows, "right": rows, "policy": {**default, **policy}}


def told(world: World, side: Side, lies: Mapping[str, Any]) -> None:
    """The side lies about records chosen by their place."""
    ids = sorted({*world.systems[side].inner.rows, *world.systems[side].inner.graves})
    world.observe_as(
        side,
        {
            kind: lie if isinstance(lie, bool) else [ids[n % len(ids)] for n in sorted(lie) if ids]
            for kind, lie in lies.items()
        },
    )


def edited(world: World, edits: Mapping[tuple[Side, str], Mapping[str, Any]]) -> None:
    """Users type these values into records that are there."""
    for (side, record_id), patch in edits.items():
        if record_id in world.systems[side].inner.rows:
            world.user_edits(side, record_id, patch)


@settings_for(120)
@given(left=LIES, right=LIES, edits=EDITS)
def test_lies_delete_nothing(left: dict[str, Any], right: dict[str, Any], edits: Any) -> None:
    """I7: a listing that omits, fails, is empty or partial deletes nothing, and the truth comes out the same."""

    async def main() -> None:
        honest, lied_to = World(in_step(4)), World(in_step(4))
        for world in (honest, lied_to):
            edited(world, edits)
        told(lied_to, Side.LEFT, left)
        told(lied_to, Side.RIGHT, right)
        await lied_to.run()
        await lied_to.run()
        assert not any(write["op"] in ("delete", "create") for write in lied_to.writes)
        for side in Side:
            lied_to.observe_as(side, {})
        for world in (honest, lied_to):
            await world.run()
        assert lied_to.shown() == honest.shown()

    asyncio.run(main())


@settings_for(80)
@given(gone=SIDES, doomed=st.sets(PLACES.map(lambda n: f"r{n % 4}"), min_size=1, max_size=3), lies=LIES)
def test_what_was_deleted_stays_away(gone: Side, doomed: set[str], lies: dict[str, Any]) -> None:
    """I8: deleted on one side, unchanged on the other: no stale listing and no replayed trigger brings it back."""

    async def main() -> None:
        world = World(in_step(5))
        for record_id in doomed:
            world.user_deletes(gone, record_id)
        for _ in range(2):
            await world.run()
        for side in Side:
            told(world, side, {**lies, "ghost": set(range(9))})
            for record_id in doomed:
                await world.run(one=(side, record_id))
            await world.run()
            world.observe_as(side, {})
        await world.run()
        assert not any(write["op"] == "create" for write in world.writes)
        assert all(not doomed & set(world.shown()[side]) for side in Side)

    asyncio.run(main())


@settings_for(40)
@given(edits=EDITS, triggers=st.lists(st.tuples(SIDES, PLACES.map(lambda n: f"r{n % 4}")), max_size=8))
def test_own_writes_come_back_as_nothing(edits: Any, triggers: list[tuple[Side, str]]) -> None:
    """I9: whatever is said to have changed after a run, in any order and number, causes no write."""

    async def main() -> None:
        world = World(in_step(4))
        edited(world, edits)
        await world.run()
        writes = len(world.writes)
        for trigger in triggers:
            await world.run(one=trigger)
        assert len(world.writes) == writes

    asyncio.run(main())


@settings_for(60)
@given(
    edits=EDITS,
    doomed=st.sets(st.tuples(SIDES, st.just("r2")), max_size=1),
    triggers=st.lists(st.tuples(SIDES, st.sampled_from(["r0", "r1", "r2", "r3", "l9"])), max_size=8),
    turned=st.booleans(),
)
def test_the_order_of_triggers_does_not_matter(
    edits: Any, doomed: set[tuple[Side, str]], triggers: list[tuple[Side, str]], turned: bool
) -> None:
    """I10: triggers early, twice or never, links in another order: one full run later all is the same."""

    async def main() -> None:
        case = in_step(4)
        backwards = {**case, "base": dict(reversed(case["base"].items()))} if turned else case
        plain, triggered = World(case), World(backwards, concurrency=4)
        for world in (plain, triggered):
            edited(world, edits)
            for side, record_id in doomed:
                world.user_deletes(side, record_id)
            world.user_edits(Side.LEFT, "l9", {"t": "new"})
        for trigger in triggers:
            await triggered.run(one=trigger)
        for world in (plain, triggered):
            await world.run()
        assert triggered.shown() == plain.shown()
        assert counted(triggered.writes) == counted(plain.writes)

    asyncio.run(main())


@settings_for(50)
@given(private=st.sets(st.tuples(SIDES, PLACES)), edits=EDITS, gone=st.sets(PLACES, max_size=2))
def test_what_is_out_of_scope_is_never_written(
    private: set[tuple[Side, int]], edits: Any, gone: set[int]
) -> None:
    """I11: records that left the scope stay as their users have them, also if their counterpart is deleted."""

    async def main() -> None:
        scope = {side: {"field": "x", "not": "private"} for side in ("left", "right")}
        world = World(in_step(5, scope=scope))
        edited(world, edits)
        hidden = {(side, f"r{n % 5}") for side, n in private}
        for side, record_id in hidden:
            world.systems[side].inner.edit({record_id: {"x": "private"}})
        before = world.shown()
        for n in gone:
            if (Side.LEFT, f"r{n % 5}") not in hidden:
                world.user_deletes(Side.LEFT, f"r{n % 5}")
        for _ in range(2):
            await world.run()
        for side, record_id in hidden:
            assert world.shown()[side][record_id] == before[side][record_id]

    asyncio.run(main())


@settings_for(60)
@given(edits=EDITS, doomed=st.sets(st.sampled_from(["r0", "r1"])), races=st.lists(SIDES, max_size=4))
def test_a_user_who_is_faster_keeps_the_value(edits: Any, doomed: set[str], races: list[Side]) -> None:
    """I13: what a user types between our read and our write is never overwritten unseen: it stands, or is logged."""

    async def main() -> None:
        world = World(in_step(4))
        edited(world, edits)
        for record_id in doomed:
            world.user_deletes(Side.LEFT, record_id)
        for n, side in enumerate(races):
            world.systems[side].races.append({"t": f"race-{n}"})
        await world.run()
        lost = {token for token in world.lost() if token.startswith("race")}
        assert not lost
        for _ in range(3):
            await world.run()
        assert not {token for token in world.lost() if token.startswith("race")}

    asyncio.run(main())


@settings_for(60)
@given(
    edits=EDITS,
    poison=st.tuples(SIDES, st.sampled_from(["r0", "r1", "l9"])),
    kind=st.sampled_from(["fail", "fail_after", "fail_get"]),
)
def test_one_bad_record_is_alone(edits: Any, poison: tuple[Side, str], kind: str) -> None:
    """I14: a record whose calls all fail changes nothing for the others."""

    async def main() -> None:
        plain, poisoned = World(in_step(4)), World(in_step(4))
        for world in (plain, poisoned):
            edited(world, edits)
            world.user_edits(Side.LEFT, "l9", {"t": "new"})
            world.user_deletes(Side.RIGHT, "r3")
        side, record_id = poison
        poisoned.observe_as(side, {kind: [record_id]})
        assert await poisoned.run() is not None
        await plain.run()
        for one in Side:
            expected, shown = plain.shown()[one], poisoned.shown()[one]
            expected.pop(record_id, None)
            shown.pop(record_id, None)
            assert shown == expected

    asyncio.run(main())


def test_a_quiet_run_lists_each_side_once() -> None:
    """I15: in step, a run costs one listing a side, no read of a record, no write."""

    async def main() -> None:
        world = World(in_step(50))
        await world.run()
        await world.run()
        for system in world.systems.values():
            assert system.calls == Counter({"observe": 2})
        assert not world.writes

    asyncio.run(main())
