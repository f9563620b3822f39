"""Advoware's refusals of our login in the state database, where there is no Redis to keep them for all processes.

Without it each `bitbylaw doctor` was one more wrong login: three looks at a wrong password could lock the user out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bitbylaw_pipeline.clients.advoware_token import REFUSAL_PREFIX, TokenCache
from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.failures import DatabaseUnavailable

log = structlog.get_logger(__name__)

FLAG = "advoware_refusals"
"""By login (a keyed digest, `Login.cache_name`): the kind of trouble, and until when it counts (UTC epoch seconds)."""


@dataclass(frozen=True, slots=True)
class StateTokenCache:
    """A `TokenCache`: refusals go to the state; the token, a secret, goes to `tokens` alone, or nowhere.

    A state that does not answer remembers nothing.
    """

    database: Database
    tokens: TokenCache | None = None

    async def cache_get(self, key: str) -> str | None:
        """The text, None if it is not there or its time is over."""
        if not key.startswith(REFUSAL_PREFIX):
            return None if self.tokens is None else await self.tokens.cache_get(key)
        try:
            kept = await asyncio.to_thread(self.database.read, self._load)
        except (DatabaseUnavailable, SQLAlchemyError) as error:
            log.warning("refusal_not_read", error=type(error).__name__)
            return None
        return kept[key][0] if key in kept else None

    async def cache_put(self, key: str, text: str, ttl: float) -> None:
        """Keeps the text for so many seconds; an empty one takes it away."""
        if not key.startswith(REFUSAL_PREFIX):
            if self.tokens is not None:
                await self.tokens.cache_put(key, text, ttl)
            return

        def put(conn: Connection) -> None:
            now = self.database.now(conn)
            kept = {**self._load(conn), key: (text, now + ttl)}
            batches.set_flag(conn, now, FLAG, json.dumps({one: kept[one] for one in kept if kept[one][0]}))

        try:
            await self.database.run(put)
        except (DatabaseUnavailable, SQLAlchemyError) as error:
            log.warning("refusal_not_kept", error=type(error).__name__)

    @contextlib.asynccontextmanager
    async def lock(self, name: str, ttl: float, *, wait: float = 0.0) -> AsyncIterator[bool]:
        """That of `tokens`; else nothing: it would only save a second login of two processes at once."""
        if self.tokens is None:
            yield True
        else:
            async with self.tokens.lock(name, ttl, wait=wait) as is_ours:
                yield is_ours

    def _load(self, conn: Connection) -> dict[str, tuple[str, float]]:
        stored = json.loads(batches.get_flag(conn, FLAG) or "{}")
        now = self.database.now(conn)
        return {key: (text, until) for key, (text, until) in stored.items() if until > now}
