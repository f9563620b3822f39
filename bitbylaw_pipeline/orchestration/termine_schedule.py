"""Every quarter of an hour a pass over each employee's appointments is asked for."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import batches, calendar_passes, work_queue
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.streams import StreamAssets, why_not_set_up
from bitbylaw_pipeline.settings import SettingsError

DRAINING = "Draining: nothing is asked for until the flag is taken away."


def build_termine_schedule(stream: StreamAssets, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """The schedule that puts all employees into the queue; the queue's sensor starts a batch, if none is alive.

    The tick itself writes the wants and launches nothing: a run that puts thirty rows into a table costs 5 seconds of
    CPU, 96 times a day, and would show green whatever became of the passes. So each tick is "skipped", with a sentence
    that says who was asked for, and what became of it is at the partitions and the check. A tick tried out in the UI
    asks for passes, too, which cost two list calls each. A Kürzel that is taken out of the setting keeps its partition:
    what was done for it is still to be read there.
    """

    @dg.schedule(
        name="termine_every_quarter_hour",
        job=job,
        cron_schedule="*/15 * * * *",
        execution_timezone="Europe/Berlin",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Asks for a pass over every employee's appointments every quarter of an hour.",
    )
    def termine_every_quarter_hour(context: dg.ScheduleEvaluationContext, backend: Backend) -> dg.SkipReason:
        try:
            backend.check()
            settings = backend.settings()
            if reason := why_not_set_up(stream, settings):
                return dg.SkipReason(reason)
            employees = sorted(settings.calendars)
            said = want_everybody(backend.database(), employees)
        except SettingsError as error:
            return dg.SkipReason(str(error))
        except DatabaseUnavailable:
            return dg.SkipReason(
                "The state database does not answer (STATE_DB_URL); tried again in a quarter of an hour."
            )
        show_partitions(context.instance, stream, employees)
        return dg.SkipReason(said)

    return termine_every_quarter_hour


def want_everybody(database: Database, employees: list[str]) -> str:
    """Asks for a pass over each of these employees, and says what came of that. Raises DatabaseUnavailable."""

    def commit(conn: Connection) -> list[str] | None:
        if batches.get_flag(conn, batches.DRAIN) is not None:
            return None
        now = database.now(conn)
        _close_former(conn, now, employees)
        return calendar_passes.want_passes(conn, now, employees)

    wanted = database.run_sync(commit)
    if wanted is None:
        return DRAINING
    waiting = len(employees) - len(wanted)
    besides = f"; {waiting} wait for a time of their own after a failure" if waiting else ""
    return f"{len(wanted)} wanted{besides}: worked off by the batch that termine_queue keeps alive."


def _close_former(conn: Connection, now: float, employees: list[str]) -> None:
    # Parked when it left the setting, such a row would be told of for ever: nobody asks for it again.
    rows = work_queue.parked(conn, stream=calendar_passes.STREAM)
    former = [row.key for row in rows if row.key not in employees]
    for kuerzel in former:
        work_queue.replay(conn, now, stream=calendar_passes.STREAM, key=kuerzel)
    claims = work_queue.claim(
        conn, now, calendar_passes.STREAM, limit=len(former), lease_seconds=1.0, keys=former
    )
    work_queue.complete(conn, now, claims)


def show_partitions(instance: dg.DagsterInstance, stream: StreamAssets, employees: list[str]) -> None:
    """Adds the employees' partitions: a person can launch one before its first pass."""
    if employees:
        instance.add_dynamic_partitions(stream.name, employees)
