"""Once a minute: what is wrong is told to a person, if it has not been told."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import dagster as dg

from bitbylaw_pipeline.inbox import parked_work
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.failed_runs import LOOK_BACK_SECONDS, failed_jobs
from bitbylaw_pipeline.settings import SettingsError

if TYPE_CHECKING:
    from bitbylaw_pipeline.sync.alerting import AlertingReport
    from bitbylaw_pipeline.sync.troubles import FailedRuns

DEADLINE_SECONDS = 18.0
"""Dagster kills a tick after 60 s, and what it had sent would not be noted; the database may take ten more."""
OVERLAP_SECONDS = 120.0
"""A run's end is stored a little after its time: it must not fall between two looks."""


def build_alert_sensor(deadline: float = DEADLINE_SECONDS) -> dg.SensorDefinition:
    """The sensor `alerts`; it starts no runs. What is not told within `deadline` seconds is told at the next tick."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells a person by mail or webhook what is wrong: once, again after ALERT_REPEAT_HOURS, and when it is over.",
    )
    def alerts(context: dg.SensorEvaluationContext, backend: Backend) -> dg.SkipReason:
        try:
            return dg.SkipReason(_tick(context, backend, deadline))
        except TimeoutError:
            return dg.SkipReason(f"Telling took longer than {deadline:g} s; tried again in a minute.")
        except SettingsError as error:
            return dg.SkipReason(str(error))
        except DatabaseUnavailable:
            return dg.SkipReason(
                "The state database does not answer (STATE_DB_URL); tried again in a minute."
            )

    return alerts


def _tick(context: dg.SensorEvaluationContext, backend: Backend, deadline: float) -> str:
    # Brings the clients, which no reload of the code location should pay for.
    from bitbylaw_pipeline.sync.alert_channels import HOW_TO_SET, channels_of, why_incomplete  # noqa: PLC0415  # the clients come along
    from bitbylaw_pipeline.sync.alerting import tell_troubles  # noqa: PLC0415  # brings the clients

    settings = backend.settings()
    database = backend.database()
    channels = channels_of(settings)
    now = database.read(database.now)
    failed = _failed_runs(context.instance, database, now, _seen_until(context.cursor, now))

    async def tell() -> "AlertingReport":
        async with asyncio.timeout(deadline):
            return await tell_troubles(database, settings, channels, failed)

    report = _run(tell())
    if report.is_ours:
        context.update_cursor(str(now))
    parts = [why_incomplete(settings), None if channels else f"Nobody is told: {HOW_TO_SET}.", report.says]
    return " ".join(part for part in parts if part)


def _run(telling: "Coroutine[Any, Any, AlertingReport]") -> "AlertingReport":
    # asyncio.run waits for its threads without end, and one of them may be asking a name server that does not answer.
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(telling)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _failed_runs(
    instance: dg.DagsterInstance, database: Database, now: float, seen_until: float
) -> list["FailedRuns"]:
    from bitbylaw_pipeline.sync.troubles import FailedRuns  # noqa: PLC0415  # brings the flows

    parked = database.read(parked_work.keys)
    return [FailedRuns(one.job, one.run_ids) for one in failed_jobs(instance, parked, now, seen_until)]


def _seen_until(cursor: str | None, now: float) -> float:
    """Up to when failures have been looked at; at the first look, none that a success has followed is told."""
    try:
        return max(float(cursor or now), now - LOOK_BACK_SECONDS) - OVERLAP_SECONDS
    except ValueError:
        return now
