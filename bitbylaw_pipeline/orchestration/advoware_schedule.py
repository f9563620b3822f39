"""When no pass over Advoware is to be started."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.database import DatabaseUnavailable
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.streams import NO_ADVOWARE
from bitbylaw_pipeline.settings import SettingsError

STILL_GOING_SECONDS = 1800.0
"""A pass takes minutes. An older run is dead or stuck whatever its status says, and the pairs' leases keep two apart."""

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def why_no_pass(instance: dg.DagsterInstance, backend: Backend, job_name: str) -> str | None:
    """The reason not to start a pass now, as one sentence; None if there is none."""
    try:
        # Before anything is started: a run that fails for a missing key would cost 5 s of CPU to say the same.
        backend.check()
        if not backend.settings().has_advoware:
            return NO_ADVOWARE
        if backend.database().read(lambda conn: batches.get_flag(conn, batches.DRAIN)) is not None:
            return "Draining: no pass is started until the flag is taken away."
    except SettingsError as error:
        return str(error)
    except DatabaseUnavailable:
        return "The state database does not answer (STATE_DB_URL); tried again in a quarter of an hour."
    since = datetime.now(UTC) - timedelta(seconds=STILL_GOING_SECONDS)
    filters = dg.RunsFilter(job_name=job_name, statuses=_UNDER_WAY, created_after=since)
    if instance.get_runs(filters=filters, limit=1):
        return "The last pass is still going on."
    return None
