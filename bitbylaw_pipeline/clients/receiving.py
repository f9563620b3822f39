"""Taking in a body: bounded, counted against what was announced, and never unpacked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

from bitbylaw_pipeline.clients.answer import Call
from bitbylaw_pipeline.domain.errors import Permanent, SyncError

_T = TypeVar("_T")
Receiver = Callable[[httpx.Response], Awaitable[_T]]


async def size_limited_body(response: httpx.Response, max_bytes: int, call: Call) -> bytes:
    """The whole body; Unexpected (for creates OutcomeUnknown) if it is packed, too large or cut off."""
    parts: list[bytes] = []
    await _receive(
        response, parts.append, max_bytes, call, lambda: call.nonsense("far too much", response.status_code)
    )
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def write_through(
    response: httpx.Response, write: Callable[[bytes], object], max_bytes: int, call: Call
) -> int:
    """Gives the body to `write` as it comes and returns its size; above `max_bytes`: Permanent("too_large")."""

    def too_large() -> SyncError:
        return Permanent(
            f"The file is larger than {max_bytes} bytes, the most that is set ({call}).",
            system=call.system,
            status=response.status_code,
            reason="too_large",
        )

    return await _receive(response, write, max_bytes, call, too_large)


async def _receive(
    response: httpx.Response,
    write: Callable[[bytes], object],
    max_bytes: int,
    call: Call,
    too_large: Callable[[], SyncError],
) -> int:
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise call.nonsense("a packed body, which was not asked for", response.status_code)
    announced = _announced(response)
    if announced is not None and announced > max_bytes:
        raise too_large()
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > max_bytes:
            raise too_large()
        write(part)
    if announced is not None and size != announced:
        raise call.nonsense(f"{size} bytes of {announced}", response.status_code)
    return size


def _announced(response: httpx.Response) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() and text.isascii() else None
