"""What a caller of the proxy is told when Advoware is not to be had, and what bounds its calls."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import FakeClock, migrated_url
from tests.receiver.deliveries import resent, status_of
from tests.receiver.processes import ReceiverProcess
from tests.receiver.proxies import BY_KEY, KEY, OTHER_KEY, PARTY, ProxyBench
from webhook_sensor_app.proxy import PATH
from webhook_sensor_app.token_buckets import TokenBuckets

READ = {"endpoint": "Mitarbeiter"}


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("status", [0, 200, 404, 500])
@pytest.mark.parametrize("has_token", [False, True])
def test_an_offline_connector_is_503(proxied: ProxyBench, form: str, status: int, has_token: bool) -> None:
    """Whoever asks is told when to come again, whatever status and form Advoware says it in."""
    offline = {"connector": "offline", "refusal_form": form, "refusal_status": status}

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        if has_token:
            assert (await client.get(PATH, params=READ, headers=BY_KEY)).status_code == 200
        proxied.sandbox.switches.update(offline)
        return await client.get(PATH, params=READ, headers=BY_KEY)

    answer = proxied.run(use)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 70
    assert "connector" in answer.json()["error"]


def test_advoware_that_is_not_there_is_503(proxied: ProxyBench) -> None:
    """No connection at all is answered the same way."""
    nowhere: dict[str, Any] = {"advoware_configurator_url": "http://127.0.0.1:1", "advoware_relay_url": "http://127.0.0.1:1",
               "advoware_security_url": "http://127.0.0.1:1"}  # fmt: skip
    answer = proxied.ask("GET", "Mitarbeiter", **nowhere)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "given",
    [{"advoware_password": "wrong"}, {"advoware_app_id": "unknown"}, {"advoware_api_key": "d3Jvbmc="}],
)
def test_refused_credentials_are_502_and_tried_once(proxied: ProxyBench, given: dict[str, Any]) -> None:
    """One sentence that names what to do; however many ask, Advoware is asked once."""

    async def use(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.get(PATH, params=READ, headers=BY_KEY) for _ in range(5)]

    answers = proxied.run(use, **given)
    assert {answer.status_code for answer in answers} == {502}
    assert "doctor" in answers[0].json()["error"]
    assert proxied.sandbox.tokens.refused == 1


def test_a_token_that_is_never_accepted_is_no_401_of_ours(proxied: ProxyBench) -> None:
    """A 401 of Advoware's would read as if the caller's key were wrong: it is 502."""
    proxied.say(status=401, path="/relay/api/.*")
    assert proxied.ask("GET", "Mitarbeiter").status_code == 502


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"advoware_api_key": ""}, ["ADVOWARE_API_KEY", "ADVOWARE_API_BASE_URL"]),
        ({"advoware_configurator_url": ""}, ["ADVOWARE_API_BASE_URL", "ADVOWARE_CONFIGURATOR_URL"]),
        ({"advoware_password": ""}, ["ADVOWARE_PASSWORD"]),
        ({"advoware_api_key": "no base64!"}, ["ADVOWARE_API_KEY"]),
    ],
)
def test_without_advowares_settings_it_is_503(
    proxied: ProxyBench, given: dict[str, Any], words: list[str]
) -> None:
    """The receiver starts, and the sentence names the settings."""
    answer = proxied.ask("GET", "Mitarbeiter", **given)
    assert answer.status_code == 503
    assert all(word in answer.json()["error"] for word in words)
    assert proxied.is_untouched()


@pytest.mark.parametrize("kind", ["html", "cut_body", "close"])
def test_a_broken_answer_is_not_passed_on(proxied: ProxyBench, kind: str) -> None:
    """A page in HTML is Advoware's own answer; half an answer or none is told as trouble."""
    proxied.say(kind=kind, path="/relay/api/.*", method="GET")
    answer = proxied.ask("GET", "Beteiligte")
    assert answer.status_code == {"html": 200, "cut_body": 502, "close": 503}[kind]


def test_an_answer_that_takes_too_long_is_504(proxied: ProxyBench) -> None:
    """After ADVOWARE_PROXY_ANSWER_SECONDS nobody waits any longer."""
    proxied.say(kind="hang", seconds=60.0, path="/relay/api/.*")
    assert proxied.ask("GET", "Mitarbeiter", advoware_proxy_answer_seconds=0.3).status_code == 504
    # The stand-in writes its ledger when it notices that we are gone: not in the middle of the next test.
    deadline = time.monotonic() + 30
    while not proxied.asked():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_body_over_the_limit_is_refused(proxied: ProxyBench) -> None:
    """413, and nothing is sent; the limit itself is allowed."""
    limit = 2000
    given: dict[str, Any] = {"advoware_proxy_max_body_bytes": limit}
    headers = BY_KEY | {"content-type": "application/json"}
    body = json.dumps({"name": "x"}).encode()
    answer = proxied.ask(
        "PUT", f"Beteiligte/{PARTY}", content=body.ljust(limit + 1), headers=headers, **given
    )
    assert answer.status_code == 413
    assert "ADVOWARE_PROXY_MAX_BODY_BYTES" in answer.json()["error"]
    assert proxied.is_untouched()
    answer = proxied.ask("PUT", f"Beteiligte/{PARTY}", content=body.ljust(limit), headers=headers, **given)
    assert answer.status_code == 200


def test_a_small_answer_over_the_limit_is_502(proxied: ProxyBench) -> None:
    """As long as nothing was sent the caller gets a sentence."""
    proxied.say(status=200, body="x" * 3000)
    answer = proxied.ask("GET", "Mitarbeiter", advoware_proxy_max_answer_bytes=2000)
    assert answer.status_code == 502
    assert "ADVOWARE_PROXY_MAX_ANSWER_BYTES" in answer.json()["error"]
    assert proxied.ask("GET", "Mitarbeiter", advoware_proxy_max_answer_bytes=3000).status_code == 200


def test_a_large_answer_is_streamed_and_cut_at_the_limit(proxied: ProxyBench, tmp_path: Path) -> None:
    """From a real process: an answer of 3 MB arrives whole, one over the limit ends in a broken connection."""
    environment = {
        name.upper(): str(value)
        for name, value in proxied.settings(advoware_proxy_max_answer_bytes=4_000_000).items()
    }
    with ReceiverProcess(migrated_url("sqlite", tmp_path), tmp_path, **environment) as receiver:
        for size in (3_000_000, 40_000_000):
            proxied.sandbox.faults.clear()
            proxied.say(status=200, body="x" * size, path="/relay/api/.*")
            with httpx.stream("GET", receiver.url + PATH, params=READ, headers=BY_KEY) as answer:
                assert answer.status_code == 200
                if size > 4_000_000:
                    with pytest.raises(httpx.RemoteProtocolError):
                        answer.read()
                else:
                    assert len(answer.read()) == size
        assert "event=proxy_answer_cut" in receiver.log()
        assert "reason=large_answer" in receiver.log()
        assert "Traceback" not in receiver.log()
        assert receiver.peak_bytes() < 200_000_000


def test_each_key_has_a_rate_of_its_own(proxied: ProxyBench) -> None:
    """Beyond the burst 429 with the time to wait, for this key alone; refusals cost nothing."""

    async def use(client: httpx.AsyncClient) -> None:
        async def ask(key: str, endpoint: str = "Mitarbeiter") -> httpx.Response:
            return await client.get(PATH, params={"endpoint": endpoint}, headers={"x-api-key": key})

        for _ in range(10):
            assert (await ask(KEY, "../x")).status_code == 400
        assert [(await ask(KEY)).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = await ask(KEY)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await ask(OTHER_KEY)).status_code == 200

    proxied.run(use, advoware_proxy_burst=3, advoware_proxy_rate_per_minute=1)
    assert len(proxied.asked()) == 4


def test_a_bucket_fills_again() -> None:
    """A token comes back after a sixtieth of a minute's share, and never more than the burst."""
    clock = FakeClock(0.0)
    buckets = TokenBuckets(["a"], per_minute=60, burst=2, clock=clock)
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 1.0]
    clock.advance(0.5)
    assert buckets.take("a") == pytest.approx(0.5)
    clock.advance(0.5)
    assert buckets.take("a") == 0.0
    clock.advance(3600)
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 1.0]


def test_the_receiver_starts_without_advoware(tmp_path: Path) -> None:
    """As a process, without a word about Advoware in its settings: webhooks work, the proxy says what is missing."""
    url = migrated_url("sqlite", tmp_path)
    with ReceiverProcess(url, tmp_path, PROXY_API_KEYS=KEY) as receiver:
        assert httpx.get(receiver.url + PATH, params=READ).status_code == 401
        answer = httpx.get(receiver.url + PATH, params=READ, headers=BY_KEY)
        assert answer.status_code == 503
        assert "ADVOWARE_API_KEY" in answer.json()["error"]
        assert resent(lambda: httpx.get(receiver.url + "/ready"), status_of).status_code == 200


def test_a_senseless_list_ends_the_start_in_a_sentence(tmp_path: Path) -> None:
    """A removal that removes nothing is noticed when the receiver starts."""
    receiver = ReceiverProcess(
        migrated_url("sqlite", tmp_path), tmp_path, ADVOWARE_PROXY_ROUTES="-DELETE Beteiligte"
    )
    with pytest.raises(RuntimeError, match="ADVOWARE_PROXY_ROUTES"):
        receiver.start()
    assert "Traceback" not in receiver.log()


def test_many_at_once_share_the_connections(proxied: ProxyBench) -> None:
    """Two hundred calls at once are all answered, no more than the client's limit at a time."""

    async def use(client: httpx.AsyncClient) -> set[int]:
        calls = [client.get(PATH, params=READ, headers=BY_KEY) for _ in range(200)]
        return {answer.status_code for answer in await asyncio.gather(*calls)}

    assert proxied.run(use) == {200}
