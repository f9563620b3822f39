"""Advoware's token for all processes: Redis database REDIS_DB_ADVOWARE_CACHE, with redis-py's own lock around a refresh.

A Redis that is absent, dead or hanging leaves each process to its own memory.
"""

from __future__ import annotations

from bitbylaw_pipeline.inbox.coordination import TIMEOUT_SECONDS, Coordination
from bitbylaw_pipeline.settings import Settings


def open_token_cache(settings: Settings, *, socket_timeout: float = TIMEOUT_SECONDS) -> Coordination | None:
    """The cache that the settings describe, to be closed with `aclose`; None without Redis. Makes no connection yet.

    A Redis that has not answered after `socket_timeout` seconds counts as hanging.
    """
    if not settings.redis_host:
        return None
    own_database = settings.model_copy(update={"redis_db": settings.redis_db_advoware_cache})
    return Coordination.open(own_database, socket_timeout=socket_timeout)
