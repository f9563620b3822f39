"""Where Advoware is: looked up, kept for a while, and known from the settings when the lookup fails."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_discovery import Addresses, Discovery
from bitbylaw_pipeline.clients.advoware_errors import judge_configurator
from bitbylaw_pipeline.clients.advoware_host import Host
from bitbylaw_pipeline.domain.errors import SyncError, Unexpected, Unreachable
from bitbylaw_pipeline.sandbox.faults import Fault
from tests.clients.advoware.office import advoware_over, ask, calls, sandbox, settings_for
from tests.clients.wire_server import Reply, reply_json, wire_server
from tests.conftest import FakeClock

LOOKUP = "/configurator/.*"
FIXED = {"advoware_relay_url": "http://advoware/relay", "advoware_security_url": "http://advoware/security"}


def looked_up(answer: dict[str, Any], fallback: Addresses | None = None, scheme: str = "http") -> Addresses:
    """The addresses out of a configurator that answers so."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reply = reply_json(answer)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": reply.body})

    async def main() -> Addresses:
        transport = httpx.ASGITransport(app)
        host = Host("advoware", f"{scheme}://conf", {}, transport=transport, judge=judge_configurator)
        async with host:
            return await Discovery(host, "K", fallback, FakeClock()).addresses()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("connector", "expected"), [(None, "relay"), ("", "relay"), ("https://conn:88/", "connector")]
)
def test_a_connector_that_is_set_is_used(connector: str | None, expected: str) -> None:
    """Else the relay; slashes at the end do not matter."""
    found = looked_up(
        {"relayUrl": "https://relay:90/", "connectorUrl": connector, "securityGateway": "https://sec/"}
    )
    assert found.source == expected
    assert found.api == ("https://conn:88" if expected == "connector" else "https://relay:90")
    assert found.security == "https://sec"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"relayUrl": "https://relay"},
        {"securityGateway": "https://sec"},
        {"relayUrl": "relay", "securityGateway": "https://sec"},
        {"relayUrl": "https://u:p@relay", "securityGateway": "https://sec"},
        {"relayUrl": "file:///etc/passwd", "securityGateway": "https://sec"},
        {"relayUrl": 5, "securityGateway": "https://sec"},
    ],
)
def test_addresses_that_cannot_be_used_are_not(answer: dict[str, Any]) -> None:
    """Without any other the lookup has failed; with those of the settings these are used."""
    with pytest.raises(Unexpected):
        looked_up(answer)
    fixed = Addresses("https://a", "https://b", "settings")
    assert looked_up(answer, fixed).security in ("https://b", "https://sec")
    assert looked_up(answer, fixed).api in ("https://a", "https://relay")


def test_a_safe_lookup_never_leads_to_an_unsafe_address() -> None:
    """The password would go there without encryption."""
    answer = {"relayUrl": "https://relay/", "securityGateway": "http://sec/"}
    with pytest.raises(Unexpected):
        looked_up(answer, scheme="https")
    assert looked_up(answer).security == "http://sec"


def test_the_lookup_is_kept_for_a_quarter_of_an_hour() -> None:
    """Then it is asked again, and the API's host is made anew where it has moved."""
    app = sandbox()

    async def main(client: Advoware) -> None:
        await client.probe()
        await client.probe()
        assert len(calls(app, path=LOOKUP)) == 1
        app.switches.update({"direct_connector": True})
        app.clock.advance(15 * 60 + 1)
        await client.probe()
        assert len(calls(app, path=LOOKUP)) == 2
        assert (await client.describe_connection()).source == "connector"

    ask(app, main)
    assert len(calls(app, path="/connector/")) == 1


@pytest.mark.parametrize("kind", ["status", "html", "close"])
def test_a_failed_lookup_falls_back_on_the_settings(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """With a warning, and is tried again a minute later."""
    app = sandbox()
    app.faults.add(Fault(kind, LOOKUP))

    async def main(client: Advoware) -> None:
        await client.probe()
        assert (await client.describe_connection()).source == "settings"
        await client.probe()
        assert len(calls(app, path=LOOKUP)) == 1
        app.faults.clear()
        app.clock.advance(61)
        await client.probe()
        assert (await client.describe_connection()).source == "relay"

    with caplog.at_level(logging.WARNING):
        ask(app, main, **FIXED)
    assert "advoware_discovery_failed" in caplog.text


def test_a_failed_lookup_without_any_address_is_an_error() -> None:
    """The lookup's own, and the next call asks again."""
    app = sandbox()
    app.faults.add(Fault("status", LOOKUP, status=503, times=1))

    async def main(client: Advoware) -> None:
        with pytest.raises(SyncError):
            await client.probe()
        await client.probe()

    ask(app, main)


def test_a_failed_lookup_keeps_what_was_known() -> None:
    """The last addresses are better than none."""
    app = sandbox()

    async def main(client: Advoware) -> None:
        await client.probe()
        app.faults.add(Fault("status", LOOKUP, status=503))
        app.clock.advance(15 * 60 + 1)
        await client.probe()

    ask(app, main)


def test_an_address_that_does_not_answer_is_looked_up_anew() -> None:
    """The firm has moved to another address: the old one is dead, and a minute later the new one is known."""
    app = sandbox()
    moved: list[Reply] = [Reply(raw=b"")]

    async def main() -> None:
        async with wire_server(moved) as dead, advoware_over("http", app) as client:
            await client.probe()
            known = client.connection._discovery._known
            assert known is not None
            client.connection._discovery._known = Addresses(dead.url, known.security, "relay")
            for _ in range(2):
                with pytest.raises(Unreachable):
                    await client.probe()
            app.clock.advance(61)
            await client.probe()

    asyncio.run(main())
    assert len(calls(app, path=LOOKUP)) == 2


def test_without_a_configurator_nothing_is_looked_up() -> None:
    """The settings' addresses stand."""
    app = sandbox()
    ask(app, lambda client: client.probe(), advoware_configurator_url="", **FIXED)
    assert calls(app, path=LOOKUP) == []
    assert settings_for(app, "http://advoware").advoware_relay_url == ""
