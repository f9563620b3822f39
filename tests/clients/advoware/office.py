"""Clients of the stand-in for Advoware, in process or over HTTP, and a small firm to ask about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_token import TokenCache
from bitbylaw_pipeline.sandbox.advoware.app import AdvowareSandbox, create_app
from bitbylaw_pipeline.settings import Settings
from tests.clients.sandboxes import served

T = TypeVar("T")

NATURAL, COMPANY = 104860, 104861
FIRM: dict[str, Any] = {
    "mitarbeiter": [{"kuerzel": "PM", "name": "P. Musterwald"}, {"kuerzel": "ÄÖ", "aktiv": False}],
    "akten": [{"id": 7, "aktennummer": 123, "az": "123/26", "beteiligte": [{"betNr": NATURAL, "rolle": "Mandant"}]}],
    "beteiligte": [
        {
            "betNr": NATURAL,
            "name": "Anders",
            "vorname": "Käthe",
            "geburtsdatum": "1980-05-17T00:00:00Z",
            "zusatzFeld1": "kept",
            "adressen": [{"id": 1, "strasse": "Gasse 1", "plz": "01234", "ort": "Aldorf", "land": "DE"}],
            "kommunikation": [{"id": 2, "tlf": "030 1", "kommKz": 1}, {"id": 3, "tlf": "k@example.org", "kommKz": 4}],
            "bankverbindungen": [{"id": 4, "iban": "DE02120300000000202051", "bic": "BYLADEM1001"}],
        },
        {"betNr": COMPANY, "name": "Bau GmbH", "rechtsform": "GmbH", "handelsRegisterNummer": "HRB 1"},
    ],
}  # fmt: skip


def sandbox(**switches: Any) -> AdvowareSandbox:
    """A stand-in with the small firm in it, its clock standing still."""
    app = create_app(switches)
    app.clock.pin(1_780_000_000.123456)
    app.seed(FIRM)
    return app


@asynccontextmanager
async def advoware_over(
    way: str, app: AdvowareSandbox, *, cache: TokenCache | None = None, **given: Any
) -> AsyncIterator[Advoware]:
    """A client by the sandbox's clock: way "http" or "asgi"; `given` are settings that win over the sandbox's."""
    if way == "asgi":
        settings = settings_for(app, "http://advoware", **given)
        transport = httpx.ASGITransport(app)
        client = Advoware.open(settings, transport=transport, cache=cache, clock=app.clock.now)
        try:
            yield client
        finally:
            await client.aclose()
        return
    async with served(app) as url:
        client = Advoware.open(settings_for(app, url, **given), cache=cache, clock=app.clock.now)
        try:
            yield client
        finally:
            await client.aclose()


def settings_for(app: AdvowareSandbox, url: str, **given: Any) -> Settings:
    """The sandbox's own settings, and nothing of the environment's."""
    return Settings.load(**{**app.settings(url), "_env_file": None, **given})


def ask(
    app: AdvowareSandbox, question: Callable[[Advoware], Awaitable[T]], *, way: str = "asgi", **given: Any
) -> T:
    """One question to a fresh client."""

    async def main() -> T:
        async with advoware_over(way, app, **given) as client:
            return await question(client)

    return asyncio.run(main())


def calls(app: AdvowareSandbox, method: str = "", path: str = "") -> list[str]:
    """The requests so far, as `METHOD path`, of that method and with that (a regex) in the path."""
    rows = app.ledger.select(method=method, path=f".*{path}.*")
    return [f"{row['method']} {row['path']}" for row in rows]
