"""Records without a link that name a partner outside of what its side lists: it is read by itself, and linked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from bitbylaw_pipeline.domain.errors import AuthFailed, SyncError, Transient
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Link, Observation, Record, Settled
from bitbylaw_pipeline.domain.two_way_state import Changes, Decision
from bitbylaw_pipeline.inbox.failures import DatabaseUnavailable
from bitbylaw_pipeline.sync.two_way_case import CaseRun
from bitbylaw_pipeline.sync.two_way_case_system import CaseSystem, Row
from bitbylaw_pipeline.sync.two_way_memory import MemoryLinkStore
from bitbylaw_pipeline.sync.two_way_reconciler import Reconciler


class Naming(CaseSystem):
    """A system whose records name the other side's in the field `of`."""

    def _record(self, row_id: str, row: Row) -> Record:
        record = CaseSystem._record(self, row_id, row)
        return replace(record, partner=row.fields.get("of"))


class Windowed(CaseSystem):
    """A system that lists only what has no field `old`, and counts what it is asked for by itself."""

    def __init__(self, system: CaseSystem) -> None:
        super().__init__(Side.LEFT, {}, {}, system.rows)
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self.failing: dict[str, SyncError] = {}

    async def observe(self, known: Mapping[str, Settled]) -> Observation:
        """See Adapter."""
        seen = await CaseSystem.observe(self, known)
        items = {one: record for one, record in seen.items.items() if not record.fields.get("old")}
        return replace(seen, items=items, covers=items.__contains__, reads_beyond=True)

    async def get(self, record_id: str) -> Record | None:
        """See Adapter."""
        self.asked.append(record_id)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if record_id in self.failing:
            raise self.failing[record_id]
        return await CaseSystem.get(self, record_id)


class Firm:
    """Records `n1`… outside the window on the left, and those on the right that name them; no link is known."""

    def __init__(self, count: int, concurrency: int = 1) -> None:
        names = [f"n{n}" for n in range(1, count + 1)]
        self.case = CaseRun({
            "left": {name: {"t": "x", "old": "1", "of": None} for name in names},
            "right": {f"e-{name}": {"t": "x", "old": "1", "of": name} for name in names},
            "policy": {"bootstrap_unmatched": "hold", "fields": {"of": {"direction": "ignore"}}},
        })  # fmt: skip
        right = self.case.systems[Side.RIGHT]
        self.left = Windowed(self.case.systems[Side.LEFT])
        self.right = Naming(Side.RIGHT, {}, {}, right.rows)
        self.store: MemoryLinkStore = self.case.store
        self.engine = self.over(self.store, concurrency)

    def over(self, store: MemoryLinkStore, concurrency: int) -> Reconciler:
        """The engine with that memory."""
        sides = {Side.LEFT: self.left, Side.RIGHT: self.right}
        return Reconciler(self.case.policy, sides, store, concurrency=concurrency)

    @property
    def whys(self) -> list[str]:
        """Why what is held."""
        return sorted(hold.why for hold in self.store.holds.values())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_each_is_asked_for_once_and_linked(concurrency: int) -> None:
    """Seven unlisted partners: one read each, no more of them at once than the run may; later passes ask nothing."""

    async def main() -> None:
        firm = Firm(7, concurrency)
        report = await firm.engine.run()
        assert sorted(firm.left.asked) == [f"n{n}" for n in range(1, 8)]
        assert firm.left.most_at_once == concurrency
        assert (firm.whys, report.errors) == ([], {})
        assert {(link.left_id, link.right_id) for link in firm.store.links.values()} == {
            (f"n{n}", f"e-n{n}") for n in range(1, 8)
        }
        firm.left.asked.clear()
        await firm.engine.run()
        assert firm.left.asked == []

    asyncio.run(main())


def test_a_plan_says_what_the_run_would_do() -> None:
    """Looking only, the partner is asked for too; nothing is stored."""

    async def main() -> None:
        firm = Firm(1)
        report = await firm.engine.plan()
        assert (firm.left.asked, report.holds, firm.store.links) == (["n1"], [], {})

    asyncio.run(main())


def test_a_look_at_one_record_asks_for_its_partner_alone() -> None:
    """Of three that name an unlisted partner, the one that changed is linked."""

    async def main() -> None:
        firm = Firm(3)
        await firm.engine.run_one(Side.RIGHT, "e-n2")
        assert [link.left_id for link in firm.store.links.values()] == ["n2"]
        assert set(firm.left.asked) == {"n2"}

    asyncio.run(main())


def test_two_that_name_one_unlisted_record_wait() -> None:
    """Whose it is cannot be told: neither is linked, and nobody asks."""

    async def main() -> None:
        firm = Firm(2)
        firm.right.rows["e-n2"].fields["of"] = "n1"
        await firm.engine.run()
        assert (firm.whys, firm.left.asked) == (["ambiguous_partner"] * 2, [])

    asyncio.run(main())


def test_one_that_cannot_be_read_leaves_the_others_alone() -> None:
    """An error about one keeps what was held about it, answers included; the others are linked."""

    async def main() -> None:
        firm = Firm(3)
        grave = firm.left.rows.pop("n1")
        await firm.engine.run()
        assert firm.whys == ["partner_gone"]
        firm.store.decisions["right:e-n1"] = {"partner_gone": Decision("create", "")}
        firm.left.rows["n1"] = grave
        firm.left.failing["n1"] = Transient("away", system="left")
        report = await firm.engine.run()
        assert list(report.errors) == ["right:e-n1"]
        assert (firm.whys, sorted(firm.left.rows)) == (["partner_gone"], ["n1", "n2", "n3"])
        firm.left.failing.clear()
        await firm.engine.run()
        assert (firm.whys, sorted(firm.left.rows)) == ([], ["n1", "n2", "n3"])

    asyncio.run(main())


def test_a_refused_key_is_not_hammered() -> None:
    """After the first refusal no further partner is asked for, and nothing is held or made for it."""

    async def main() -> None:
        firm = Firm(5)
        firm.left.failing = {f"n{n}": AuthFailed("refused", system="left") for n in range(1, 6)}
        report = await firm.engine.run()
        assert isinstance(report.stopped_by, AuthFailed)
        assert (len(firm.left.asked), firm.whys, firm.store.links) == (1, [], {})

    asyncio.run(main())


def test_a_number_that_no_system_counts_to_is_not_asked_for() -> None:
    """A made-up mark of 19 digits names nothing; one of 18 may."""

    async def main() -> None:
        firm = Firm(2)
        firm.right.rows["e-n1"].fields["of"], firm.right.rows["e-n2"].fields["of"] = "9" * 19, "9" * 18
        await firm.engine.run()
        assert firm.left.asked == ["9" * 18]
        assert firm.whys == ["partner_gone"] * 2

    asyncio.run(main())


class Away(MemoryLinkStore):
    """A state database that goes away before its first write."""

    async def commit(self, changes: Changes) -> tuple[Link, ...]:
        """See LinkStore."""
        raise DatabaseUnavailable(f"{len(changes.links)} links were not stored")


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_database_that_is_away_comes_out_as_what_it_is(concurrency: int) -> None:
    """Several links at work at once raise the one error by itself, for which the passes have a sentence."""

    async def main() -> None:
        firm = Firm(0)
        firm.left.rows.update({f"m{n}": Row({"t": str(n)}) for n in range(6)})
        with pytest.raises(DatabaseUnavailable):
            await firm.over(Away(lambda: 0.0), concurrency).run()

    asyncio.run(main())
