"""The bridge from the work queue to Dagster: sees that one batch is alive while there is work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import batches, outages, work_queue
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.batch_slot import REQUEST_SECONDS
from bitbylaw_pipeline.orchestration.orphaned_runs import fail_orphaned_batches
from bitbylaw_pipeline.orchestration.parked_runs import parked_run_requests
from bitbylaw_pipeline.orchestration.stream_op import batch_run_config
from bitbylaw_pipeline.orchestration.streams import StreamAssets, why_not_set_up
from bitbylaw_pipeline.settings import SettingsError

READY_LIMIT = 1000
"""Ready rows are counted up to here: more makes no difference, and a count of a million costs a second a tick."""


@dataclass(frozen=True, slots=True)
class QueueReport:
    """What a tick found, and what is to be started: the slot requested for a batch, or a few entities by themselves."""

    ready: int
    requested: tuple[int, str] | None
    """(slot, token)"""
    skip: str
    singles: tuple[work_queue.Claim, ...] = ()


def build_queue_sensor(
    stream: StreamAssets, job: UnresolvedAssetJobDefinition, name: str | None = None
) -> dg.SensorDefinition:
    """The sensor of a stream: requests a batch when rows are ready and none is alive, else says why not.

    For entities that were parked it requests a run of their own, a few a tick, so that their partitions turn red.
    """

    @dg.sensor(
        name=name or f"{stream.name}_queue",
        job=job,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Keeps a batch alive while there is work in the stream {stream.name}, and shows parked entities.",
    )
    def queue_sensor(
        context: dg.SensorEvaluationContext, backend: Backend
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            # Before anything is requested: a run that fails for a missing key would cost 5 s of CPU to say the same.
            backend.check()
            if reason := why_not_set_up(stream, backend.settings()):
                return dg.SkipReason(reason)
            return _tick(context, backend, stream)
        except SettingsError as error:
            return dg.SkipReason(str(error))
        except DatabaseUnavailable:
            return dg.SkipReason("The state database does not answer (STATE_DB_URL); tried again in 5 s.")

    return queue_sensor


def _tick(
    context: dg.SensorEvaluationContext, backend: Backend, stream: StreamAssets
) -> dg.SensorResult | dg.SkipReason:
    database = backend.database()
    settings = backend.settings()
    report = look_at_queue(
        database, stream, slots=settings.batches_per_stream, single_runs_max=settings.single_runs_max
    )
    requests = _single_requests(context.instance, stream, report.singles)
    if report.requested is not None:
        _fail_orphans(context.instance, database, stream)
        requests.append(_batch_request(stream, *report.requested))
    requests += parked_run_requests(context.instance, database, stream)
    if requests:
        return dg.SensorResult(run_requests=requests)
    return dg.SkipReason(report.skip)


def _fail_orphans(instance: dg.DagsterInstance, database: Database, stream: StreamAssets) -> None:
    live = database.read(lambda conn: batches.live(conn, database.now(conn), stream.name))
    # A run that is coming up holds no slot yet.
    before = datetime.now(UTC) - timedelta(seconds=2 * REQUEST_SECONDS)
    fail_orphaned_batches(instance, stream.name, {batch.run_id for batch in live if batch.run_id}, before)


def _batch_request(stream: StreamAssets, slot: int, token: str) -> dg.RunRequest:
    return dg.RunRequest(
        # No run_key: it would be skipped for ever once a run had it, also where that run died.
        run_key=None,
        run_config=batch_run_config(stream, token),
        tags={"bitbylaw/run": "batch", "bitbylaw/stream": stream.name, "bitbylaw/slot": str(slot)},
    )


def _single_requests(
    instance: dg.DagsterInstance, stream: StreamAssets, singles: Sequence[work_queue.Claim]
) -> list[dg.RunRequest]:
    if singles:
        # A run request for an unknown partition fails the whole tick.
        instance.add_dynamic_partitions(stream.name, [claim.key for claim in singles])
    return [
        dg.RunRequest(
            # Seen again at every tick until its run has claimed it: the key is what keeps it to one run.
            run_key=f"{stream.name}/{claim.key}:{claim.generation}:{claim.attempts}",
            partition_key=claim.key,
            tags={"bitbylaw/run": "single", "bitbylaw/stream": stream.name},
        )
        for claim in singles
    ]


def look_at_queue(
    database: Database, stream: StreamAssets, *, slots: int, single_runs_max: int = 0
) -> QueueReport:
    """Reads first, and takes the write lock only where a batch is needed: most ticks need none."""
    report = database.read(lambda conn: _report(conn, database.now(conn), stream, slots))
    if report.skip:
        return report
    if report.ready <= single_runs_max:
        singles = database.run_sync(lambda conn: _peek(conn, database.now(conn), stream, report.ready))
        return QueueReport(report.ready, None, "", singles)
    requested = database.run_sync(
        lambda conn: batches.request(conn, database.now(conn), stream.name, slots, ttl=REQUEST_SECONDS)
    )
    return QueueReport(
        report.ready, requested, "" if requested else "Another tick has just requested a batch."
    )


def _report(conn: Connection, now: float, stream: StreamAssets, slots: int) -> QueueReport:
    ready = work_queue.ready_count(conn, now, stream.name, limit=READY_LIMIT)
    shown = f"{ready} or more ready" if ready >= READY_LIMIT else f"{ready} ready"
    if batches.get_flag(conn, batches.DRAIN) is not None:
        return QueueReport(
            ready, None, f"{shown}; draining: no batch is started until the flag is taken away."
        )
    live = batches.live(conn, now, stream.name)
    if not ready:
        return QueueReport(ready, None, f"Nothing is ready{_alive(live, now)}.")
    if len(live) >= slots:
        return QueueReport(ready, None, f"{shown}{_alive(live, now)}.")
    down = {name: until for name, until in outages.paused(conn, now).items() if name in stream.systems}
    if down:
        listed = ", ".join(f"{name} for {until - now:.0f} s more" for name, until in sorted(down.items()))
        return QueueReport(ready, None, f"{shown}; paused because a system is down: {listed}.")
    return QueueReport(ready, None, "")


def _peek(conn: Connection, now: float, stream: StreamAssets, limit: int) -> tuple[work_queue.Claim, ...]:
    # Claimed and given back in one transaction: what a claim would bring, and nobody is kept from it.
    claims = work_queue.claim(conn, now, stream.name, limit=limit, lease_seconds=1.0)
    work_queue.release(conn, now, claims)
    return tuple(claims)


def _alive(live: Sequence[batches.Batch], now: float) -> str:
    return "".join(
        f"; batch in slot {batch.slot} {batch.activity if batch.state == 'running' else 'requested'} since "
        f"{now - batch.requested_at:.0f} s"
        for batch in live
    )
