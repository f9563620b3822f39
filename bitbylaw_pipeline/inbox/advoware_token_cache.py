"""Advoware's token for all processes: Redis database REDIS_DB_ADVOWARE_CACHE, with redis-py's own lock around a refresh.

A Redis that is absent, dead or hanging leaves each process to its own memory.
"""

from __future__ import annotations

from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.settings import Settings


def open_token_cache(settings: Settings) -> Coordination | None:
    """The cache that the settings describe, to be closed with `aclose`; None without Redis. Makes no connection yet."""
    if not settings.redis_host:
        return None
    return Coordination.open(settings.model_copy(update={"redis_db": settings.redis_db_advoware_cache}))
