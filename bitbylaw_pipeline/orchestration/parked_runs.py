"""A parked entity shows nowhere on its partition by itself: it gets one run of its own, which tries once more.

That run fails, and its partition is red until the next materialization; or it succeeds, and nobody need look.
"""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import dagster as dg

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.orchestration.red_partitions import mark_red, red_among
from bitbylaw_pipeline.orchestration.streams import StreamAssets

RUNS_A_TICK = 3
"""Each run costs some 5 seconds of CPU: an outage that parked hundreds must not take the machine."""

_PAGE = 500
_MOST_PAGES = 20
"""A tick has 60 seconds; with more parked than this, the runs are not what anybody is waiting for."""


def parked_run_requests(
    instance: dg.DagsterInstance, database: Database, stream: StreamAssets
) -> list[dg.RunRequest]:
    """Run requests for parked entities whose partitions are not red yet; marks them so that each gets one."""
    fresh = list(islice(_not_red(instance, database, stream), RUNS_A_TICK))
    if not fresh:
        return []
    # A run request for an unknown partition fails the whole tick, and a parked entity may never have been synced.
    instance.add_dynamic_partitions(stream.name, [row.key for row in fresh])
    mark_red(instance, stream.name, [row.key for row in fresh])
    return [
        dg.RunRequest(
            # Without the attempt, a key whose run died is skipped for ever.
            run_key=f"{stream.name}/{row.key}:{row.wanted}:{row.attempts}",
            partition_key=row.key,
            tags={"bitbylaw/run": "parked", "bitbylaw/stream": stream.name},
        )
        for row in fresh
    ]


def _not_red(
    instance: dg.DagsterInstance, database: Database, stream: StreamAssets
) -> Iterator[work_queue.WorkRow]:
    for page in range(_MOST_PAGES):
        rows = database.read(partial(work_queue.parked, stream=stream.name, limit=_PAGE, offset=page * _PAGE))
        red = red_among(instance, stream.name, (row.key for row in rows))
        yield from (row for row in rows if row.key not in red)
        if len(rows) < _PAGE:
            return
