"""A run that passes over whole pairs of EspoCRM and Advoware, and records what became of each changed record."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg
import structlog
from pydantic import Field

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox.pass_times import await_pass, conclude_pass
from bitbylaw_pipeline.logs import bound
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.dagster_storage import keep_connections
from bitbylaw_pipeline.orchestration.interruption import run_until_stopped, unless_stopped
from bitbylaw_pipeline.orchestration.recorder import EventRecorder
from bitbylaw_pipeline.orchestration.run_log import batch_run_log
from bitbylaw_pipeline.orchestration.streams import NO_ADVOWARE, StreamAssets

if TYPE_CHECKING:
    from bitbylaw_pipeline.sync.entity_pass import Finished
    from bitbylaw_pipeline.sync.pair_pass import PairPass
    from bitbylaw_pipeline.wiring import Runtime

log = structlog.get_logger(__name__)


class PassConfig(dg.Config):
    """What a person may ask of a pass."""

    pair: str = Field(
        default="", description="beteiligte, bankverbindungen or akten; empty: all of them, in this order."
    )


@dataclass(slots=True)
class _Told:
    """What is known of a pass by now."""

    passed: list["PairPass"] = field(default_factory=list)
    stopped: dict[str, str] = field(default_factory=dict)
    """Pairs of which nothing could be listed, each with the reason."""


def run_pass(
    context: dg.AssetExecutionContext, backend: Backend, streams: Sequence[StreamAssets], pair: str
) -> dict[str, dg.MetadataValue] | None:
    """Passes over the pair, or over all streams' pairs, and returns what it came to; None without Advoware.

    Raises Failure (never retried) if there is no such pair, or if of no pair anything could be listed; and
    DagsterExecutionInterruptedError after a cancel, once what was finished by then is recorded.
    """
    chosen = [stream for stream in streams if pair in ("", stream.name)]
    if not chosen:
        names = ", ".join(stream.name for stream in streams)
        raise dg.Failure(description=f"There is no pair {pair!r}: say one of {names}.", allow_retries=False)
    settings = backend.settings()
    if not settings.has_advoware:
        context.log.warning(NO_ADVOWARE)
        return None
    keep_connections(context.instance)
    told = _Told()

    async def work(stop: asyncio.Event) -> None:
        with bound(run=context.run.run_id):
            async with backend.open_runtime() as runtime:
                if runtime.advoware is None:
                    return
                passes = runtime.advoware.passes()
                for stream in chosen:
                    recorder = EventRecorder(context, stream, settings)
                    await _pass_over(runtime, stream, passes[stream.name], recorder, told, stop)
                    if stop.is_set():
                        return

    with batch_run_log(settings.log_level):
        run_until_stopped(work)
    if not told.passed:
        why = "; ".join(f"{name}: {reason}" for name, reason in told.stopped.items())
        raise dg.Failure(description=f"Nothing could be listed. {why}", allow_retries=False)
    return _metadata(told)


async def _pass_over(
    runtime: "Runtime",
    stream: StreamAssets,
    start: "Callable[[], Coroutine[Any, Any, PairPass]]",
    recorder: EventRecorder,
    told: _Told,
    stop: asyncio.Event,
) -> None:
    name = stream.name
    await runtime.database.run(lambda conn: await_pass(conn, runtime.database.now(conn), name))
    if not await runtime.outage_watch.may_call(stream.systems):
        told.stopped[name] = (
            "EspoCRM or Advoware is down and is left alone for a while (see bitbylaw status)."
        )
        return
    try:
        passed = await unless_stopped(start(), stop)
    except SyncError as error:
        # Before anybody else asks the same: the queue's batches wait then, too.
        await runtime.outage_watch.judge(error)
        told.stopped[name] = str(error)
        log.warning("pair not listed", pair=name, error=type(error).__name__, says=str(error))
        return
    if passed is None:
        return
    told.passed.append(passed)
    # Blocking, and thousands of events after a first match.
    await asyncio.to_thread(recorder.record, _news(passed))
    if passed.stopped_by is not None:
        await runtime.outage_watch.judge(passed.stopped_by)
    elif passed.is_skipped:
        log.info("pair skipped", pair=name)
    else:
        await runtime.database.run(lambda conn: conclude_pass(conn, runtime.database.now(conn), name))


def _news(passed: "PairPass") -> list["Finished"]:
    # What is held is held at every pass: an observation each time would fill the event log, 96 a day and record. The
    # asset's checks show it.
    return [one for one in passed.finished if one.outcome is not None and one.outcome.assets]


def _metadata(told: _Told) -> dict[str, dg.MetadataValue]:
    """Counts become plots: one name for each number of each pair."""
    metadata: dict[str, dg.MetadataValue] = {}
    for passed in told.passed:
        name = passed.pair
        if passed.is_skipped:
            metadata[f"{name}_skipped"] = dg.MetadataValue.text("Another run has it in hand.")
            continue
        metadata |= {f"{name}_{what}": dg.MetadataValue.int(count) for what, count in passed.counts.items()}
        metadata[f"{name}_recorded"] = dg.MetadataValue.int(len(_news(passed)))
        metadata[f"{name}_seconds"] = dg.MetadataValue.float(round(passed.seconds, 3))
        if passed.stopped_by is not None:
            metadata[f"{name}_stopped_by"] = dg.MetadataValue.text(str(passed.stopped_by))
    for name, reason in told.stopped.items():
        metadata[f"{name}_stopped_by"] = dg.MetadataValue.text(reason)
    return metadata
