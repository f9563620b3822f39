"""The process killed at every boundary of an HTTP call, in whatever a pass does: the end is the same, one of each.

After each killed pass nothing but the scheduled passes comes, and what they come to is compared with a run that nobody
disturbed (I6; I5 for the counts).
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from tests.sync.termine.office import Row
from tests.sync.termine.oracle import mismatches, span_of_event, span_of_termin
from tests.sync.termine.world import Stage, World, open_stage

Story = Callable[[World], Awaitable[None]]
LATER = {"start": {"dateTime": "2026-03-20T14:00:00+01:00"}, "end": {"dateTime": "2026-03-20T15:00:00+01:00"}}
LATER_STILL = {
    "start": {"dateTime": "2026-03-20T17:00:00+01:00"},
    "end": {"dateTime": "2026-03-20T18:00:00+01:00"},
}
MOST_BOUNDARIES = 40


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """The servers of this file's offices."""
    with open_stage() as opened:
        yield opened


async def _begun(world: World) -> None:
    """Four Termine in step, one of them a Frist and one of two employees."""
    world.termin(501)
    world.termin(502, "2026-03-21", notiz="Akte\r\nmitbringen")
    world.termin(503, "2026-03-22", text="Frist Berufung")
    world.termin(504, "2026-03-23", anwalt="AB,CD")
    await world.run("AB")
    await world.run("CD")


async def new_in_advoware(world: World) -> None:
    """Two Termine are made."""
    world.termin(510, "2026-03-24", notiz="Notiz", ort="Saal 1")
    world.termin(511, "2026-03-25", abwesenheit=1, uhrzeitVon="00:00:00", uhrzeitBis="23:59:00")


async def new_in_google(world: World) -> None:
    """Two events are made, at the same hour."""
    for title in ("Eins", "Zwei"):
        world.edit_google("create", set={"summary": title, "description": "<b>Notiz</b>", **LATER})


async def edited_in_advoware(world: World) -> None:
    """A Termin is moved, another gets a new text."""
    world.edit_termin(501, uhrzeitVon="11:00:00", uhrzeitBis="12:00:00", ort="Saal 2")
    world.edit_termin(502, text="Neu", notiz="Anders")


async def edited_in_google(world: World) -> None:
    """The same in the calendar, one with a place of its own."""
    world.edit_google("move", world.event_of(501), set=LATER)
    world.edit_google("edit", world.event_of(502), set={"location": "Saal 3", "summary": "Neu"})


async def edited_in_both(world: World) -> None:
    """One Termin is edited here and there: in parts of its own, and in the same."""
    world.edit_termin(501, uhrzeitVon="11:00:00", uhrzeitBis="12:00:00", text="Neu")
    world.edit_google("edit", world.event_of(501), set={"location": "Saal 3", "summary": "Anders"})
    world.edit_termin(504, uhrzeitVon="11:00:00", uhrzeitBis="12:00:00")
    world.edit_google("move", world.event_of(504), set=LATER)


async def deleted_in_advoware(world: World) -> None:
    """Two Termine are deleted."""
    world.delete_termin(501)
    world.delete_termin(503)


async def deleted_in_google(world: World) -> None:
    """Two events are deleted: a Termin of one's own, and a shared one."""
    world.edit_google("delete", world.event_of(501))
    world.edit_google("delete", world.event_of(504))


async def frist_touched_in_google(world: World) -> None:
    """A Frist is moved in the calendar."""
    world.edit_google("move", world.event_of(503), set=LATER)


async def frist_deleted_in_google(world: World) -> None:
    """A Frist is deleted in the calendar."""
    world.edit_google("delete", world.event_of(503))


async def becomes_a_frist(world: World) -> None:
    """A Termin becomes a Frist, and is moved in the calendar."""
    world.edit_termin(501, text="Frist Revision")
    world.edit_google("move", world.event_of(501), set=LATER)


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        new_in_advoware, new_in_google, edited_in_advoware, edited_in_google, edited_in_both, deleted_in_advoware,
        deleted_in_google, frist_touched_in_google, frist_deleted_in_google, becomes_a_frist,
    )
}  # fmt: skip


WITH_READS = (edited_in_both, new_in_google)
"""The stories that are broken before each read, too: in between only our own state changes."""


async def picture(world: World) -> dict[str, Any]:
    """Both calendars without ids, versions and moments, and what a person is told."""
    return {
        "termine": sorted(
            str((span_of_termin(row), row["text"], row["notiz"], row["ort"], row["anwalt"]))
            for row in world.termine()
        ),
        "events": [
            sorted(
                str(
                    (
                        span_of_event(event),
                        *(event.get(name) for name in ("summary", "description", "location")),
                    )
                )
                for event in world.events(kuerzel)
            )
            for kuerzel in ("AB", "CD")
        ],
        "made": [len(world.all_events(kuerzel)) for kuerzel in ("AB", "CD")],
        "numbers": max((row["frNr"] for row in world.termine()), default=0),
        "holds": await world.why_held(),
        "conflicts": sorted(one.what for one in await world.conflicts()),
    }


async def _end(world: World) -> dict[str, Any]:
    await world.settle(rounds=5)
    assert await mismatches(world) == []
    await world.rests()
    return await picture(world)


async def _undisturbed(world: World, story: Story, ends: Row) -> None:
    await _begun(world)
    await story(world)
    world.wire.counts_reads, world.wire.boundaries = story in WITH_READS, 0
    await world.run("AB")
    ends["boundaries"] = world.wire.boundaries
    ends["picture"] = await _end(world)


async def _broken(world: World, story: Story, ends: Row, boundary: int) -> None:
    await _begun(world)
    await story(world)
    world.wire.counts_reads = story in WITH_READS
    if await world.dies_at(boundary):
        ends["deaths"] = ends.get("deaths", 0) + 1
    found = await _end(world)
    assert found == ends["picture"], boundary


KINDS: list[tuple[str, Row]] = [
    *((name, {}) for name in STORIES),
    *(
        (name, {"masks": True, "surface": Surface.ACTIVE_SYNC})
        for name in ("new_in_google", "becomes_a_frist")
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "given"), KINDS, ids=[name + ("-masked" if given else "") for name, given in KINDS]
)
def test_a_crash_at_any_call_changes_nothing_of_the_end(
    tmp_path: Path, stage: Stage, name: str, given: Row
) -> None:
    """I5, I6: before each write and after it."""
    ends: Row = {}
    story = STORIES[name]
    stage.play(tmp_path, functools.partial(_undisturbed, story=story, ends=ends), in_process=True, **given)
    assert 2 <= ends["boundaries"] <= MOST_BOUNDARIES
    for boundary in range(1, ends["boundaries"] + 1):
        broken = functools.partial(_broken, story=story, ends=ends, boundary=boundary)
        stage.play(tmp_path, broken, in_process=True, **given)
    assert ends["deaths"] >= ends["boundaries"] - 1
