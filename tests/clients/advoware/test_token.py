"""The token: one for all, renewed once after a 401, and no second login after a refusal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_errors import LoginRefused, TokenRefused
from bitbylaw_pipeline.clients.advoware_surface import Trouble
from bitbylaw_pipeline.domain.errors import AuthFailed, Transient, Unreachable
from bitbylaw_pipeline.inbox.advoware_token_cache import open_token_cache
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.sandbox.advoware.app import AdvowareSandbox
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.sandbox.serving import serving
from bitbylaw_pipeline.settings import Settings
from tests.clients.advoware.office import NATURAL, advoware_over, ask, calls, sandbox, settings_for
from tests.servers import RedisServer

TOKEN = r"/security/api/v1/Token"


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """A running redis-server of this module's own."""
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _empty_redis(redis_server: RedisServer) -> None:
    with redis.Redis(redis_server.host, redis_server.port) as client:
        client.flushall()


def redis_settings(server: RedisServer) -> Settings:
    """Settings that name the server."""
    return Settings.load(redis_host=server.host, redis_port=server.port, _env_file=None)


@contextlib.asynccontextmanager
async def cache_at(server: RedisServer) -> AsyncIterator[Coordination]:
    """A token cache on the server."""
    # Longer than the product's second: on a loaded machine every client would be left to its own token.
    cache = open_token_cache(redis_settings(server), socket_timeout=20.0)
    assert cache is not None
    yield cache
    await cache.aclose()


async def many(client: Advoware, count: int = 100) -> list[Any]:
    """Calls that all begin at once; what each came to."""
    return await asyncio.gather(*(client.list_mitarbeiter() for _ in range(count)), return_exceptions=True)


@pytest.mark.parametrize("way", ["asgi", "http"])
def test_a_hundred_first_calls_cost_one_token(way: str) -> None:
    """They all wait for the one request, and the lookup is asked once, too."""
    app = sandbox()
    app.faults.add(Fault("latency", TOKEN, seconds=0.05))
    found = ask(app, many, way=way)
    assert [len(rows) for rows in found] == [2] * 100
    assert len(calls(app, "POST", TOKEN)) == 1
    assert len(calls(app, "GET", "/configurator/")) == 1


def test_a_failed_token_request_fails_all_who_wait_for_it() -> None:
    """A hundred waiters share the one failure; the next call tries anew."""
    app = sandbox()
    app.faults.add(Fault("status", TOKEN, status=500, times=1))

    async def twice(client: Advoware) -> tuple[list[Any], int]:
        return await many(client), len(await client.list_mitarbeiter())

    failed, found = ask(app, twice)
    assert {type(error) for error in failed} == {Transient}
    assert found == 2
    assert len(calls(app, "POST", TOKEN)) == 2


def test_one_who_gives_up_takes_the_token_from_nobody() -> None:
    """The first caller is cancelled while the token is on its way; the second gets it."""
    app = sandbox()
    app.faults.add(Fault("latency", TOKEN, seconds=0.1))

    async def main(client: Advoware) -> int:
        first = asyncio.create_task(client.list_mitarbeiter())
        second = asyncio.create_task(client.list_mitarbeiter())
        while not client.connection._tokens._flight:  # noqa: ASYNC110 - a few turns of the loop
            await asyncio.sleep(0)
        first.cancel()
        return len(await second)

    assert ask(app, main) == 2
    assert len(calls(app, "POST", TOKEN)) == 1


def test_a_hundred_first_calls_of_three_processes_cost_one_token(redis_server: RedisServer) -> None:
    """Over Redis the processes wait for the one that asks, and take its token."""
    app = sandbox()
    app.clock.reset()  # the processes go by the wall's
    app.faults.add(Fault("latency", TOKEN, seconds=0.2))
    with serving(app) as [url]:
        given = {
            **app.settings(url), "advoware_role": 2, "advoware_product": 64,
            "redis_host": redis_server.host, "redis_port": redis_server.port,
        }  # fmt: skip
        command = [sys.executable, str(Path(__file__).with_name("many_calls.py")), json.dumps(given), "34"]
        started = [
            subprocess.Popen(
                command, cwd=Path(__file__).parents[3], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, env={"PYTHONPATH": ".", "PATH": "/usr/bin:/bin"},
            )
            for _ in range(3)
        ]  # fmt: skip
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.communicate()[0] for process in started] == ["34\n"] * 3
    assert app.tokens.given == 1


def test_a_second_client_takes_the_first_ones_token(redis_server: RedisServer) -> None:
    """It lies in the Redis database that is set for it, and nobody asks again."""
    app = sandbox()

    async def main() -> None:
        async with cache_at(redis_server) as cache:
            for _ in range(2):
                async with advoware_over("asgi", app, cache=cache) as client:
                    await client.probe()

    asyncio.run(main())
    assert app.tokens.given == 1
    with redis.Redis(redis_server.host, redis_server.port, db=1) as found:
        assert found.dbsize() == 1
        (key,) = found.keys()
        left = found.ttl(key)
    assert 3300 - 120 - 5 <= left <= 3300 - 120
    assert app.credentials.user.encode() not in key.split(b":")


def test_many_clients_that_meet_a_revoked_token_renew_it_once(redis_server: RedisServer) -> None:
    """Each is answered 401, one asks, the others take the new token from the cache."""
    app = sandbox()

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = []
            for _ in range(5):
                cache = await stack.enter_async_context(cache_at(redis_server))
                clients.append(await stack.enter_async_context(advoware_over("asgi", app, cache=cache)))
            await asyncio.gather(*(client.probe() for client in clients))
            app.tokens.revoke()
            await asyncio.gather(*(client.probe() for client in clients for _ in range(4)))

    asyncio.run(main())
    assert app.tokens.given == 2


def test_a_token_that_has_run_out_is_renewed_in_the_middle_of_the_work() -> None:
    """By its own end where the clock says so, by a 401 where the clocks differ."""
    app = sandbox()

    async def main(client: Advoware) -> None:
        await client.probe()
        app.clock.advance(3300 - 121)
        await client.probe()
        assert app.tokens.given == 1
        app.clock.advance(2)
        await client.probe()
        assert app.tokens.given == 2

    ask(app, main)
    assert not [row for row in app.ledger.select(path="/relay/") if row["status"] == 401]


@pytest.mark.parametrize("expiration", ["fraction", "whole", "absent"])
def test_the_end_of_a_token_is_understood_in_every_form(expiration: str) -> None:
    """With seven digits, with none, or not said at all (55 minutes then)."""
    app = sandbox(expiration=expiration)

    async def main(client: Advoware) -> float | None:
        await client.probe()
        return (await client.describe_connection()).token_seconds

    assert ask(app, main) == pytest.approx(3300 - 120, abs=1)


def test_a_token_that_seems_to_have_ended_is_used_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """A clock that differs must not stop everything: it is used for a minute, with a warning."""
    app = sandbox(token_seconds=30.0)
    with caplog.at_level(logging.WARNING):
        ask(app, many)
    assert app.tokens.given == 1
    assert "advoware_token_ends_at_once" in caplog.text


def test_a_create_is_repeated_after_a_401() -> None:
    """It was not carried out, so once more is once."""
    app = sandbox()

    async def main(client: Advoware) -> int:
        await client.probe()
        app.tokens.revoke()
        return await client.create_beteiligter({"name": "Neu"})

    betnr = ask(app, main)
    assert [party["betNr"] for party in app.state()["beteiligte"] if party["name"] == "Neu"] == [betnr]
    assert len(calls(app, "POST", "Beteiligte")) == 2


def test_a_new_token_that_is_refused_ends_it() -> None:
    """One renewal, one more try, then AuthFailed; and no token more within the next minute."""
    app = sandbox()
    app.faults.add(Fault("status", r"/relay/.*", status=401))

    async def main(client: Advoware) -> None:
        for _ in range(5):
            with pytest.raises(TokenRefused):
                await client.probe()
        assert app.tokens.given == 2
        app.faults.clear()
        await client.probe()  # the token at hand is still tried
        app.tokens.revoke()
        app.clock.advance(61)
        await client.probe()
        assert app.tokens.given == 3

    ask(app, main)


def test_wrong_credentials_are_tried_once_in_fifteen_minutes() -> None:
    """A hundred calls at once and more after them count as one wrong login."""
    app = sandbox()

    async def main(client: Advoware) -> None:
        assert {type(error) for error in await many(client)} == {LoginRefused}
        assert {type(error) for error in await many(client, 3)} == {LoginRefused}
        assert (await client.describe_connection()).refusal is Trouble.CREDENTIALS
        assert app.tokens.wrong_passwords.total() == 1
        app.clock.advance(15 * 60 + 1)
        with pytest.raises(AuthFailed):
            await client.probe()
        assert app.tokens.wrong_passwords.total() == 2

    ask(app, main, advoware_password="geheimes-falsches")


def test_another_process_remembers_a_refusal(redis_server: RedisServer) -> None:
    """A new client with the same login does not try; one with another password does, and so does one that is told to."""
    app = sandbox()
    app.clock.reset()

    async def main() -> None:
        async with cache_at(redis_server) as cache:
            for _ in range(3):
                async with advoware_over("asgi", app, cache=cache, advoware_password="falsch") as client:
                    with pytest.raises(LoginRefused) as caught:
                        await client.probe()
                    assert caught.value.trouble is Trouble.CREDENTIALS
            assert app.tokens.wrong_passwords.total() == 1
            async with advoware_over("asgi", app, cache=cache) as client:
                await client.probe()
            async with advoware_over("asgi", app, cache=cache, advoware_password="falsch") as client:
                await client.forget_refusal()
                await asyncio.sleep(0.01)
                with pytest.raises(LoginRefused):
                    await client.probe()
            assert app.tokens.wrong_passwords.total() == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("given", "trouble"),
    [
        (
            {"advoware_kanzlei": "other", "advoware_security_url": "http://advoware/security"},
            Trouble.NOT_REGISTERED,
        ),
        ({"advoware_app_id": "other"}, Trouble.NOT_ENABLED),
        ({"advoware_api_key": "b3RoZXI="}, Trouble.REFUSED),
        ({"advoware_user": "XX"}, Trouble.CREDENTIALS),
    ],
)
def test_what_is_wrong_with_a_login_is_said(given: dict[str, str], trouble: Trouble) -> None:
    """The sentence names the settings to look at, and neither user nor password."""
    app = sandbox()
    given = {**given, "advoware_relay_url": "http://advoware/relay"}

    async def main(client: Advoware) -> LoginRefused:
        with pytest.raises(LoginRefused) as caught:
            await client.probe()
        return caught.value

    error = ask(app, main, **given)
    assert error.trouble is trouble
    assert "ADVOWARE_" in str(error) or trouble is Trouble.NOT_ENABLED
    assert app.credentials.password not in str(error)


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_offline_connector_is_a_matter_of_time(form: str) -> None:
    """Nothing is remembered against us: once the firm's service is back, so are we."""
    app = sandbox(connector="offline", refusal_form=form)

    async def main(client: Advoware) -> None:
        for _ in range(2):
            with pytest.raises(Unreachable) as caught:
                await client.create_beteiligter({"name": "Neu"})
            assert caught.value.retry_after == 70.0
        app.switches.update({"connector": "online"})
        await client.beteiligter(NATURAL)
        app.switches.update({"connector": "offline"})
        with pytest.raises(Unreachable):
            await client.create_beteiligter({"name": "Neu"})

    ask(app, main)


def test_a_dead_redis_leaves_each_client_to_its_memory() -> None:
    """Redis is down: one token a client, and no error."""
    server, app = RedisServer(), sandbox()

    async def main() -> None:
        async with cache_at(server) as cache, advoware_over("asgi", app, cache=cache) as client:
            assert [len(rows) for rows in await many(client)] == [2] * 100

    asyncio.run(main())
    assert app.tokens.given == 1


def test_without_redis_there_is_no_cache() -> None:
    """The client then keeps the token in memory."""
    assert open_token_cache(Settings.load(_env_file=None)) is None


@pytest.mark.parametrize(
    "body", ["x", {}, [], {"access_token": ""}, {"access_token": "a\r\nb"}, {"access_token": "ä"}, "<html>"]
)
def test_an_answer_without_a_token_is_none(body: Any) -> None:
    """What could not stand in a header, or is not there, is an answer that makes no sense."""
    app = sandbox()
    app.faults.add(Fault("status", TOKEN, status=200, body=body))

    async def main(client: Advoware) -> Transient:
        with pytest.raises(Transient) as caught:
            await client.probe()
        return caught.value

    assert "token" in str(ask(app, main))


def test_no_log_line_holds_a_token_or_a_password(caplog: pytest.LogCaptureFixture) -> None:
    """With every call logged, a refusal and a renewal included."""
    app = sandbox()

    async def main(client: Advoware) -> str:
        await client.probe()
        first = await client.connection._tokens.token()
        app.tokens.revoke()
        await client.beteiligter(NATURAL)
        return first

    with caplog.at_level(logging.DEBUG):
        token = ask(app, main, way="http")
        ask_refused(app)
    assert "advoware_login_refused" in caplog.text
    assert "called" in caplog.text
    for secret in (token, app.credentials.password, "geheimes-falsches", app.credentials.api_key, "Käthe"):
        assert secret not in caplog.text


def ask_refused(app: AdvowareSandbox) -> None:
    """A login with a wrong password."""

    async def main(client: Advoware) -> None:
        with pytest.raises(LoginRefused):
            await client.probe()

    ask(app, main, advoware_password="geheimes-falsches")


def test_the_settings_of_the_sandbox_are_the_full_form() -> None:
    """What the other tests stand on."""
    assert settings_for(sandbox(), "http://advoware").advoware_app_id
