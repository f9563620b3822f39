"""Asks both calendars of each employee for changes between the passes."""

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.database import DatabaseUnavailable
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.streams import StreamAssets, why_not_set_up
from bitbylaw_pipeline.orchestration.termine_schedule import DRAINING, show_partitions
from bitbylaw_pipeline.settings import SettingsError

if TYPE_CHECKING:
    from bitbylaw_pipeline.sync.termine_poll import Memory, PollReport

TICK_SECONDS = 5
"""How often the setting is looked at, which nothing at import may read: a tick between two polls costs a query."""
OFF = "GOOGLE_POLL_SECONDS is 0: changes are found by the passes, every quarter of an hour, and reported by Google."
UNUSABLE = (
    "Google cannot be reached with these settings: `bitbylaw doctor` says which, and what to do about it."
)


def build_termine_poll(stream: StreamAssets) -> dg.SensorDefinition:
    """The sensor that wants a pass for whoever has changed; the queue's sensor starts the runs.

    Its cursor holds hashes and times by Kürzel, and nothing of any appointment.
    """

    @dg.sensor(
        name="termine_poll",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks Advoware and Google whether anybody's appointments have changed (GOOGLE_POLL_SECONDS).",
    )
    def termine_poll(context: dg.SensorEvaluationContext, backend: Backend) -> dg.SkipReason:
        try:
            backend.check()
            polled_at, seen = _recalled(context.cursor)
            if reason := _why_not_now(backend, stream, polled_at):
                return dg.SkipReason(reason)
            now = backend.database().read(backend.database().now)
            # An attempt that comes to nothing costs a runtime: it keeps the interval, too, and forgets nothing.
            context.update_cursor(_cursor(now, seen))
            report = asyncio.run(_poll(backend, seen))
            show_partitions(context.instance, stream, sorted(backend.settings().calendars))
        except (SyncError, SettingsError, DatabaseUnavailable) as error:
            # A red tick every few seconds tells nobody more than this sentence.
            return dg.SkipReason(f"{type(error).__name__}: {error}")
        if report is None:
            return dg.SkipReason(UNUSABLE)
        context.update_cursor(_cursor(now, _seen(report.memory)))
        return dg.SkipReason(_told(report))

    return termine_poll


def _why_not_now(backend: Backend, stream: StreamAssets, polled_at: float) -> str | None:
    settings = backend.settings()
    if reason := why_not_set_up(stream, settings):
        return reason
    if settings.google_poll_seconds == 0:
        return OFF
    database = backend.database()
    if database.read(lambda conn: batches.get_flag(conn, batches.DRAIN)) is not None:
        return DRAINING
    left = polled_at + settings.google_poll_seconds - database.read(database.now)
    # More than the whole interval: the clock was put back, and the poll would wait for its return.
    if 0 < left <= settings.google_poll_seconds:
        return f"Everybody's appointments are asked for again in {left:.0f} s."
    return None


async def _poll(backend: Backend, seen: Mapping[str, tuple[str, float]]) -> "PollReport | None":
    from bitbylaw_pipeline.sync.termine_poll import Memory, TerminePoll  # noqa: PLC0415  # brings the clients

    async with backend.open_runtime() as runtime:
        if runtime.calendars is None:
            return None
        poll = TerminePoll(runtime.calendars.pairs, runtime.outage_watch, runtime.coordination)
        return await poll.run({kuerzel: Memory(*one) for kuerzel, one in seen.items()})


def _told(report: "PollReport") -> str:
    if report.is_down:
        return "Advoware or Google is down and is left alone for a while (see bitbylaw status)."
    found = f"Changed and wanted: {', '.join(report.wanted)}." if report.wanted else "Nothing has changed."
    # Whose pass fails for the same reason is told by the check of that employee.
    left = [f"{kuerzel} ({error})" for kuerzel, error in report.left.items()]
    return found + (f" Left to their passes: {', '.join(left)}." if left else "")


def _seen(memory: "Mapping[str, Memory]") -> dict[str, tuple[str, float]]:
    return {one: (was.digest, was.until) for one, was in memory.items()}


def _cursor(polled_at: float, seen: Mapping[str, tuple[str, float]]) -> str:
    # In its order, which is the order of the next poll.
    return json.dumps({"at": polled_at, "seen": seen})


def _recalled(cursor: str | None) -> tuple[float, dict[str, tuple[str, float]]]:
    try:
        kept = json.loads(cursor or "{}")
        seen = {one: (str(digest), float(until)) for one, (digest, until) in kept.get("seen", {}).items()}
        return float(kept.get("at", 0.0)), seen
    except (ValueError, AttributeError, TypeError):
        # A cursor from another version: everybody gets one pass more, which harms nobody.
        return 0.0, {}
