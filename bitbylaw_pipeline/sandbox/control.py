"""What all stand-ins share: a clock, a ledger of requests, faults per route, and the routes that control them.

Wrap a stand-in's ASGI app once, outermost:

    control = SandboxControl(app, name="espocrm")          # or share clock=, ledger=, faults= between apps
    control.clock.now(); control.ledger.counts(); control.faults.add(Fault("status", "/api/v1/.*", status=503))

| route | does |
|---|---|
| `GET /sandbox/ledger?since=&method=&path=` | requests so far: `{"total": n, "entries": [...]}`; `path` is a regex |
| `DELETE /sandbox/ledger` | forgets them, and the counts |
| `GET /sandbox/counts` | requests per `"METHOD /route/{id}"` |
| `POST /sandbox/faults` | sets one fault or a list of them (`faults.Fault`), answers with their ids |
| `GET /sandbox/faults`, `DELETE /sandbox/faults[?id=]` | lists, clears |
| `GET /sandbox/clock` | `{"now": seconds UTC, "iso": ..., "pinned": bool}` |
| `POST /sandbox/clock` | `{"advance": seconds}`, `{"pin": seconds or null}`, `{"reset": true}` |

Once the clock was moved, the `Date` of every answer over HTTP is the clock's.

Every other `/sandbox/*` path goes to the app, is not recorded and never meets a fault.

A stand-in names the route in the ledger by `scope["sandbox.route"] = "/v1/files/{id}"`; without that, ids in
the path are replaced by `{id}`.

A closed connection: under uvicorn the socket is closed (the transport behind `send` is asked for it). A server
that shows no transport, and `httpx.ASGITransport`, see a `ConnectionResetError` raised out of the app call, which
is what the caller of an in-process client gets. `httpx.ASGITransport` also knows no time-outs: `hang` and
`timeout_after_commit` end there after their own seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from email.utils import formatdate
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.control_routes import ControlRequest, ControlRoute, ControlRoutes
from bitbylaw_pipeline.sandbox.exchange import Exchange, read_body, send_json
from bitbylaw_pipeline.sandbox.faults import Fault, Faults
from bitbylaw_pipeline.sandbox.ledger import Ledger, LedgerEntry, query_without_secrets, route_template

__all__ = [
    "Fault",
    "Faults",
    "Ledger",
    "LedgerEntry",
    "SandboxClock",
    "SandboxControl",
    "read_body",
    "send_json",
]


class SandboxControl:
    """ASGI middleware around a stand-in: records each request, applies faults, serves the control routes."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        name: str = "",
        clock: SandboxClock | None = None,
        ledger: Ledger | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.app = app
        self.name = name
        self.clock = clock or SandboxClock()
        self.ledger = ledger or Ledger()
        self.faults = faults or Faults()
        self._routes = ControlRoutes(self.clock, self.ledger, self.faults).by_method_and_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"].startswith("/sandbox/"):
            route = self._routes.get((scope["method"], scope["path"]))
            if route is None:
                await self.app(scope, receive, send)
            else:
                await _control(route, scope, receive, send)
        else:
            self._date(send)
            await self._recorded(scope, Exchange(receive, send))

    def _date(self, send: Send) -> None:
        """Lets uvicorn's Date follow a clock that was moved; a stand-in that dates its answers itself has cleared it."""
        cycle = getattr(send, "__self__", None)
        if self.clock.is_moved and getattr(cycle, "default_headers", None):
            date = formatdate(self.clock.now(), usegmt=True).encode()
            cycle.default_headers = [(b"date", date)]  # type: ignore[union-attr]  # uvicorn's own, looked at above

    async def _recorded(self, scope: Scope, exchange: Exchange) -> None:
        rules = self.faults.rules
        latency, fault = self.faults.pick(scope["method"], scope["path"]) if rules else (0.0, None)
        at, started = self.clock.now(), time.perf_counter()
        try:
            if latency:
                await asyncio.sleep(latency)
            if fault is None:
                await self.app(scope, exchange.receive, exchange.send)
            else:
                await self._show(fault, scope, exchange)
        except BaseException:
            if fault is None and exchange.status is None:
                exchange.status = 500
            raise
        finally:
            shown = fault.kind if fault is not None else "latency" if latency else None
            self._record(scope, exchange, at, time.perf_counter() - started, shown)

    def _record(self, scope: Scope, exchange: Exchange, at: float, took: float, fault: str | None) -> None:
        path = scope["path"]
        self.ledger.add(
            LedgerEntry(
                self.ledger.total + 1,
                at,
                self.name,
                scope["method"],
                path,
                query_without_secrets(scope.get("query_string", b"")),
                scope.get("sandbox.route") or route_template(path),
                exchange.status,
                round(took * 1000, 3),
                exchange.request_bytes,
                exchange.response_bytes,
                fault,
            )
        )

    async def _show(self, fault: Fault, scope: Scope, exchange: Exchange) -> None:
        match fault.kind:
            case "status" | "html":
                await _answer(fault, exchange)
            case "cut_body":
                await self._cut_body(scope, exchange)
            case "hang":
                await exchange.wait_for_disconnect(fault.seconds)
                await exchange.close()
            case "close":
                await exchange.close()
            case "timeout_after_commit":
                await self.app(scope, exchange.receive, _swallow)
                await exchange.wait_for_disconnect(fault.seconds)
                await exchange.close()

    async def _cut_body(self, scope: Scope, exchange: Exchange) -> None:
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self.app(scope, exchange.receive, collect)
        start = next(message for message in messages if message["type"] == "http.response.start")
        body = b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body")
        length_headers = (b"content-length", b"transfer-encoding")
        headers = [(key, value) for key, value in start["headers"] if key.lower() not in length_headers]
        # An empty answer has no half: one byte is promised so that the client still notices.
        headers.append((b"content-length", b"%d" % max(len(body), 1)))
        await exchange.send({**start, "headers": headers})
        await exchange.send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await exchange.close()


async def _answer(fault: Fault, exchange: Exchange) -> None:
    # The body is read first: a server that answers and closes while the client is still writing a large
    # upload makes the client see a broken pipe instead of the status.
    with contextlib.suppress(ConnectionResetError):
        await read_body(exchange.receive)
    status, headers, body = fault.answer()
    await exchange.send({"type": "http.response.start", "status": status, "headers": headers})
    await exchange.send({"type": "http.response.body", "body": body})


async def _swallow(message: Message) -> None:
    """Drop `message`: an answer that the client never gets."""
    del message


async def _control(route: ControlRoute, scope: Scope, receive: Receive, send: Send) -> None:
    raw = await read_body(receive)
    query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
    try:
        answer = route(ControlRequest(query, json.loads(raw) if raw else None))
    except ValueError as error:
        await send_json(send, 400, {"error": str(error)})
    else:
        await send_json(send, 200, answer)
