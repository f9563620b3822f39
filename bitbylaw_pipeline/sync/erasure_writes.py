"""A write of an erasure, made on the record as it is now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bitbylaw_pipeline.domain.errors import Conflict, NotFound

TRIES = 3


async def insist(write: Callable[[], Awaitable[None]]) -> None:
    """Reads and writes again where somebody else was faster; fine where the record is gone.

    Raises Conflict where it keeps changing.
    """
    for attempt in range(1, TRIES + 1):
        try:
            await write()
        except NotFound:
            return
        except Conflict:
            if attempt == TRIES:
                raise
        else:
            return
