"""The same day in the office wherever the process, the calendar or Google's answers believe to be: the same to the byte."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from tests.sync.termine.office import EMPLOYEES, Row
from tests.sync.termine.oracle import mismatches, span_of_event
from tests.sync.termine.people import EVENT_TIMES, TERMIN_TIMES, People
from tests.sync.termine.world import Stage, World, open_stage

MACHINES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati")
CALENDARS = ("America/New_York", "Pacific/Kiritimati")
SURFACES: dict[str, Row] = {
    "general": {"surface": Surface.GENERAL},
    "activesync-masked": {"surface": Surface.ACTIVE_SYNC, "masks": True},
}
LATE = 1_774_738_800.0
"""2026-03-28T23:00:00Z: the 29th in Berlin, still the 28th in New York, and the clocks are about to change."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """The servers of this file's offices."""
    with open_stage() as opened:
        yield opened


@pytest.fixture
def machine() -> Iterator[Any]:
    """Sets the zone of this process; it is put back afterwards."""
    before = os.environ.get("TZ")

    def put(zone: str | None) -> None:
        if zone is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = zone
        time.tzset()

    yield put
    put(before)


async def _a_day(world: World, ends: list[Row]) -> None:
    people = People(world)
    for times in TERMIN_TIMES:
        people.new_termin("AB,CD" if times == "fold" else "AB", times)
    people.new_series("AB", 2)
    for kuerzel in EMPLOYEES:
        await world.run(kuerzel)
    for times in EVENT_TIMES:
        people.new_event("AB", times, "html")
    await world.run()
    for place, times in enumerate(("hour", "gap", "fold", "days")):
        people.edit_termin(2 * place, "times", TERMIN_TIMES.index(times))
        people.edit_event("AB", 2 * place + 1, "times", EVENT_TIMES.index("utc"))
        await world.run()
    world.advance(2 * 3600.0)
    people.delete_termin(3)
    people.delete_event("AB", 5)
    await world.settle()
    assert await mismatches(world) == []
    await world.rests()
    ends.append(_picture(world))


def _picture(world: World) -> Row:
    """Without numbers, which go by who came first, and without moments of change."""
    left = [_without(row, "frNr", "zuletztGeaendertAm") for row in world.termine()]
    right = [
        sorted(
            str((event.get("summary"), event.get("description"), span_of_event(event))) for event in events
        )
        for events in (world.events(kuerzel) for kuerzel in EMPLOYEES)
    ]
    sent = [json.loads(call.body) for call in world.wire.writes("advoware") if call.method in ("POST", "PUT")]
    return {
        "termine": sorted(left, key=str),
        "events": right,
        "sent": sorted(
            (_without(row, "frNr", "FrNr", "zuletztGeaendertAm", "ZuletztGeaendertAm") for row in sent),
            key=str,
        ),
    }


def _without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def _bytes(end: Row) -> str:
    return json.dumps(end, sort_keys=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", SURFACES)
def test_the_zone_of_the_machine_changes_not_a_byte(
    tmp_path: Path, stage: Stage, machine: Any, name: str
) -> None:
    """I16: what stands in both calendars, and what was sent to Advoware, whatever zone the process runs in."""
    ends: list[Row] = []
    for zone in MACHINES:
        machine(zone)
        stage.play(tmp_path, functools.partial(_a_day, ends=ends), start=LATE, **SURFACES[name])
    assert len(ends) == len(MACHINES)
    assert {_bytes(end) for end in ends} == {_bytes(ends[0])}


@pytest.mark.slow
@pytest.mark.parametrize("name", SURFACES)
def test_the_zone_of_the_calendar_and_of_the_answers_changes_not_a_byte(
    tmp_path: Path, stage: Stage, machine: Any, name: str
) -> None:
    """I16, I9: Google shows the same instants with another offset, for its own zone or for none that anybody knows."""
    machine("Asia/Tokyo")
    ends: list[Row] = []
    story = functools.partial(_a_day, ends=ends)
    given: list[Row] = [{}, *({"zone": zone} for zone in CALENDARS)]
    given += [{"google": {"answer_zone": zone}} for zone in CALENDARS]
    given += [{"zone": CALENDARS[0], "google": {"answer_zone": CALENDARS[1]}}]
    for one in given:
        stage.play(tmp_path, story, start=LATE, **SURFACES[name], **one)
    assert len(ends) == len(given)
    assert {_bytes(end) for end in ends} == {_bytes(ends[0])}
