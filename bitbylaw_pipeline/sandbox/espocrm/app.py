"""The stand-in as an ASGI application: HTTP on one side, `Routes` and the webhook job on the other."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.control import SandboxControl
from bitbylaw_pipeline.sandbox.espocrm import link_hook, seed_example, seeding, state
from bitbylaw_pipeline.sandbox.espocrm.answers import Answer, Composer
from bitbylaw_pipeline.sandbox.espocrm.clockwork import Clockwork
from bitbylaw_pipeline.sandbox.espocrm.routes import Routes
from bitbylaw_pipeline.sandbox.espocrm.system import VERSIONS, Espo, Request
from bitbylaw_pipeline.sandbox.exchange import send_body, send_json

_API = "/api/v1/"
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_STREAM_FROM = 256 * 1024
_REQUEST_LINE_EXTRA = len(" HTTP/1.1")


class EspoSandbox(SandboxControl):
    """The stand-in with the common control routes around it (`bitbylaw_pipeline.sandbox.control`)."""

    def __init__(self, version: str, clock: SandboxClock | None = None) -> None:
        clock = clock or SandboxClock()
        self.espo = Espo(version, clock)
        seeding.reset(self.espo)
        super().__init__(EspoApp(self.espo), name="espocrm", clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # uvicorn puts its own Server and Date before the app's: a client would read two dates, the wall's and
        # the sandbox clock's, joined by a comma.
        exchange = getattr(send, "__self__", None)
        if exchange is not None and hasattr(exchange, "default_headers"):
            exchange.default_headers = []
        await super().__call__(scope, receive, send)


def create_app(version: str = "9.2.7", *, clock: SandboxClock | None = None) -> EspoSandbox:
    """A stand-in of EspoCRM `version` (9.2.7, 9.3.10 or 10.0.0) as an ASGI app.

    Raises ValueError for another version. `clock` is the time it lives by, by default its own.
    """
    if version not in VERSIONS:
        raise ValueError(f"There is no stand-in of EspoCRM {version}; choose one of {', '.join(VERSIONS)}.")
    return EspoSandbox(version, clock)


class EspoApp:
    """The API under /api/v1/ and the control routes of this stand-in under /sandbox/."""

    def __init__(self, espo: Espo) -> None:
        self._espo = espo
        self._composer = Composer(int(espo.clock.now()))
        self._routes = Routes(espo, self._composer)
        self._clockwork = Clockwork(espo)
        self._control: dict[tuple[str, str], Callable[[bytes, dict[str, list[str]]], Awaitable[Any]]] = {
            ("POST", "/sandbox/seed"): self._seed,
            ("GET", "/sandbox/seed"): self._show_seed_form,
            ("POST", "/sandbox/reset"): self._reset,
            ("GET", "/sandbox/state"): self._show_state,
            ("POST", "/sandbox/webhooks/run"): self._run_webhooks,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        self._clockwork.keep_ticking()
        path: str = scope["path"]
        if path.startswith("/sandbox/"):
            await self._answer_control(scope, receive, send)
            return
        answer = await self._api(scope, receive, path)
        if self._espo.link_calls:
            await link_hook.send_calls(self._espo)
        await _send(answer, send)

    # The API

    async def _api(self, scope: Scope, receive: Receive, path: str) -> Answer:
        now, config = self._espo.clock.now(), self._espo.config
        query: bytes = scope.get("query_string", b"")
        raw_path = scope.get("raw_path") or path.encode()
        method: str = scope["method"]
        line = len(method) + 1 + len(raw_path) + len(query) + bool(query) + _REQUEST_LINE_EXTRA
        if line > config["maxUriBytes"]:
            return self._composer.nginx_page(now, 414, "Request-URI Too Large")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        body = b""
        if method in _BODY_METHODS:
            received = await _read_up_to(receive, headers, config["maxBodyBytes"])
            if received is None:
                return self._composer.nginx_page(now, 413, "Request Entity Too Large")
            body = received
        if not path.startswith(_API):
            return self._composer.nginx_page(now, 404, "Not Found")
        scope["sandbox.route"] = _route_name(path)
        client = scope.get("client") or ("127.0.0.1", 0)
        return self._routes.answer(Request(method, path, query, headers, client[0], body))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self._clockwork.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    # The control routes

    async def _answer_control(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._control.get((scope["method"], scope["path"]))
        if handler is None:
            await send_json(send, 404, {"error": f"No control route {scope['method']} {scope['path']}."})
            return
        body = await _read_up_to(receive, {}, None) or b""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        try:
            answer = await handler(body, query)
        except ValueError as error:
            await send_json(send, 400, {"error": str(error)})
        except RuntimeError as error:
            await send_json(send, 500, {"error": str(error)})
        else:
            await send_json(send, 200, answer)

    async def _seed(self, body: bytes, _: dict[str, list[str]]) -> Any:
        try:
            document = json.loads(body)
        except ValueError:
            raise ValueError("The seed must be one JSON object.") from None
        made = seeding.seed(self._espo, document)
        self._clockwork.look_again()
        self._clockwork.keep_ticking()
        return made

    async def _show_seed_form(self, _: bytes, __: dict[str, list[str]]) -> Any:
        return seed_example.EXAMPLE

    async def _reset(self, _: bytes, __: dict[str, list[str]]) -> Any:
        seeding.reset(self._espo)
        return {"reset": True}

    async def _show_state(self, _: bytes, query: dict[str, list[str]]) -> Any:
        return state.snapshot(self._espo, query.get("entity"))

    async def _run_webhooks(self, _: bytes, query: dict[str, list[str]]) -> Any:
        """Run the job `times` times (default once), or until nothing is due (`times=all`)."""
        times = query.get("times", ["1"])[0]
        if times != "all" and not times.isdigit():
            raise ValueError("times is a number or the word all.")
        runs: list[dict[str, Any]] = []
        while times == "all" or len(runs) < int(times):
            runs.append(await self._clockwork.job().run())
            if times == "all" and not runs[-1]["events"] and not runs[-1]["sent"]:
                break
        sent = [one for run in runs for one in run["sent"]]
        return {
            "events": sum(run["events"] for run in runs),
            "sent": sent,
            "waiting": self._clockwork.job().waiting(),
        }


async def _read_up_to(receive: Receive, headers: dict[bytes, bytes], limit: int | None) -> bytes | None:
    """The request body; None if it is longer than `limit` bytes."""
    announced = headers.get(b"content-length", b"0")
    too_long = limit is not None and announced.isdigit() and int(announced) > limit
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("The client closed the connection.")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        too_long = too_long or (limit is not None and size > limit)
        if not too_long:
            chunks.append(chunk)
        if not message.get("more_body"):
            break
    if too_long:
        return None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _send(answer: Answer, send: Send) -> None:
    source = answer.stream
    if source is None:
        await send_body(send, answer.status, answer.headers, answer.body)
        return
    if source.size <= _STREAM_FROM:
        await send_body(send, answer.status, answer.headers, b"".join(source.chunks()))
        return
    headers = [*answer.headers, (b"content-length", b"%d" % source.size)]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    for chunk in source.chunks():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _route_name(path: str) -> str:
    parts = path[len(_API) :].split("/")
    if len(parts) == 2 and parts[0] != "App":
        return f"{_API}{parts[0]}/{{id}}"
    if len(parts) == 3 and parts[1] != "action":
        own = parts[0] == "Attachment"
        return f"{_API}{parts[0]}/{parts[1]}/{{id}}" if own else f"{_API}{parts[0]}/{{id}}/{parts[2]}"
    return path
