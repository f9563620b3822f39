"""The two nights in which the clocks change, quarter hour by quarter hour: in step after one pass, and no drift after.

29 March 2026: from 02:00 straight to 03:00. 25 October 2026: 02:00 to 03:00 comes twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from tests.sync.termine.oracle import mismatches
from tests.sync.termine.world import Stage, World, open_stage

SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
MINUTES = (15, 60, 75, 24 * 60, 26 * 60)
QUARTERS = tuple(range(12))
AT_ONCE = 48
MOVED_MINUTES = (15, 45, 60, 75, 120, 25 * 60)
KINDS = [
    (Surface.GENERAL, False, False),
    (Surface.ACTIVE_SYNC, False, True),
    (Surface.ACTIVE_SYNC, True, False),
]
IDS = ["general", "activesync-masked", "activesync-keeps"]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """The servers of this file's offices."""
    with open_stage() as opened:
        yield opened


def _given(surface: Surface, keeps_fold: bool, masks: bool) -> dict[str, Any]:
    advoware = {"repeated_hour": "kept"} if keeps_fold else {}
    return {"surface": surface, "keeps_fold": keeps_fold, "masks": masks, "advoware": advoware}


async def _in_step(world: World, deeds: list[Callable[[], Any]]) -> None:
    """A pass after so many deeds as nobody takes for a calendar that was overwritten; then three that change nothing."""
    for first in range(0, len(deeds), AT_ONCE):
        for deed in deeds[first : first + AT_ONCE]:
            deed()
        await world.run()
    if world.masks:
        # What was typed into a new event is masked by the pass after the one that has taken it over.
        await world.run()
    writes, before = world.write_count(), (world.termine(), world.events())
    for _ in range(3):
        await world.run()
    assert [f"{call.method} {call.body}" for call in world.wire.writes()[writes:]] == []
    assert (world.termine(), world.events()) == before
    assert await mismatches(world) == []
    assert await world.why_held() == []


async def _from_advoware(world: World, night: date) -> None:
    number, deeds = 1000, list[Callable[[], Any]]()
    for quarter in QUARTERS:
        begin = datetime.combine(night, time(1)) + timedelta(minutes=15 * quarter)
        for minutes in MINUTES:
            end = begin + timedelta(minutes=minutes)
            number += 1
            deeds.append(functools.partial(
                world.termin, number, begin.date().isoformat(), uhrzeitVon=f"{begin:%H:%M:%S}",
                datumBis=end.date().isoformat(), uhrzeitBis=f"{end:%H:%M:%S}",
            ))  # fmt: skip
    for first in (-1, 0):
        for days in (0, 1, 2):
            day = night + timedelta(days=first)
            number += 1
            deeds.append(functools.partial(
                world.termin, number, day.isoformat(), abwesenheit=1, uhrzeitVon="00:00:00", uhrzeitBis="23:59:00",
                datumBis=(day + timedelta(days=days)).isoformat(),
            ))  # fmt: skip
    await _in_step(world, deeds)
    assert world.wire.writes("advoware") == []


async def _from_google(world: World, night: date) -> None:
    deeds = list[Callable[[], Any]]()
    for quarter in QUARTERS:
        begin = datetime(night.year, night.month, night.day, tzinfo=UTC) - timedelta(hours=1)
        begin += timedelta(minutes=15 * quarter)
        for minutes in MINUTES:
            end = begin + timedelta(minutes=minutes)
            times = {"start": {"dateTime": begin.isoformat()}, "end": {"dateTime": end.isoformat()}}
            fields = {"summary": f"{begin:%H:%M} {minutes}", **times}
            deeds.append(functools.partial(world.edit_google, "create", set=fields))
    for first in (-1, 0):
        for days in (1, 2, 3):
            day = night + timedelta(days=first)
            times = {
                "start": {"date": day.isoformat()},
                "end": {"date": (day + timedelta(days=days)).isoformat()},
            }
            deeds.append(
                functools.partial(world.edit_google, "create", set={"summary": f"{day} {days}", **times})
            )
    await _in_step(world, deeds)


async def _moved_in_google(world: World, night: date) -> None:
    """Appointments of other days are dragged into the night, one to each place of the grid."""
    numbers = [world.termin(1001 + number, f"2026-04-{1 + number % 28:02}") for number in range(AT_ONCE)]
    await world.run()
    deeds = list[Callable[[], Any]]()
    first = datetime(night.year, night.month, night.day, tzinfo=UTC)
    for number, fr_nr in enumerate(numbers):
        begin = first + timedelta(minutes=15 * (number // 6))
        end = begin + timedelta(minutes=MOVED_MINUTES[number % 6])
        times = {"start": {"dateTime": begin.isoformat()}, "end": {"dateTime": end.isoformat()}}
        deeds.append(functools.partial(world.edit_google, "move", world.event_of(fr_nr), set=times))
    await _in_step(world, deeds)


@pytest.mark.slow
@pytest.mark.parametrize("night", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize(("surface", "keeps_fold", "masks"), KINDS, ids=IDS)
@pytest.mark.parametrize(
    "story", [_from_advoware, _from_google, _moved_in_google], ids=["advoware", "google", "moved"]
)
def test_a_night_is_in_step_after_one_pass(
    tmp_path: Path, stage: Stage, story: Any, night: date, surface: Surface, keeps_fold: bool, masks: bool
) -> None:
    """I1, I2 (G11, G12): every quarter hour around the change, from a quarter of an hour to more than a day."""
    stage.play(tmp_path, functools.partial(story, night=night), **_given(surface, keeps_fold, masks))
