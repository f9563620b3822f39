"""The receiver as a process, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bitbylaw_pipeline.inbox import events
from bitbylaw_pipeline.inbox.database import Database
from tests.conftest import ENCRYPTION_KEY, FakeClock, migrated_url
from tests.receiver.conftest import Bench, register, writing_elsewhere
from tests.receiver.deliveries import BY_SECRET, DOCUMENT_UPDATE, UPDATE, listed, resent, status_of
from tests.receiver.processes import ReceiverProcess

LIMIT = 1_000_000
LORIS = 200


@pytest.fixture(scope="module")
def state_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database of the module's receiver."""
    return migrated_url("sqlite", tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def receiver(state_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """One receiver for the tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("receiver")
    with ReceiverProcess(state_url, folder, RECEIVER_MAX_BODY_BYTES=str(LIMIT)) as process:
        # It says that it listens before it does: what it still loads then is no memory of a request's.
        httpx.get(process.url + "/ready", timeout=30)
        yield process


def _connect(receiver: ReceiverProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", receiver.port), timeout=20)


def _head(length: int, *more: str, path: str = UPDATE) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: receiver", f"content-length: {length}"]
    lines += [f"{name}: {value}" for name, value in BY_SECRET.items()]
    return "\r\n".join([*lines, *more, "", ""]).encode()


def _answer(sock: socket.socket) -> tuple[int, bytes]:
    """The status of the answer, and all that came until the connection was closed."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65536):
            received += chunk
    return int(received.split(b" ", 2)[1]) if received else 0, received


def test_a_signed_request_over_http_is_stored(tmp_path: Path) -> None:
    """From the socket to the row, by the signature of a webhook in the table."""
    url = migrated_url("sqlite", tmp_path)
    bench = Bench(Database.open(url, clock=FakeClock(), encryption_key=ENCRYPTION_KEY), FakeClock())
    register(bench.database, DOCUMENT_UPDATE)
    body = listed("d1", "d2")
    with ReceiverProcess(url, tmp_path, WEBHOOK_SHARED_SECRET="") as receiver:
        assert resent(lambda: httpx.get(receiver.url + "/ready"), status_of).json() == {"status": "ready"}
        headers = DOCUMENT_UPDATE.headers(body)
        answer = resent(lambda: httpx.post(receiver.url + UPDATE, content=body, headers=headers), status_of)
        assert answer.status_code == 202
        assert "server" not in answer.headers
        assert httpx.post(receiver.url + UPDATE, content=body, headers=BY_SECRET).status_code == 401
    # A delivery that came twice, because its commit took too long, wants once more.
    assert min(bench.wanted("documents", ["d1", "d2"])) >= 1
    bench.database.close()


def test_a_huge_body_is_refused_and_takes_no_memory(receiver: ReceiverProcess) -> None:
    """Two hundred times the limit, declared or in chunks: 413, and the process hardly grows."""
    before = receiver.peak_bytes()
    chunk = b" " * 65536

    def endless() -> Iterator[bytes]:
        for _ in range(200 * LIMIT // len(chunk)):
            yield chunk

    with httpx.Client(timeout=60) as client:
        for headers in (
            BY_SECRET,
            BY_SECRET | {"content-length": str(200 * LIMIT // len(chunk) * len(chunk))},
        ):
            answer = client.post(receiver.url + UPDATE, content=endless(), headers=headers)
            assert answer.status_code == 413
    assert receiver.peak_bytes() - before < 2 * LIMIT + 4_000_000


def test_many_events_in_a_body_take_no_memory(receiver: ReceiverProcess) -> None:
    """A body of the largest size, all of it events: refused without building them all."""
    before = receiver.peak_bytes()
    body = json.dumps([{"id": "d"}] * 70_000).encode()
    assert len(body) < LIMIT
    for _ in range(3):
        assert httpx.post(receiver.url + UPDATE, content=body, headers=BY_SECRET).status_code == 400
    assert receiver.peak_bytes() - before < 6 * LIMIT


def test_json_nested_deeply_leaves_the_process_alive(receiver: ReceiverProcess) -> None:
    """100,000 brackets are refused by a process that goes on."""
    body = b"[" * 100_000 + b"]" * 100_000
    assert httpx.post(receiver.url + UPDATE, content=body, headers=BY_SECRET).status_code == 400
    body = listed("deep")
    answer = resent(lambda: httpx.post(receiver.url + UPDATE, content=body, headers=BY_SECRET), status_of)
    assert answer.status_code == 202


def test_a_head_without_end_is_cut_off(receiver: ReceiverProcess) -> None:
    """64 kB of headers are enough: 431, and the connection is closed."""
    with _connect(receiver) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(b"POST / HTTP/1.1\r\nx: ")
            for _ in range(20):
                sock.sendall(b"a" * 65536)
        # The answer may be lost where the sender goes on sending; the end of the connection is not.
        assert _answer(sock)[0] in (431, 0)
    assert httpx.get(receiver.url + "/health").status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"POST /a b HTTP/1.1\r\n\r\n", b"\0" * 100,
        b"GET /r\xc3\xa4umung HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_not_http_is_refused(text: bytes, receiver: ReceiverProcess) -> None:
    """Not HTTP: 400 and closed, and the process goes on."""
    with _connect(receiver) as sock:
        sock.sendall(text)
        assert _answer(sock)[0] == 400
    assert httpx.get(receiver.url + "/health").status_code == 200


def test_a_connection_serves_several_requests(receiver: ReceiverProcess, state_url: str) -> None:
    """Requests one after the other, and sent ahead of their answers, are each answered in their order."""
    requests = b"".join(_head(len(body), *more) + body for body, more in (
        (listed("p1"), ()), (b"no", ()), (listed("p2"), ("connection: close",))
    ))  # fmt: skip

    def send() -> list[int]:
        with _connect(receiver) as sock:
            sock.sendall(requests)
            _, received = _answer(sock)
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", received)]

    assert resent(send, lambda statuses: max(statuses, default=0)) == [202, 400, 202]
    database = Database.open(state_url)
    found = database.read(lambda connection: events.listing(connection, limit=1000))
    assert {"p1", "p2"} <= {row.entity_id for row in found}
    database.close()


@pytest.mark.slow
def test_dawdling_clients_are_closed_and_hold_nobody_up(receiver: ReceiverProcess) -> None:
    """Two hundred clients that send a byte now and then, in the head, in the body or after an answer, are closed
    within 15 s, and a proper request in between is answered as ever."""

    async def dawdle(number: int) -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        started_at = time.monotonic()
        beginnings = (
            b"POST / HTTP/1.1\r\nx-a: ",
            _head(100_000),
            b"",
            b"GET /health HTTP/1.1\r\ncontent-length: 100000\r\n\r\n",
            _head(100_000, path="/vmh/nothing"),
            _head(100_000, "transfer-encoding: chunked").replace(b"content-length: 100000\r\n", b""),
        )
        drip = b"\r\n" if number % 6 == 2 else b"1"
        with contextlib.suppress(ConnectionError):
            writer.write(beginnings[number % 6])
            end = asyncio.create_task(_read_all(reader))
            while not end.done():
                writer.write(drip)
                await writer.drain()
                await asyncio.wait([end], timeout=0.5)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return time.monotonic() - started_at

    async def proper() -> Counter[int]:
        statuses: Counter[int] = Counter()
        async with httpx.AsyncClient() as client:
            for number in range(30):
                answer = await client.post(
                    receiver.url + UPDATE, content=listed(f"l{number}"), headers=BY_SECRET
                )
                statuses[answer.status_code] += 1
                await asyncio.sleep(0.1)
        return statuses

    async def main() -> tuple[list[float], Counter[int]]:
        lives = asyncio.gather(*(dawdle(number) for number in range(LORIS)))
        statuses = await proper()
        return await lives, statuses

    said_before = len(receiver.log())
    lives, statuses = asyncio.run(main())
    # A disk that stalls is no doing of theirs.
    stalls = re.findall("reason=(?:commit_takes_too_long|database_unavailable)", receiver.log()[said_before:])
    assert statuses[202] == 30 - len(stalls) > 0
    assert max(lives) < 15


async def _read_all(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass


def test_a_slow_body_is_told_so(receiver: ReceiverProcess) -> None:
    """A body that does not come to its end is answered 408, after which EspoCRM tries again."""
    with _connect(receiver) as sock:
        sock.sendall(_head(100) + b"[")
        assert _answer(sock)[0] == 408


def test_sigterm_lets_requests_in_flight_finish(tmp_path: Path) -> None:
    """A request whose body is still coming when the receiver is told to stop is stored and answered; exit status 0."""
    url = migrated_url("sqlite", tmp_path)
    lives = (tmp_path / str(number) for number in itertools.count())
    assert resent(lambda: _stop_in_a_body(url, next(lives)), lambda status: status) == 202
    bench = Bench(Database.open(url), FakeClock())
    assert bench.wanted("documents", ["d1"])[0] >= 1
    bench.database.close()


def _stop_in_a_body(url: str, folder: Path) -> int:
    """The status of the answer to a body the rest of which is sent after SIGTERM."""
    folder.mkdir()
    body = listed("d1")
    with ReceiverProcess(url, folder) as receiver:
        with _connect(receiver) as sock:
            sock.sendall(_head(len(body)) + body[:5])
            assert httpx.get(receiver.url + "/health").status_code == 200
            receiver.send(signal.SIGTERM)
            _wait_for_line(receiver, "Waiting for connections to close")
            sock.sendall(body[5:])
            status, received = _answer(sock)
        assert b"connection: close" in received.lower()
        assert receiver.wait() == 0
    return status


def _wait_for_line(receiver: ReceiverProcess, text: str) -> None:
    """Returns when it is in the log, or when the process has ended: it had nothing to wait for any more then."""
    deadline = time.monotonic() + 20
    while text not in receiver.log() and receiver.process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_sigterm_waits_for_a_commit(tmp_path: Path) -> None:
    """A request that waits for its commit when the receiver is told to stop gets an answer, not a reset."""
    url = migrated_url("sqlite", tmp_path)
    database = Database.open(url)
    body = listed("d1")
    with ReceiverProcess(url, tmp_path) as receiver, _connect(receiver) as sock:
        assert resent(lambda: httpx.get(receiver.url + "/ready"), status_of).status_code == 200
        with writing_elsewhere(database):
            sock.sendall(_head(len(body)) + body)
            receiver.send(signal.SIGTERM)
            _wait_for_line(receiver, "Waiting for connections to close")
        status, _ = _answer(sock)
        assert status in (202, 503)
        assert receiver.wait() == 0
    database.close()
