"""What becomes of queued events after the receiver's answer: the recorded matrix, over real connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from tests.sandbox.espocrm.driving import Receiver, Server, receiver, server
from tests.sandbox.espocrm.recorded import konto, table

Answering = Callable[[web.Request], Awaitable[web.Response]]

MATRIX = table("webhook_response_matrix")["versions"]
CLOSED = "connection closed without an answer"
REFUSED, UNRESOLVED = "connection refused", "host name does not resolve"
SLOW = "no answer within 10 s (webhookTimeout)"
INTERNAL = "target on an internal address not in webhookAllowedAddressList"
IP_LITERAL = "target host is an IP literal"
CASES = [
    (version, answer, outcome)
    for version, answers in MATRIX.items()
    for answer, outcome in answers.items()
    if answer != IP_LITERAL
]


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answering(status: int) -> Answering:
    """A receiver that answers with this status, redirects with a Location."""

    async def answer(_: web.Request) -> web.Response:
        headers = {"Location": "http://127.0.0.1:9/elsewhere"} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=headers)

    return answer


async def close_connection(request: web.Request) -> web.Response:
    """The receiver's connection breaks before it answers."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def until_the_end(listening: Receiver) -> Answering:
    """A receiver that takes longer than the sender waits."""

    async def answer(_: web.Request) -> web.Response:
        await listening.ending.wait()
        return web.Response()

    return answer


async def change_konto(running: Server, value: str) -> None:
    """One event."""
    answer = await running.ask("PUT", f"CBankverbindungen/{konto()['id']}", {"bic": value})
    assert answer.status_code == 200


async def queue_of(running: Server) -> list[dict[str, Any]]:
    """The queue items as they stand."""
    items: list[dict[str, Any]] = (await running.state())["webhookQueue"]
    return items


@pytest.mark.parametrize(("version", "wanted", "outcome"), CASES)
def test_treats_each_answer_as_the_recorded_server_did(version: str, wanted: str, outcome: str) -> None:
    """Success, a retry ten minutes later, lost at once, or the webhook removed: by answer and version."""

    async def main() -> None:
        async with receiver() as listening, server(version) as running:
            url = f"{listening.url}/hook"
            config: dict[str, Any] = {}
            if wanted[:3].isdigit():
                listening.answer = answering(int(wanted[:3]))
            elif wanted == REFUSED:
                url = f"http://127.0.0.1:{closed_port()}/hook"
            elif wanted == UNRESOLVED:
                url = "http://no-such-host.invalid:80/hook"
            elif wanted == CLOSED:
                listening.answer = close_connection
            elif wanted == SLOW:
                config = {"webhookTimeout": 0.05}
                listening.answer = until_the_end(listening)
            if wanted != INTERNAL:
                config = {**config, "webhookAllowedAddressList": [url.split("/")[2]]}
            hook = {"event": "CBankverbindungen.update", "url": url}
            await running.seed(
                {"config": config, "webhooks": [hook], "records": {"CBankverbindungen": [konto()]}}
            )
            await change_konto(running, "AAAADEFF")
            result = await running.run_webhooks()
            if outcome == "webhook_removed":
                state = await running.state()
                assert (state["webhookQueue"], state["webhooks"][0]["deleted"]) == ([], True)
                return
            [item] = await queue_of(running)
            shown = outcome.split()[-2] if wanted == INTERNAL else outcome
            assert result["sent"][0]["outcome"] == shown
            assert (
                item["status"]
                == {"success": "Success", "retried": "Pending", "failed_final": "Failed"}[shown]
            )
            assert item["attempts"] == 1
            assert (item["processAt"] is not None) == (shown == "retried")

    asyncio.run(main())
