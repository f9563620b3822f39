"""Where Advoware's API and its token service are at present (`facts/advoware.md` 1)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import structlog

from bitbylaw_pipeline.clients import advoware_surface as surface
from bitbylaw_pipeline.clients.advoware_host import Host
from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.domain.errors import SyncError

log = structlog.get_logger(__name__)

KEPT_SECONDS = 15 * 60.0
"""The vendor's own client had trouble with addresses kept for too long."""
ASK_AGAIN_SECONDS = 60.0
"""After a lookup that failed, and at most so often when an address does not answer."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Base addresses without a slash at the end; `source` is "connector", "relay" or "settings"."""

    api: str
    security: str
    source: str


class Discovery:
    """The addresses: looked up at the configurator and kept, else those of the settings.

    Without a configurator `fallback` holds always. `clock` is UTC epoch seconds.
    """

    def __init__(
        self,
        configurator: Host | None,
        kanzlei: str,
        fallback: Addresses | None,
        clock: Callable[[], float],
    ) -> None:
        self._configurator = configurator
        self._kanzlei = kanzlei
        self._fallback = fallback
        self._clock = clock
        self._known: Addresses | None = None
        self._good_until = -math.inf
        self._asked_at = -math.inf
        self._asking = asyncio.Lock()

    async def addresses(self) -> Addresses:
        """The present addresses. Raises the lookup's error where it fails and nothing else is known."""
        if (known := self._good()) is not None:
            return known
        async with self._asking:
            return self._good() or await self._look_up()

    def _good(self) -> Addresses | None:
        if self._configurator is None:
            return self._fallback
        return self._known if self._good_until > self._clock() else None

    def doubt(self) -> None:
        """An address did not answer: the next call looks it up anew, once a minute at most."""
        self._good_until = min(self._good_until, self._asked_at + ASK_AGAIN_SECONDS)

    async def _look_up(self) -> Addresses:
        configurator = self._configurator
        if configurator is None:
            raise ValueError("Without a lookup the settings must hold the addresses.")
        self._asked_at = self._clock()
        try:
            answer = await configurator.ask(
                "GET", surface.CONFIGURATOR_PATH, operation="discovery", query=(("Kanzlei", self._kanzlei),)
            )
            found = _addresses_in(answer, configurator.base_url, self._fallback)
        except SyncError as error:
            stand_in = self._known or self._fallback
            if stand_in is None:
                raise
            log.warning("advoware_discovery_failed", error=type(error).__name__, used=stand_in.source)
            self._known, self._good_until = stand_in, self._clock() + ASK_AGAIN_SECONDS
            return stand_in
        if self._known is not None and found != self._known:
            log.info("advoware_moved", source=found.source)
        self._known, self._good_until = found, self._clock() + KEPT_SECONDS
        return found


def _addresses_in(answer: Answer, asked: str, fallback: Addresses | None) -> Addresses:
    data = answer.mapping()
    is_safe_only = asked.startswith("https://")
    connector, relay, security = (
        _address(answer, data.get(key), is_safe_only=is_safe_only)
        for key in ("connectorUrl", "relayUrl", "securityGateway")
    )
    # A connector that is set must be used [V2 H].
    api = connector or relay or (fallback.api if fallback else None)
    security = security or (fallback.security if fallback else None)
    if api is None or security is None:
        raise answer.nonsense("no addresses")
    source = "connector" if connector else "relay" if relay else "settings"
    return Addresses(api, security, source)


def _address(answer: Answer, value: object, *, is_safe_only: bool) -> str | None:
    if value is None or value == "":
        return None
    try:
        url = httpx.URL(value) if isinstance(value, str) else httpx.URL()
    except httpx.InvalidURL:
        url = httpx.URL()
    # The password goes there: a lookup over https never leads to an address without.
    schemes = ("https",) if is_safe_only else ("http", "https")
    if url.scheme not in schemes or not url.host or url.userinfo or url.query or url.fragment:
        raise answer.nonsense("an address that is not usable")
    return str(url).rstrip("/")
