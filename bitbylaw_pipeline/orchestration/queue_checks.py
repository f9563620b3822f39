"""Checks on a stream's work: what is parked, and how long the oldest waiting entity has waited."""

import dagster as dg

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.orchestration.standing_checks import SAMPLE, Finding, Moment, StandingCheck

OLDEST_WAITING_SECONDS = 15 * 60.0
"""A warm pipeline is at work within milliseconds, a cold one within a minute: a quarter of an hour means trouble."""


def parked_check(asset: dg.AssetKey, stream: str) -> StandingCheck:
    """Warns while entities of the stream are parked: they are tried no more until something changes."""

    def look(moment: Moment) -> Finding:
        count = _figures(moment, stream).parked
        rows = work_queue.parked(moment.conn, stream=stream, limit=SAMPLE) if count else []
        says = f"{count} parked: see `bitbylaw inbox parked`." if count else "Nothing is parked."
        return Finding(
            count == 0, says, {"parked": count}, [f"{row.key} ({row.park_reason})" for row in rows]
        )

    return StandingCheck(asset, "nothing_parked", "No entity has been given up on.", look)


def oldest_waiting_check(asset: dg.AssetKey, stream: str) -> StandingCheck:
    """Warns when the oldest entity that waits to be synced has waited too long."""

    def look(moment: Moment) -> Finding:
        figures = _figures(moment, stream)
        minutes = int(figures.oldest_waiting_seconds or 0) // 60
        passed = (figures.oldest_waiting_seconds or 0) < OLDEST_WAITING_SECONDS
        if passed:
            # No number here: it would be news every minute.
            return Finding(True, "Nothing has waited for long.")
        # In steps, for the same reason.
        shown = minutes - minutes % 15
        return Finding(False, f"The oldest has waited for over {shown} minutes.", {"over_minutes": shown})

    return StandingCheck(
        asset, "nothing_waits_long", "What has changed is synced within a quarter of an hour.", look
    )


def _figures(moment: Moment, stream: str) -> work_queue.StreamSummary:
    return moment.queue.get(stream, work_queue.StreamSummary(0, 0, 0, 0, None))
