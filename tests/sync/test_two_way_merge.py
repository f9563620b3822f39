"""What holds of merges, mirrors, clocks and guards (`facts/two_way_sync.md` 1.13, I3, I16, I18 to I20)."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.three_way import FieldPolicy, Merge, Side, Sight, Unit, merge_unit
from bitbylaw_pipeline.sync.two_way import run_case
from tests.sync.test_two_way_cases import counted
from tests.sync.test_two_way_properties import EDITS, RECORD, edited, in_step
from tests.sync.two_way_choices import ABILITIES, settings_for
from tests.sync.two_way_world import RUN_SECONDS, World

FEW = st.dictionaries(st.sampled_from(["r1", "r2", "r3"]), RECORD, max_size=3)
SWAP = {"left": "right", "right": "left", "none": "none"}


@settings_for(60)
@given(st.data())
def test_a_unit_edited_on_one_side_ends_so_on_both(data: st.DataObject) -> None:
    """I3: each unit is edited on one side at most; one run later both sides hold exactly that, with no conflict."""

    async def main() -> None:
        sides = {"left": data.draw(ABILITIES), "right": data.draw(ABILITIES)}
        merge = data.draw(st.sampled_from(["hold", "left_wins", "right_wins"]))
        case = in_step(3, sides=sides, default={"merge": merge, "eq": "lower"})
        world, expected = World(case), copy.deepcopy(case["base"])
        for record_id, unit in itertools.product(case["base"], ("t", "ab", "u")):
            side = data.draw(st.sampled_from([None, *Side]))
            if side is not None:
                patch = {name: f"{side}-{record_id}-{name}" for name in unit}
                world.user_edits(side, record_id, patch)
                expected[record_id].update(patch)
        await world.run()
        for side in Side:
            shown = world.shown()[side]
            assert {key: {n: v.lower() for n, v in row.items()} for key, row in shown.items()} == expected
        assert not world.store.conflicts

    asyncio.run(main())


@settings_for(40)
@given(edits=EDITS, later=EDITS, steps=st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3))
def test_no_clock_is_asked(edits: Any, later: Any, steps: list[float]) -> None:
    """I16: clocks that jump, stand still or run backwards change nothing, nor do the records' own times."""

    async def main() -> None:
        jumps = iter(steps)
        plain, skewed = World(in_step(4)), World(in_step(4), tick=lambda now: now + next(jumps, RUN_SECONDS))
        for n, row in enumerate(skewed.systems[Side.LEFT].inner.rows.values()):
            row.updated = 1e9 * (-1) ** n
        for world in (plain, skewed):
            edited(world, edits)
            await world.run()
            edited(world, later)
            await world.run()
            await world.run()
        assert skewed.shown() == plain.shown()

    asyncio.run(main())


@settings_for(150)
@given(left=RECORD, right=RECORD, base=st.none() | RECORD, merge=st.sampled_from(list(Merge)))
def test_a_unit_is_never_mixed(left: Any, right: Any, base: Any, merge: Merge) -> None:
    """I18: after the merge of a group each side holds one of the two inputs, whole."""
    policy = FieldPolicy(merge=merge, group="g")
    unit = Unit(("a", "b", "t"), policy, dict.fromkeys("abt", policy))
    on_left, on_right = [Sight(fields, base or {}, lambda _, value: value, 1.0) for fields in (left, right)]
    plan = merge_unit(unit, on_left, on_right)
    for fields, patch in ((left, plan.to_left), (right, plan.to_right)):
        after = unit.of({**fields, **patch})
        assert after in (unit.of(left), unit.of(right))


def mirrored(case: Mapping[str, Any]) -> dict[str, Any]:
    """The case with its sides, and all of its policy that names a side, swapped."""
    policy = dict(case["policy"])
    wins = {"left_wins": "right_wins", "right_wins": "left_wins"}
    policy["default"] = {"merge": wins.get(policy["default"]["merge"], policy["default"]["merge"])}
    policy["delete"] = {
        f"{SWAP[side.split('_')[0]]}_deleted": rule for side, rule in policy["delete"].items()
    }
    policy["fields"] = {
        **policy["fields"],
        "u": {
            "direction": {"to_right": "to_left", "to_left": "to_right"}.get(
                policy["fields"]["u"]["direction"], "both"
            )
        },
    }
    policy["sides"] = {SWAP[side]: able for side, able in policy["sides"].items()}
    return {"base": case["base"], "left": case["right"], "right": case["left"], "policy": policy}


RULES = st.sampled_from(["propagate", "restore", "unlink", "hold"])


@settings_for(150)
@given(base=FEW, left=FEW, right=FEW, data=st.data())
def test_swapping_the_sides_swaps_the_outcome(base: Any, left: Any, right: Any, data: st.DataObject) -> None:
    """I19: with the policy mirrored too, everything comes out mirrored."""
    policy = {
        "default": {"merge": data.draw(st.sampled_from(["left_wins", "right_wins", "hold"]))},
        "fields": {
            "a": {"group": "g"},
            "b": {"group": "g"},
            "u": {"direction": data.draw(st.sampled_from(["both", "to_left", "to_right"]))},
        },
        "delete": {"left_deleted": data.draw(RULES), "right_deleted": data.draw(RULES)},
        "edit_vs_delete": data.draw(st.sampled_from(["edit_wins", "delete_wins", "hold"])),
        "sides": {"left": data.draw(ABILITIES), "right": data.draw(ABILITIES)},
    }
    case = {"base": base, "left": left, "right": right, "policy": policy}
    came, swapped = run_case(case), run_case(mirrored(case))
    assert (swapped["left"], swapped["right"]) == (came["right"], came["left"])
    assert counted(swapped["writes"]) == counted(
        {**write, "side": SWAP[write["side"]]} for write in came["writes"]
    )
    assert Counter((one["what"], SWAP[one["winner"]]) for one in came["conflicts"]) == Counter(
        (one["what"], one["winner"]) for one in swapped["conflicts"]
    )


@settings_for(80)
@given(
    count=st.integers(2, 12),
    left=st.integers(0, 12),
    right=st.integers(0, 12),
    guard=st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.1, 0.5]), st.integers(1, 6)),
    approved=st.dictionaries(st.sampled_from(["left", "right"]), st.integers(0, 6)),
)
def test_the_guard_bounds_the_deletes_of_each_side(
    count: int, left: int, right: int, guard: tuple[int, float, int], approved: dict[str, int]
) -> None:
    """I20: the deletes of a side in one run are within the guard or the approved number, or there are none."""

    async def main() -> None:
        min_abs, frac, hard_abs = guard
        limits = {"min_abs": min_abs, "frac": frac, "hard_abs": hard_abs}
        world = World(in_step(count, guard=limits, approved_deletes=approved))
        gone = {Side.LEFT: left % count, Side.RIGHT: right % count}
        for n in range(gone[Side.LEFT]):
            world.user_deletes(Side.LEFT, f"r{n}")
        for n in range(gone[Side.RIGHT]):
            world.user_deletes(Side.RIGHT, f"r{count - 1 - n}")
        both = max(gone[Side.LEFT] + gone[Side.RIGHT] - count, 0)
        await world.run()
        made = Counter(write["side"] for write in world.writes if write["op"] == "delete")
        for side in Side:
            due = gone[side.other] - both
            too_many = due > min_abs and (due > frac * count or due > hard_abs)
            stopped = too_many and due > approved.get(side.value, 0)
            assert made[side.value] == (0 if stopped else due)

    asyncio.run(main())
