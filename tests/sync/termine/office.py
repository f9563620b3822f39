"""An office with Advoware and Google calendars in small: both stand-ins on one clock, and the employees' passes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_connection import CalendarUser, GoogleConnection
from bitbylaw_pipeline.domain.termin_kind import FristRule
from bitbylaw_pipeline.domain.termin_times import to_berlin
from bitbylaw_pipeline.inbox import two_way_desk
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_desk import ConflictView, HoldView
from bitbylaw_pipeline.sandbox.advoware import create_app as create_advoware
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.sandbox.google import create_app as create_google
from bitbylaw_pipeline.sync.termine_pairs import CalendarOf, TerminePairs, TermineRules
from bitbylaw_pipeline.sync.two_way_report import RunReport
from tests.clients.advoware.office import settings_for
from tests.clients.sandboxes import served
from tests.conftest import ENCRYPTION_KEY, FakeClock, migrated_url

EMPLOYEES = ("AB", "CD", "EF")
START = 1_773_000_000.0
"""2026-03-08T20:00:00Z."""
Row = dict[str, Any]


def mail_of(kuerzel: str) -> str:
    """The employee's Google account."""
    return f"{kuerzel.lower()}@kanzlei.example"


def calendar_of(kuerzel: str) -> str:
    """The employee's dedicated calendar."""
    return f"c_{kuerzel.lower()}@group.calendar.google.com"


@dataclass(slots=True, kw_only=True)
class Office:
    """What a test works with; open it with `open_office`."""

    advoware: Any
    google: Any
    clock: FakeClock
    database: Database
    pairs: TerminePairs
    reports: dict[str, RunReport] = field(default_factory=dict)

    def advance(self, seconds: float) -> None:
        """Time passes, everywhere."""
        now = self.clock.advance(seconds)
        self.advoware.clock.pin(now)
        self.google.clock.pin(now)

    def fail(self, system: str, path: str, *, method: str = "*", kind: str = "status", **more: Any) -> Fault:
        """A fault on the paths of one system."""
        app = self.advoware if system == "advoware" else self.google
        fault: Fault = app.faults.add(Fault(kind, path, method=method, **more))
        return fault

    def mend(self) -> None:
        """No faults any more."""
        self.advoware.faults.clear()
        self.google.faults.clear()

    async def run(self, kuerzel: str = "AB") -> RunReport:
        """One pass over an employee's appointments, a quarter of an hour after the last."""
        self.advance(900.0)
        async with self.pairs.reconciler(kuerzel) as reconciler:
            self.reports[kuerzel] = await reconciler.run()
        return self.reports[kuerzel]

    # -- what people do

    def termin(self, fr_nr: int, day: str = "2026-03-20", **given: Any) -> int:
        """A Termin in Advoware, by default an hour of AB's in the morning."""
        row = {
            "frNr": fr_nr, "datum": day, "uhrzeitVon": "09:30:00", "datumBis": day, "uhrzeitBis": "10:30:00",
            "text": f"Besprechung {fr_nr}", "anwalt": "AB", **given,
        }  # fmt: skip
        self.advoware.seed({"termine": [row]})
        return fr_nr

    def at_advoware(self, fr_nr: int) -> Row:
        """A Termin as it is stored; empty if it is gone."""
        return dict(self.advoware.store.termine.get(fr_nr, {}))

    def termine(self) -> list[Row]:
        """All Termine."""
        return [dict(row) for row in self.advoware.store.termine.values()]

    def edit_termin(self, fr_nr: int, **values: Any) -> None:
        """A person edits a Termin in Advoware."""
        self.advoware.edit({"table": "termine", "id": fr_nr, "set": values})

    def delete_termin(self, fr_nr: int) -> None:
        """A person deletes a Termin in Advoware."""
        self.advoware.edit({"table": "termine", "id": fr_nr, "delete": True})

    def events(self, kuerzel: str = "AB") -> list[Row]:
        """The living events of an employee's calendar."""
        found = next(one for one in self.google.state()["calendars"] if one["id"] == calendar_of(kuerzel))
        return [event for event in found["events"] if event["status"] != "cancelled"]

    def event_of(self, fr_nr: int, kuerzel: str = "AB") -> Row:
        """The one living event that was made for a Termin."""
        (found,) = [
            event
            for event in self.events(kuerzel)
            if event.get("extendedProperties", {}).get("private", {}).get("bitbylaw_frnr") == str(fr_nr)
            and "recurringEventId" not in event
        ]
        return found

    def edit_google(self, kind: str, event: Row | None = None, kuerzel: str = "AB", **more: Any) -> Any:
        """What a user does in the calendar."""
        given = {"do": kind, "calendar": calendar_of(kuerzel), **more}
        if event is not None:
            given["event"] = event["id"]
        return self.google.edit(given)[0]

    def script(self, kind: str, **more: Any) -> None:
        """What happens to a call of Google's API that is to come."""
        self.google.scripts.add([{"kind": kind, **more}])

    # -- what is looked at

    def writes(self, system: str) -> list[str]:
        """Writing requests that a system has had: method and path."""
        ledger = (self.advoware if system == "advoware" else self.google).ledger
        return [
            f"{entry.method} {entry.path}"
            for entry in list(ledger.entries)
            if entry.method in ("POST", "PUT", "PATCH", "DELETE")
            and not entry.path.startswith(("/sandbox", "/token", "/security", "/configurator"))
        ]

    async def is_at_rest(self, *employees: str) -> None:
        """One more pass of everybody finds nothing to do and asks each side once."""
        for kuerzel in employees or EMPLOYEES:
            before = len(self.google.ledger.entries), len(self.advoware.ledger.entries)
            report = await self.run(kuerzel)
            assert report.errors == {}
            asked = [
                f"{entry.method} {entry.path}"
                for app, count in zip((self.google, self.advoware), before, strict=True)
                for entry in list(app.ledger.entries)[count:]
            ]
            assert [line.split()[0] for line in asked if "/calendar/v3/" in line or "/relay/" in line] == [
                "GET",
                "GET",
            ], (kuerzel, asked)

    async def why_held(self, kuerzel: str = "AB") -> list[str]:
        """The reasons for which something waits for a person."""
        return sorted(hold.why for hold in await self.holds(kuerzel))

    async def holds(self, kuerzel: str = "AB") -> list[HoldView]:
        """What waits for a person."""
        return await self.database.run(lambda c: two_way_desk.list_holds(c, self.pairs.pair(kuerzel)))

    async def conflicts(self, kuerzel: str = "AB") -> list[ConflictView]:
        """The conflict log."""
        return await self.database.run(
            lambda c: two_way_desk.list_conflicts(
                c, self.database.cipher, self.pairs.pair(kuerzel), with_values=True, with_closed=True
            )
        )


@asynccontextmanager
async def open_office(
    folder: Path,
    *,
    masks: bool = False,
    fristen: str = "text:^Frist",
    surface: Surface = Surface.GENERAL,
    advoware: dict[str, Any] | None = None,
    google: dict[str, Any] | None = None,
    **rules: Any,
) -> AsyncIterator[Office]:
    """An office of three employees with empty calendars, over HTTP; its clock stands still."""
    clock = FakeClock(START)
    apps = create_advoware(advoware or {}), create_google(google or {})
    for app in apps:
        app.clock.pin(clock.now)
    apps[0].seed({"mitarbeiter": [{"kuerzel": one, "name": one} for one in EMPLOYEES]})
    apps[1].seed(
        {
            "users": [{"mail": mail_of(one)} for one in EMPLOYEES],
            "calendars": [
                {"id": calendar_of(one), "owner": mail_of(one), "summary": "Termine"} for one in EMPLOYEES
            ],
        }
    )
    async with AsyncExitStack() as stack:
        key_folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = [await stack.enter_async_context(served(app)) for app in apps]
        database = Database.open(migrated_url("sqlite", folder), clock=clock, encryption_key=ENCRYPTION_KEY)
        stack.push_async_callback(database.aclose)
        firm = Advoware.open(settings_for(apps[0], urls[0]), clock=clock)
        stack.push_async_callback(firm.aclose)
        shown = apps[1].settings(urls[1], key_folder)
        client = Google.open(
            GoogleConnection(
                service_account_file=shown["google_service_account_file"],
                api_base_url=shown["google_api_base_url"],
                token_url=shown["google_token_url"],
                # The limiter waits in real time.
                requests_per_minute_per_user=1_000_000,
                requests_per_minute=1_000_000,
            ),
            users=[CalendarUser(one, mail_of(one)) for one in EMPLOYEES],
            clock=clock,
        )
        stack.push_async_callback(client.aclose)
        pairs = TerminePairs(
            database,
            Termine(firm.connection, surface, clock=clock),
            client,
            {one: CalendarOf(CalendarUser(one, mail_of(one)), calendar_of(one)) for one in EMPLOYEES},
            TermineRules(FristRule.parse(fristen), masks=masks, **rules),
            clock,
        )
        yield Office(advoware=apps[0], google=apps[1], clock=clock, database=database, pairs=pairs)


def in_office(folder: Path, story: Callable[[Office], Awaitable[None]], **given: Any) -> None:
    """Runs the story in a fresh office."""

    async def main() -> None:
        async with open_office(folder, **given) as office:
            await story(office)

    asyncio.run(main())


def berlin(event: Row, end: str = "start") -> str:
    """When an event begins or ends: the day, or Berlin's wall time with its offset."""
    given = event[end]
    return str(given["date"]) if "date" in given else to_berlin(_utc(given["dateTime"])).isoformat()


def _utc(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
