"""EspoCRM's change feed as a sensor: polled here while no batch is alive that polls it between its claims."""

import asyncio

import dagster as dg
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.database import DatabaseUnavailable
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.settings import SettingsError


def build_feed_sensor(streams: tuple[str, ...]) -> dg.SensorDefinition:
    """The sensor that wants what changed in EspoCRM; the queue's sensors start the runs.

    `streams` are those whose batches poll the feed themselves.
    """

    @dg.sensor(
        name="change_feed",
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reads what has changed in EspoCRM since the last look, by any of us, and puts it into the queue.",
    )
    def change_feed(backend: Backend) -> dg.SkipReason:
        try:
            interval = backend.settings().feed_interval_seconds
            polling = (
                backend.database().read(lambda conn: _polling(conn, backend, streams)) if interval > 0 else []
            )
            if polling:
                return dg.SkipReason(f"Polled by the batch of {', '.join(polling)} between its claims.")
            return dg.SkipReason(asyncio.run(_poll(backend)))
        except (SyncError, SettingsError, DatabaseUnavailable) as error:
            # A red tick every five seconds tells nobody more than this sentence, and EspoCRM being down is no fault here.
            return dg.SkipReason(f"{type(error).__name__}: {error}")

    return change_feed


def _polling(conn: Connection, backend: Backend, streams: tuple[str, ...]) -> list[str]:
    now = backend.database().now(conn)
    return [
        stream
        for stream in streams
        if any(batch.state == "running" for batch in batches.live(conn, now, stream))
    ]


async def _poll(backend: Backend) -> str:
    async with backend.open_runtime() as runtime:
        result = await runtime.feed.poll_once()
    if not result.changed:
        return "Nothing has changed."
    listed = ", ".join(f"{count} {entity_type}" for entity_type, count in sorted(result.changed.items()))
    return f"Changed and wanted: {listed}{'; there is more to read' if result.is_behind else ''}."
