"""Troubles one by one: late edits, unforeseen coercions, refusals (`facts/two_way_sync.md` 1.5, 1.8, 1.10)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.errors import AuthFailed, Permanent, RateLimited, SyncError
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import LinkState
from tests.sync.test_two_way_properties import edited, in_step
from tests.sync.two_way_choices import SIDES, settings_for
from tests.sync.two_way_world import NOBODY, World


@pytest.mark.parametrize("gone", list(Side))
def test_what_is_edited_after_the_listing_is_not_deleted(gone: Side) -> None:
    """I13: the delete is for the record as it was listed; one that a user edits meanwhile stays."""

    async def main() -> None:
        world = World(in_step(2))
        world.user_deletes(gone, "r1")
        world.store.meanwhile.append(lambda: world.user_edits(gone.other, "r1", {"t": "late"}))
        await world.run()
        assert world.shown()[gone.other]["r1"]["t"] == "late"
        await world.run()
        assert all("late" in {row["t"] for row in shown.values()} for shown in world.shown().values())

    asyncio.run(main())


def test_what_is_deleted_on_both_sides_is_done_with() -> None:
    """Nobody writes, nobody is asked, and the link ends: a later record with that id is another one."""

    async def main() -> None:
        world = World(in_step(2))
        for side in Side:
            world.user_deletes(side, "r1")
        report = await world.run()
        assert report is not None
        assert (world.writes, report.holds) == ([], [])
        (link,) = [link for link in await world.links() if link.left_id == "r1"]
        assert link.state is LinkState.TOMBSTONE

    asyncio.run(main())


@settings_for(20)
@given(side=SIDES, is_new=st.booleans())
def test_what_a_system_really_kept_is_the_base(side: Side, is_new: bool) -> None:
    """I2: a system that stores what nobody foresaw is not written again, and its form does not travel back."""

    async def main() -> None:
        world = World(in_step(1, sides={side.value: {"norm": {"t": "max:3"}}}))
        world.systems[side].is_unpredictable = True
        record_id = "n1" if is_new else "r0"
        edited(world, {(side.other, "r0"): {"t": "abcdef"}})
        if is_new:
            world.user_edits(side.other, record_id, {"t": "abcdef"})
        for _ in range(3):
            await world.run()
        assert world.shown()[side][record_id]["t"] == "abc"
        assert world.shown()[side.other][record_id]["t"] == "abcdef"
        assert len(world.writes) == 1 + is_new

    asyncio.run(main())


@pytest.mark.parametrize("kill_at", [NOBODY, 7])
def test_a_record_is_archived_before_it_is_deleted(kill_at: int) -> None:
    """What we delete is in the archive before the delete is sent, also if we die then."""

    async def main() -> None:
        world = World(in_step(2))
        world.user_deletes(Side.LEFT, "r1")
        before = world.shown()[Side.RIGHT]["r1"]
        await world.run(kill_at)
        assert before in world.store.archived

    asyncio.run(main())


def test_a_record_refused_again_and_again_is_put_aside() -> None:
    """I14: after five refusals a record waits for a person, and nothing is sent for it any more; others go on."""

    async def main() -> None:
        world = World(in_step(3))
        world.systems[Side.RIGHT].refusing = {"r1": Permanent("Refused.", system="right")}
        edited(world, {(Side.LEFT, "r1"): {"t": "bad"}})
        for _ in range(6):
            await world.run()
        (aside,) = [link for link in await world.links() if link.state is LinkState.QUARANTINED]
        assert aside.left_id == "r1"
        world.systems[Side.RIGHT].refusing = {}
        edited(world, {(Side.LEFT, "r2"): {"t": "good"}})
        await world.run()
        assert [write["key"] for write in world.writes] == ["r2"]

    asyncio.run(main())


@pytest.mark.parametrize("error", [AuthFailed("No.", system="right"), RateLimited("Slow.", system="right")])
def test_a_busy_or_closed_system_puts_no_record_aside(error: SyncError) -> None:
    """A refused key or too many calls say nothing about the record: once it is over the edit travels."""

    async def main() -> None:
        world = World(in_step(2))
        world.systems[Side.RIGHT].refusing = {"r1": error}
        edited(world, {(Side.LEFT, "r1"): {"t": "neu"}})
        for _ in range(7):
            await world.run()
        world.systems[Side.RIGHT].refusing = {}
        await world.run()
        assert world.shown()[Side.RIGHT]["r1"]["t"] == "neu"

    asyncio.run(main())
