"""Indexing at xAI is asynchronous: documents whose status is due to be asked for again go back into the queue."""

import dagster as dg
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import document_states, work_queue
from bitbylaw_pipeline.inbox.database import DatabaseUnavailable
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.settings import SettingsError

MOST_AT_ONCE = 500


def build_indexing_sensor(stream: str) -> dg.SensorDefinition:
    """Every two minutes: wants the documents whose indexing is to be looked at. Starts no run itself.

    A sensor rather than a schedule: a schedule must have a job to launch, and a run to put a row into a table costs 5
    seconds of CPU. Each pass asks for its own follow-up in the queue; this is the net below it.
    """

    @dg.sensor(
        name="indexing",
        minimum_interval_seconds=120,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Puts documents whose indexing at xAI is to be looked at again into the queue.",
    )
    def indexing(backend: Backend) -> dg.SkipReason:
        try:
            database = backend.database()
            count = database.run_sync(lambda conn: want_due(conn, database.now(conn), stream))
        except (DatabaseUnavailable, SettingsError) as error:
            return dg.SkipReason(f"{type(error).__name__}: {error}")
        return dg.SkipReason(
            f"{count} wanted for another look." if count else "No indexing is due to be looked at."
        )

    return indexing


def want_due(conn: Connection, now: float, stream: str) -> int:
    """Wants the due documents that nothing else is under way for; returns how many."""
    due = [state.document_id for state in document_states.index_due(conn, now, MOST_AT_ONCE)]
    free = [key for key in due if _is_quiet(work_queue.get(conn, stream, key))]
    if free:
        work_queue.want(conn, now, stream, free, priority=work_queue.SWEEP_PRIORITY)
    return len(free)


def _is_quiet(row: work_queue.WorkRow | None) -> bool:
    # What waits is looked at anyway, and a want would lift a parked row back into the queue every two minutes.
    return row is None or (row.wanted <= row.done and row.parked_at is None)
