"""EspoCRM's description of itself (fields, links, options), kept for a while: it changes when a person edits it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any, Protocol

from bitbylaw_pipeline.clients.espocrm_paths import checked_metadata_key
from bitbylaw_pipeline.clients.http import System


class TextCache(Protocol):
    """A cache shared by processes (Redis); it may lose anything at any time."""

    async def cache_get(self, key: str) -> str | None:
        """The text, None if it is not there."""
        ...

    async def cache_put(self, key: str, value: str, ttl: float) -> None:
        """Keeps the text for so many seconds."""
        ...


class Metadata:
    """`GET Metadata?key=…`, asked at most once per key and `ttl` seconds, however many want it at once."""

    def __init__(
        self,
        system: System,
        cache: TextCache | None = None,
        ttl: float = 300.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._system = system
        self._cache = cache
        self._ttl = ttl
        self._clock = clock
        self._kept: dict[str, tuple[float, Any]] = {}
        self._asking: dict[str, asyncio.Lock] = {}
        self._prefix = f"espocrm-metadata:{hashlib.sha256(system.base_url.encode()).hexdigest()[:16]}:"

    async def get(self, key: str, *, fresh: bool = False) -> Any:
        """The value at a dotted key, None where there is none; `fresh` asks EspoCRM whatever is kept."""
        kept = self._kept.get(checked_metadata_key(key))
        if kept is not None and kept[0] > self._clock() and not fresh:
            return kept[1]
        async with self._asking.setdefault(key, asyncio.Lock()):
            kept = self._kept.get(key)
            if kept is not None and kept[0] > self._clock() and not fresh:
                return kept[1]
            value = await self._shared_or_asked(key, fresh=fresh)
            self._kept[key] = (self._clock() + self._ttl, value)
            return value

    async def _shared_or_asked(self, key: str, *, fresh: bool) -> Any:
        is_shared = self._cache is not None and self._ttl > 0
        if self._cache is not None and is_shared and not fresh:
            text = await self._cache.cache_get(self._prefix + key)
            if text is not None:
                with contextlib.suppress(ValueError):  # what is no JSON is not ours: ask
                    return json.loads(text)
        answer = await self._system.call(
            "GET", "/Metadata", params={"key": key}, operation="metadata", subject=key
        )
        if self._cache is not None and is_shared:
            await self._cache.cache_put(self._prefix + key, json.dumps(answer.data), self._ttl)
        return answer.data
