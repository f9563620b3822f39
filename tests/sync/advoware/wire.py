"""The way to the stand-ins: what goes over it is kept, and it is where a test breaks things."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx


class Killed(BaseException):
    """The process is gone: nothing of ours catches this."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the pipeline's."""

    system: str
    method: str
    path: str
    body: str

    @property
    def is_write(self) -> bool:
        """True for what changes a record."""
        return self.method != "GET" and not self.path.endswith("/Token")


@dataclass(slots=True, kw_only=True)
class Wire:
    """Everything the pipeline asks, and what is to happen to it on the way."""

    calls: list[Call] = field(default_factory=list)
    kill_at: int | None = None
    """The number of the boundary (before and after each write) at which the process dies; None: it lives."""
    counts_reads: bool = False
    """A boundary at a read is as good as the one before the next write: nothing changes in between but our own state."""
    boundaries: int = 0
    is_dead: bool = False
    spoils: list[tuple[str, str, str, int]] = field(default_factory=list)
    meetings: list[tuple[str, str, Callable[[], Any]]] = field(default_factory=list)

    def reached(self, when: str, call: Call) -> None:
        """The taps' hook."""
        if self.is_dead:
            raise Killed
        if not call.is_write and (when == "after" or not self.counts_reads):
            return
        self.boundaries += 1
        if self.boundaries == self.kill_at:
            self.is_dead = True
            raise Killed(f"{when} {call.system} {call.method} {call.path}")

    def spoil_next(self, system: str, method: str, path: str, status: int = 502) -> None:
        """The next call of that kind is carried out, and answered with a server error (0: not at all)."""
        self.spoils.append((system, method, path, status))

    def spoilt(self, call: Call) -> httpx.Response | None:
        """The taps' hook for that."""
        for spoil in list(self.spoils):
            if spoil[:2] == (call.system, call.method) and re.fullmatch(spoil[2], call.path):
                self.spoils.remove(spoil)
                if spoil[3] == 0:
                    raise httpx.ReadError("The answer is lost.")
                return httpx.Response(spoil[3], text="<html><h1>Bad Gateway</h1></html>")
        return None

    def before_next(self, method: str, path: str, deed: Callable[[], Any]) -> None:
        """Does something right before the pipeline's next call of that kind (`path` is a regex for the whole path)."""
        self.meetings.append((method, path, deed))

    def meet(self, call: Call) -> None:
        """The taps' hook for that."""
        for meeting in list(self.meetings):
            if meeting[0] == call.method and re.fullmatch(meeting[1], call.path):
                self.meetings.remove(meeting)
                meeting[2]()

    def writes(self, system: str = "") -> list[Call]:
        """The writes since the calls were last cleared."""
        return [call for call in self.calls if call.is_write and call.system.startswith(system)]


class Tap(httpx.AsyncBaseTransport):
    """Passes requests on to a stand-in, and is where a test kills the process."""

    def __init__(self, app: Any, system: str, wire: Wire) -> None:
        self._inner = httpx.ASGITransport(app=app)
        self._system = system
        self._wire = wire

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request, unless the process dies before or after it."""
        body = (await request.aread()).decode()
        call = Call(self._system, request.method, request.url.path, body)
        self._wire.meet(call)
        self._wire.reached("before", call)
        self._wire.calls.append(call)
        try:
            response = await self._inner.handle_async_request(request)
        except ConnectionResetError as error:
            raise httpx.ReadError(str(error), request=request) from error
        self._wire.reached("after", call)
        return self._wire.spoilt(call) or response


def bodies(calls: Iterable[Call]) -> list[Any]:
    """What the calls carried."""
    return [json.loads(call.body) for call in calls]
