"""One claimed entity's pass, with everything that can go wrong turned into a verdict for the queue."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

import structlog

from bitbylaw_pipeline import logs
from bitbylaw_pipeline.domain.errors import Permanent, SyncError, Transient
from bitbylaw_pipeline.domain.outcome import Outcome
from bitbylaw_pipeline.domain.retry import RetryLadder
from bitbylaw_pipeline.inbox.database import DatabaseUnavailable
from bitbylaw_pipeline.inbox.work_queue import Claim
from bitbylaw_pipeline.sync.call_count import counting
from bitbylaw_pipeline.sync.outage import OutageWatch
from bitbylaw_pipeline.sync.stream import Stream

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """One entity's pass, ended: with an outcome, or with an error that is retried later or parked."""

    key: str
    outcome: Outcome | None
    error: SyncError | None
    is_parked: bool
    seconds: float
    calls: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A finished pass with its claim, still to be recorded and completed."""

    claim: Claim
    finished: Finished
    pause: float | None = None
    """Seconds for which the fault's whole system is paused; the failure then counts no attempt."""


async def run_pass(stream: Stream, claim: Claim, outage_watch: OutageWatch, ladder: RetryLadder) -> Ended:
    """Syncs the claimed entity; never raises but for cancellation."""
    started = time.perf_counter()
    with counting() as calls, logs.bound(stream=stream.name, key=claim.key, generation=claim.generation):
        outcome, error = await _attempt(stream, claim.key)
        pause = await _judge(outage_watch, error) if error else None
        is_final = isinstance(error, Permanent) or ladder.is_exhausted(claim.attempts + 1)
        finished = Finished(
            key=claim.key,
            outcome=outcome,
            error=error,
            is_parked=error is not None and pause is None and is_final,
            seconds=time.perf_counter() - started,
            calls=calls[0],
        )
        _say(claim, finished)
    return Ended(claim, finished, pause)


async def _attempt(stream: Stream, key: str) -> tuple[Outcome | None, SyncError | None]:
    try:
        return await stream.sync(key), None
    except SyncError as failure:
        return None, failure
    except DatabaseUnavailable:
        return None, Transient("The state database did not answer; the work is tried again.", system="state")
    except Exception as bug:  # noqa: BLE001  # one entity's fault must not end the batch
        return None, _fault_of_ours(bug)


async def _judge(outage_watch: OutageWatch, error: SyncError) -> float | None:
    try:
        return await outage_watch.judge(error)
    except DatabaseUnavailable:
        return outage_watch.probe_seconds
    except Exception as bug:  # noqa: BLE001  # the judge's fault must not end it, either
        _fault_of_ours(bug)
        return None


def _fault_of_ours(bug: Exception) -> SyncError:
    # The text of a foreign exception may carry a name or a body: only its type and place are kept.
    frame = traceback.extract_tb(bug.__traceback__)[-1]
    place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
    log.error("unexpected", error=type(bug).__name__, at=place)  # a traceback would quote the text
    return Transient(f"{type(bug).__name__} at {place}: a fault of this program.", system="pipeline")


def _say(claim: Claim, finished: Finished) -> None:
    spent = {"ms": round(finished.seconds * 1000), "calls": finished.calls}
    outcome, error = finished.outcome, finished.error
    if outcome is not None:
        log.info("synced", result=outcome.result.value, **spent)
    elif error is not None:
        log.warning(
            "parked" if finished.is_parked else "failed",
            error=type(error).__name__,
            system=error.system,
            status=error.status,
            attempts=claim.attempts + 1,
            says=str(error),
            **spent,
        )
