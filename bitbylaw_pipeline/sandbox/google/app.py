"""The stand-in of Google: token endpoint and Calendar v3 of one firm on one port."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.control import SandboxControl
from bitbylaw_pipeline.sandbox.exchange import read_body, send_body
from bitbylaw_pipeline.sandbox.faults import Faults
from bitbylaw_pipeline.sandbox.google.acl_routes import AclRoutes
from bitbylaw_pipeline.sandbox.google.api import PREFIX, CalendarApi, Handler
from bitbylaw_pipeline.sandbox.google.calendar_routes import CalendarRoutes
from bitbylaw_pipeline.sandbox.google.calls import Answer, own_url
from bitbylaw_pipeline.sandbox.google.channels import Channels
from bitbylaw_pipeline.sandbox.google.control_api import ControlApi
from bitbylaw_pipeline.sandbox.google.errors import ApiError
from bitbylaw_pipeline.sandbox.google.event_list import EventList
from bitbylaw_pipeline.sandbox.google.event_routes import EventRoutes
from bitbylaw_pipeline.sandbox.google.event_writes import EventWriting
from bitbylaw_pipeline.sandbox.google.instances import Instances
from bitbylaw_pipeline.sandbox.google.journal import SCOPE_KEY, Journal
from bitbylaw_pipeline.sandbox.google.quotas import Quotas, UseLimits
from bitbylaw_pipeline.sandbox.google.scripts import Scripts
from bitbylaw_pipeline.sandbox.google.seeding import Seeding
from bitbylaw_pipeline.sandbox.google.service_account import service_account_info, write_service_account_file
from bitbylaw_pipeline.sandbox.google.store import DOMAIN, Store
from bitbylaw_pipeline.sandbox.google.switches import Switches
from bitbylaw_pipeline.sandbox.google.token_endpoint import TokenEndpoint
from bitbylaw_pipeline.sandbox.google.user_edits import UserEdits
from bitbylaw_pipeline.sandbox.ledger import Ledger


class GoogleSandbox:
    """The ASGI app: `/token`, `/calendar/v3` and `/sandbox` (`docs/sandbox-google.md`)."""

    def __init__(
        self,
        switches: Mapping[str, Any] | None = None,
        *,
        domain: str = DOMAIN,
        clock: SandboxClock | None = None,
    ) -> None:
        self._initial = dict(switches or {})
        self.clock = clock or SandboxClock()
        self.ledger = Ledger()
        self.faults = Faults()
        self.journal = Journal()
        self.switches = Switches()
        self.switches.update(self._initial)
        self.store = Store(self.clock, self.switches, domain)
        self.tokens = TokenEndpoint(self.store)
        self.scripts = Scripts()
        self._quotas, self._limits = Quotas(self.store), UseLimits(self.store)
        self.channels = Channels(self.store)
        self._lists = EventList(self.store, self.scripts)
        writing = EventWriting(self.store)
        self._api = CalendarApi(
            self.store,
            self.tokens,
            self.scripts,
            self._quotas,
            self._limits,
            self.journal,
            self._handlers(writing),
        )
        self.seeding = Seeding(self.store, writing)
        self.edits = UserEdits(self.store, writing, self.tokens)
        self.scripts.edit = self.edits.edit
        self._control = ControlApi(self)
        # A test changes things from its own thread while the server answers in another.
        self.lock = threading.RLock()
        self._controlled = SandboxControl(
            self._app, name="google", clock=self.clock, ledger=self.ledger, faults=self.faults
        )

    def _handlers(self, writing: EventWriting) -> dict[str, Handler]:
        events, acl = EventRoutes(self.store, writing), AclRoutes(self.store)
        calendars = CalendarRoutes(self.store, self._limits)
        return {
            "acl.delete": acl.delete,
            "acl.get": acl.get,
            "acl.insert": acl.insert,
            "acl.list": acl.list,
            "acl.patch": acl.update,
            "acl.update": acl.update,
            "calendarList.delete": calendars.list_delete,
            "calendarList.get": calendars.list_get,
            "calendarList.insert": calendars.list_insert,
            "calendarList.list": calendars.list,
            "calendars.delete": calendars.delete,
            "calendars.get": calendars.get,
            "calendars.insert": calendars.insert,
            "calendars.patch": calendars.patch,
            "calendars.update": calendars.update,
            "events.delete": events.delete,
            "events.get": events.get,
            "events.insert": events.insert,
            "events.instances": Instances(self.store).answer,
            "events.list": self._lists.answer,
            "events.move": events.move,
            "events.patch": events.patch,
            "events.update": events.update,
            "events.watch": self.channels.watch,
            "channels.stop": self.channels.stop,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/sandbox/"):
            await self._controlled(scope, receive, send)
            return
        try:
            body = await read_body(receive)
        except ConnectionResetError:
            return
        # Noted before any fault: what was asked for counts, answered or not.
        entry = self.journal.add(
            self.clock.now(), scope["method"], scope["path"], scope.get("query_string", b""), body
        )
        scope[SCOPE_KEY] = entry
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replayed() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._controlled(scope, replayed, send)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        body = await read_body(receive)
        if scope["path"].startswith("/sandbox/"):
            await self._control.answer(scope, body, send)
            return
        with self.lock:
            answer = self._answer(scope, body)
            self.channels.notice()
        scope[SCOPE_KEY].status = answer.status
        await _send(send, answer)

    def _answer(self, scope: Scope, body: bytes) -> Answer:
        try:
            if scope["path"] == "/token" and scope["method"] == "POST":
                return Answer(self.tokens.answer(body, f"{own_url(scope)}/token"))
            if scope["path"].startswith(PREFIX):
                return self._api.answer(scope, body)
            return Answer({"error": {"code": 404, "message": "Not Found", "errors": []}}, 404)
        except ApiError as error:
            return Answer(error.payload, error.status)

    def reset(self) -> None:
        """Back to the state after creation: no users, calendars, tokens or faults, first switches, wall time."""
        with self.lock:
            self.store.clear()
            self.tokens.clear()
            self.scripts.clear()
            self._lists.clear()
            self.channels.clear()
            self._quotas.clear()
            self._limits.clear()
            self.journal.clear()
            self.ledger.clear()
            self.faults.clear()
            self.clock.reset()
            self.switches.update({**Switches().as_json(), **self._initial})

    def seed(self, document: Mapping[str, Any]) -> dict[str, int]:
        """Add users, calendars and events (`seeding.Seeding.seed`). Raises ValueError."""
        with self.lock:
            return self.seeding.seed(document)

    def edit(self, edits: Any) -> list[Any]:
        """What users do in Google itself (`user_edits.UserEdits.edit`). Raises ValueError."""
        with self.lock:
            done = self.edits.edit(edits)
            self.channels.notice()
            return done

    def state(self) -> dict[str, Any]:
        """Everything stored, the mails that Google would have sent, and what the token endpoint was asked."""
        with self.lock:
            tokens = {"given": self.tokens.given, "refused": self.tokens.refused}
            return {**self.seeding.state(), "tokens": tokens}

    def service_account_info(self, url: str) -> dict[str, str]:
        """The content of the key file for a stand-in at `url`."""
        return service_account_info(url)

    def settings(self, url: str, folder: Path) -> dict[str, str]:
        """The settings, by the names of their fields, of a client of this stand-in; the key file goes into `folder`."""
        return {
            "google_service_account_file": str(write_service_account_file(folder, url)),
            "google_token_url": f"{url}/token",
            "google_api_base_url": f"{url}/calendar/v3",
        }


def create_app(switches: Mapping[str, Any] | None = None, **more: Any) -> GoogleSandbox:
    """A fresh stand-in without users; `switches` as in `switches.Switches`, `more` as for `GoogleSandbox`."""
    return GoogleSandbox(switches, **more)


async def _send(send: Send, answer: Answer) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    body = b""
    if answer.payload is not None:
        raw.append((b"content-type", b"application/json; charset=UTF-8"))
        body = json.dumps(answer.payload, ensure_ascii=False, separators=(",", ":")).encode()
    await send_body(send, answer.status, raw, body)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
