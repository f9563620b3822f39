"""The signed token request: the published signatures, both forms of the settings, nothing secret on show."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import pytest

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_login import Login, decoded_key, signature
from bitbylaw_pipeline.settings import Settings, SettingsError
from tests.clients.advoware.office import sandbox, settings_for

SHORT = {
    "advoware_api_base_url": "https://advoware.invalid",
    "advoware_api_key": "app-1",
    "advoware_api_secret": base64.b64encode(b"k").decode(),
}


@pytest.mark.parametrize(
    ("key", "app_id", "nonce", "timestamp", "expected"),
    [
        (
            "dGVzdC1zZWNyZXQta2V5",
            "app-123",
            "nonce-abc",
            "2026-08-30T00:00:00.000Z",
            "o7rz9KmoXZs550HfzO6ffiG17XwiPmlBHlksUYKZ3jcfolELow51Fw5KlrQqCK5y41aIValDjrh1iQ2GZ2WtqQ==",
        ),
        (
            base64.b64encode(bytes(range(64))).decode(),
            "DEMO_APP",
            "00000000-0000-0000-0000-000000000001",
            "2026-03-08T19:00:00.0000000Z",
            "JWMoM/fmlLT19yWnn7A8UF3GU6mFi7adDmJzbKPk0tBpbDl4lFrfel/wcF2kyGfeTfII3SGH7AmCpZuK6Hszpw==",
        ),
    ],
)
def test_the_signature_equals_the_published_ones(
    key: str, app_id: str, nonce: str, timestamp: str, expected: str
) -> None:
    """Key decoded from base64, Product:AppID:Nonce:RequestTimeStamp signed as sent, SHA-512, base64 again."""
    assert signature(decoded_key(key, "KEY"), 64, app_id, nonce, timestamp) == expected


def login(**given: Any) -> Login:
    """Some login."""
    values: dict[str, Any] = {
        "app_id": "a", "api_key": b"k", "kanzlei": "K", "database": "D", "user": "U", "password": "geheim",
        "role": 2, "product": 64,
    }  # fmt: skip
    return Login(**{**values, **given})


def test_a_login_shows_neither_key_nor_password() -> None:
    """Neither stands in its representation, nor in the name under which its token is cached."""
    shown = repr(login()) + login().cache_name("https://x")
    assert "geheim" not in shown
    assert "b'k'" not in shown


@pytest.mark.parametrize(
    "change", [{"password": "other"}, {"user": "V"}, {"kanzlei": "L"}, {"database": "E"}, {"api_key": b"l"}]
)
def test_another_login_has_another_name_in_the_cache(change: dict[str, Any]) -> None:
    """A changed password, user, firm, database or key meets neither the old token nor the old refusal."""
    assert login(**change).cache_name("https://x") != login().cache_name("https://x")
    assert login().cache_name("https://y") != login().cache_name("https://x")


def test_a_key_that_is_not_base64_is_one_sentence() -> None:
    """It names the setting and not the key."""
    with pytest.raises(SettingsError, match="ADVOWARE_API_SECRET") as caught:
        Advoware.open(Settings.load(**{**SHORT, "advoware_api_secret": "geheim!", "_env_file": None}))
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "ADVOWARE_API_KEY, ADVOWARE_API_SECRET"),
        ({**SHORT, "advoware_api_base_url": ""}, "ADVOWARE_CONFIGURATOR_URL"),
        ({**SHORT, "advoware_app_id": "a"}, "ADVOWARE_KANZLEI, ADVOWARE_DATABASE, ADVOWARE_USER, ADVOWARE_PASSWORD"),
        ({**SHORT, "advoware_path_prefix": "../x"}, "ADVOWARE_PATH_PREFIX"),
        ({**SHORT, "advoware_relay_url": "relay"}, "ADVOWARE_RELAY_URL"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(given: dict[str, str], named: str) -> None:
    """Settings that cannot work end in one sentence with their names."""
    with pytest.raises(SettingsError, match=named):
        Advoware.open(Settings.load(**{**given, "_env_file": None}))


def test_without_an_app_id_the_key_is_the_app_id() -> None:
    """The short form: one address for relay and gateway, ADVOWARE_API_KEY is the App-ID, the secret signs."""
    app = sandbox()
    full = settings_for(app, "http://advoware")
    short = settings_for(
        app,
        "http://advoware",
        advoware_app_id="",
        advoware_configurator_url="",
        advoware_api_base_url="http://advoware/relay",
        advoware_api_key=full.advoware_app_id,
        advoware_api_secret=full.advoware_api_key,
    )

    async def main() -> int:
        client = Advoware.open(short, transport=httpx.ASGITransport(app), clock=app.clock.now)
        try:
            return len(await client.list_mitarbeiter())
        finally:
            await client.aclose()

    assert asyncio.run(main()) == 2


@pytest.mark.parametrize("prefix", ["api/v1/advonet/", "/api/v1/advonet", " api/v1/advonet "])
def test_the_prefix_has_one_form_inside(prefix: str) -> None:
    """Slashes and blanks around it do not matter; a lone slash means none."""
    assert (
        Settings.load(advoware_path_prefix=prefix, _env_file=None).advoware_path_prefix == "api/v1/advonet/"
    )
    assert Settings.load(advoware_path_prefix="/", _env_file=None).advoware_path_prefix == ""
