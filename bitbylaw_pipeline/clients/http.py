"""One outside system's HTTP: one connection pool, one limiter, every failure in our own vocabulary.

Requests go straight to httpx's transport. `httpx.AsyncClient` around it costs 0.13 ms of CPU more per call
(cookies, redirects, authentication: nothing that these APIs use) and logs whole URLs at INFO.

There is no retry here: the queue retries, one mechanism for all.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import httpx
import structlog

from bitbylaw_pipeline.clients.answer import Answer, Call, Judge, Refusal, usual_error
from bitbylaw_pipeline.clients.receiving import Receiver, size_limited_body, write_through
from bitbylaw_pipeline.clients.request_builder import RequestBuilder
from bitbylaw_pipeline.clients.transport import DirectTransport
from bitbylaw_pipeline.clients.transport_errors import LOST, lost_call

log = structlog.get_logger(__name__)
_switch = logging.getLogger(__name__)

SLOWEST_BYTES_PER_SECOND = 64 * 1024
"""A file gets this much time on top of the usual limit; a server that stops reading would otherwise hold us forever."""
MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_REFUSAL_BYTES = 64 * 1024
# Shorter than any server's own limit that we know of (nginx 75 s), so that a create seldom meets a connection
# which the server is just closing, and with it an outcome that nobody knows.
_KEEPALIVE_SECONDS = 15.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One finished call, for counters; `status` is None where no answer came."""

    system: str
    operation: str
    status: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What a download came to: bytes written, and the content type that the server declared."""

    size: int
    content_type: str | None


def open_transport() -> DirectTransport:
    """httpx over aiohttp: a fifth of the CPU of httpx's own transport at 16 calls at once (`facts/performance.md` 6)."""

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0,  # the limiter above counts calls; a second queue here would eat their time
            ssl=transport.ssl_context,
            keepalive_timeout=_KEEPALIVE_SECONDS,
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    transport = DirectTransport(client=session, verify=_certificates())
    return transport


@functools.cache
def _certificates() -> ssl.SSLContext:
    # Reading the authorities' certificates takes 26 ms, and each of our systems would read them again.
    return httpx.create_ssl_context()


class System:
    """An outside system's API below `base_url`; use it as an async context manager, in one event loop.

    `timeout` in seconds bounds a whole call (waiting for the limiter not counted), `headers` go with each,
    `judge` knows what the system's own refusals mean, `on_call` sees every finished call, `clock` is UTC epoch
    seconds. Raises SettingsError for an address or a key that cannot be one.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        headers: Mapping[str, str],
        *,
        timeout: float = 30.0,
        max_concurrency: int = 16,
        transport: httpx.AsyncBaseTransport | None = None,
        judge: Judge = lambda _: None,
        on_call: Callable[[CallRecord], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._requests = RequestBuilder(name, base_url, headers, timeout)
        self._timeout = timeout
        self._limiter = asyncio.Semaphore(max_concurrency)
        self._transport = transport or open_transport()
        self._judge = judge
        self._on_call = on_call
        self._clock = clock

    def __repr__(self) -> str:
        return f"System({self.name!r})"

    @property
    def base_url(self) -> str:
        """The address that paths are joined to."""
        return self._requests.base_url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._transport.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        subject: str = "",
        params: Mapping[str, str] | None = None,
        json: Any = None,
        stream: httpx.AsyncByteStream | None = None,
        stream_bytes: int = 0,
        headers: Mapping[str, str] | None = None,
        ok: tuple[int, ...] = (200,),
        creates: bool = False,
        above_base: bool = False,
    ) -> Answer:
        """One request with a JSON answer; everything but a status in `ok` with sensible JSON raises a SyncError.

        `path` is joined to the base URL as it stands (checked parts only), `above_base` one level higher.
        `stream` is a body that is made while it is sent, `stream_bytes` its size. `operation` and `subject`
        name the call in messages and log lines.
        """
        call = Call(self.name, operation, subject, creates)
        request = self._requests.build(
            method, path, params=params, value=json, stream=stream, headers=headers, above_base=above_base
        )
        limit = self._timeout + stream_bytes / SLOWEST_BYTES_PER_SECOND

        async def receive(response: httpx.Response) -> Answer:
            body = await size_limited_body(response, MAX_JSON_BYTES, call)
            return Answer(
                call, response.status_code, response.headers, _parsed(body, call, response.status_code)
            )

        return await self._exchange(call, request, limit, ok, receive)

    async def download(
        self,
        path: str,
        write: Callable[[bytes], object],
        *,
        operation: str,
        subject: str = "",
        max_bytes: int,
    ) -> Downloaded:
        """GETs a file and gives it to `write` piece by piece; memory does not grow with the file.

        Raises Permanent("too_large") above `max_bytes` and Unexpected unless as many bytes came as were
        announced: half a file is never taken for a whole one.
        """
        call = Call(self.name, operation, subject)
        request = self._requests.build("GET", path, is_download=True)
        limit = self._timeout + max_bytes / SLOWEST_BYTES_PER_SECOND

        async def receive(response: httpx.Response) -> Downloaded:
            size = await write_through(response, write, max_bytes, call)
            return Downloaded(size, response.headers.get("content-type"))

        return await self._exchange(call, request, limit, (200,), receive)

    async def _exchange(
        self,
        call: Call,
        request: httpx.Request,
        limit: float,
        ok: tuple[int, ...],
        receive: Receiver[_T],
    ) -> _T:
        async with self._limiter:
            started, status = time.perf_counter(), None
            try:
                async with asyncio.timeout(limit):
                    response = await self._transport.handle_async_request(request)
                    status = response.status_code
                    try:
                        if status in ok:
                            return await receive(response)
                        refusal = await self._refusal(call, response)
                    finally:
                        await response.aclose()
            except LOST as error:
                # Not chained: httpx's errors hold the request, and with it the key.
                raise lost_call(call, error, status) from None
            finally:
                self._note(call, status, time.perf_counter() - started)
        raise self._judge(refusal) or usual_error(refusal)

    async def _refusal(self, call: Call, response: httpx.Response) -> Refusal:
        return Refusal(
            call,
            response.status_code,
            response.headers,
            await _beginning(response, MAX_REFUSAL_BYTES),
            self._clock(),
        )

    def _note(self, call: Call, status: int | None, seconds: float) -> None:
        if self._on_call is not None:
            self._on_call(CallRecord(self.name, call.operation, status, seconds))
        if _switch.isEnabledFor(logging.DEBUG):
            log.debug(
                "called",
                system=self.name,
                operation=call.operation,
                subject=call.subject or None,
                status=status,
                ms=round(seconds * 1000, 1),
            )


async def _beginning(response: httpx.Response, max_bytes: int) -> bytes:
    """As much of a refusal's body as came and fits: its status says enough when the body is lost."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.aiter_raw():
            parts.append(part)
            size += len(part)
            if size >= max_bytes:
                break
    except LOST:
        pass
    return b"".join(parts)[:max_bytes]


def _parsed(body: bytes, call: Call, status: int) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise call.nonsense("something that is not JSON", status) from None
