"""Batch runs whose process is gone: the default launcher does not notice, so they stay STARTED for up to an hour.

Each of them takes one of the few run slots that are meant for people. The heartbeat knows better: a batch that holds no
slot of its stream, long after it was created, is dead.
"""

from collections.abc import Collection
from datetime import datetime

import dagster as dg

_ALIVE = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def fail_orphaned_batches(
    instance: dg.DagsterInstance, stream: str, live_run_ids: Collection[str], created_before: datetime
) -> int:
    """Marks the stream's batch runs without a slot as failed and returns how many; nothing is lost by it.

    A run that is just ending by itself may be met, too: its own last event then stands.
    """
    filters = dg.RunsFilter(
        statuses=_ALIVE,
        tags={"bitbylaw/run": "batch", "bitbylaw/stream": stream},
        created_before=created_before,
    )
    orphans = [run for run in instance.get_runs(filters=filters) if run.run_id not in live_run_ids]
    for run in orphans:
        instance.report_run_failed(
            run, "The batch has no heartbeat: its process is gone. Its work has been taken over."
        )
    return len(orphans)
