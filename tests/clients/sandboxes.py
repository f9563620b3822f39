"""Clients of the stand-ins, over HTTP on loopback or in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.types import ASGIApp

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_metadata import TextCache
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.sandbox.espocrm.app import EspoSandbox
from bitbylaw_pipeline.sandbox.espocrm.seeding import SYNC_API_KEY
from bitbylaw_pipeline.sandbox.serving import loopback_server
from bitbylaw_pipeline.sandbox.xai import XaiSandbox
from bitbylaw_pipeline.settings import Settings


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The app on a loopback port, in this event loop; gives its address."""
    server = loopback_server(app)
    running = asyncio.create_task(server.run_until_stopped())
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn sets no event of this loop
            await asyncio.sleep(0)
        yield server.url
    finally:
        server.stop()
        await running


@asynccontextmanager
async def xai_over(way: str, sandbox: XaiSandbox, **given: Any) -> AsyncIterator[Xai]:
    """A client of both hosts: way "http" or "asgi"."""
    keys = {"xai_api_key": sandbox.api_key, "xai_management_key": sandbox.management_key, "_env_file": None}
    if way == "asgi":
        client = Xai.open(
            Settings.load(**keys, **given),
            files_transport=httpx.ASGITransport(sandbox.files_app),
            management_transport=httpx.ASGITransport(sandbox.management_app),
        )
        yield client
        await client.aclose()
        return
    async with served(sandbox) as url:
        urls = {"xai_api_base_url": f"{url}/api/v1", "xai_management_base_url": f"{url}/management/v1"}
        client = Xai.open(Settings.load(**urls, **keys, **given))
        try:
            yield client
        finally:
            await client.aclose()


@asynccontextmanager
async def espocrm_over(
    way: str, sandbox: EspoSandbox, *, cache: TextCache | None = None, key: str = SYNC_API_KEY, **given: Any
) -> AsyncIterator[EspoCrm]:
    """A client of the stand-in for EspoCRM: way "http" or "asgi"; its metadata lives by the sandbox's clock."""
    given |= {"espocrm_api_key": key, "_env_file": None}
    clock = sandbox.clock.now
    if way == "asgi":
        settings = Settings.load(espocrm_api_base_url="http://espocrm", **given)
        transport = httpx.ASGITransport(sandbox)
        client = EspoCrm.open(settings, transport=transport, cache=cache, clock=clock)
        yield client
        await client.aclose()
        return
    async with served(sandbox) as url:
        settings = Settings.load(espocrm_api_base_url=url, **given)
        client = EspoCrm.open(settings, cache=cache, clock=clock)
        try:
            yield client
        finally:
            await client.aclose()
