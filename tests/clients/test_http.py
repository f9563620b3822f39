"""One system's HTTP over real sockets: what each failure becomes, and what must not be left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.clients.http import CallRecord, System
from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    SyncError,
    Transient,
    Unexpected,
    Unreachable,
)
from bitbylaw_pipeline.loopback import free_port
from bitbylaw_pipeline.settings import SettingsError
from tests.clients.wire_server import Handler, Received, Reply, WireServer, reply_json, wire_server

KEY = "xai-0123456789abcdefghij"


def system_at(url: str, *, timeout: float = 5.0, max_concurrency: int = 16) -> System:
    """A client of a server on loopback."""
    headers = {"Authorization": f"Bearer {KEY}"}
    return System("test", url, headers, timeout=timeout, max_concurrency=max_concurrency)


def answer_to(handler: Handler | list[Reply], *, creates: bool = False, timeout: float = 5.0) -> Answer:
    """One call against a server that answers so."""

    async def main() -> Answer:
        async with wire_server(handler) as server, system_at(server.url, timeout=timeout) as system:
            return await system.call("POST", "/things", json={"a": 1}, operation="make", creates=creates)

    return asyncio.run(main())


def error_of(handler: Handler | list[Reply], *, creates: bool = False, timeout: float = 5.0) -> SyncError:
    """The error of one call against a server that answers so."""
    with pytest.raises(SyncError) as caught:
        answer_to(handler, creates=creates, timeout=timeout)
    return caught.value


def test_a_json_answer_comes_back_parsed() -> None:
    """A 200 with JSON is an answer with its data and its server's clock."""
    answer = answer_to([reply_json({"id": "1"}, Date="Sun, 22 Nov 2026 08:00:08 GMT")])
    assert answer.mapping() == {"id": "1"}
    assert answer.server_time() == 1795334408.0


def test_an_empty_answer_is_none() -> None:
    """A 200 without a body has no data (EspoCRM's answer for missing metadata)."""
    assert answer_to([Reply(200)]).data is None


@pytest.mark.parametrize(
    ("status", "creates", "kind"),
    [
        (302, False, Unexpected),
        (302, True, OutcomeUnknown),
        (202, False, Unexpected),
        (400, False, Permanent),
        (400, True, Permanent),
        (401, False, AuthFailed),
        (403, False, Permanent),
        (404, False, NotFound),
        (405, False, Permanent),
        (408, False, Transient),
        (408, True, OutcomeUnknown),
        (409, False, Conflict),
        (413, True, Permanent),
        (414, False, Permanent),
        (422, True, Permanent),
        (429, False, RateLimited),
        (429, True, RateLimited),
        (500, False, Transient),
        (500, True, OutcomeUnknown),
        (502, False, Transient),
        (503, False, Transient),
        (504, True, OutcomeUnknown),
        (599, False, Transient),
    ],
)
def test_each_status_has_its_class(status: int, creates: bool, kind: type[SyncError]) -> None:
    """A status becomes exactly one class of ours, and the status stays on it."""
    error = error_of([Reply(status, b"{}")], creates=creates)
    assert type(error) is kind
    assert (error.system, error.status) == ("test", status)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>proxy</html>", {"Content-Type": "text/html"}),
        Reply(200, b'{"id": "1'),
        Reply(200, b"[" * 200_000),
        Reply(200, b'{"id"', announced=400, closes=True),
        Reply(raw=b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n', closes=True),
        Reply(raw=b"rubbish that is not HTTP\r\n\r\n", closes=True),
        Reply(200, gzip.compress(b'{"id": "1"}'), {"Content-Encoding": "gzip"}),
        Reply(200, b"x", {"Content-Encoding": "br"}),
        Reply(200, b"{}", announced=10**12, closes=True),
    ],
    ids=["html", "cut json", "deep", "short body", "short chunks", "rubbish", "gzip", "br", "huge"],
)
def test_nonsense_is_unexpected_and_for_creates_unknown(reply: Reply) -> None:
    """An answer that makes no sense is Unexpected; where something was created, its outcome is unknown."""
    assert type(error_of([reply])) is Unexpected
    assert type(error_of([reply], creates=True)) is OutcomeUnknown


def test_refused_connections_are_unreachable_even_for_creates() -> None:
    """Nothing was sent, so nothing can have been created."""

    async def main() -> None:
        async with system_at(f"http://127.0.0.1:{free_port()}") as system:
            await system.call("POST", "/things", json={}, operation="make", creates=True)

    with pytest.raises(Unreachable) as caught:
        asyncio.run(main())
    assert not isinstance(caught.value, OutcomeUnknown)


@pytest.mark.parametrize(
    ("reply", "timeout"),
    # With too little time the call may end before anything was sent, which is no loss.
    [(Reply(raw=b"", closes=True), 5.0), (Reply(hangs=True), 2.0)],
    ids=["closed", "hangs"],
)
def test_lost_after_sending_is_unknown_for_creates_alone(reply: Reply, timeout: float) -> None:
    """A connection lost after the request: a create may have landed, anything else is just unreachable."""
    assert type(error_of([reply], creates=True, timeout=timeout)) is OutcomeUnknown
    assert type(error_of([reply], timeout=timeout)) is Unreachable


def test_an_unknown_host_is_unreachable() -> None:
    """A name that does not resolve is Unreachable, not a crash."""

    async def main() -> None:
        async with system_at("http://no-such-host.invalid") as system:
            await system.call("GET", "/", operation="look")

    with pytest.raises(Unreachable):
        asyncio.run(main())


def test_a_server_that_stops_reading_does_not_hold_us() -> None:
    """A peer that accepts and then never reads a large body ends in an error within the call's limit."""

    async def main() -> None:
        stop = asyncio.Event()

        async def never_reads(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stop.wait()
            writer.close()

        running = await asyncio.start_server(never_reads, "127.0.0.1", 0, limit=1024)
        port = running.sockets[0].getsockname()[1]
        async with system_at(f"http://127.0.0.1:{port}", timeout=2.0) as system:
            try:
                await system.call("POST", "/", json={"a": "x" * 20_000_000}, operation="make", creates=True)
            finally:
                stop.set()
                running.close()

    with pytest.raises(OutcomeUnknown):
        asyncio.run(main())


def test_redirects_are_not_followed() -> None:
    """A redirect to another host would carry our key there: it is an error, and nobody else is asked."""

    async def main() -> int:
        async with wire_server([reply_json({})]) as other:
            elsewhere = Reply(307, b"", {"Location": other.url + "/steal"})
            async with wire_server([elsewhere]) as server, system_at(server.url) as system:
                with pytest.raises(Unexpected):
                    await system.call("GET", "/things", operation="look")
            return len(other.requests)

    assert asyncio.run(main()) == 0


def test_a_path_cannot_lead_to_another_host() -> None:
    """A path that begins with two slashes stays on the system's host."""

    async def main() -> str:
        async with wire_server([reply_json({})]) as server, system_at(server.url + "/v1") as system:
            await system.call("GET", "//evil.invalid/x", operation="look")
            return server.requests[0].target

    assert asyncio.run(main()) == "/v1//evil.invalid/x"


def test_no_more_calls_at_once_than_allowed() -> None:
    """The limiter counts calls across everything that shares the system, and time spent waiting is not the call's."""

    async def main() -> tuple[int, int]:
        async with CountingServer() as (url, peak), system_at(url, max_concurrency=3, timeout=2.0) as system:
            await asyncio.gather(*(system.call("GET", "/", operation="look") for _ in range(12)))
            return peak(), 12

    assert asyncio.run(main()) == (3, 12)


class CountingServer:
    """As an async context: its address, and a function that gives the most requests that it held at once."""

    def __init__(self) -> None:
        self._now = self._peak = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> tuple[str, Callable[[], int]]:
        self._server = await asyncio.start_server(self._hold, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}", lambda: self._peak

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            self._now += 1
            self._peak = max(self._peak, self._now)
            await asyncio.sleep(0.02)
            self._now -= 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()


def test_a_cancelled_call_leaves_no_connection_in_use() -> None:
    """After a cancel in the middle of a call the connection is closed and the limiter's place is free again."""

    async def main() -> None:
        def handler(request: Received) -> Reply:
            return Reply(hangs=True) if request.path == "/hang" else reply_json({"ok": 1})

        async with wire_server(handler) as server, system_at(server.url, max_concurrency=1) as system:
            hanging = asyncio.create_task(system.call("GET", "/hang", operation="look"))
            await until(lambda: len(server.requests) == 1)
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging
            await until(lambda: not server.open_connections)
            answer = await asyncio.wait_for(system.call("GET", "/", operation="look"), 2)
            assert answer.mapping() == {"ok": 1}

    asyncio.run(main())


def test_a_cancelled_download_leaves_no_connection_in_use() -> None:
    """The same for a file whose bytes are just coming."""

    async def main() -> None:
        half = Reply(200, b"x" * 1000, announced=5000)

        async with wire_server([half]) as server, system_at(server.url) as system:
            pieces: list[bytes] = []
            download = system.download("/file", pieces.append, operation="load", max_bytes=10_000)
            loading = asyncio.create_task(download)
            await until(lambda: bool(pieces))
            loading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await loading
            await until(lambda: not server.open_connections)

    asyncio.run(main())


async def until(is_so: Callable[[], bool]) -> None:
    """Waits for something that happens soon; fails after five seconds."""
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - what is waited for happens in the server, which sets no event
            await asyncio.sleep(0.001)


def test_connections_are_kept_and_used_again() -> None:
    """Ten calls in turn go over one connection."""

    async def main() -> int:
        seen: set[object] = set()
        async with wire_server([reply_json({})]) as server, system_at(server.url) as system:
            for _ in range(10):
                await system.call("GET", "/", operation="look")
                seen |= server.open_connections
        return len(seen)

    assert asyncio.run(main()) == 1


def test_a_download_is_passed_on_in_pieces() -> None:
    """A file reaches `write` piece by piece, whole, with the size and type that were declared."""

    async def main() -> None:
        content = bytes(range(256)) * 1000
        reply = Reply(200, content, {"Content-Type": "application/pdf"})
        pieces: list[bytes] = []
        async with wire_server([reply]) as server, system_at(server.url) as system:
            loaded = await system.download("/f", pieces.append, operation="load", max_bytes=10**6)
        assert b"".join(pieces) == content
        assert len(pieces) > 1
        assert (loaded.size, loaded.content_type) == (len(content), "application/pdf")
        assert server.requests[0].headers["accept-encoding"] == "identity"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(200, b"x" * 500, announced=1000, closes=True), Unexpected),
        (Reply(200, b"x" * 2000), Permanent),
        (Reply(200, b"", announced=10**9, closes=True), Permanent),
        (Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", closes=True), Unexpected),
        (
            Reply(
                raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n"
                + b"x" * 2000
                + b"\r\n0\r\n\r\n"
            ),
            Permanent,
        ),
        (Reply(200, gzip.compress(bytes(10**6)), {"Content-Encoding": "gzip"}), Unexpected),
        (Reply(404), NotFound),
        (Reply(500), Transient),
    ],
    ids=[
        "short",
        "too large",
        "too large announced",
        "no end",
        "too large chunked",
        "gzip bomb",
        "404",
        "500",
    ],
)
def test_a_download_is_whole_or_an_error(reply: Reply, kind: type[SyncError]) -> None:
    """Half a file, a packed one and one above the cap are errors, never a file."""

    async def main() -> None:
        async with wire_server([reply]) as server, system_at(server.url) as system:
            taken: list[bytes] = []
            try:
                await system.download("/f", taken.append, operation="load", max_bytes=1000)
            finally:
                assert sum(map(len, taken)) <= 1000

    with pytest.raises(kind):
        asyncio.run(main())


def test_a_short_file_is_noticed_whatever_the_transport() -> None:
    """Also where nothing below counts the bytes, fewer or more of them than announced are no file."""

    async def short(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"x" * 5})

    async def main() -> None:
        transport = httpx.ASGITransport(short)
        async with System("test", "http://test", {}, transport=transport) as system:
            with pytest.raises(Unexpected, match="5 bytes of 9"):
                await system.download("/f", len, operation="load", max_bytes=100)

    asyncio.run(main())


def test_a_full_disk_is_not_taken_for_a_lost_connection() -> None:
    """An error of the one who writes the file comes through as it is."""

    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    async def main() -> None:
        async with wire_server([Reply(200, b"x")]) as server, system_at(server.url) as system:
            await system.download("/f", full, operation="load", max_bytes=1000)

    with pytest.raises(OSError, match="No space"):
        asyncio.run(main())


def test_every_call_is_counted_once_whatever_becomes_of_it() -> None:
    """The hook sees each call with its status, None where no answer came."""
    records: list[CallRecord] = []

    async def main() -> None:
        replies = [reply_json({}), Reply(500), Reply(raw=b"", closes=True)]
        async with wire_server(list(replies)) as server:
            system = System("test", server.url, {}, on_call=records.append)
            for _ in replies:
                with contextlib.suppress(SyncError):
                    await system.call("POST", "/", operation="look")
            await system.aclose()

    asyncio.run(main())
    assert [(record.operation, record.status) for record in records] == [
        ("look", 200),
        ("look", 500),
        ("look", None),
    ]


def test_a_debug_line_per_call_without_key_or_query(caplog: pytest.LogCaptureFixture) -> None:
    """The line names system, operation, ids, status and time; neither key nor query nor body stand anywhere."""

    async def main() -> None:
        async with wire_server([reply_json({"name": "Müller"})]) as server, system_at(server.url) as system:
            await system.call(
                "GET", "/x", params={"filter": "Müller"}, operation="look", subject="CDokumente 64f0"
            )

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    lines = [record.getMessage() for record in caplog.records]
    assert any("called" in line and "operation=look" in line and "status=200" in line for line in lines)
    assert not any(KEY[8:] in line or "ller" in line for line in lines)


@pytest.mark.parametrize("reply", [Reply(raw=b"", closes=True), Reply(500, b"Mustermann"), Reply(hangs=True)])
def test_errors_hold_neither_key_nor_body(reply: Reply) -> None:
    """Neither the message nor anything chained to the error repeats the key, the request or the answer's body."""
    error = error_of([reply], timeout=0.3)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    for text in (str(error), repr(error), repr(vars(error))):
        assert KEY not in text
        assert "Mustermann" not in text


@pytest.mark.parametrize("key", ["line\nbreak", "ümlaut", "nul\0"])
def test_a_key_with_impossible_characters_is_refused_without_being_repeated(key: str) -> None:
    """A key that cannot stand in a header ends in one sentence that does not contain it."""
    with pytest.raises(SettingsError) as caught:
        System("test", "https://host.example/v1", {"X-Api-Key": key})
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["", "host", "ftp://host/x", "https://user:pass@host/v1", "https://host/v1?a=1"]
)
def test_an_impossible_address_is_refused(address: str) -> None:
    """An address that is none, or that carries a password or a query, ends in one sentence."""
    with pytest.raises(SettingsError, match="address of test"):
        System("test", address, {})


def test_json_is_sent_compactly_with_its_type() -> None:
    """EspoCRM ignores a body without Content-Type: application/json."""

    async def main() -> WireServer:
        async with wire_server([reply_json({})]) as server, system_at(server.url) as system:
            await system.call("PUT", "/x", json={"name": "Räumung \ud800"}, operation="write")
        return server

    request = asyncio.run(main()).requests[0]
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"name": "Räumung \ud800"}
    assert "cookie" not in request.headers
