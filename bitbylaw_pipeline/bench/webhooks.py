"""Webhooks as EspoCRM sends them: a JSON list of at most 50 records, signed over its bytes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
from sqlalchemy import Connection

from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.firm import record_id
from bitbylaw_pipeline.inbox import webhooks
from bitbylaw_pipeline.inbox.database import Database

MOST_EVENTS = 50
"""In one request of EspoCRM's (`facts/espocrm.md` 11)."""
DOCUMENT_UPDATE = "/vmh/webhook/document/update"
DOCUMENT_EVENT = "CDokumente.update"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """One request, signed beforehand: what is measured is the receiver, not the sender."""

    body: bytes
    headers: dict[str, str]
    events: int


@dataclass(frozen=True, slots=True)
class Registration:
    """A webhook as EspoCRM and the pipeline both know it."""

    webhook_id: str
    secret: str = field(repr=False)

    def sign(self, ids: Sequence[str]) -> SignedRequest:
        """The request for these documents."""
        body = json.dumps([{"id": one, "entityType": "CDokumente"} for one in ids]).encode()
        digest = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        signature = base64.b64encode(f"{self.webhook_id}:{digest}".encode()).decode()
        return SignedRequest(body, {"Content-Type": "application/json", "Signature": signature}, len(ids))


def register(database: Database) -> Registration:
    """Registers a webhook for changed documents in our state, as `setup-espocrm` does."""
    made = Registration(record_id("webhook"), "bench-webhook-secret")

    def put(conn: Connection) -> None:
        webhooks.put(
            conn,
            database.now(conn),
            database.cipher,
            made.webhook_id,
            event=DOCUMENT_EVENT,
            url=f"http://127.0.0.1{DOCUMENT_UPDATE}",
            secret=made.secret,
        )

    database.run_sync(put)
    return made


def open_sender(connections: int = 100) -> aiohttp.ClientSession:
    """A session for `send`, with so many connections at once."""
    # An idle connection ends here before the receiver ends it: a request that meets its end is reset, and a POST is
    # not repeated by itself.
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=2.0)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def send(session: aiohttp.ClientSession, receiver_url: str, request: SignedRequest) -> None:
    """Posts it; raises BenchProblem unless it is acknowledged."""
    async with session.post(
        f"{receiver_url}{DOCUMENT_UPDATE}", data=request.body, headers=request.headers
    ) as response:
        await response.read()
        if response.status not in (200, 202):
            raise BenchProblem(f"The receiver answered {response.status}.")
