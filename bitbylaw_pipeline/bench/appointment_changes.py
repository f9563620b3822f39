"""One changed appointment: from the change in one system to the end of the write in the other, both ways."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from bitbylaw_pipeline.bench.calendars import BenchCalendar, Row, calls_since, read_both_sides, reset_ledgers
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.engine import EngineRun
from bitbylaw_pipeline.bench.sandbox_process import Sandbox

TO_GOOGLE, TO_ADVOWARE = "from Advoware to Google", "from Google to Advoware"
CHANGES = 10
"""Each way."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One change: which way, seconds until it was written, the calls of the pass."""

    direction: str
    seconds: float
    calls: Counter[str]


@dataclass(frozen=True, slots=True)
class Movable:
    """An ordinary appointment that one employee alone has: its Termin, and the event that was made for it."""

    of: BenchCalendar
    fr_nr: int
    day: date
    event_id: str


async def measure_changes(sandbox: Sandbox, run: EngineRun, staff: Sequence[BenchCalendar]) -> list[Arrival]:
    """Ten changes each way, one after the other, each with a pass of its employee asked for at once."""
    movable = await find_movable(sandbox, staff, 2 * CHANGES)
    found = []
    for place, one in enumerate(movable):
        await reset_ledgers(sandbox)
        direction = (TO_GOOGLE, TO_ADVOWARE)[place % 2]
        began = await move(sandbox, one, direction)
        await run.sync([one.of.kuerzel])
        written = await written_at(sandbox, direction)
        if len(written) != 1:
            raise BenchProblem(f"FAILED: {len(written)} writes for one change {direction}.")
        found.append(Arrival(direction, written[0] - began, await calls_since(sandbox)))
    return found


async def find_movable(sandbox: Sandbox, staff: Sequence[BenchCalendar], count: int) -> list[Movable]:
    """So many, of as many employees as there are. Raises BenchProblem where there are fewer."""
    both = await read_both_sides(sandbox, staff)
    columns = []
    for one in staff:
        plain = {row["frNr"]: row for row in both.termine[one.kuerzel] if _is_plain(row, one)}
        events = {_fr_nr(event): event["id"] for event in both.events[one.kuerzel]}
        columns.append(
            [
                Movable(one, nr, date.fromisoformat(row["datum"]), events[nr])
                for nr, row in plain.items()
                if nr in events
            ]
        )
    most = max(map(len, columns))
    found = [column[place] for place in range(most) for column in columns if place < len(column)][:count]
    if len(found) < count:
        raise BenchProblem("FAILED: there are too few appointments to change.")
    return found


async def move(sandbox: Sandbox, one: Movable, direction: str) -> float:
    """Moves it in the system where the direction begins, to the evening of the next day; when (UTC epoch seconds)."""
    day = (one.day + timedelta(days=1)).isoformat()
    began = time.time()
    if direction == TO_GOOGLE:
        values = {"datum": day, "datumBis": day, "uhrzeitVon": "19:00:00", "uhrzeitBis": "19:45:00"}
        edit: Any = {"table": "termine", "id": one.fr_nr, "set": values}
        await sandbox.control(sandbox.advoware_url, "POST", "edits", edit)
    else:
        start, end = ({"dateTime": f"{day}T20:{at}:00", "timeZone": "Europe/Berlin"} for at in ("00", "45"))
        edit = {
            "do": "move", "calendar": one.of.calendar_id, "event": one.event_id, "set": {"start": start, "end": end},
        }  # fmt: skip
        await sandbox.control(sandbox.google_url, "POST", "edits", edit)
    return began


async def written_at(sandbox: Sandbox, direction: str) -> list[float]:
    """When each write since the ledgers were reset had ended (UTC epoch seconds), where the direction leads."""
    is_google = direction == TO_GOOGLE
    root, method = (sandbox.google_url, "PATCH") if is_google else (sandbox.advoware_url, "PUT")
    entries = (await sandbox.control(root, "GET", f"ledger?method={method}"))["entries"]
    return [entry["at"] + entry["duration_ms"] / 1000 for entry in entries]


def _is_plain(row: Row, one: BenchCalendar) -> bool:
    return row["anwalt"] == one.kuerzel and str(row["text"]).startswith("Besprechung")


def _fr_nr(event: Row) -> int | None:
    number = event.get("extendedProperties", {}).get("private", {}).get("bitbylaw_frnr")
    return int(number) if number else None
