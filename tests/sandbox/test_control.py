"""Clock, ledger and faults around a small app, in process and over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.control import SandboxControl, read_body, send_json
from bitbylaw_pipeline.sandbox.serving import serving


class Notes:
    """An app that keeps what is posted to it."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = await read_body(receive)
        if scope["path"] == "/boom":
            raise LookupError("the app broke")
        if scope["method"] == "POST":
            self.kept.append(body.decode())
        await send_json(send, 200, {"kept": self.kept, "path": scope["path"]})


def in_process(control: SandboxControl, use: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    """Run `use` with a client of the app."""

    async def main() -> None:
        transport = httpx.ASGITransport(control)
        async with httpx.AsyncClient(transport=transport, base_url="http://notes") as client:
            await use(client)

    asyncio.run(main())


@pytest.fixture
def control() -> SandboxControl:
    """A controlled app."""
    return SandboxControl(Notes(), name="notes", clock=SandboxClock(wall=lambda: 1000.0))


@pytest.fixture
def served(control: SandboxControl) -> Iterator[httpx.Client]:
    """A client of the controlled app over HTTP."""
    with serving(control) as (url,), httpx.Client(base_url=url, timeout=5) as client:
        yield client


def test_clock_runs_from_wall_time_and_can_be_advanced_and_pinned() -> None:
    """The clock adds its offset to wall time, stands still when pinned, and runs on from there."""
    wall = [100.0]
    clock = SandboxClock(wall=lambda: wall[0])
    heard: list[float] = []
    clock.subscribe(lambda: heard.append(clock.now()))
    clock.advance(50)
    assert clock.now() == 150
    clock.pin(500)
    wall[0] = 200.0
    clock.advance(1)
    assert (clock.now(), clock.pinned) == (501, True)
    clock.pin(None)
    wall[0] = 210.0
    assert (clock.now(), clock.pinned) == (511, False)
    clock.reset()
    assert clock.now() == 210
    assert heard == [150, 500, 501, 501, 210]


def test_clock_route_moves_the_clock_and_refuses_other_input(control: SandboxControl) -> None:
    """The clock's route advances, pins, releases and resets; anything else is a 400 that says what to send."""

    async def use(client: httpx.AsyncClient) -> None:
        assert (await client.post("/sandbox/clock", json={"advance": 5})).json()["now"] == 1005
        assert (await client.post("/sandbox/clock", json={"pin": 7})).json()["pinned"] is True
        assert (await client.get("/sandbox/clock")).json()["iso"] == "1970-01-01T00:00:07+00:00"
        assert (await client.post("/sandbox/clock", json={"pin": None})).json()["now"] == 7
        assert (await client.post("/sandbox/clock", json={"reset": True})).json()["now"] == 1000
        refused = await client.post("/sandbox/clock", json={"forward": 5})
        assert refused.status_code == 400
        assert "advance" in refused.json()["error"]
        assert (await client.post("/sandbox/clock", content=b"{")).status_code == 400

    in_process(control, use)


def test_ledger_records_each_request_without_secrets(control: SandboxControl) -> None:
    """Each request leaves one entry with sizes, status and route; keys in the query are hidden."""

    async def use(client: httpx.AsyncClient) -> None:
        await client.post("/notes/12", content=b"abc")
        await client.get("/files/file_8f14e45f-ceea-467f-a9d4-f2b1ca0f4a3d/content?apiKey=hush&limit=2")
        await client.get("/sandbox/clock")
        ledger = (await client.get("/sandbox/ledger")).json()
        assert ledger["total"] == 2
        first, second = ledger["entries"]
        assert (first["n"], first["at"], first["app"], first["status"]) == (1, 1000.0, "notes", 200)
        assert (first["route"], first["request_bytes"]) == ("/notes/{id}", 3)
        assert first["response_bytes"] > 10
        assert second["query"] == "apiKey=***&limit=2"
        counts = (await client.get("/sandbox/counts")).json()
        assert counts == {"POST /notes/{id}": 1, "GET /files/{id}/content": 1}
        since = (await client.get("/sandbox/ledger", params={"since": 1, "path": "/files/.*"})).json()
        assert [entry["n"] for entry in since["entries"]] == [2]
        await client.delete("/sandbox/ledger")
        assert (await client.get("/sandbox/counts")).json() == {}

    in_process(control, use)


def test_status_fault_hits_the_chosen_requests_only(control: SandboxControl) -> None:
    """A fault skips the first `after` requests, hits `times` of them, and leaves other routes alone."""

    async def use(client: httpx.AsyncClient) -> None:
        fault = {
            "kind": "status",
            "method": "POST",
            "path": "/notes/.*",
            "after": 1,
            "times": 2,
            "status": 429,
        }
        fault |= {"headers": {"Retry-After": "3"}, "body": {"error": "slow down"}}
        ids = (await client.post("/sandbox/faults", json=fault)).json()["ids"]
        answers = [await client.post("/notes/1", content=b"x") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 429, 429, 200]
        assert answers[1].headers["retry-after"] == "3"
        assert answers[1].json() == {"error": "slow down"}
        assert (await client.get("/notes/1")).status_code == 200
        shown = (await client.get("/sandbox/faults")).json()
        assert [(rule["id"], rule["seen"], rule["applied"]) for rule in shown] == [(ids[0], 4, 2)]
        faults = [entry.fault for entry in control.ledger.entries]
        assert faults == [None, "status", "status", None, None]
        assert (await client.delete("/sandbox/faults")).json() == {"removed": 1}

    in_process(control, use)


def test_html_and_latency_faults(control: SandboxControl) -> None:
    """HTML comes instead of JSON; latency only delays, and both may hit the same request."""

    async def use(client: httpx.AsyncClient) -> None:
        faults = [
            {"kind": "latency", "path": ".*", "seconds": 0.02},
            {"kind": "html", "path": ".*", "times": 1},
        ]
        await client.post("/sandbox/faults", json=faults)
        page = await client.get("/a")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=UTF-8")
        assert page.text.startswith("<!DOCTYPE html>")
        started = time.perf_counter()
        assert (await client.get("/a")).json()["path"] == "/a"
        assert time.perf_counter() - started >= 0.02
        assert control.ledger.entries[-1].fault == "latency"

    in_process(control, use)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "close", "path": ".*"},
        {"kind": "hang", "path": ".*", "seconds": 0.01},
        {"kind": "timeout_after_commit", "path": ".*", "seconds": 0.01},
        {"kind": "cut_body", "path": ".*"},
    ],
)
def test_closed_connection_in_process_is_a_connection_reset(
    control: SandboxControl, fault: dict[str, object]
) -> None:
    """In process, a closed connection surfaces as ConnectionResetError out of the call."""

    async def use(client: httpx.AsyncClient) -> None:
        await client.post("/sandbox/faults", json=fault)
        with pytest.raises(ConnectionResetError):
            await client.post("/notes", content=b"x")
        await client.delete("/sandbox/faults")
        kept = (await client.get("/notes")).json()["kept"]
        assert kept == (["x"] if fault["kind"] in ("timeout_after_commit", "cut_body") else [])

    in_process(control, use)


def test_bad_faults_are_refused_with_one_sentence(control: SandboxControl) -> None:
    """Unknown kinds, settings and broken patterns are refused, and nothing is set."""

    async def use(client: httpx.AsyncClient) -> None:
        for bad in (
            {"kind": "explode", "path": ".*"},
            {"kind": "close"},
            {"kind": "close", "path": "("},
            {"kind": "close", "path": ".*", "often": 3},
            ["close"],
        ):
            answer = await client.post("/sandbox/faults", json=bad)
            assert answer.status_code == 400
            assert answer.json()["error"].endswith(".")
        assert (await client.get("/sandbox/faults")).json() == []

    in_process(control, use)


def test_closed_connection_over_http(served: httpx.Client) -> None:
    """Over HTTP, close and hang end as a closed or reset connection, and the app never saw the request."""
    for fault in ({"kind": "close"}, {"kind": "hang", "seconds": 0.05}):
        served.post("/sandbox/faults", json={**fault, "path": ".*", "times": 1}).raise_for_status()
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            served.post("/notes", content=b"x")
    assert served.get("/notes").json()["kept"] == []


def test_cut_body_over_http_promises_more_than_it_sends(served: httpx.Client) -> None:
    """Half of the promised body arrives, then the connection closes."""
    served.post("/sandbox/faults", json={"kind": "cut_body", "path": "/notes", "times": 1})
    received: list[bytes] = []
    with served.stream("GET", "/notes") as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            received.extend(answer.iter_raw())
    assert len(b"".join(received)) == int(answer.headers["content-length"]) // 2


def test_time_out_after_the_commit_over_http(served: httpx.Client) -> None:
    """The app's effect stays although the client got nothing before its own time-out."""
    served.post(
        "/sandbox/faults", json={"kind": "timeout_after_commit", "path": "/notes", "times": 1, "seconds": 30}
    )
    with pytest.raises(httpx.ReadTimeout):
        served.post("/notes", content=b"kept", timeout=2.0)
    assert served.get("/notes").json()["kept"] == ["kept"]


def test_status_fault_on_a_large_upload_is_heard(served: httpx.Client) -> None:
    """A client that is still writing a large body hears the status, not a broken pipe."""
    served.post("/sandbox/faults", json={"kind": "status", "path": "/notes", "status": 503, "times": 1})
    assert served.post("/notes", content=b"x" * 5_000_000).status_code == 503


def test_an_error_of_the_app_is_recorded_as_500(control: SandboxControl) -> None:
    """An exception of the app passes through and leaves its entry."""

    async def use(client: httpx.AsyncClient) -> None:
        with pytest.raises(LookupError):
            await client.get("/boom")
        assert [entry.status for entry in control.ledger.entries] == [500]

    in_process(control, use)


def test_the_ledger_keeps_the_newest_entries_and_all_counts() -> None:
    """A bounded ledger forgets old entries, never their count."""
    control = SandboxControl(Notes())
    control.ledger.entries = type(control.ledger.entries)(maxlen=3)

    async def use(client: httpx.AsyncClient) -> None:
        for _ in range(5):
            await client.get("/notes")
        assert [entry.n for entry in control.ledger.entries] == [3, 4, 5]
        assert control.ledger.counts() == {"GET /notes": 5}

    in_process(control, use)
