"""The employees made for measuring, and the comparison without which no figure of theirs is printed."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from bitbylaw_pipeline.bench.appointment_changes import TO_ADVOWARE, TO_GOOGLE, find_movable, move, written_at
from bitbylaw_pipeline.bench.calendars import (
    BothSides,
    add_events,
    employees,
    read_both_sides,
    reset_ledgers,
    seed_calendars,
)
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.sandbox_process import running_sandbox

TODAY = date(2026, 11, 2)


def test_every_employee_has_the_size_asked_for() -> None:
    """Shared, private and series are among them, and what is made in Google comes on top."""

    async def main() -> None:
        staff = employees(3)
        async with running_sandbox() as sandbox:
            await seed_calendars(sandbox, staff, 200, TODAY)
            assert await add_events(sandbox, staff, 200, TODAY) == 15
            both = await read_both_sides(sandbox, staff)
            for one in staff:
                rows = both.termine[one.kuerzel]
                # Private ones are left out: three of the 190 that the employee has not from the one before.
                assert len(rows) == 197
                assert len([row for row in rows if "," in row["anwalt"]]) == 20
                assert any(row["dauertermin"] for row in rows)
                assert any(row["datum"] != row["datumBis"] for row in rows)
                assert len(both.events[one.kuerzel]) == 5

    asyncio.run(main())


def test_what_was_never_synced_cannot_be_changed() -> None:
    """Without linked appointments there is no figure of a change, and no write is one that is counted."""

    async def main() -> None:
        staff = employees(2)
        async with running_sandbox() as sandbox:
            await seed_calendars(sandbox, staff, 40, TODAY)
            with pytest.raises(BenchProblem, match="too few"):
                await find_movable(sandbox, staff, 2)

    asyncio.run(main())


ROW: dict[str, Any] = {
    "frNr": 5, "datum": "2026-12-07", "datumBis": "2026-12-07", "uhrzeitVon": "09:00:00", "uhrzeitBis": "10:00:00",
    "dauertermin": 0, "text": "Besprechung 1", "anwalt": "AA", "privat": 0,
}  # fmt: skip
EVENT: dict[str, Any] = {
    "id": "e5",
    "summary": "Termin",
    "start": {"dateTime": "2026-12-07T08:00:00Z"},
    "end": {"dateTime": "2026-12-07T10:00:00+01:00"},
    "extendedProperties": {"private": {"bitbylaw_key": "k", "bitbylaw_frnr": "5"}},
}


def test_both_sides_agree_whatever_the_offset() -> None:
    """One moment in two spellings is the same appointment."""
    BothSides({"AA": [ROW]}, {"AA": [EVENT]}).check()


LATER = {"end": {"dateTime": "2026-12-07T10:00:00Z"}}


@pytest.mark.parametrize(
    ("rows", "events", "about"),
    [
        ([ROW], [], "on one side alone"),
        ([ROW], [EVENT, EVENT], "on one side alone"),
        ([ROW, ROW], [EVENT], "on one side alone"),
        ([ROW], [{**EVENT, **LATER}], "another time"),
        ([ROW], [{**EVENT, "summary": "Besprechung 1"}], "is told"),
        ([ROW], [{**EVENT, "location": "Saal 3"}], "is told"),
    ],
)
def test_each_thing_wrong_ends_the_benchmark(
    rows: list[dict[str, Any]], events: list[dict[str, Any]], about: str
) -> None:
    """No figure is printed for appointments that are missing, doubled, misplaced or told to Google."""
    with pytest.raises(BenchProblem, match=about):
        BothSides({"AA": rows}, {"AA": events}).check()


def test_a_change_is_made_in_the_system_where_it_begins() -> None:
    """A moved Termin stands in Advoware, a moved event in Google, and neither counts as a write of ours."""

    async def main() -> None:
        staff = employees(2)
        async with running_sandbox() as sandbox:
            await seed_calendars(sandbox, staff, 40, TODAY)
            before = await read_both_sides(sandbox, staff)
            plain = [
                row for row in before.termine["AA"] if row["anwalt"] == "AA" and row["text"].startswith("B")
            ]
            linked = [
                {
                    "calendar": staff[0].calendar_id,
                    "id": f"event{row['frNr']}",
                    "start": {"dateTime": f"{row['datum']}T09:00:00+01:00"},
                    "end": {"dateTime": f"{row['datum']}T10:00:00+01:00"},
                    "extendedProperties": {"private": {"bitbylaw_frnr": str(row["frNr"])}},
                }
                for row in plain[:2]
            ]
            await sandbox.control(sandbox.google_url, "POST", "seed", {"events": linked})
            here, there = await find_movable(sandbox, staff, 2)
            await reset_ledgers(sandbox)
            await move(sandbox, here, TO_GOOGLE)
            await move(sandbox, there, TO_ADVOWARE)
            after = await read_both_sides(sandbox, staff)
            moved = next(row for row in after.termine["AA"] if row["frNr"] == here.fr_nr)
            assert moved["uhrzeitVon"] == "19:00:00"
            starts = {event["id"]: event["start"]["dateTime"] for event in after.events["AA"]}
            assert "T20:00:00" in starts[there.event_id]
            assert await written_at(sandbox, TO_GOOGLE) == await written_at(sandbox, TO_ADVOWARE) == []

    asyncio.run(main())
