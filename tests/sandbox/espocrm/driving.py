"""Talking to a stand-in in this process, and to a receiver on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiohttp import web

from bitbylaw_pipeline.sandbox.espocrm.app import EspoSandbox, create_app
from tests.sandbox.espocrm.recorded import HMAC_KEY, HMAC_SECRET, USERS

KEYS = {user["userName"]: user["apiKey"] for user in USERS}


def hmac_header(method: str, path: str, *, raw: bool = False, key: str = HMAC_KEY) -> str:
    """The X-Hmac-Authorization of a request, in the hex or the older raw form."""
    uri = path.split("?", maxsplit=1)[0].removeprefix("/api/v1")
    digest = hmac.new(HMAC_SECRET.encode(), f"{method} {uri}".encode(), hashlib.sha256)
    tail = digest.digest() if raw else digest.hexdigest().encode()
    return base64.b64encode(f"{key}:".encode() + tail).decode()


def auth(user: str, method: str = "GET", path: str = "") -> dict[str, str]:
    """The headers by which a user of the recordings signs in."""
    if user == "nobody":
        return {}
    if user == "admin":
        return {"Authorization": "Basic " + base64.b64encode(b"admin:sandbox-admin").decode()}
    if user == "hmac":
        return {"X-Hmac-Authorization": hmac_header(method, path)}
    return {"X-Api-Key": KEYS[user]}


class Server:
    """A stand-in with the recordings' users, and one client for everything a test asks it."""

    def __init__(self, app: EspoSandbox, client: httpx.AsyncClient) -> None:
        self.app, self.client = app, client

    async def seed(self, document: dict[str, Any]) -> dict[str, Any]:
        """Seed it; fails with the stand-in's own sentence."""
        answer = await self.client.post("/sandbox/seed", json=document)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        user: str = "sync",
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One API request; `path` is what comes after /api/v1/."""
        full = f"/api/v1/{path}"
        sent = {**auth(user, method, full), **(headers or {})}
        return await self.client.request(method, full, json=body, headers=sent)

    async def get(self, path: str, user: str = "sync") -> Any:
        """The JSON of a GET that has to succeed."""
        answer = await self.ask("GET", path, user=user)
        assert answer.status_code == 200, (path, answer.status_code, answer.headers.get("x-status-reason"))
        return answer.json()

    async def run_webhooks(self, times: str = "1") -> dict[str, Any]:
        """Run the webhook job."""
        answer = await self.client.post(f"/sandbox/webhooks/run?times={times}")
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    async def state(self) -> dict[str, Any]:
        """Everything it holds."""
        result: dict[str, Any] = (await self.client.get("/sandbox/state")).json()
        return result


@contextlib.asynccontextmanager
async def server(version: str = "9.2.7", at: float | None = None) -> AsyncIterator[Server]:
    """A fresh stand-in, its clock pinned at `at` (seconds UTC) if given."""
    app = create_app(version)
    if at is not None:
        app.clock.pin(at)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://espo.test", timeout=30) as client:
        running = Server(app, client)
        await running.seed({"users": USERS})
        yield running


@dataclass
class Received:
    """One request that reached the receiver."""

    path: str
    headers: dict[str, str]
    body: bytes


async def _ok(_: web.Request) -> web.Response:
    return web.Response()


@dataclass
class Receiver:
    """A receiver on loopback that answers as told."""

    url: str = ""
    answer: Callable[[web.Request], Awaitable[web.Response]] = field(default=_ok)
    received: list[Received] = field(default_factory=list)
    ending: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A real HTTP server on a free loopback port."""
    listening = Receiver()

    async def take(request: web.Request) -> web.Response:
        listening.received.append(Received(request.path, dict(request.headers), await request.read()))
        return await listening.answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    listening.url = f"http://127.0.0.1:{port}"
    try:
        yield listening
    finally:
        listening.ending.set()
        await runner.cleanup()
