"""One-way units and records with rules of their own: masked titles, deadlines, what others are invited to."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bitbylaw_pipeline.domain.three_way import Direction, FieldPolicy, Fields, Merge, Side
from bitbylaw_pipeline.domain.two_way_link import DeleteRule, Policy, Record
from bitbylaw_pipeline.sync.two_way_case_system import CaseSystem, Row
from bitbylaw_pipeline.sync.two_way_memory import MemoryLinkStore
from tests.sync.two_way_world import World

MASK = "***"
OPEN_GUARD = {"min_abs": 99, "frac": 1.0, "hard_abs": 99}
TEXT = FieldPolicy(merge=Merge.LEFT_WINS, direction=Direction.TO_RIGHT, is_born=True)


@dataclass(slots=True)
class Masking(CaseSystem):
    """A system that is never told what `text` says, and never deletes what is `locked`."""

    def put(self, field_name: str, value: Any) -> Any:
        """The mask, for every text."""
        if field_name == "text":
            return MASK
        # Spelled out: super() without arguments does not work in a dataclass with slots.
        return CaseSystem.put(self, field_name, value)

    def _record(self, row_id: str, row: Row) -> Record:
        record = CaseSystem._record(self, row_id, row)
        return replace(record, can_delete=row.fields.get("locked") is None)


def masked_world(rows: Mapping[str, Mapping[str, Any]], policy: Policy | None = None) -> World:
    """The rows on the left and, masked, on the right; in step."""
    right = {key: {**fields, "text": MASK} for key, fields in rows.items()}
    world = World({"base": rows, "left": rows, "right": right, "policy": {"guard": OPEN_GUARD}})
    world.policy = policy or replace(
        world.policy, fields={"text": TEXT}, default=FieldPolicy(Merge.LEFT_WINS)
    )
    inner = world.systems[Side.RIGHT].inner
    world.systems[Side.RIGHT].inner = Masking(
        **{one.name: getattr(inner, one.name) for one in dataclasses.fields(inner)}
    )
    store = world.store.inner
    assert isinstance(store, MemoryLinkStore)
    store.links = {
        key: replace(link, base_right={**link.base_right, "text": MASK}) for key, link in store.links.items()
    }
    return world


def row(**fields: Any) -> dict[str, Any]:
    """An appointment's fields."""
    return {"text": "Mandant Alt", "when": "9:00", "locked": None, **fields}


def told(main: Callable[[], Any]) -> None:
    """Runs it."""
    asyncio.run(main())


def test_a_name_typed_over_the_mask_goes() -> None:
    """What the masked side would never have stored is put back, be it the very text of the other side."""

    async def main() -> None:
        world = masked_world({"r1": row(), "r2": row()})
        world.user_edits(Side.LEFT, "r2", {"when": "10:00"})
        world.systems[Side.RIGHT].inner.rows["r1"].fields["text"] = "Mandant Alt"
        world.systems[Side.RIGHT].inner.rows["r1"].version += 1
        await world.run()
        assert [world.shown()[Side.RIGHT][key]["text"] for key in ("r1", "r2")] == [MASK, MASK]
        assert [world.shown()[Side.LEFT][key]["text"] for key in ("r1", "r2")] == ["Mandant Alt"] * 2
        writes = len(world.writes)
        await world.run()
        assert len(world.writes) == writes

    told(main)


@pytest.mark.parametrize("is_noted", [False, True])
def test_what_is_put_back_is_noted_if_the_rule_says_so(is_noted: bool) -> None:
    """The value that is put back stands in the conflict log only where the policy asks for it."""

    async def main() -> None:
        world = masked_world({"r1": row()})
        when = FieldPolicy(direction=Direction.TO_RIGHT, notes_drift=is_noted)
        world.policy = replace(world.policy, fields={"text": TEXT, "when": when})
        world.user_edits(Side.RIGHT, "r1", {"when": "11:00"})
        await world.run()
        assert world.shown()[Side.RIGHT]["r1"]["when"] == "9:00"
        found = [(one.what, one.winner, one.right["when"]) for one in world.store.conflicts]
        assert found == ([("when", "left", "11:00")] if is_noted else [])

    told(main)


def test_the_owners_own_change_is_no_drift() -> None:
    """A change on the side that the unit comes from is written, and nothing is noted."""

    async def main() -> None:
        world = masked_world({"r1": row()})
        when = FieldPolicy(direction=Direction.TO_RIGHT, notes_drift=True)
        world.policy = replace(world.policy, fields={"text": TEXT, "when": when})
        world.user_edits(Side.LEFT, "r1", {"when": "11:00"})
        await world.run()
        assert world.shown()[Side.RIGHT]["r1"]["when"] == "11:00"
        assert world.store.conflicts == []

    told(main)


def test_a_title_typed_on_the_masked_side_arrives_once_and_is_masked() -> None:
    """A record that is made there brings its title across; afterwards the mask stands there, and nothing travels."""

    async def main() -> None:
        world = masked_world({})
        world.systems[Side.RIGHT].inner.edit({"n1": {"text": "Neuer Mandant", "when": "8:00"}})
        for _ in range(3):
            await world.run()
        assert world.shown()[Side.LEFT]["n1"] == {"text": "Neuer Mandant", "when": "8:00"}
        assert world.shown()[Side.RIGHT]["n1"] == {"text": MASK, "when": "8:00"}
        assert [write["op"] for write in world.writes] == ["create", "update"]

    told(main)


def test_made_anew_it_gets_the_title_that_it_had() -> None:
    """Deleted on the left and edited on the right: it comes back with the left's own title, never with the mask."""

    async def main() -> None:
        world = masked_world({"r1": row(), "r2": row()})
        world.user_deletes(Side.LEFT, "r1")
        world.user_edits(Side.RIGHT, "r1", {"when": "12:00"})
        for _ in range(3):
            await world.run()
        shown = world.shown()
        (back,) = [fields for key, fields in shown[Side.LEFT].items() if key != "r2"]
        assert (back["text"], back["when"]) == ("Mandant Alt", "12:00")
        assert {fields["text"] for fields in shown[Side.RIGHT].values()} == {MASK}

    told(main)


def _of_kind(deadline: Policy) -> Callable[[Fields], Policy | None]:
    return lambda fields: deadline if str(fields.get("text")).startswith("Frist") else None


def with_deadlines(world: World) -> Policy:
    """Deadlines go to the right only; all else as the world has it."""
    common = world.policy
    one_way = FieldPolicy(direction=Direction.TO_RIGHT, notes_drift=True)
    deadline = replace(
        common,
        default=one_way,
        fields={"text": TEXT},
        deleted={Side.RIGHT: DeleteRule.RESTORE},
        notes_restore=True,
    )
    return replace(common, variant=_of_kind(deadline))


def test_a_kind_that_is_made_nowhere_stays_where_it_is() -> None:
    """Which sides a record is made on is a rule of its kind, too."""

    async def main() -> None:
        world = masked_world({})
        common = world.policy
        world.policy = replace(common, variant=_of_kind(replace(common, creates=frozenset())))
        world.systems[Side.LEFT].inner.edit({"n1": row(text="Frist A"), "n2": row(text="Termin")})
        await world.run()
        assert len(world.shown()[Side.RIGHT]) == 1
        (link,) = await world.links()
        assert link.left_id == "n2"

    told(main)


def test_a_record_follows_the_rules_of_its_kind() -> None:
    """Of two edits on the right, the one of a deadline is put back and noted, the other travels."""

    async def main() -> None:
        world = masked_world({"r1": row(text="Frist A"), "r2": row()})
        world.policy = with_deadlines(world)
        for key in ("r1", "r2"):
            world.user_edits(Side.RIGHT, key, {"when": "7:00"})
        await world.run()
        shown = world.shown()
        assert [shown[side][key]["when"] for key in ("r1", "r2") for side in Side] == [
            "9:00", "9:00", "7:00", "7:00",
        ]  # fmt: skip
        assert [(one.link_id, one.what) for one in world.store.conflicts] == [("r1", "when")]

    told(main)


def test_a_deadline_deleted_on_the_right_comes_back_and_is_noted() -> None:
    """The kind is known from the left's record; another record's deletion travels."""

    async def main() -> None:
        world = masked_world({"r1": row(text="Frist A"), "r2": row(), "r3": row()})
        world.policy = with_deadlines(world)
        world.user_deletes(Side.RIGHT, "r1")
        world.user_deletes(Side.RIGHT, "r2")
        await world.run()
        await world.run()
        shown = world.shown()
        assert sorted(shown[Side.LEFT]) == ["r1", "r3"]
        assert len(shown[Side.RIGHT]) == 2
        assert [one.link_id for one in world.store.conflicts] == ["r1"]

    told(main)


def test_a_deadline_deleted_on_the_left_goes_whatever_was_done_to_it_on_the_right() -> None:
    """The kind is known from what was last agreed: nothing done on the right keeps a deadline alive."""

    async def main() -> None:
        world = masked_world({"r1": row(text="Frist A"), "r2": row()})
        world.policy = with_deadlines(world)
        world.user_deletes(Side.LEFT, "r1")
        world.user_edits(Side.RIGHT, "r1", {"when": "7:00"})
        await world.run()
        assert [sorted(world.shown()[side]) for side in Side] == [["r2"], ["r2"]]

    told(main)


def test_a_deadline_moved_on_the_left_and_deleted_on_the_right_stays() -> None:
    """The one change that must never happen: a deletion on the right takes a deadline away on the left."""

    async def main() -> None:
        world = masked_world({"r1": row(text="Frist A"), "r2": row()})
        world.policy = with_deadlines(world)
        world.user_edits(Side.LEFT, "r1", {"when": "7:00"})
        world.user_deletes(Side.RIGHT, "r1")
        for _ in range(2):
            await world.run()
        shown = world.shown()
        assert shown[Side.LEFT]["r1"]["when"] == "7:00"
        assert sorted(fields["when"] for fields in shown[Side.RIGHT].values()) == ["7:00", "9:00"]

    told(main)


def test_what_only_a_person_may_delete_becomes_a_task() -> None:
    """A record that may not be deleted stays, and the deletion is held as a task; one that may is deleted."""

    async def main() -> None:
        world = masked_world({"r1": row(locked="guests"), "r2": row(), "r3": row()})
        world.user_deletes(Side.LEFT, "r1")
        world.user_deletes(Side.LEFT, "r2")
        report = await world.run()
        assert sorted(world.shown()[Side.RIGHT]) == ["r1", "r3"]
        assert report is not None
        assert [hold.why for hold in report.holds] == ["task:right:delete"]

    told(main)


@pytest.mark.parametrize("reads_beyond", [False, True])
def test_a_change_reaches_what_lies_outside_the_window(reads_beyond: bool) -> None:
    """A record that the window does not show is read by itself once its counterpart has changed, and only then."""

    async def main() -> None:
        world = masked_world({"r1": row(), "r2": row(), "r3": row()})
        seen = {"omit": ["r1", "r2"], "covered": ["r3"], "reads_beyond": reads_beyond}
        world.observe_as(Side.LEFT, seen)
        world.user_edits(Side.RIGHT, "r1", {"when": "7:00"})
        gets = world.systems[Side.LEFT].calls
        await world.run()
        assert world.shown()[Side.LEFT]["r1"]["when"] == ("7:00" if reads_beyond else "9:00")
        assert gets["get"] == (1 if reads_beyond else 0)

    told(main)


def test_what_is_not_there_outside_the_window_is_not_deleted() -> None:
    """Beyond the window nothing is ever taken for gone, also if the one read there finds nothing."""

    async def main() -> None:
        world = masked_world({"r1": row(), "r2": row(), "r3": row()})
        world.user_deletes(Side.LEFT, "r1")
        world.observe_as(Side.LEFT, {"covered": ["r2", "r3"], "reads_beyond": True})
        world.user_edits(Side.RIGHT, "r1", {"when": "7:00"})
        await world.run()
        assert "r1" not in world.shown()[Side.LEFT]
        assert world.shown()[Side.RIGHT]["r1"]["when"] == "7:00"

    told(main)
