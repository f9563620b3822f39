"""An office whose requests are all kept, with headers and bodies, and what each one did to the record it named."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_connection import CalendarUser, GoogleConnection
from bitbylaw_pipeline.sandbox.exchange import read_body
from bitbylaw_pipeline.sync.termine_pairs import TerminePairs
from tests.clients.advoware.office import settings_for
from tests.clients.sandboxes import served
from tests.sync.termine.office import EMPLOYEES, Office, Row, mail_of, open_office

_EVENT = re.compile(r"/calendar/v3/calendars/([^/]+)/events/([^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it came over the line; `before` and `after` are the record it named, as it was stored."""

    system: str
    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    status: int | None = None
    before: Row | None = None
    after: Row | None = None

    @property
    def asked(self) -> list[tuple[str, str]]:
        """The query's names and values."""
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def is_write(self) -> bool:
        """True for what changes a record."""
        return self.method != "GET" and not self.path.lower().endswith("/token")

    def header(self, name: str) -> str:
        """A header's value, empty if it is not there."""
        return next((value for key, value in self.headers if key == name), "")

    def json(self) -> Any:
        """The body; an empty object without one."""
        return json.loads(self.body) if self.body else {}

    @property
    def said(self) -> str:
        """Everything in it, in every form in which it may be written: as it came, unquoted, and as JSON says it."""
        headers = "\n".join(f"{name}: {value}" for name, value in self.headers)
        line = f"{self.method} {self.path}?{self.query}"
        text = self.body.decode("utf-8", "replace")
        try:
            meant = json.dumps(json.loads(self.body), ensure_ascii=False)
        except ValueError:
            meant = ""
        return "\n".join([line, unquote(line), headers, text, unquote(text), meant])


class _Heard:
    """Hands an answer on and remembers its status; the stand-ins' faults close by what `send` belongs to."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.transport = getattr(getattr(send, "__self__", None), "transport", None)
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        """ASGI's `send`."""
        self.status = message.get("status", self.status)
        await self._send(message)


class Recorder:
    """An ASGI app before a stand-in: keeps each request and hands it on as it is."""

    def __init__(self, app: ASGIApp, system: str, wire: Wire) -> None:
        self._app = app
        self._system = system
        self._wire = wire

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await read_body(receive)
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replayed() -> Message:
            return waiting.pop() if waiting else await receive()

        heard = _Heard(send)
        call = Call(
            system=self._system,
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=tuple(
                (key.decode("latin-1"), value.decode("latin-1")) for key, value in scope["headers"]
            ),
            body=body,
        )
        self._wire.meet(call)
        before = copy.deepcopy(self._wire.named_by(call))
        try:
            await self._app(scope, replayed, heard.send)
        finally:
            after = copy.deepcopy(self._wire.named_by(call))
            self._wire.calls.append(replace(call, status=heard.status, before=before, after=after))


@dataclass(slots=True)
class Wire:
    """An office and every request that the pipeline has sent."""

    office: Office
    calls: list[Call] = field(default_factory=list)
    _meetings: list[tuple[str, str, Callable[[], object]]] = field(default_factory=list)

    def before_next(self, method: str, line: str, deed: Callable[[], object]) -> None:
        """Somebody does something just before the next such call arrives (`line` is a regex in path and query)."""
        self._meetings.append((method, line, deed))

    def meet(self, call: Call) -> None:
        """The recorder's hook for that."""
        for meeting in list(self._meetings):
            method, line, deed = meeting
            if method == call.method and re.search(line, f"{call.path}?{call.query}"):
                self._meetings.remove(meeting)
                deed()

    def named_by(self, call: Call) -> Row | None:
        """The record that a call names, as it is stored; None if it names none that is there."""
        return self._event(call) if call.system == "google" else self._termin(call)

    def to(self, system: str) -> list[Call]:
        """What a system was asked."""
        return [call for call in self.calls if call.system == system]

    def _event(self, call: Call) -> Row | None:
        match = _EVENT.fullmatch(call.path)
        calendar = self.office.google.store.calendars.get(match[1]) if match else None
        event = calendar.events.get(match[2]) if calendar and match else None
        return None if event is None else event.data

    def _termin(self, call: Call) -> Row | None:
        number = dict(call.asked).get("frnr", "")
        return self.office.advoware.store.termine.get(int(number)) if number.lstrip("-").isdigit() else None


@asynccontextmanager
async def open_wire(folder: Path, **given: Any) -> AsyncIterator[Wire]:
    """An office (see `open_office`) whose clients go over a recorder, by HTTP."""
    async with AsyncExitStack() as stack:
        office = await stack.enter_async_context(open_office(folder, **given))
        wire = Wire(office)
        google_url = await stack.enter_async_context(served(Recorder(office.google, "google", wire)))
        advoware_url = await stack.enter_async_context(served(Recorder(office.advoware, "advoware", wire)))
        firm = Advoware.open(settings_for(office.advoware, advoware_url), clock=office.clock)
        stack.push_async_callback(firm.aclose)
        keys = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shown = office.google.settings(google_url, keys)
        google = Google.open(
            GoogleConnection(
                service_account_file=shown["google_service_account_file"],
                api_base_url=shown["google_api_base_url"],
                token_url=shown["google_token_url"],
                # The limiter waits in real time.
                requests_per_minute_per_user=1_000_000,
                requests_per_minute=1_000_000,
            ),
            users=[CalendarUser(one, mail_of(one)) for one in EMPLOYEES],
            clock=office.clock,
        )
        stack.push_async_callback(google.aclose)
        termine = Termine(firm.connection, office.pairs.termine.surface, clock=office.clock)
        office.pairs = TerminePairs(
            office.database, termine, google, office.pairs.calendars, office.pairs.rules, office.clock
        )
        yield wire


def over_wire(folder: Path, story: Callable[[Wire], Awaitable[None]], **given: Any) -> None:
    """Runs the story in a fresh office."""

    async def main() -> None:
        async with open_wire(folder, **given) as wire:
            await story(wire)

    asyncio.run(main())
