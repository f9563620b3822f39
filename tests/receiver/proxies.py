"""A proxy in this process in front of the sandbox of Advoware, over real connections between the two."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from bitbylaw_pipeline.inbox import proxy_audit
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.proxy_audit import AuditRow
from bitbylaw_pipeline.sandbox.advoware.app import AdvowareSandbox
from bitbylaw_pipeline.sandbox.faults import Fault
from tests.receiver.receiver_settings import PATIENT_SECONDS, receiver_settings
from webhook_sensor_app.app import create_app
from webhook_sensor_app.proxy import PATH

KEY = "key-of-the-first-program-5c1f"
OTHER_KEY = "key-of-the-other-program-77aa"
BY_KEY = {"x-api-key": KEY}
PARTY = 104860
PREFIX = "/relay/api/v1/advonet/"

ROWS: dict[str, Any] = {
    "mitarbeiter": [{"kuerzel": "PM", "name": "Paula Musterfrau"}],
    "akten": [{"id": 12, "aktennummer": 12, "az": "12/26", "kurzrubrum": "Mustermann ./. Beispiel"}],
    "beteiligte": [
        {
            "betNr": PARTY,
            "name": "Mustermann",
            "vorname": "Erika",
            "adressen": [{"id": 7, "strasse": "Hauptstr. 1", "plz": "01067", "ort": "Dresden"}],
            "kommunikation": [{"id": 8, "tlf": "erika.mustermann@example.org"}],
        }
    ],
}


@dataclass(frozen=True, slots=True)
class _Door:
    """Events of threads: the sandbox lives in another one than the test."""

    has_come: threading.Event = field(default_factory=threading.Event)
    is_open: threading.Event = field(default_factory=threading.Event)


class WatchedAdvoware:
    """The sandbox as an ASGI app, and the heads of the requests that came to it."""

    def __init__(self) -> None:
        self.sandbox = AdvowareSandbox()
        self.heads: list[dict[str, str]] = []
        self._door: _Door | None = None

    @contextlib.contextmanager
    def holding_puts(self) -> Iterator[threading.Event]:
        """Within the block PUTs wait at the door; yields the event that one has come."""
        self._door = door = _Door()
        try:
            yield door.has_come
        finally:
            self._door = None
            door.is_open.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Notes the head and hands the request on."""
        if scope["type"] == "http":
            self.heads.append({name.decode(): value.decode() for name, value in scope["headers"]})
            door = self._door
            if door is not None and scope["method"] == "PUT":
                door.has_come.set()
                await asyncio.to_thread(door.is_open.wait, 60)
        await self.sandbox(scope, receive, send)


@dataclass(frozen=True, slots=True)
class ProxyBench:
    """A sandbox that serves at `url`, a database, and what a test asks about both."""

    advoware: WatchedAdvoware
    url: str
    database: Database

    @property
    def sandbox(self) -> AdvowareSandbox:
        """The sandbox itself."""
        return self.advoware.sandbox

    def settings(self, **given: Any) -> dict[str, Any]:
        """Settings by which the receiver talks to the sandbox and writes are allowed, and `given`."""
        own = {"proxy_api_keys": f"{KEY},{OTHER_KEY}", "advoware_proxy_read_only": False}
        return self.sandbox.settings(self.url) | own | given

    @contextlib.asynccontextmanager
    async def client(
        self, *, wait_seconds: float = PATIENT_SECONDS, **given: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A client of a fresh receiver; `given` are settings."""
        settings = receiver_settings(**self.settings(**given))
        app = create_app(settings, self.database, Coordination(None), wait_seconds=wait_seconds)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://receiver") as client,
        ):
            yield client

    def run(self, use: Callable[[httpx.AsyncClient], Awaitable[Any]], **given: Any) -> Any:
        """Lets a client use a fresh receiver; `given` are settings, or `wait_seconds`."""

        async def main() -> Any:
            async with self.client(**given) as client:
                return await use(client)

        return asyncio.run(main())

    def ask(
        self,
        method: str,
        endpoint: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        query: dict[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        **given: Any,
    ) -> httpx.Response:
        """One request to a fresh receiver; `given` are settings, or `wait_seconds`."""
        params = ({} if endpoint is None else {"endpoint": endpoint}) | (query or {})
        sent = BY_KEY if headers is None else headers

        async def use(client: httpx.AsyncClient) -> httpx.Response:
            return await client.request(method, PATH, params=params, headers=sent, json=json, content=content)

        response: httpx.Response = self.run(use, **given)
        return response

    def say(self, **fault: Any) -> None:
        """Makes Advoware's API show a fault: by default every call is answered with `status`."""
        self.sandbox.faults.add(Fault.from_json({"kind": "status", "path": "/relay/.*"} | fault))

    def asked(self) -> list[str]:
        """What reached Advoware's API, as `METHOD path?query` below the prefix."""
        return [
            f"{entry.method} {entry.path.removeprefix(PREFIX)}" + (f"?{entry.query}" if entry.query else "")
            for entry in self.sandbox.ledger.entries
            if entry.path.startswith("/relay")
        ]

    def is_untouched(self) -> bool:
        """True if no request at all reached Advoware, not even one for a token."""
        return self.sandbox.ledger.total == 0

    def audit(self) -> list[AuditRow]:
        """The audit rows, latest first."""
        return self.database.read(proxy_audit.listing)

    def party(self) -> dict[str, Any]:
        """The party as Advoware has it."""
        found: dict[str, Any] = next(
            row for row in self.sandbox.state()["beteiligte"] if row["betNr"] == PARTY
        )
        return found
