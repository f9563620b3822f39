"""A message goes out as one POST of JSON; what comes back decides whether it is tried again."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from bitbylaw_pipeline.clients.alert_webhook import AlertWebhook
from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    Permanent,
    RateLimited,
    SyncError,
    Transient,
    Unreachable,
)
from bitbylaw_pipeline.loopback import free_port
from tests.clients.wire_server import Reply, wire_server

SECRET_PATH = "/hooks/T0ken-in-the-path"


def test_text_for_a_chat_and_facts_for_a_program() -> None:
    """One POST with the bearer token and a key by which a double can be known."""

    async def main() -> None:
        async with wire_server([Reply(204)]) as server:
            await AlertWebhook(server.url + SECRET_PATH, "s3cret").send(
                "key-1", "Räumung", [{"kind": "parked"}]
            )
        (request,) = server.requests
        assert (request.method, request.path) == ("POST", SECRET_PATH)
        assert request.headers["authorization"] == "Bearer s3cret"
        assert request.headers["idempotency-key"] == "key-1"
        assert request.headers["content-type"] == "application/json"
        assert json.loads(request.body) == {"text": "Räumung", "alerts": [{"kind": "parked"}]}

    asyncio.run(main())


def test_no_token_no_header() -> None:
    """Chats have the secret in the address."""

    async def main() -> None:
        async with wire_server([Reply(200, b"ok")]) as server:
            await AlertWebhook(server.url).send("key-1", "text", [])
        assert "authorization" not in server.requests[0].headers

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, Permanent),
        (400, Permanent),
        (401, AuthFailed),
        (403, AuthFailed),
        (404, Permanent),
        (429, RateLimited),
        (500, Transient),
        (503, Transient),
    ],
)
def test_refusals(status: int, kind: type[SyncError]) -> None:
    """Neither the address nor the answer's text is in the error, and a redirect is not followed with the token."""

    async def main() -> None:
        async with wire_server([Reply(status, b"Frau Muster", {"Location": "/elsewhere"})]) as server:
            with pytest.raises(kind) as caught:
                await AlertWebhook(server.url + SECRET_PATH, "s3cret").send("key-1", "text", [])
            assert len(server.requests) == 1
        assert str(status) in str(caught.value)
        for secret in ("T0ken", "Muster", "127.0.0.1", "s3cret"):
            assert secret not in str(caught.value)

    asyncio.run(main())


def test_one_that_hangs_or_is_not_there_is_given_up() -> None:
    """Within the time-out, and as a trouble of now."""

    async def main() -> None:
        async with wire_server([Reply(200, hangs=True)]) as server:
            begun = time.monotonic()
            with pytest.raises(Unreachable):
                await AlertWebhook(server.url, timeout=0.2).send("key-1", "text", [])
            assert time.monotonic() - begun < 10
        with pytest.raises(Unreachable):
            await AlertWebhook(f"http://127.0.0.1:{free_port()}/").send("key-1", "text", [])

    asyncio.run(main())
