"""The way to Advoware's API: the present address, a good token, one more try after a 401."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from bitbylaw_pipeline.clients import advoware_errors
from bitbylaw_pipeline.clients.advoware_discovery import Addresses, Discovery
from bitbylaw_pipeline.clients.advoware_errors import TokenRefused
from bitbylaw_pipeline.clients.advoware_host import Host, RawAnswer, check_raw, checked_path
from bitbylaw_pipeline.clients.advoware_login import Login, decoded_key
from bitbylaw_pipeline.clients.advoware_surface import Trouble
from bitbylaw_pipeline.clients.advoware_token import TokenCache, TokenKeeper
from bitbylaw_pipeline.clients.answer import Answer, Judge
from bitbylaw_pipeline.clients.http import CallRecord, open_transport
from bitbylaw_pipeline.domain.errors import Unreachable
from bitbylaw_pipeline.settings import Settings, SettingsError

_T = TypeVar("_T")
LOGIN_SECONDS = 15.0
"""For the lookup and the token, each: the vendor's own limit [V3 H]."""


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """How Advoware is reached, for a person: `source` says where the address came from ("connector", "relay",
    "settings"), `token_seconds` how long the token is still used, `refusal` why no login is tried at present."""

    api_url: str
    security_url: str
    source: str
    token_seconds: float | None
    refusal: Trouble | None


class Connection:
    """One transport for all three hosts; the API's host is made anew whenever the lookup names another address."""

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        cache: TokenCache | None = None,
        on_call: Callable[[CallRecord], None] | None = None,
        clock: Callable[[], float] = time.time,
        new_nonce: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        login, configurator_url, fallback = _read(settings)
        self._settings = settings
        self._transport = transport or open_transport()
        self._on_call = on_call
        self._clock = clock
        judge = advoware_errors.judge_configurator
        configurator = self._host(configurator_url, judge, LOGIN_SECONDS) if configurator_url else None
        self._discovery = Discovery(configurator, settings.advoware_kanzlei, fallback, clock)
        named = fallback or Addresses("", "", "")
        self._tokens = TokenKeeper(
            login,
            f"{configurator_url} {named.api} {named.security}",
            self._security_host,
            cache,
            clock,
            new_nonce,
        )
        self._prefix = f"/{settings.advoware_path_prefix}"
        self._hosts: dict[Judge, tuple[Host, str]] = {}
        self.has_answered = False
        """Whether anything below the prefix has ever answered with a success: else a 404 may be the prefix's fault."""

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._tokens.aclose()
        await self._transport.aclose()

    async def call(
        self,
        method: str,
        segments: Sequence[str],
        *,
        operation: str,
        subject: str = "",
        query: Sequence[tuple[str, str]] = (),
        value: Any = None,
        creates: bool = False,
    ) -> Answer:
        """One call below the prefix with a JSON answer; a token that is not accepted is renewed once."""
        path = self._path(segments)

        async def attempt(token: str) -> Answer:
            host = await self._api_host()
            return await host.ask(
                method, path, operation=operation, subject=subject, query=query, value=value,
                token=token, creates=creates,
            )  # fmt: skip

        answer = await self._with_token(attempt)
        self.has_answered = True
        return answer

    async def raw(
        self,
        method: str,
        segments: Sequence[str],
        *,
        query: Sequence[tuple[str, str]],
        body: bytes | None,
        content_type: str | None,
    ) -> AbstractAsyncContextManager[RawAnswer]:
        """As `Advoware.raw`."""
        check_raw(method, content_type)
        path = self._path(segments)

        @asynccontextmanager
        async def exchange() -> AsyncIterator[RawAnswer]:
            async with AsyncExitStack() as stack:

                async def attempt(token: str) -> RawAnswer:
                    host = await self._api_host()
                    raw = host.raw(
                        method, path, query=query, body=body, content_type=content_type, token=token
                    )
                    return await stack.enter_async_context(raw)

                yield await self._with_token(attempt)

        return exchange()

    async def facts(self) -> ConnectionFacts:
        """How Advoware is reached at present."""
        found = await self._discovery.addresses()
        refusal = await self._tokens.remembered_refusal()
        return ConnectionFacts(found.api, found.security, found.source, self._tokens.seconds_left, refusal)

    async def forget_refusal(self) -> None:
        """Lets the next call log in although Advoware refused it a moment ago: a person has mended what was wrong."""
        await self._tokens.forget_refusal()

    async def _with_token(self, attempt: Callable[[str], Awaitable[_T]]) -> _T:
        try:
            token = await self._tokens.token()
            try:
                return await attempt(token)
            except TokenRefused:  # not carried out, also where it creates
                token = await self._tokens.renewed(token)
            try:
                return await attempt(token)
            except TokenRefused:
                self._tokens.note_vain()
                raise
        except Unreachable:
            self._discovery.doubt()
            raise

    def _path(self, segments: Sequence[str]) -> str:
        return self._prefix + checked_path(segments).removeprefix("/")

    async def _api_host(self) -> Host:
        found = await self._discovery.addresses()
        return self._known_host(found.api, advoware_errors.judge, self._settings.advoware_timeout_seconds)

    async def _security_host(self) -> Host:
        found = await self._discovery.addresses()
        return self._known_host(found.security, advoware_errors.judge_token, LOGIN_SECONDS)

    def _known_host(self, url: str, judge: Judge, timeout: float) -> Host:
        if self._hosts.get(judge, (None, ""))[1] != url:
            # Calls that are under way end on the old one: the transport is the same.
            self._hosts[judge] = (self._host(url, judge, timeout), url)
        return self._hosts[judge][0]

    def _host(self, url: str, judge: Judge, timeout: float) -> Host:
        return Host(
            "advoware",
            url,
            {},
            timeout=timeout,
            max_concurrency=self._settings.advoware_max_concurrency,
            transport=self._transport,
            judge=judge,
            on_call=self._on_call,
            clock=self._clock,
        )


def _read(settings: Settings) -> tuple[Login, str, Addresses | None]:
    """Login, configurator and fixed addresses out of either form of the settings; raises SettingsError."""
    if settings.advoware_app_id:
        settings.require(
            "advoware_api_key", "advoware_kanzlei", "advoware_database", "advoware_user", "advoware_password"
        )
        app_id, key, key_name = settings.advoware_app_id, settings.advoware_api_key, "ADVOWARE_API_KEY"
    else:
        settings.require("advoware_api_key", "advoware_api_secret")
        app_id = settings.advoware_api_key.get_secret_value()
        key, key_name = settings.advoware_api_secret, "ADVOWARE_API_SECRET"
    api = settings.advoware_relay_url or settings.advoware_api_base_url
    security = settings.advoware_security_url or settings.advoware_api_base_url
    fallback = Addresses(api, security, "settings") if api and security else None
    configurator = settings.advoware_configurator_url
    if not configurator and fallback is None:
        raise SettingsError(
            "Advoware's address is missing: set ADVOWARE_CONFIGURATOR_URL, or ADVOWARE_API_BASE_URL, or both"
            " ADVOWARE_RELAY_URL and ADVOWARE_SECURITY_URL (see .env.example)."
        )
    login = Login(
        app_id=app_id,
        api_key=decoded_key(key.get_secret_value(), key_name),
        kanzlei=settings.advoware_kanzlei,
        database=settings.advoware_database,
        user=settings.advoware_user,
        password=settings.advoware_password.get_secret_value(),
        role=settings.advoware_role,
        product=settings.advoware_product,
    )
    return login, configurator, fallback
