"""`/status`: who gets in, who has to wait, and that nobody's secret is told."""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable

import httpx
import pytest
from starlette.datastructures import Headers

from tests.conftest import ENCRYPTION_KEY, FakeClock
from tests.receiver.conftest import Bench
from tests.receiver.firms import FIRM, KEY, PASSWORD, break_everything, make_well
from tests.receiver.receiver_settings import receiver_settings
from tests.receiver.status_pages import BY_KEY, BY_PASSWORD, WRONG, basic, get, headline, words
from webhook_sensor_app.refusal import Refusal
from webhook_sensor_app.status_access import BLOCKED_SECONDS, GUESSES_PER_MINUTE, StatusAccess
from webhook_sensor_app.status_page import PATH


@pytest.mark.parametrize(
    "headers",
    [
        BY_PASSWORD,
        basic(PASSWORD, user=""),
        basic(PASSWORD, user="anybody"),
        {"authorization": BY_PASSWORD["authorization"].replace("Basic", "bAsIc")},
        BY_KEY,
        {"authorization": f"Bearer {KEY}"},
    ],
    ids=["password", "no-user", "any-user", "scheme-in-any-case", "key", "bearer"],
)
def test_the_password_and_the_keys_open_the_page(door: Bench, headers: dict[str, str]) -> None:
    """Any user name with the password, and each key of API_KEYS in either form."""
    assert get(door, headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic(WRONG),
        basic(""),
        basic(PASSWORD + " "),
        basic(KEY),
        {"authorization": "Basic"},
        {"authorization": "Basic %%%"},
        {"authorization": "Basic " + base64.b64encode(PASSWORD.encode()).decode()},
        {"authorization": f"Digest {PASSWORD}"},
        {"authorization": f"Bearer {PASSWORD}"},
        {"x-api-key": PASSWORD},
        {**BY_PASSWORD, "x-api-key": "wrong"},
        {**BY_PASSWORD, **BY_KEY},
    ],
)
@pytest.mark.parametrize("accept", ["text/html,*/*;q=0.8", "application/json"])
def test_everybody_else_is_asked_for_the_password(door: Bench, headers: dict[str, str], accept: str) -> None:
    """401, with the challenge that makes a browser ask, and one sentence; nothing of the state."""
    answer = get(door, {**headers, "accept": accept})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert "STATUS_PASSWORD" in answer.text
    assert "Waiting" not in answer.text
    if accept == "application/json":
        assert set(answer.json()) == {"error"}
    else:
        assert headline(answer.text) == "A password is needed"


def test_without_password_and_keys_nobody_gets_in(door: Bench) -> None:
    """An empty password opens nothing; the page says what to set."""
    for headers in ({}, basic(""), BY_PASSWORD, BY_KEY):
        answer = get(door, headers, status_password="", api_keys="")
        assert answer.status_code == 401
        assert "set STATUS_PASSWORD in .env" in words(answer.text)


def test_a_key_alone_is_enough(door: Bench) -> None:
    """Without a password the keys open the page, and no password does."""
    assert get(door, BY_KEY, status_password="").status_code == 200
    assert get(door, basic(""), status_password="").status_code == 401


def test_after_ten_guesses_even_the_right_password_has_to_wait() -> None:
    """The eleventh wrong one in a minute is 429, as is every password until the minute is over; keys and other addresses go on."""
    clock = FakeClock()
    access = StatusAccess(receiver_settings(**FIRM), clock)

    def tried(headers: dict[str, str], address: str = "192.0.2.1") -> int:
        try:
            access.check(Headers(headers), address)
        except Refusal as refusal:
            return refusal.status
        return 200

    assert [tried(basic(f"guess {number}")) for number in range(GUESSES_PER_MINUTE)] == [
        401
    ] * GUESSES_PER_MINUTE
    assert tried({}) == 401
    assert tried(BY_PASSWORD) == 200
    assert tried(basic(WRONG)) == 429
    assert [tried(headers) for headers in (BY_PASSWORD, basic(WRONG), {"X-Api-Key": "wrong"})] == [429] * 3
    assert tried(BY_KEY) == 200, "a program with its key is no guesser, whoever shares its address"
    addresses = [f"198.51.100.{number}" for number in range(20)]
    assert {tried(BY_PASSWORD, address) for address in addresses} >= {200}
    clock.advance(BLOCKED_SECONDS - 1)
    assert tried(BY_PASSWORD) == 429
    clock.advance(2)
    assert tried(BY_PASSWORD) == 200


def test_guessing_is_slowed_down_over_http(door: Bench) -> None:
    """A page in the same look with one sentence and the time to wait; looks without any password count for nothing."""

    async def use(client: httpx.AsyncClient) -> list[httpx.Response]:
        for _ in range(3 * GUESSES_PER_MINUTE):
            assert (await client.get(PATH)).status_code == 401
        return [await client.get(PATH, headers=basic(WRONG)) for _ in range(GUESSES_PER_MINUTE + 1)]

    answers = door.run(use, **FIRM)
    assert [answer.status_code for answer in answers] == [401] * GUESSES_PER_MINUTE + [429]
    assert answers[-1].headers["retry-after"] == "60"
    assert headline(answers[-1].text) == "Please wait"


def test_neither_log_nor_page_has_a_secret_or_a_name(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Passwords, keys, user names and what was guessed stand nowhere; the log has one line a look."""
    caplog.set_level(logging.DEBUG)
    make_well(bench.database)
    break_everything(bench.database)

    async def use(client: httpx.AsyncClient) -> str:
        tries: list[Awaitable[httpx.Response]] = [
            client.get(PATH, headers=headers)
            for headers in (
                BY_PASSWORD,
                BY_KEY,
                basic(WRONG),
                {"x-api-key": WRONG},
                {"authorization": f"Basic {WRONG}"},
            )
        ]
        return "".join([(await answer).text for answer in tries])

    pages = bench.run(use, **FIRM)
    ours = [record.getMessage() for record in caplog.records if record.name != "httpx"]
    assert sum("event=shown" in line for line in ours) == 2
    assert sum("event=refused" in line for line in ours) == 3
    encoded = [headers["authorization"].partition(" ")[2] for headers in (BY_PASSWORD, basic(WRONG))]
    for secret in (PASSWORD, KEY, WRONG, "Mustermann", FIRM["advoware_api_secret"], ENCRYPTION_KEY, *encoded):
        assert secret not in " ".join(ours)
        assert secret not in pages
