"""Waking the batches that wait for a stream, so that what a command asked for starts at once."""

from __future__ import annotations

from collections.abc import Iterable

from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.settings import Settings


def wake_streams(settings: Settings, streams: Iterable[str]) -> None:
    """Wakes them over Redis; without Redis they look by themselves within BATCH_POLL_SECONDS."""
    if not settings.redis_host:
        return
    coordination = Coordination.open(settings)
    for stream in streams:
        coordination.wake_sync(stream)
