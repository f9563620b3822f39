"""Every fault knob of both stand-ins, each by itself and all of them together: nothing is lost, and all ends in step."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from tests.sync.termine.faults import COERCIONS, KNOBS, SHAPES, turn
from tests.sync.termine.office import EMPLOYEES, Row
from tests.sync.termine.oracle import mismatches
from tests.sync.termine.people import EVENT_EDITS, EVENT_TIMES, TERMIN_EDITS, TERMIN_TIMES, People
from tests.sync.termine.world import Stage, World, open_stage

BY_THE_FAULT_ITSELF = ("google_deleted_before",)
"""Here it is a person who deletes."""
OF_THE_LINE = ("_hang", "_close", "_cut_body", "_lost_answer", "_latency")
"""Knobs that need a socket; the others are answers, which are the same without one."""
SEEDS = range(4)
STEPS = 24
LOW_RATE = 0.05


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """The servers of this file's offices."""
    with open_stage() as opened:
        yield opened


async def _in_step(people: People) -> None:
    world = people.world
    await world.settle()
    people.note_settled()
    assert await mismatches(world) == []
    assert await people.lost() == set(), "I4: what somebody typed is nowhere"
    assert world.google.state()["mails"] == []
    await world.rests()


async def _filled(world: World) -> People:
    people = People(world)
    for owners in ("AB", "AB,CD", "CD"):
        people.new_termin(owners, "hour")
        people.new_termin(owners, "days", "Frist")
    people.new_series("AB,EF", 2)
    # Two calendars that were both filled before they met wait for a person.
    for kuerzel in EMPLOYEES:
        await world.run(kuerzel)
    for kuerzel in ("AB", "CD"):
        people.new_event(kuerzel, "hour")
        people.new_event(kuerzel, "day", "html")
    # What a person typed into a new event is masked by the second pass.
    for kuerzel in EMPLOYEES * 2:
        await world.run(kuerzel)
    assert await mismatches(world) == []
    assert [await world.why_held(kuerzel) for kuerzel in EMPLOYEES] == [[], [], []]
    people.note_settled()
    return people


def _deletions(world: World) -> list[str]:
    return [f"{call.system} {call.path}" for call in world.wire.writes() if call.method == "DELETE"]


async def _one_knob(world: World, name: str) -> None:
    people = await _filled(world)
    for seed in range(2):
        turn(world, name, seed)
        people.new_termin("AB,CD", "hour")
        people.new_event("AB", "hour")
        people.edit_termin(seed, "text")
        people.edit_event("AB", 2 + seed, "location")
        for kuerzel in ("AB", "CD"):
            await world.attempt(kuerzel)
        people.note_settled()
    if name not in BY_THE_FAULT_ITSELF:
        assert _deletions(world) == [], "I7: nobody has deleted anything"
    await _in_step(people)
    if name not in BY_THE_FAULT_ITSELF:
        assert _deletions(world) == []
        assert len(world.termine()) == 7 + 4 + 2 + 2
    people.delete_termin(1)
    people.delete_event("AB", 3)
    turn(world, name, 3)
    for kuerzel in ("AB", "CD", "AB"):
        await world.attempt(kuerzel)
    await _in_step(people)


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOBS)
def test_a_knob_by_itself_deletes_nothing_and_loses_nothing(tmp_path: Path, stage: Stage, name: str) -> None:
    """I4, I5, I7, I13, I14: two rounds with it on, then one in which something was really deleted."""
    in_process = not name.endswith(OF_THE_LINE)
    stage.play(tmp_path, functools.partial(_one_knob, name=name), in_process=in_process)


async def _well(world: World) -> None:
    people = await _filled(world)
    source = random.Random(7)
    for _ in range(3):
        _some_deed(people, source)
        _some_deed(people, source)
        await world.run(source.choice(EMPLOYEES[:2]))
        people.note_settled()
    await _in_step(people)


WAYS: dict[str, Row] = {
    **{name: {"google": coercion} for name, coercion in COERCIONS.items()},
    **{name: {"advoware": shape} for name, shape in SHAPES.items()},
    **{
        f"{name}-activesync": {"advoware": shape, "surface": Surface.ACTIVE_SYNC}
        for name, shape in SHAPES.items()
    },
}
MASKED_WAYS = tuple(WAYS)[1::2]


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_store_and_show_comes_to_the_same(tmp_path: Path, stage: Stage, name: str) -> None:
    """I1, I2, I9: each of Google's coercions and of Advoware's forms by itself, every second one masked."""
    stage.play(tmp_path, _well, masks=name in MASKED_WAYS, in_process=True, **WAYS[name])


def _some_deed(people: People, source: random.Random) -> None:
    place, kuerzel, more = source.randint(0, 9), source.choice(EMPLOYEES[:2]), source.randint(0, 9)
    match source.randint(0, 9):
        case 0 | 1:
            people.new_termin(source.choice(["AB", "CD", "AB,CD"]), source.choice(TERMIN_TIMES))
        case 2 | 3:
            people.edit_termin(place, source.choice(TERMIN_EDITS), more)
        case 4:
            people.delete_termin(place)
        case 5 | 6:
            people.new_event(kuerzel, source.choice(EVENT_TIMES), source.choice(["plain", "html", "guests"]))
        case 7 | 8:
            people.edit_event(kuerzel, place, source.choice(EVENT_EDITS), more)
        case 9:
            deeds = (people.delete_event, people.undelete_event, people.duplicate_event, people.move_away)
            source.choice(deeds)(kuerzel, place)


def _turned(seed: int) -> list[tuple[int, list[str]]]:
    """For each of the steps of one run: a seed of its own, and the knobs that are turned on in it."""
    source = random.Random(3000 + seed)
    return [
        (source.randint(0, 999), [name for name in KNOBS if source.random() < LOW_RATE]) for _ in range(STEPS)
    ]


async def _all_knobs(world: World, seed: int) -> None:
    people = await _filled(world)
    for number, (own_seed, names) in enumerate(_turned(seed)):
        source = random.Random(own_seed)
        for _ in range(source.randint(0, 3)):
            _some_deed(people, source)
        for name in names:
            turn(world, name, source.randint(0, 99))
        if source.random() < 0.2:
            await world.dies_at(source.randint(1, 12), source.choice(EMPLOYEES))
        else:
            await world.attempt(source.choice(EMPLOYEES))
        people.note_settled()
        if number % 4 == 3:
            world.mend()
    await _in_step(people)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_all_knobs_together_at_a_low_rate(tmp_path: Path, stage: Stage, seed: int) -> None:
    """I1 to I9: people, passes, deaths, and each knob now and then, with some ways to store; the seed is the index."""
    source = random.Random(1000 + seed)
    google: Row = {}
    for name in source.sample(sorted(COERCIONS), 4):
        google |= COERCIONS[name]
    given: Row = {
        "masks": seed % 2 == 1, "surface": list(Surface)[seed // 2 % 2], "google": google,
        "advoware": SHAPES[source.choice(sorted(SHAPES))],
    }  # fmt: skip
    stage.play(tmp_path, functools.partial(_all_knobs, seed=seed), **given)


def test_each_knob_is_turned_in_one_of_those() -> None:
    """Together they have every knob, some beside others."""
    steps = [names for seed in SEEDS for _, names in _turned(seed)]
    assert {name for names in steps for name in names} == set(KNOBS)
    assert max(map(len, steps)) > 3
