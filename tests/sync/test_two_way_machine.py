"""Random users, crashes and lying listings: what holds after all of it (`facts/two_way_sync.md` 1.13, I1 to I6).

`TWO_WAY_EXAMPLES=20` runs twenty times as many examples, at random.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from bitbylaw_pipeline.domain.three_way import Drift, Side, Unit
from bitbylaw_pipeline.domain.two_way_link import Link, LinkState, units_of
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.two_way_database import DatabaseLinkStore
from bitbylaw_pipeline.sync.two_way_report import RunReport
from bitbylaw_pipeline.sync.two_way_store import LinkStore
from tests.conftest import ENCRYPTION_KEY, migrated_url
from tests.sync.two_way_choices import BARE, LIES, PLACES, SIDES, policies, settings_for
from tests.sync.two_way_tokens import tokens
from tests.sync.two_way_world import NOBODY, World


class Firm(RuleBasedStateMachine):
    """Two users at two systems, an engine that dies now and then, and listings that lie."""

    is_on_sqlite = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.closing = contextlib.ExitStack()
        self.count = 0

    @initialize(policy=policies(), records=st.integers(0, 3))
    def begin(self, policy: dict[str, Any], records: int) -> None:
        """Some records are in step already."""
        self.is_bare = any(BARE.items() <= side.items() for side in policy["sides"].values())
        start = {f"r{n}": {name: self.value(name) for name in "tabusnx"} for n in range(records)}
        case = {"base": start, "left": start, "right": start, "policy": policy}
        store = self.database_store if self.is_on_sqlite else None
        self.world = World(case, store, tick=lambda now: now + 1801)

    def database_store(self, clock: Callable[[], float]) -> LinkStore:
        """A fresh SQLite file's store."""
        folder = self.closing.enter_context(tempfile.TemporaryDirectory())
        database = Database.open(
            migrated_url("sqlite", Path(folder)), clock=clock, encryption_key=ENCRYPTION_KEY
        )
        self.closing.callback(database.close)
        return DatabaseLinkStore(database, "termine")

    def value(self, name: str) -> Any:
        """A value that nobody has typed before."""
        self.count += 1
        return [f"v{self.count}"] if name == "s" else f"v{self.count}"

    def chosen(self, side: Side, place: int) -> str | None:
        """One of the records that the side shows."""
        ids = sorted(self.world.systems[side].inner.shown())
        return ids[place % len(ids)] if ids else None

    # -- users

    @rule(side=SIDES, place=PLACES, names=st.sets(st.sampled_from("tabunx"), min_size=1, max_size=3))
    def edit(self, side: Side, place: int, names: set[str]) -> None:
        """A user types something new into some fields."""
        record_id = self.chosen(side, place)
        if record_id is not None:
            self.world.user_edits(side, record_id, {name: self.value(name) for name in sorted(names)})
            self.forget_what_does_not_travel()

    @rule(side=SIDES, place=PLACES, adds=st.booleans())
    def change_the_set(self, side: Side, place: int, adds: bool) -> None:
        """A user adds to a set or takes something out of it."""
        record_id = self.chosen(side, place)
        if record_id is not None:
            old = self.world.systems[side].inner.rows[record_id].fields.get("s") or []
            self.world.user_edits(side, record_id, {"s": [*old, *self.value("s")] if adds else old[1:]})

    @rule(side=SIDES, place=PLACES, name=st.sampled_from("tau"))
    def clear(self, side: Side, place: int, name: str) -> None:
        """A user empties a field."""
        record_id = self.chosen(side, place)
        if record_id is not None:
            self.world.user_edits(side, record_id, {name: None})

    @rule(side=SIDES)
    def add(self, side: Side) -> None:
        """A user makes a record."""
        record_id = f"{side.value[0]}{self.count}"
        self.world.user_edits(side, record_id, {name: self.value(name) for name in "tabusnx"})
        self.forget_what_does_not_travel()

    @rule(side=SIDES, place=PLACES)
    def delete(self, side: Side, place: int) -> None:
        """A user deletes a record."""
        record_id = self.chosen(side, place)
        if record_id is not None:
            self.world.user_deletes(side, record_id)

    @rule(side=SIDES, place=PLACES)
    def undelete(self, side: Side, place: int) -> None:
        """A user takes a record out of the bin."""
        inner = self.world.systems[side].inner
        if inner.graves:
            inner.edit({sorted(inner.graves)[place % len(inner.graves)]: {}})

    @rule(side=SIDES, place=PLACES)
    def duplicate(self, side: Side, place: int) -> None:
        """A user copies a record; the copy carries the hidden marker along."""
        record_id = self.chosen(side, place)
        if record_id is not None:
            self.count += 1
            row = self.world.systems[side].inner.rows[record_id]
            copied = {**row.fields, "@marker": row.marker}
            self.world.systems[side].inner.edit({f"{record_id}c{self.count}": copied})

    @rule(side=SIDES, name=st.sampled_from("tab"))
    def edit_in_the_last_moment(self, side: Side, name: str) -> None:
        """A user will be faster than the engine's next write on that side."""
        self.world.systems[side].races.append({name: self.value(name)})

    # -- the engine

    @rule()
    def run(self) -> None:
        """A run."""
        self.loop.run(self.world.run())

    @rule(side=SIDES, place=PLACES)
    def run_for_one(self, side: Side, place: int) -> None:
        """A webhook for one record."""
        record_id = self.chosen(side, place)
        if record_id is not None:
            self.loop.run(self.world.run(one=(side, record_id)))

    @rule(left=LIES, right=LIES, kill_at=st.one_of(st.just(NOBODY), st.integers(1, 40)))
    def run_in_trouble(self, left: dict[str, Any], right: dict[str, Any], kill_at: int) -> None:
        """A run that is lied to and may die."""
        for side, lies in ((Side.LEFT, left), (Side.RIGHT, right)):
            inner = self.world.systems[side].inner
            ids = sorted({*inner.rows, *inner.graves})
            told = {
                kind: lie if isinstance(lie, bool) else [ids[n % len(ids)] for n in sorted(lie) if ids]
                for kind, lie in lies.items()
            }
            self.world.observe_as(side, told)
        self.loop.run(self.world.run(kill_at))
        for side in Side:
            self.world.observe_as(side, {})
        if self.is_bare:
            # Without keys a lost create is found by its content alone, as long as nobody has touched it.
            self.loop.run(self.world.run())

    def teardown(self) -> None:
        """In the end everything is in step, said once, and nothing is lost."""
        try:
            if hasattr(self, "world"):
                self.loop.run(self.settle())
        finally:
            self.loop.close()
            self.closing.close()

    async def settle(self) -> None:
        """The invariants."""
        report = None
        for system in self.world.systems.values():
            system.races.clear()
        for _ in range(4):
            report = await self.world.run()
        assert report is not None
        links = await self.world.links()
        for side in Side:
            ids = [link.id(side) for link in links if link.id(side) is not None]
            assert len(ids) == len(set(ids)), "I5: two links for one record"
            assert max(self.world.systems[side].created.values(), default=0) <= 1, "I5: made twice"
            held = {hold.record_id for hold in report.holds}
            assert set(self.world.shown()[side]) - held <= set(ids), "I1: a record without a link"
        await self.assert_in_step(report)
        assert not self.world.lost(), "I4: a user's value is nowhere"
        writes, bases = len(self.world.writes), bases_of(links)
        await self.world.run()
        assert len(self.world.writes) == writes, "I2: a write in a quiet run"
        assert bases_of(await self.world.links()) == bases, "I2: a base moved in a quiet run"

    async def assert_in_step(self, report: RunReport) -> None:
        """Every unit of every pair agrees, or a person has been asked."""
        held = {
            (hold.subject, name) for hold in report.holds for name in hold.why.rpartition(":")[2].split("+")
        }
        for link, left, right in await self.world.pairs():
            if link.is_unlinked:
                continue
            for unit in units_of(self.world.policy, left, right):
                is_free = unit.policy.drift is Drift.IGNORE and unit.name == "n"
                # What does not travel to a side is not part of a record made there.
                is_free |= not (unit.is_in(left) and unit.is_in(right))
                if not is_free and not {(link.link_id, name) for name in unit.fields} & held:
                    assert self.agree(unit, left, right), f"I1: {unit.name} differs"

    def agree(self, unit: Unit, left: Any, right: Any) -> bool:
        """True if both sides hold the same, as far as either could store it."""
        return unit.same(left, right) or any(
            all(
                unit.equal(name, system.put(name, left.get(name)), system.put(name, right.get(name)))
                for name in unit.fields
            )
            for system in self.world.systems.values()
        )

    def forget_what_does_not_travel(self) -> None:
        """What is typed on the receiving side of a one-way field, or into an ignored one, is nobody's to keep."""
        kept = {
            at: value
            for at, value in self.world.typed.items()
            if at[2] != "x" and at[::2] != (Side.RIGHT, "n")
        }
        self.world.typed = kept


def bases_of(links: list[Link]) -> dict[str, Any]:
    """What the links hold as agreed."""
    return {
        link.link_id: (link.base_left, link.base_right)
        for link in links
        if link.state is not LinkState.QUARANTINED
    }


class FirmOnSqlite(Firm):
    """The same with the engine's state in a database."""

    is_on_sqlite = True


@pytest.mark.parametrize(("machine", "examples"), [(Firm, 150), (FirmOnSqlite, 6)], ids=["memory", "sqlite"])
def test_the_two_systems_end_in_step(machine: type[Firm], examples: int) -> None:
    """I1 to I5: in step, quiet, nothing lost, nothing twice, whatever users, crashes and listings did before."""
    run_state_machine_as_test(machine, settings=settings_for(examples, steps=18))


def test_tokens_are_known_again_in_any_spelling() -> None:
    """A value that a system spells in capitals is still the user's value."""
    assert tokens(["V1", None]) == ("v1",)
