"""`--only trickle`: single events on a warm pipeline, from the webhook's sending to the document linked at xAI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.firm import BARE_TYPE, DOCUMENT_TYPE, BenchDocument, add_documents
from bitbylaw_pipeline.bench.options import AIM_LATENCY_MS, Options, latency_label
from bitbylaw_pipeline.bench.queue_watch import until_quiet
from bitbylaw_pipeline.bench.report import Number, Section
from bitbylaw_pipeline.bench.sandbox_process import LedgerRow
from bitbylaw_pipeline.bench.statistics import percentile, schedule
from bitbylaw_pipeline.bench.whole_pipeline import WholePipeline, linked_at

AIM_MS = 150.0
BARE_DOCUMENTS = 40


@dataclass(frozen=True, slots=True)
class Journey:
    """One document's way, in seconds: webhook to link, and what of it the stand-ins spent on its calls."""

    linked: float
    own: float


async def measure_trickle(pipeline: WholePipeline, options: Options) -> Section:
    """Raises BenchProblem where what was done is not right."""
    sandbox = pipeline.ground.sandbox
    latency = options.latency_ms[0]
    await sandbox.set_latency(latency)
    moments = list(schedule(options.trickle_rate, options.trickle_seconds))
    made = await add_documents(sandbox, "trickle", len(moments), pipeline.matters)
    bare = await add_documents(
        sandbox, "trickle", BARE_DOCUMENTS, pipeline.bare_matters, entity_type=BARE_TYPE
    )
    alone = await pipeline.bare.run(bare, pipeline.bare_collections, 1)
    await sandbox.reset_ledgers()
    sent = await _send_all(pipeline, made, moments)
    await until_quiet(pipeline.database)
    rows = await sandbox.calls_since_reset()
    await pipeline.check(made)
    await sandbox.set_latency(0)
    journeys = await _journeys(pipeline, made, sent, rows)
    label = f"{options.trickle_rate:g} events/s for {options.trickle_seconds:g} s, {latency_label(latency)}"
    found = _numbers(journeys, [taken.linked for taken in alone], label)
    note = (
        f"Latency {AIM_LATENCY_MS:g} ms a call by default; times of both sides come from one clock. A batch lingers and "
        "is woken over Redis; the change feed is polled meanwhile, but the documents' stamps are old: only the webhook "
        "brings them in."
    )
    return Section("trickle", "Trickle on a warm pipeline", found, [note])


async def _send_all(
    pipeline: WholePipeline, documents: Sequence[BenchDocument], moments: Sequence[float]
) -> dict[str, float]:
    """Sends by the clock; the intended moment (UTC epoch seconds) by document id."""
    sent: dict[str, float] = {}
    started = time.time() + 0.1
    async with asyncio.TaskGroup() as group:
        for document, moment in zip(documents, moments, strict=True):
            sent[document.id] = started + moment
            await asyncio.sleep(max(0.0, sent[document.id] - time.time()))
            group.create_task(pipeline.notify([document.id]))
    return sent


async def _journeys(
    pipeline: WholePipeline,
    documents: Sequence[BenchDocument],
    sent: Mapping[str, float],
    rows: Sequence[LedgerRow],
) -> list[Journey]:
    records = await pipeline.ground.sandbox.records(DOCUMENT_TYPE)
    file_ids = {str(records[document.id]["xaiId"]): document.id for document in documents}
    linked = linked_at(rows, file_ids)
    found = []
    for document in documents:
        own = _own_seconds(document, str(records[document.id]["xaiId"]), rows, linked[document.id])
        found.append(Journey(linked[document.id] - sent[document.id], own))
    return found


def _own_seconds(document: BenchDocument, file_id: str, rows: Sequence[LedgerRow], linked: float) -> float:
    """What the stand-ins spent on the document's four calls up to its link."""
    read = [row for row in rows if row.path.endswith(document.id) and row.ended <= linked]
    fetched = [row for row in rows if row.path.endswith(document.attachment_id)]
    attached = [row for row in rows if row.path.endswith(file_id)]
    if not (read and fetched and attached):
        raise BenchProblem(f"FAILED: the ledger lacks calls of {document.id}.")
    # An upload's path names no document: it is the one between the download and the link.
    uploads = [
        row for row in rows if row.path == "/v1/files" and fetched[0].ended <= row.at <= attached[0].at
    ]
    return sum(row.seconds for row in (read[0], fetched[0], uploads[-1], attached[0]))


def _numbers(journeys: Sequence[Journey], alone: Sequence[float], label: str) -> list[Number]:
    def both(name: str, seconds: Sequence[float], how: str, aim: float | None = None) -> list[Number]:
        found = []
        for share, rank in ((0.5, "p50"), (0.99, "p99")):
            value = 1000 * percentile(seconds, share)
            is_judged = aim is not None and rank == "p50"
            found.append(
                Number(
                    f"{name}, {rank}",
                    value,
                    "ms",
                    how,
                    aim=f"< {aim:g} ms" if is_judged else "",
                    is_met=value < aim if is_judged and aim is not None else None,
                )
            )
        return found

    own = percentile(alone, 0.5)
    return [
        *both(
            "webhook to linked",
            [one.linked for one in journeys],
            f"{label}; from the intended send time to the end of the link's call in the ledger",
        ),
        *both(
            "the stand-ins' own time",
            [one.own for one in journeys],
            "sum of the ledger's durations of the document's four calls up to the link",
        ),
        *both(
            "above the stand-ins' own time",
            [one.linked - one.own for one in journeys],
            "difference, by document",
            AIM_MS,
        ),
        *both(
            "the same four calls by the bare loop",
            list(alone),
            f"{len(alone)} documents, one at a time, no webhook",
        ),
        *both(
            "above the bare loop's median",
            [one.linked - own for one in journeys],
            "webhook to linked, less the bare loop's median",
        ),
    ]
