"""A stand-in on its port: stopped at once, and not before what it has begun to answer is out."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from bitbylaw_pipeline.sandbox.serving import loopback_server


class Slow:
    """Answers once it is told to."""

    def __init__(self) -> None:
        self.has_come = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One answer, in two parts with the wait between them; at once where the path is not /slow."""
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        if scope["path"] == "/slow":
            self.has_come.set()
            await self.may_answer.wait()
        await send({"type": "http.response.body", "body": b"half"})


def test_an_answer_under_way_is_finished_first() -> None:
    """Told to stop in the middle of an answer, it sends the rest of it, and nobody listens afterwards."""

    async def main() -> None:
        app = Slow()
        server = loopback_server(app)
        running = asyncio.create_task(server.run_until_stopped())
        async with httpx.AsyncClient(base_url=server.url) as client:
            await asyncio.to_thread(server.ready.wait, 30)
            asked = asyncio.create_task(client.get("/slow"))
            await app.has_come.wait()
            server.stop()
            # Longer than a stop waits where nothing is under way.
            await asyncio.wait([running], timeout=0.3)
            assert not running.done()
            app.may_answer.set()
            assert (await asked).text == "halfhalf"
            await running
            with pytest.raises(httpx.ConnectError):
                await client.get("/")

    asyncio.run(main())


def test_a_client_that_stays_connected_does_not_hold_it_up() -> None:
    """A kept connection without a request is closed with it; told to stop once more, or afterwards, nothing happens."""

    async def main() -> None:
        server = loopback_server(Slow())
        running = asyncio.create_task(server.run_until_stopped())
        async with httpx.AsyncClient(base_url=server.url) as client:
            await asyncio.to_thread(server.ready.wait, 30)
            assert (await client.get("/")).text == "halfhalf"
            server.stop()
            server.stop()
            await running
            server.stop()

    asyncio.run(main())
