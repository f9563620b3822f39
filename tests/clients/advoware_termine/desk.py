"""A client of the stand-in's Termine, kept open for many questions; and rows to ask about."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager
from datetime import date
from typing import Any, TypeVar

import httpx

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from bitbylaw_pipeline.clients.advoware_termin_rows import Termin
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.domain.termin_times import TerminTimes
from bitbylaw_pipeline.sandbox.advoware.app import AdvowareSandbox, create_app
from bitbylaw_pipeline.settings import Settings
from tests.clients.advoware.office import settings_for
from tests.clients.sandboxes import served

T = TypeVar("T")

SURFACES = [Surface.GENERAL, Surface.ACTIVE_SYNC]
START = 1_773_000_000.25
"""2026-03-08T20:00:00.25Z: the sandbox's clock, standing still."""
YEAR = (date(2026, 1, 1), date(2026, 12, 31))
VERHANDLUNG: dict[str, Any] = {
    "frNr": 500, "datum": "2026-03-09", "uhrzeitVon": "09:30:00", "datumBis": "2026-03-09", "uhrzeitBis": "10:15:00",
    "text": "Verhandlung", "notiz": "Vollmacht\nLadung", "ort": "Saal 3", "anwalt": "PM", "sb": "MW", "nr": 26100,
    "optionalAttendees": "x", "erinnerung": 1, "erinnerungsDatum": "2026-03-09T08:00:00",
}  # fmt: skip


class Desk:
    """One stand-in with the given Termine and switches, and a client of each surface."""

    def __init__(self, app: AdvowareSandbox, client: Advoware, runner: asyncio.Runner) -> None:
        self.app = app
        self._runner = runner
        self._open = {
            surface: Termine(client.connection, surface, editor="SYS", clock=app.clock.now)
            for surface in SURFACES
        }
        self._open_kept = Termine(
            client.connection, Surface.ACTIVE_SYNC, keeps_fold=True, clock=app.clock.now
        )

    def ask(
        self, surface: Surface, question: Callable[[Termine], Awaitable[T]], *, keeps_fold: bool = False
    ) -> T:
        """One question to the client of a surface."""

        async def main() -> T:
            return await question(self._open_kept if keeps_fold else self._open[surface])

        return self._runner.run(main())

    def stored_form(self, surface: Surface, times: TerminTimes, *, keeps_fold: bool = False) -> TerminTimes:
        """What the client says beforehand."""
        return (self._open_kept if keeps_fold else self._open[surface]).stored_form(times)

    def get(self, surface: Surface, number: int = 500, *, keeps_fold: bool = False) -> Termin:
        """A Termin that is there."""
        found = self.ask(surface, lambda termine: termine.get(number), keeps_fold=keeps_fold)
        assert found is not None
        return found

    def numbers(self, surface: Surface, kuerzel: str = "PM") -> list[int]:
        """What an employee's list of the whole year holds."""
        return [one.fr_nr for one in self.ask(surface, lambda termine: termine.list_for(kuerzel, *YEAR))]

    def stored(self, number: int = 500) -> dict[str, Any]:
        """The Termin as it lies in Advoware."""
        rows: dict[int, dict[str, Any]] = {row["frNr"]: dict(row) for row in self.app.state()["termine"]}
        return rows[number]

    def seed(self, *rows: dict[str, Any]) -> None:
        """Termine instead of those that are there, each over the fields of VERHANDLUNG."""
        self.app.seed({"reset": True, "termine": [{**VERHANDLUNG, **row} for row in rows]})

    def calls(self, method: str = "") -> list[str]:
        """The requests for Termine so far, as `METHOD path?query`."""
        rows = self.app.ledger.select(method=method, path=".*Termine.*")
        return [f"{row['method']} {row['path']}" for row in rows]


OpenDesk = Callable[..., AbstractContextManager[Desk]]
"""`Hall.desk`."""


class Hall:
    """One stand-in on a loopback port for many tests: to stop a server takes longer than most of them."""

    def __init__(self, app: AdvowareSandbox, url: str, runner: asyncio.Runner) -> None:
        self._app = app
        self._url = url
        self._runner = runner

    @contextmanager
    def desk(
        self,
        *rows: dict[str, Any],
        way: str = "http",
        settings: dict[str, Any] | None = None,
        **switches: Any,
    ) -> Iterator[Desk]:
        """A `Desk` with Termine in it and nothing of an earlier one, over HTTP or (way "asgi") in process."""
        app = self._app
        app.reset()
        app.switches.update(switches)
        app.clock.pin(START)
        transport = httpx.ASGITransport(app) if way == "asgi" else None
        known = settings_for(app, self._url, **(settings or {}))
        client = self._runner.run(_opened(known, transport, app.clock.now))
        found = Desk(app, client, self._runner)
        found.seed(*rows)
        try:
            yield found
        finally:
            self._runner.run(client.aclose())


async def _opened(
    settings: Settings, transport: httpx.ASGITransport | None, clock: Callable[[], float]
) -> Advoware:
    return Advoware.open(settings, transport=transport, clock=clock)


@contextmanager
def open_hall() -> Iterator[Hall]:
    """A `Hall`, closed at the end."""
    app = create_app()
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        url = runner.run(stack.enter_async_context(served(app)))
        try:
            yield Hall(app, url, runner)
        finally:
            runner.run(stack.aclose())


@contextmanager
def zone_of_process(name: str) -> Iterator[None]:
    """The machine's own time zone, as a server abroad may have it."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()
