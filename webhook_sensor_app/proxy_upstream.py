"""Advoware as the proxy sees it, or in its place a sentence about the settings that are missing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import structlog

from bitbylaw_pipeline.inbox.advoware_token_cache import open_token_cache
from bitbylaw_pipeline.settings import Settings, SettingsError
from webhook_sensor_app.refusal import Refusal

log = structlog.get_logger(__name__)

NOT_CONFIGURED = (
    "Advoware is not configured here: set ADVOWARE_API_KEY, and ADVOWARE_API_BASE_URL or ADVOWARE_CONFIGURATOR_URL, "
    "and start the receiver again."
)
NOT_CONFIGURED_RETRY_SECONDS = 300


class RawAnswer(Protocol):
    """An answer of Advoware's whose body is still to come."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def content_type(self) -> str | None:
        """What its Content-Type header says."""

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """The body, piece by piece."""


class Upstream(Protocol):
    """Passes a call on: `segments` become the path below the API's address, and nothing else does.

    Raises the errors of `domain.errors`.
    """

    async def raw(
        self,
        method: str,
        segments: Sequence[str],
        *,
        query: Sequence[tuple[str, str]],
        body: bytes | None,
        content_type: str | None,
    ) -> contextlib.AbstractAsyncContextManager[RawAnswer]:
        """The answer, whatever its status; the connection is given back at the end of the context."""

    async def aclose(self) -> None:
        """Closes the connections."""


class NotConfigured:
    """In Advoware's place where it cannot be asked."""

    def __init__(self, sentence: str = NOT_CONFIGURED) -> None:
        self._sentence = sentence

    async def raw(self, *_: object, **__: object) -> contextlib.AbstractAsyncContextManager[RawAnswer]:
        """Raises Refusal (503) with the sentence."""
        raise Refusal(
            503,
            self._sentence,
            "not_configured",
            headers={"retry-after": str(NOT_CONFIGURED_RETRY_SECONDS)},
        )

    async def aclose(self) -> None:
        """Has nothing to close."""


@contextlib.asynccontextmanager
async def open_upstream(settings: Settings) -> AsyncIterator[Upstream]:
    """Advoware by the settings, or what says which of them are missing; makes no connection yet."""
    if not settings.has_advoware:
        yield NotConfigured()
        return
    # The receiver of webhooks does without an HTTP client.
    from bitbylaw_pipeline.clients.advoware import Advoware  # noqa: PLC0415  # it costs 0.3 s and 20 MB

    cache = open_token_cache(settings)
    upstream: Upstream
    try:
        upstream = Advoware.open(settings, cache=cache)
    except SettingsError as error:
        log.warning("advoware_not_usable", effect="the proxy answers 503", advice="run bitbylaw doctor")
        upstream = NotConfigured(str(error))
    try:
        yield upstream
    finally:
        await upstream.aclose()
        if cache is not None:
            await cache.aclose()
