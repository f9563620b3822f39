"""Anything may happen in both calendars and to every call: once the faults are over, all is in step, and rests."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from tests.sync.termine.faults import COERCIONS, KNOBS, SHAPES, turn
from tests.sync.termine.office import EMPLOYEES
from tests.sync.termine.oracle import mismatches
from tests.sync.termine.people import EVENT_EDITS, EVENT_TIMES, OWNERS, TERMIN_EDITS, TERMIN_TIMES, People
from tests.sync.termine.world import Ground, World, open_stage, open_world
from tests.sync.two_way_choices import settings_for

PLACES = st.integers(0, 9)
WHO = st.sampled_from(EMPLOYEES[:2])
EVENT_KINDS = ("plain", "plain", "private", "guests", "untitled", "html", "series", "invitation")
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati", "UTC")


class Firm(RuleBasedStateMachine):
    """People at both calendars, passes, time, and everything that can go wrong."""

    runner: asyncio.Runner
    ground: Ground

    def __init__(self) -> None:
        super().__init__()
        self.closing = contextlib.AsyncExitStack()

    @initialize(
        masks=st.booleans(),
        surface=st.sampled_from(list(Surface)),
        keeps_fold=st.booleans(),
        zone=st.sampled_from(ZONES),
        coerces=st.sets(st.sampled_from(sorted(COERCIONS)), max_size=3),
        shapes=st.sets(st.sampled_from(sorted(SHAPES)), max_size=2),
    )
    def begin(
        self, masks: bool, surface: Surface, keeps_fold: bool, zone: str, coerces: set[str], shapes: set[str]
    ) -> None:
        """How the office is set up."""
        google: dict[str, Any] = {}
        advoware: dict[str, Any] = {}
        for name in sorted(coerces):
            google |= COERCIONS[name]
        for name in sorted(shapes):
            advoware |= SHAPES[name]
        keeps_fold &= surface is Surface.ACTIVE_SYNC
        if keeps_fold:
            advoware["repeated_hour"] = "kept"

        async def open_one() -> World:
            folder = Path(self.closing.enter_context(tempfile.TemporaryDirectory()))
            return await self.closing.enter_async_context(
                open_world(
                    self.ground, folder, masks=masks, surface=surface, keeps_fold=keeps_fold, zone=zone,
                    google=google, advoware=advoware,
                )
            )  # fmt: skip

        self.world = self.runner.run(open_one())
        self.people = People(self.world)
        # Two calendars that were both filled before they met wait for a person.
        self.people.new_termin("AB,CD,EF", "hour")
        self.pass_over(set(EMPLOYEES))

    @rule(owners=st.sampled_from(OWNERS), times=st.sampled_from(TERMIN_TIMES),
          title=st.sampled_from(["text", "text", "empty", "Frist"]), private=st.integers(0, 5))  # fmt: skip
    def new_termin(self, owners: str, times: str, title: str, private: int) -> None:
        """Somebody makes a Termin."""
        self.people.new_termin(owners, times, title, private=private == 5)

    @rule(owners=st.sampled_from(OWNERS), every=st.integers(1, 4))
    def new_series(self, owners: str, every: int) -> None:
        """Somebody makes a series in Advoware."""
        self.people.new_series(owners, every)

    @rule(place=PLACES, what=st.sampled_from(TERMIN_EDITS), more=PLACES)
    def edit_termin(self, place: int, what: str, more: int) -> None:
        """Somebody edits a Termin."""
        self.people.edit_termin(place, what, more)

    @rule(place=PLACES)
    def delete_termin(self, place: int) -> None:
        """Somebody deletes a Termin."""
        self.people.delete_termin(place)

    @rule(kuerzel=WHO, times=st.sampled_from(EVENT_TIMES), kind=st.sampled_from(EVENT_KINDS))
    def new_event(self, kuerzel: str, times: str, kind: str) -> None:
        """Somebody makes an event."""
        self.people.new_event(kuerzel, times, kind)

    @rule(kuerzel=WHO, place=PLACES, what=st.sampled_from(EVENT_EDITS), more=PLACES)
    def edit_event(self, kuerzel: str, place: int, what: str, more: int) -> None:
        """Somebody edits an event."""
        self.people.edit_event(kuerzel, place, what, more)

    @rule(
        kuerzel=WHO,
        place=PLACES,
        deed=st.sampled_from(["delete", "delete", "undelete", "duplicate", "move_away"]),
    )
    def handle_event(self, kuerzel: str, place: int, deed: str) -> None:
        """Somebody deletes an event, takes it back, copies it, or puts it elsewhere."""
        deeds = {
            "delete": self.people.delete_event,
            "undelete": self.people.undelete_event,
            "duplicate": self.people.duplicate_event,
            "move_away": self.people.move_away,
        }
        deeds[deed](kuerzel, place)

    @rule(
        kuerzel=WHO,
        place=PLACES,
        what=st.sampled_from(["move_instance", "cancel_instance", "this_and_following"]),
    )
    def drag_occurrence(self, kuerzel: str, place: int, what: str) -> None:
        """Somebody drags one occurrence of a series."""
        self.people.drag_occurrence(kuerzel, place, what)

    @rule(seconds=st.sampled_from([60.0, 3600.0, 86_400.0, 3 * 86_400.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.advance(seconds)

    @rule(who=st.sets(st.sampled_from(EMPLOYEES), min_size=1))
    def pass_over(self, who: set[str]) -> None:
        """Passes."""
        for kuerzel in sorted(who):
            self.runner.run(self.world.attempt(kuerzel))
        self.people.note_settled()

    @rule(who=st.sampled_from(EMPLOYEES), names=st.sets(st.sampled_from(sorted(KNOBS)), min_size=1, max_size=4),
          seed=st.integers(0, 99))  # fmt: skip
    def pass_in_trouble(self, who: str, names: set[str], seed: int) -> None:
        """A pass with some knobs turned on; most stay on for the next one."""
        for name in sorted(names):
            turn(self.world, name, seed)
        self.runner.run(self.world.attempt(who))
        if seed % 3 == 0:
            self.world.mend()
        self.people.note_settled()

    @rule(who=st.sampled_from(EMPLOYEES), boundary=st.integers(1, 15))
    def pass_that_dies(self, who: str, boundary: int) -> None:
        """A pass that is killed."""
        self.runner.run(self.world.dies_at(boundary, who))
        self.people.note_settled()

    def teardown(self) -> None:
        """In the end everything is in step, said once, and nothing is lost."""
        try:
            if hasattr(self, "world"):
                self.runner.run(self.settle())
        finally:
            self.runner.run(self.closing.aclose())

    async def settle(self) -> None:
        """The invariants."""
        await self.world.settle()
        self.people.note_settled()
        assert await mismatches(self.world) == []
        assert await self.people.lost() == set(), "I4: what somebody typed is nowhere"
        assert self.world.google.state()["mails"] == []
        await self.world.rests()
        assert await mismatches(self.world) == []


@pytest.mark.slow
def test_both_calendars_end_in_step() -> None:
    """I1 to I9, I11 to I13, I15, I17: whatever people, faults and crashes did before.

    `TWO_WAY_EXAMPLES=20` runs twenty times as many examples, at random.
    """
    with open_stage() as stage:
        Firm.runner, Firm.ground = stage.runner, stage.ground
        run_state_machine_as_test(Firm, settings=settings_for(20, steps=20))
