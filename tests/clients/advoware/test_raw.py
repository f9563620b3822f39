"""The proxy's way through: status and body as Advoware gives them, and no way to another path or host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_errors import TokenRefused
from bitbylaw_pipeline.domain.errors import OutcomeUnknown, Permanent, SyncError, Unexpected, Unreachable
from bitbylaw_pipeline.sandbox.advoware.app import AdvowareSandbox
from bitbylaw_pipeline.sandbox.faults import Fault
from tests.clients.advoware.office import COMPANY, NATURAL, advoware_over, ask, calls, sandbox, settings_for
from tests.clients.wire_server import Received, Reply, WireServer, reply_json, wire_server


@dataclass(frozen=True)
class Whole:
    """A raw answer, read to its end."""

    status: int
    content_type: str | None
    body: bytes


async def raw(
    client: Advoware,
    method: str,
    segments: Sequence[str],
    query: Sequence[tuple[str, str]] = (),
    body: bytes | None = None,
    content_type: str | None = "application/json",
) -> Whole:
    """One raw call, read to its end."""
    call = await client.raw(
        method, segments, query=query, body=body, content_type=None if body is None else content_type
    )
    async with call as answer:
        return Whole(answer.status, answer.content_type, b"".join([chunk async for chunk in answer.chunks]))


@pytest.mark.parametrize("way", ["asgi", "http"])
def test_every_method_goes_through(way: str) -> None:
    """GET, POST, PUT and DELETE with their bodies, and Advoware's own refusals."""
    app = sandbox()

    async def main(client: Advoware) -> None:
        found = await raw(client, "GET", ["Beteiligte", str(COMPANY)])
        row = json.loads(found.body)
        assert (found.status, row["name"]) == (200, "Bau GmbH")
        assert (found.content_type or "").startswith("application/json")
        body = json.dumps({**row, "name": "Bau AG"}).encode()
        assert (await raw(client, "PUT", ["Beteiligte", str(COMPANY)], body=body)).status == 200
        made = await raw(client, "POST", ["Beteiligte"], body=b'{"name": "Neu"}')
        assert json.loads(made.body) > COMPANY
        assert (await raw(client, "DELETE", ["Beteiligte", str(NATURAL)])).status == 405
        assert (await raw(client, "GET", ["Beteiligte", "1"])).status == 404
        assert (await raw(client, "POST", ["Beteiligte"], body=b"{")).status == 400

    ask(app, main, way=way)


def wired(
    reply: Reply, question: tuple[str, Sequence[str], Sequence[tuple[str, str]], bytes | None]
) -> tuple[Whole, WireServer]:
    """One raw call at a server that gives a token and then that reply."""

    def handler(request: Received) -> Reply:
        return reply_json({"access_token": "t"}) if request.path.endswith("/Token") else reply

    async def main() -> tuple[Whole, WireServer]:
        async with wire_server(handler) as server:
            app = sandbox()
            given = {"advoware_configurator_url": "", "advoware_api_base_url": server.url}
            client = Advoware.open(settings_for(app, server.url, **given))
            try:
                return await raw(client, *question), server
            finally:
                await client.aclose()

    return asyncio.run(main())


@pytest.mark.parametrize("status", [200, 201, 204, 302, 403, 418, 429, 500, 503])
def test_status_and_body_come_back_unchanged(status: int) -> None:
    """Whatever they are, and a redirect is not followed."""
    reply = Reply(
        status,
        b"" if status == 204 else b"\x00\xff",
        {"Content-Type": "x/y", "Location": "http://localhost/"},
    )
    found, server = wired(reply, ("GET", ["Akten"], (), None))
    assert found == Whole(status, "x/y", b"" if status == 204 else b"\x00\xff")
    assert len(server.requests) == 2


def test_path_query_and_body_arrive_as_they_were_given() -> None:
    """Umlauts and signs are encoded once; several values of one name stay several."""
    query = [("kuerzel", "Ä B"), ("a", "1&b=2"), ("a", "/../"), ("leer", "")]
    _, server = wired(Reply(200), ("PUT", ["Mitarbeiter", "Ä+ß (x)"], query, b"\x00body"))
    request = server.requests[-1]
    assert request.method == "PUT"
    expected = "Mitarbeiter/%C3%84%2B%C3%9F%20(x)?kuerzel=%C3%84%20B&a=1%26b%3D2&a=/../&leer="
    assert request.target == f"/api/v1/advonet/{expected}"
    assert request.body == b"\x00body"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Bearer t"


@pytest.mark.parametrize(
    "segments",
    [
        [], [""], ["."], [".."], ["..."], ["a", ".."], ["a/b"], ["a\\b"], ["%2e%2e"], ["a%2fb"], ["a?b"], ["a#b"],
        ["a\r\nb"], ["a\x00"], ["u@h"], ["a;b"], ["\u2028"], ["x" * 201], [" a"], ["//evil"], ["http://evil"],
    ],
)  # fmt: skip
def test_a_path_that_could_lead_elsewhere_is_refused_unasked(segments: list[str]) -> None:
    """No token, no lookup, no request: and the sentence does not repeat it."""
    app = sandbox()
    with pytest.raises(Permanent) as caught:
        ask(app, lambda client: raw(client, "GET", segments))
    assert caught.value.reason == "bad_name"
    assert calls(app) == []


@pytest.mark.parametrize(
    ("method", "content_type"), [("PATCH", "a/b"), ("get", "a/b"), ("GET / X", "a/b"), ("POST", "a\r\nX: b"), ("POST", "ä")]
)  # fmt: skip
def test_a_head_that_could_hold_more_is_refused_unasked(method: str, content_type: str) -> None:
    """Other methods, and a content type that would begin another header."""
    app = sandbox()
    with pytest.raises(Permanent):
        ask(app, lambda client: raw(client, method, ["Akten"], body=b"x", content_type=content_type))
    assert calls(app) == []


def test_a_token_that_is_not_accepted_is_renewed_once() -> None:
    """Before anything of the answer is passed on; a second 401 is an error of ours."""
    app = sandbox()

    async def main(client: Advoware) -> None:
        await client.probe()
        app.tokens.revoke()
        assert (await raw(client, "POST", ["Beteiligte"], body=b'{"name": "Neu"}')).status == 200
        app.faults.add(Fault("status", "/relay/.*", status=401))
        with pytest.raises(TokenRefused):
            await raw(client, "GET", ["Akten"])

    ask(app, main)
    assert app.tokens.given == 3


@pytest.mark.parametrize(
    ("kind", "method", "error"),
    [
        ("close", "GET", Unreachable),
        ("close", "POST", OutcomeUnknown),
        ("timeout_after_commit", "POST", OutcomeUnknown),
        ("cut_body", "GET", Unexpected),
    ],
)
def test_a_connection_that_breaks_is_our_own_error(kind: str, method: str, error: type[SyncError]) -> None:
    """Also in the middle of the body."""
    app = sandbox()
    app.faults.add(Fault(kind, "/relay/.*", method))
    body = b'{"name": "Neu"}' if method == "POST" else None
    with pytest.raises(error):
        ask(app, lambda client: raw(client, method, ["Beteiligte"], body=body), way="http")


def test_a_large_answer_is_passed_on_in_pieces_and_can_be_left() -> None:
    """The first piece is there before the last is sent; leaving early gives the place to the next call."""
    app: AdvowareSandbox = sandbox()
    app.seed({"beteiligte": [{"name": "x" * 200} for _ in range(3000)]})

    async def main() -> None:
        async with advoware_over("http", app, advoware_max_concurrency=1) as client:
            for _ in range(3):
                call = await client.raw("GET", ["Beteiligte"], query=(), body=None, content_type=None)
                async with call as answer:
                    first = await anext(answer.chunks)
                    assert 0 < len(first) < 1_000_000
            await client.probe()

    asyncio.run(main())
