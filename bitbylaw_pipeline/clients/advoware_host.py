"""One of Advoware's three hosts: JSON calls that know its texts, and raw ones for the proxy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from bitbylaw_pipeline.clients import advoware_errors
from bitbylaw_pipeline.clients.answer import Answer, Call
from bitbylaw_pipeline.clients.http import MAX_JSON_BYTES, System
from bitbylaw_pipeline.clients.receiving import size_limited_body
from bitbylaw_pipeline.clients.request_builder import PiecewiseBody
from bitbylaw_pipeline.clients.transport_errors import LOST, lost_call
from bitbylaw_pipeline.domain.errors import Permanent

OK = (200, 201, 202, 204)
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE"})
_LONGEST_SEGMENT = 200


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer as Advoware gave it: status, content type, and the body in pieces as they come."""

    status: int
    content_type: str | None
    chunks: AsyncIterator[bytes]


def checked_path(segments: Sequence[str]) -> str:
    """`/a/b` from single, not yet encoded path segments; Permanent("bad_name") for what could lead elsewhere."""
    if not segments or not all(_is_segment(segment) for segment in segments):
        # The value is not repeated: it may be anything, a name included.
        raise Permanent(
            "This cannot be a path of Advoware's API; nothing was asked.",
            system="advoware",
            reason="bad_name",
        )
    return "".join("/" + quote(segment, safe="") for segment in segments)


def _is_segment(segment: str) -> bool:
    # No percent sign: a relay that decodes twice would see a slash or a dot behind it.
    return (
        0 < len(segment) <= _LONGEST_SEGMENT
        and segment.strip(".") != ""
        and segment.isprintable()
        and not any(sign in segment for sign in "/\\%?#;@")
        and segment == segment.strip()
    )


class Host(System):
    """A host of Advoware's; everything is called "advoware" in messages."""

    async def ask(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        subject: str = "",
        query: Sequence[tuple[str, str]] = (),
        value: Any = None,
        token: str | None = None,
        creates: bool = False,
    ) -> Answer:
        """One call with a JSON answer, as `System.call`; a success that holds a known text of trouble raises that."""
        call = Call(self.name, operation, subject, creates)
        request = self._requests.build(method, path + _query(query), value=value, headers=_bearer(token))

        async def receive(response: httpx.Response) -> Answer:
            body = await size_limited_body(response, MAX_JSON_BYTES, call)
            data = advoware_errors.parsed(body, call, response.status_code)
            return Answer(call, response.status_code, response.headers, data)

        return await self._exchange(call, request, self._timeout, OK, receive)

    @asynccontextmanager
    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]],
        body: bytes | None,
        content_type: str | None,
        token: str,
    ) -> AsyncIterator[RawAnswer]:
        """One call whose answer is passed on whatever its status; redirects are not followed.

        The limiter is held until the block ends. Raises TokenRefused for 401 and, also out of `chunks`, the usual
        errors for a connection that fails.
        """
        call = Call(self.name, "proxy", method, creates=method == "POST")
        request = self._requests.build(
            method,
            path + _query(query),
            stream=None if body is None else PiecewiseBody(body),
            headers={**_bearer(token), **_body_headers(body, content_type)},
            is_download=True,
        )
        async with self._limiter:
            started, status = time.perf_counter(), None
            try:
                async with asyncio.timeout(self._timeout):
                    response = await self._transport.handle_async_request(request)
                status = response.status_code
            except LOST as error:
                raise lost_call(call, error, None) from None
            finally:
                self._note(call, status, time.perf_counter() - started)
            try:
                if status == 401:
                    refusal = await self._refusal(call, response)
                    raise advoware_errors.judge(refusal) or refusal.auth_failed("does not accept our token")
                yield RawAnswer(status, response.headers.get("content-type"), _chunks(response, call))
            finally:
                await response.aclose()


async def _chunks(response: httpx.Response, call: Call) -> AsyncIterator[bytes]:
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise call.nonsense("a packed body, which was not asked for", response.status_code)
    try:
        async for piece in response.aiter_raw():
            yield piece
    except LOST as error:
        raise lost_call(call, error, response.status_code) from None


def _query(pairs: Sequence[tuple[str, str]]) -> str:
    return "?" + urlencode(pairs, quote_via=quote) if pairs else ""


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _body_headers(body: bytes | None, content_type: str | None) -> Mapping[str, str]:
    if body is None:
        return {}
    headers = {"Content-Length": str(len(body))}
    return headers if content_type is None else {**headers, "Content-Type": content_type}


def check_raw(method: str, content_type: str | None) -> None:
    """Permanent("bad_name") for a method or a content type that could not stand in a request's head."""
    is_type = content_type is None or (
        content_type.isascii() and content_type.isprintable() and len(content_type) <= 200
    )
    if method not in _METHODS or not is_type:
        raise Permanent(
            "This cannot be a call of Advoware's API; nothing was asked.",
            system="advoware",
            reason="bad_name",
        )
