"""The office with a watched wire: every request goes over HTTP and is looked at, and at each the process can die.

The servers outlive the offices of one test: what stands behind them is changed, so that hundreds fit into a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_connection import CalendarUser, GoogleConnection
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.termin_kind import FristRule
from bitbylaw_pipeline.domain.two_way_link import LinkState
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sandbox.advoware import create_app as create_advoware
from bitbylaw_pipeline.sandbox.google import create_app as create_google
from bitbylaw_pipeline.sync.termine_pairs import CalendarOf, TerminePairs, TermineRules
from tests.clients.advoware.office import settings_for
from tests.clients.sandboxes import served
from tests.conftest import ENCRYPTION_KEY, FakeClock, migrated_url
from tests.sync.advoware.wire import Call, Killed, Wire
from tests.sync.termine.office import EMPLOYEES, START, Office, Row, calendar_of, mail_of

AFTER_A_CRASH = 2000.0
"""Seconds after which nobody takes a dead process's work for work in progress any more."""
FRIST = re.compile("^Frist", re.IGNORECASE)
_FREE_IN_GOOGLE = frozenset(
    {"summary", "description", "location", "start", "end", "recurrence", "etag", "updated", "sequence"}
)
_FREE_IN_ADVOWARE = frozenset(
    {
        "text", "notiz", "ort", "datum", "uhrzeitVon", "datumBis", "uhrzeitBis", "vonFold", "bisFold", "abwesenheit",
        "anwalt", "zuletztGeaendertAm", "rowId", "geaendertAm", "geaendertVon",
    }
)  # fmt: skip


class Door:
    """An ASGI app that stands for whichever stand-in is behind it now."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] == "http":
            assert self.app is not None
            await self.app(scope, receive, send)


@dataclass(slots=True)
class Ground:
    """Two servers and, one after the other, many offices."""

    doors: tuple[Door, Door]
    urls: tuple[str, str]
    wires: httpx.AsyncHTTPTransport


@asynccontextmanager
async def open_ground() -> AsyncIterator[Ground]:
    """Servers of both stand-ins, with nobody behind them yet."""
    doors = Door(), Door()
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(served(door)) for door in doors]
        yield Ground(doors, (first, second), await stack.enter_async_context(httpx.AsyncHTTPTransport()))


class Request(Call):
    """One request of the pipeline's; without a body, `body` is its query."""

    @property
    def is_write(self) -> bool:
        """True for what changes a record."""
        return self.method in ("POST", "PUT", "PATCH", "DELETE") and not self.path.lower().endswith("/token")


@dataclass(slots=True, kw_only=True)
class World(Office):
    """What a test works with; open it with `open_world`."""

    wire: Wire
    masks: bool
    surface: Surface
    broken: list[str] = field(default_factory=list)
    """What was written that may not be, in words."""
    shut: set[str] = field(default_factory=set)
    """Whose calendar or account a fault has closed to us."""
    caught: list[str] = field(default_factory=list)
    """The errors that ended passes."""

    async def attempt(self, kuerzel: str = "AB") -> bool:
        """A pass that may fail; False if it did."""
        try:
            await self.run(kuerzel)
        except SyncError as error:
            self.caught.append(f"{type(error).__name__}: {error}")
            return False
        return True

    async def dies_at(self, boundary: int, kuerzel: str = "AB") -> bool:
        """Kills the process at that boundary of a pass; False if it has fewer. Then lets time pass."""
        self.wire.kill_at, self.wire.boundaries, self.wire.is_dead = boundary, 0, False
        try:
            await self.attempt(kuerzel)
        except (Killed, BaseExceptionGroup):
            if not self.wire.is_dead:
                raise
        died, self.wire.kill_at, self.wire.is_dead = self.wire.is_dead, None, False
        self.advance(AFTER_A_CRASH)
        return died

    def mend(self) -> None:
        """No faults any more, of whatever kind."""
        Office.mend(self)
        self.google.scripts.clear()
        self.wire.meetings.clear()
        self.advoware.switches.update({"offline_until": 0.0, "enabled": True, "ignored_parameters": []})
        self.google.switches.update(
            {
                "token_calls": 0, "user_quota_per_minute": 0, "project_quota_per_minute": 0,
                "calendar_writes_per_minute": 0, "clock_skew_seconds": 0.0, "delegation": "granted",
                "api_enabled": True,
            }
        )  # fmt: skip
        for kuerzel in sorted(self.shut):
            user = mail_of(kuerzel)
            self.edit_google("set_role", kuerzel=kuerzel, user=user, role=None)
            self.edit_google("restore_access", kuerzel=kuerzel, user=user)
            self.google.edit({"do": "set_user", "user": user, "state": "active"})
        self.shut.clear()

    def all_events(self, kuerzel: str) -> dict[str, Row]:
        """The calendar's events by id, cancelled ones too."""
        found = next(one for one in self.google.state()["calendars"] if one["id"] == calendar_of(kuerzel))
        return {event["id"]: event for event in found["events"]}

    def write_count(self) -> int:
        """Writes of the pipeline's so far."""
        return len(self.wire.writes())

    async def settle(self, rounds: int = 8) -> int:
        """Passes of everybody until a whole round writes nothing; gives how many rounds wrote."""
        self.mend()
        # A list in pages is one list, and a token that is too old by the next pass costs a second one: not so at rest.
        self.google.switches.update({"page_cap": 0, "empty_pages": "none", "sync_token_seconds": 0.0})
        # A report of a change that went missing for good heals with the day's whole list.
        self.advance(90_000.0)
        for number in range(rounds):
            before = self.write_count()
            for kuerzel in EMPLOYEES:
                await self.run(kuerzel)
            if self.write_count() == before and not any(self._is_unfinished(one) for one in EMPLOYEES):
                return number
        raise AssertionError(
            f"no rest after {rounds} rounds: {[call.method + ' ' + call.path for call in self.wire.writes()[-12:]]}"
        )

    async def rests(self) -> None:
        """One more pass of everybody writes nothing and lists each side once (I2, I15).

        Where one side is gone and the other has to stay (guests, private, a guard), that is confirmed by one read each.
        """
        for kuerzel in EMPLOYEES:
            first = len(self.wire.calls)
            report = await self.run(kuerzel)
            assert report.errors == {}
            calls = [
                call for call in self.wire.calls[first:] if re.search("/calendar/v3/|/relay/", call.path)
            ]
            assert [call for call in calls if isinstance(call, Request) and call.is_write] == []
            lists = [
                call.system for call in calls if call.path.endswith("/events") or "kuerzel=" in call.body
            ]
            assert sorted(lists) == ["advoware", "google"], (kuerzel, calls)
            alone = await self._alone(kuerzel)
            assert len(calls) - len(lists) <= len(alone), (kuerzel, alone, calls)

    async def _alone(self, kuerzel: str) -> list[str]:
        """Links of which one side is gone and the other may not be touched, or not yet: each gone one is asked for."""
        events = self.events(kuerzel)
        there = {event["id"] for event in events} | {
            str(row["frNr"]) for row in self.termine() if kuerzel in row["anwalt"]
        }
        links = (await self.pairs.store(kuerzel).load()).links
        active = [link for link in links if link.state is LinkState.ACTIVE]
        return [link.link_id for link in active if {str(link.left_id), str(link.right_id)} - there]

    def _is_unfinished(self, kuerzel: str) -> bool:
        report = self.reports[kuerzel]
        return bool(report.errors or report.unsettled or report.overtaken or report.recovered)


class HttpTap(httpx.AsyncBaseTransport):
    """The way over HTTP to one stand-in: kills the process where a test wants it, and notes what may not be written."""

    def __init__(self, system: str, world: World, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._system = system
        self._world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request, unless the process dies before or after it."""
        wire = self._world.wire
        body = (await request.aread()).decode() or request.url.query.decode()
        call = Request(self._system, request.method, request.url.path, body)
        wire.meet(call)
        wire.reached("before", call)
        wire.calls.append(call)
        watched = _watch(self._world, call, request) if call.is_write else None
        response = await self._inner.handle_async_request(request)
        if watched is not None and response.status_code < 300:
            # Read whole: only then has the stand-in done all of it.
            content = b"".join([chunk async for chunk in response.aiter_raw()])
            await response.aclose()
            response = httpx.Response(
                response.status_code, headers=response.headers, stream=httpx.ByteStream(content)
            )
            watched()
        wire.reached("after", call)
        return response


def _watch(world: World, call: Request, request: httpx.Request) -> Callable[[], None] | None:
    if call.system == "google":
        return _watch_google(world, call, request)
    number = request.url.params.get("frnr")
    if number is None:
        return None
    before = world.at_advoware(int(number))
    if before and (FRIST.search(before["text"] or "") or before["dauertermin"]):
        world.broken.append(f"{call.method} of the Frist or series {number}")
    if before and before["privat"]:
        world.broken.append(f"{call.method} of the private Termin {number}")

    def compare() -> None:
        after = world.at_advoware(int(number))
        other = {name for name in after if after[name] != before.get(name)} - _FREE_IN_ADVOWARE
        if other:
            world.broken.append(f"{call.method} of the Termin {number} changed {sorted(other)}")

    return compare


def _watch_google(world: World, call: Request, request: httpx.Request) -> Callable[[], None]:
    if request.url.params.get("sendUpdates") != "none":
        world.broken.append(f"{call.method} sends mails")
    if call.method != "POST" and "if-match" not in request.headers:
        world.broken.append(f"{call.method} without If-Match")
    if '"attendees"' in call.body:
        world.broken.append(f"{call.method} with guests")
    if world.masks and re.search("(Text|Notiz|Ort)[0-9]+w", call.body):
        world.broken.append(f"{call.method} tells Google what is masked: {call.body}")
    kuerzel = next(one for one in EMPLOYEES if calendar_of(one) in request.url.path)
    event_id = request.url.path.rpartition("/")[2]
    before = world.all_events(kuerzel).get(event_id, {})

    def compare() -> None:
        if call.method == "POST":
            return
        words = _why_not_ours(before)
        if words:
            world.broken.append(f"{call.method} of an event {words}")
        after = world.all_events(kuerzel).get(event_id, {})
        if call.method == "PATCH":
            names = {name for name in {*before, *after} if _shown(before, name) != _shown(after, name)}
            if names - _FREE_IN_GOOGLE:
                world.broken.append(f"PATCH changed {sorted(names - _FREE_IN_GOOGLE)}")

    return compare


def _why_not_ours(event: Row) -> str:
    if not event.get("organizer", {}).get("self"):
        return "of somebody else"
    if event.get("visibility") in ("private", "confidential"):
        return "that is private"
    if any(not guest.get("self") for guest in event.get("attendees", [])):
        return "with guests"
    return ""


def _shown(event: Row, name: str) -> Any:
    value = event.get(name)
    if name == "extendedProperties" and value:
        kept = {
            kind: {key: one for key, one in named.items() if not key.startswith("bitbylaw_")}
            for kind, named in value.items()
        }
        value = {kind: named for kind, named in kept.items() if named} or None
    return value


@asynccontextmanager
async def open_world(
    ground: Ground,
    folder: Path,
    *,
    masks: bool = False,
    surface: Surface = Surface.GENERAL,
    keeps_fold: bool = False,
    advoware: Row | None = None,
    google: Row | None = None,
    zone: str = "Europe/Berlin",
    start: float = START,
    in_process: bool = False,
    **rules: Any,
) -> AsyncIterator[World]:
    """An office of three employees with empty calendars in `zone`; its clock stands still.

    `in_process` calls the stand-ins without a socket, for half the time: not where a fault is one of the line's.
    """
    clock = FakeClock(start)
    apps: tuple[Any, Any] = (create_advoware(advoware or {}), create_google(google or {}))
    for app, door in zip(apps, ground.doors, strict=True):
        app.clock.pin(clock.now)
        door.app = app
    ways: list[httpx.AsyncBaseTransport] = [
        httpx.ASGITransport(app) if in_process else ground.wires for app in apps
    ]
    apps[0].seed({"mitarbeiter": [{"kuerzel": one, "name": one} for one in EMPLOYEES]})
    apps[1].seed(
        {
            "users": [{"mail": mail_of(one)} for one in EMPLOYEES],
            "calendars": [
                {"id": calendar_of(one), "owner": mail_of(one), "summary": "Termine", "time_zone": zone}
                for one in EMPLOYEES
            ],
        }
    )
    async with AsyncExitStack() as stack:
        key_folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = Database.open(migrated_url("sqlite", folder), clock=clock, encryption_key=ENCRYPTION_KEY)
        stack.push_async_callback(database.aclose)
        world = World(
            advoware=apps[0],
            google=apps[1],
            clock=clock,
            database=database,
            pairs=None,  # type: ignore[arg-type]  # known a few lines further down: the clients need the world's wire
            wire=Wire(),
            masks=masks,
            surface=surface,
        )
        firm = Advoware.open(
            settings_for(apps[0], ground.urls[0]),
            clock=clock,
            transport=HttpTap("advoware", world, ways[0]),
        )
        stack.push_async_callback(firm.aclose)
        shown = apps[1].settings(ground.urls[1], key_folder)
        client = Google.open(
            GoogleConnection(
                service_account_file=shown["google_service_account_file"],
                api_base_url=shown["google_api_base_url"],
                token_url=shown["google_token_url"],
                # The limiter waits in real time.
                requests_per_minute_per_user=1_000_000,
                requests_per_minute=1_000_000,
                timeout=30.0,
            ),
            users=[CalendarUser(one, mail_of(one)) for one in EMPLOYEES],
            clock=clock,
            transport=HttpTap("google", world, ways[1]),
        )
        stack.push_async_callback(client.aclose)
        world.pairs = TerminePairs(
            database,
            Termine(firm.connection, surface, clock=clock, keeps_fold=keeps_fold),
            client,
            {one: CalendarOf(CalendarUser(one, mail_of(one)), calendar_of(one)) for one in EMPLOYEES},
            TermineRules(FristRule.parse("text:^Frist"), masks=masks, **rules),
            clock,
        )
        yield world


@dataclass(frozen=True, slots=True)
class Stage:
    """Servers and their event loop, for the stories of a whole file."""

    runner: asyncio.Runner
    ground: Ground

    def play(self, folder: Path, story: Callable[[World], Awaitable[None]], **given: Any) -> None:
        """Runs the story in a fresh office, whose state is in a folder of its own below this one."""

        async def main() -> None:
            own = Path(tempfile.mkdtemp(dir=folder))
            async with open_world(self.ground, own, **given) as world:
                await story(world)

        self.runner.run(main())


@contextlib.contextmanager
def open_stage() -> Iterator[Stage]:
    """Servers of both stand-ins, until the end of the block."""
    stack = AsyncExitStack()

    async def begin() -> Ground:
        return await stack.enter_async_context(open_ground())

    with asyncio.Runner() as runner:
        ground = runner.run(begin())
        try:
            yield Stage(runner, ground)
        finally:
            runner.run(stack.aclose())
