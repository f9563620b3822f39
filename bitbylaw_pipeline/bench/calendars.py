"""Employees made for measuring: Termine of every kind in Advoware, some appointments in their calendars at Google."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.firm import open_firm
from bitbylaw_pipeline.bench.sandbox_process import Sandbox
from bitbylaw_pipeline.domain.termin_times import BERLIN
from bitbylaw_pipeline.sandbox.samples.calendars import place_of_event, place_of_termin, tells_something

SHARED, PRIVATE, SERIES, IN_GOOGLE = 20, 50, 100, 40
"""Every twentieth is shared with the next employee and as many with the one before, every fiftieth is private, every
hundredth a series; for every forty in Advoware one more is made in Google later."""
SEED_AT_ONCE = 2000
_DAYS = 360
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NOT_COUNTED = ("/token", "Token", "/configurator")
"""Asking for a token writes nothing, and is no call of a pass."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BenchCalendar:
    """One employee with the calendar made for the Termine."""

    kuerzel: str
    user: str
    calendar_id: str


def employees(count: int) -> list[BenchCalendar]:
    """So many employees, their Kürzel AA, AB and so on."""
    names = [_LETTERS[number // 26] + _LETTERS[number % 26] for number in range(count)]
    return [
        BenchCalendar(
            name, f"{name.lower()}@kanzlei.example", f"{name.lower()}-termine@group.calendar.google.com"
        )
        for name in names
    ]


def calendar_settings(staff: Sequence[BenchCalendar]) -> Row:
    """GOOGLE_CALENDARS of these."""
    return {one.kuerzel: {"user": one.user, "calendar": one.calendar_id} for one in staff}


async def seed_calendars(
    sandbox: Sandbox, staff: Sequence[BenchCalendar], appointments: int, today: date
) -> None:
    """Each employee has so many Termine in Advoware, shared ones counted, and an empty calendar at Google."""
    # EspoCRM, too: what the measurement of parties has left there would be matched with an empty Advoware meanwhile.
    await open_firm(sandbox)
    for root in (sandbox.advoware_url, sandbox.google_url):
        await sandbox.control(root, "POST", "reset")
    rows = [row for place in range(len(staff)) for row in _termine(staff, place, appointments, today)]
    people = [{"kuerzel": one.kuerzel, "name": one.kuerzel} for one in staff]
    await sandbox.control(sandbox.advoware_url, "POST", "seed", {"mitarbeiter": people})
    for start in range(0, len(rows), SEED_AT_ONCE):
        portion = {"termine": rows[start : start + SEED_AT_ONCE]}
        await sandbox.control(sandbox.advoware_url, "POST", "seed", portion)
    calendars = [{"id": one.calendar_id, "owner": one.user, "summary": "Termine"} for one in staff]
    users = [{"mail": one.user} for one in staff]
    await sandbox.control(sandbox.google_url, "POST", "seed", {"users": users, "calendars": calendars})


async def add_events(sandbox: Sandbox, staff: Sequence[BenchCalendar], appointments: int, today: date) -> int:
    """What the employees make in their calendars themselves: one for forty Termine; how many in all."""
    rows = [event for one in staff for event in _events(one, appointments // IN_GOOGLE, today)]
    await sandbox.control(sandbox.google_url, "POST", "seed", {"events": rows})
    return len(rows)


def _termine(staff: Sequence[BenchCalendar], place: int, appointments: int, today: date) -> list[Row]:
    """Those that this employee has alone, and those shared with the next one."""
    own, after = staff[place].kuerzel, staff[(place + 1) % len(staff)].kuerzel
    shared = appointments // SHARED if own != after else 0
    rows = []
    for number in range(appointments - shared):
        row = _termin(number, today)
        row["anwalt"] = f"{own},{after}" if number < shared else own
        if number >= shared and number % PRIVATE == 7:
            row["privat"] = 1
        rows.append(row)
    return rows


def _termin(number: int, today: date) -> Row:
    day = today + timedelta(days=number * 7 % _DAYS - 20)
    begin = 8 + number % 9
    row = {
        "datum": day.isoformat(), "datumBis": day.isoformat(),
        "uhrzeitVon": f"{begin:02}:30:00", "uhrzeitBis": f"{begin + 1:02}:15:00",
        "text": f"Besprechung {number}", "notiz": f"Unterlagen {number}", "ort": f"Saal {number % 12}",
    }  # fmt: skip
    if number % SERIES == SERIES - 1:
        last = (day + timedelta(weeks=10)).isoformat()
        return {
            **row,
            "text": f"Runde {number}",
            "dauertermin": 1,
            "turnus": 1,
            "turnusArt": 2,
            "datumBis": last,
        }
    whole_day = {"uhrzeitVon": "00:00:00", "uhrzeitBis": "23:59:00", "abwesenheit": 1}
    match number % 10:
        case 3:
            return {**row, **whole_day, "text": f"Frist: Erwiderung {number}"}
        case 6:
            return {
                **row,
                **whole_day,
                "text": "Fortbildung",
                "datumBis": (day + timedelta(days=2)).isoformat(),
            }
        case _:
            return row


def _events(one: BenchCalendar, count: int, today: date) -> list[Row]:
    rows = []
    for number in range(count):
        day = today + timedelta(days=3 + number * 11 % (_DAYS - 30))
        row: Row = {"calendar": one.calendar_id, "summary": f"Aus dem Telefon {number}"}
        if number % 5 == 4:
            times = [{"date": (day + timedelta(days=days)).isoformat()} for days in (0, 1)]
        else:
            times = [
                {"dateTime": f"{day.isoformat()}T{hour}:00:00", "timeZone": "Europe/Berlin"}
                for hour in (18, 19)
            ]
        rows.append({**row, "start": times[0], "end": times[1]})
    return rows


@dataclass(frozen=True, slots=True)
class BothSides:
    """What the stand-ins hold: Termine of each Kürzel without the private ones, and living events."""

    termine: Mapping[str, Sequence[Row]]
    events: Mapping[str, Sequence[Row]]

    def check(self) -> None:
        """Raises BenchProblem unless each appointment is on both sides once, at the same time, masked at Google."""
        for kuerzel, rows in self.termine.items():
            left = Counter(place_of_termin(row) for row in rows)
            right = Counter(place_of_event(event) for event in self.events[kuerzel])
            if left != right:
                odd = (left - right).total() + (right - left).total()
                raise BenchProblem(
                    f"FAILED: {odd} appointments of {kuerzel} are on one side alone, or at another time there."
                )
            told = [event for event in self.events[kuerzel] if _tells_something(event)]
            if told:
                raise BenchProblem(
                    f"FAILED: Google is told title, notes or place of {len(told)} of {kuerzel}'s."
                )


async def read_both_sides(sandbox: Sandbox, staff: Sequence[BenchCalendar]) -> BothSides:
    """As the stand-ins hold them now."""
    advoware = await sandbox.control(sandbox.advoware_url, "GET", "state")
    google = await sandbox.control(sandbox.google_url, "GET", "state")
    termine: dict[str, list[Row]] = {one.kuerzel: [] for one in staff}
    for row in advoware["termine"]:
        for name in row["anwalt"].split(","):
            if not row["privat"]:
                termine[name.strip()].append(row)
    calendars = {one["id"]: one["events"] for one in google["calendars"]}
    events = {
        one.kuerzel: [event for event in calendars[one.calendar_id] if event["status"] != "cancelled"]
        for one in staff
    }
    return BothSides(termine, events)


def _tells_something(event: Row) -> bool:
    """Whether an event that we made says more than when."""
    is_ours = event.get("extendedProperties", {}).get("private", {}).get("bitbylaw_key")
    return bool(is_ours) and tells_something(event)


def today() -> date:
    """The day by which everything is laid out."""
    return datetime.now(UTC).astimezone(BERLIN).date()


async def reset_ledgers(sandbox: Sandbox) -> None:
    """Forgets what Advoware and Google were asked so far."""
    for root in (sandbox.advoware_url, sandbox.google_url):
        await sandbox.control(root, "DELETE", "ledger")


async def calls_since(sandbox: Sandbox) -> Counter[str]:
    """What both were asked since then, by system, method and route."""
    calls: Counter[str] = Counter()
    for system, root in (("advoware", sandbox.advoware_url), ("google", sandbox.google_url)):
        counts = await sandbox.control(root, "GET", "counts")
        calls.update(
            {
                f"{system} {name}": int(count)
                for name, count in counts.items()
                if not any(part in name for part in NOT_COUNTED)
            }
        )
    return calls
