"""`/advoware/proxy`: passes the calls on the list to Advoware, for the holders of a key.

A caller decides on a route of the list, ids, query and body. The address, the credentials and every header are ours,
and of the answer the caller gets status, content type and body.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.api_keys import ApiKeys
from webhook_sensor_app.bodies import Bodies
from webhook_sensor_app.proxy_answer import Passage
from webhook_sensor_app.proxy_audit_trail import AuditTrail
from webhook_sensor_app.proxy_request import (
    JSON_TYPE,
    ProxyCall,
    announces_body,
    read_call,
    read_query,
)
from webhook_sensor_app.proxy_routes import METHODS, AllowList
from webhook_sensor_app.proxy_trouble import never_sent, told
from webhook_sensor_app.proxy_upstream import NotConfigured, RawAnswer, Upstream
from webhook_sensor_app.receiver import error_response
from webhook_sensor_app.refusal import WAIT_SECONDS, Refusal
from webhook_sensor_app.token_buckets import TokenBuckets

log = structlog.get_logger(__name__)

PATH = "/advoware/proxy"
TOPIC = "advoware.proxy.response"
BODIES_AT_ONCE = 4
"""How many bodies of the largest size fit into memory together."""


@dataclass(slots=True)
class _Known:
    """What is known of a request so far, for its log line."""

    method: str | None
    key: str | None = None
    call: ProxyCall | None = None
    status: int | None = None
    write_id: str | None = None


class Proxy:
    """The proxy as an ASGI app, for every method: whoever has no key learns nothing but that."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        wait_seconds: float = WAIT_SECONDS,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.upstream: Upstream = NotConfigured()
        """What calls are passed on to; set when the app starts."""
        self._keys = ApiKeys(settings.proxy_api_keys, "PROXY_API_KEYS")
        self._buckets = TokenBuckets(
            self._keys.fingerprints,
            per_minute=settings.advoware_proxy_rate_per_minute,
            burst=settings.advoware_proxy_burst,
            clock=clock,
        )
        self._allowed = AllowList(settings.advoware_proxy_routes)
        self._is_read_only = settings.advoware_proxy_read_only
        self._max_answer_bytes = settings.advoware_proxy_max_answer_bytes
        self._answer_seconds = settings.advoware_proxy_answer_seconds
        limit = settings.advoware_proxy_max_body_bytes
        self._bodies = Bodies(
            limit, max_total_bytes=BODIES_AT_ONCE * limit, advice="ADVOWARE_PROXY_MAX_BODY_BYTES is the limit"
        )
        self._audit = AuditTrail(database, wait_seconds=wait_seconds)
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; raises nothing."""
        started_at = time.perf_counter()
        request = Request(scope, receive)
        # Any other method is a stranger's text, which stays out of the log.
        known = _Known(request.method if request.method in METHODS else None)
        passage = Passage(send, self._max_answer_bytes)
        try:
            await self._serve(request, passage, known)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a sentence
            refusal = told(error, request.method)
            _log_refusal(refusal, error, known, passage, started_at)
            # Once the answer has begun, returning without its end makes the server cut the connection.
            if not passage.has_begun:
                await error_response(refusal)(scope, receive, send)
        else:
            log.info("proxied", **_facts(known, passage, started_at))

    async def _serve(self, request: Request, passage: Passage, known: _Known) -> None:
        known.key = self._keys.check(request.headers)
        self._check_method(request)
        query, place = read_query(request.scope["query_string"])
        with self._bodies.room() as body:
            if announces_body(request.headers):
                await self._bodies.read(request, body)
            known.call = call = read_call(request.method, query, place, body, self._allowed)
            self._take_token(known.key)
            async with asyncio.timeout(self._answer_seconds):
                if call.match.is_write:
                    await self._write(call, known.key, passage, known)
                else:
                    async with await self._ask(call) as answer:
                        known.status = answer.status
                        await passage.pass_on(answer)

    def _check_method(self, request: Request) -> None:
        if request.method not in METHODS:
            raise Refusal(
                405,
                "The proxy takes GET, POST, PUT and DELETE.",
                "method",
                headers={"allow": ", ".join(METHODS)},
            )
        if request.method != "GET" and self._is_read_only:
            raise Refusal(
                403,
                "The proxy passes no writes on: ADVOWARE_PROXY_READ_ONLY=false allows those on its list.",
                "read_only",
            )
        if request.method == "GET" and announces_body(request.headers):
            raise Refusal(400, "A GET has no body: write endpoint into the query.", "body_of_get")

    def _take_token(self, key: str) -> None:
        # Only for what would reach Advoware: a refusal costs it nothing.
        seconds = self._buckets.take(key)
        if seconds > 0:
            wait = math.ceil(seconds)
            raise Refusal(
                429,
                f"Too many requests with this key: send the request again after {wait} s.",
                "rate",
                headers={"retry-after": str(wait)},
            )

    async def _write(self, call: ProxyCall, key: str, passage: Passage, known: _Known) -> None:
        write_id = self._new_id()
        await self._audit.begin(write_id, key, call)
        known.write_id = write_id
        try:
            async with await self._ask(call) as answer:
                known.status = answer.status
                await self._audit.end(write_id, answer.status)
                await passage.pass_on(answer)
        except Exception as error:
            if known.status is None and never_sent(error, call.match.method):
                await self._audit.end(write_id, None)
            raise

    async def _ask(self, call: ProxyCall) -> contextlib.AbstractAsyncContextManager[RawAnswer]:
        return await self.upstream.raw(
            call.match.method,
            call.match.segments,
            query=call.query,
            body=call.body,
            content_type=None if call.body is None else JSON_TYPE,
        )


def _facts(known: _Known, passage: Passage, started_at: float) -> dict[str, Any]:
    facts: dict[str, Any] = {"topic": TOPIC, "method": known.method, "api_key": known.key}
    if known.call is not None:
        facts |= {"route": known.call.match.pattern, "record": known.call.record}
    return facts | {
        "write_id": known.write_id,
        "upstream_status": known.status,
        "bytes": passage.sent_bytes if passage.has_begun else None,
        "ms": round((time.perf_counter() - started_at) * 1000, 1),
    }


def _log_refusal(
    refusal: Refusal, error: Exception, known: _Known, passage: Passage, started_at: float
) -> None:
    level = log.warning if refusal.status < 500 else log.error
    # An error's own text may quote what a caller sent: its type must do.
    unexpected = None if isinstance(error, Refusal) else type(error).__name__
    level(
        "proxy_answer_cut" if passage.has_begun else "refused",
        status=refusal.status,
        reason=refusal.reason,
        error=unexpected,
        **_facts(known, passage, started_at),
    )
