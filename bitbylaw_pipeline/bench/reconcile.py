"""`--only reconcile`: what it costs to compare all documents of 300 matters, and how that grows with their number."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, delete

from bitbylaw_pipeline.bench.cpu_time import spent
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.firm import DOCUMENT_TYPE
from bitbylaw_pipeline.bench.ground import Ground, settings_of
from bitbylaw_pipeline.bench.options import Options
from bitbylaw_pipeline.bench.queue_watch import read_open_work
from bitbylaw_pipeline.bench.report import Number, Section
from bitbylaw_pipeline.bench.sandbox_process import ESPOCRM_KEY, XAI_KEY, Sandbox
from bitbylaw_pipeline.bench.synced_firm import SyncedDocument, make_synced_firm, spread_over
from bitbylaw_pipeline.domain.drift import DriftReport
from bitbylaw_pipeline.inbox.schema import document_owner, document_state
from bitbylaw_pipeline.sync.reconciliation import reconcile
from bitbylaw_pipeline.wiring import Runtime, open_runtime

NAME = "documents"
MATTERS = 300
SMALLER = 10
"""The growth is measured from a tenth of the documents, in the same number of matters."""
MOST_DRIFTED = 1000
WARM_UP_DOCUMENTS = 40
WAYS = 3
AT_ONCE = 16
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one reconciliation: seconds, CPU seconds by process, requests by system and route, our memory's peak growth."""

    seconds: float
    cpu: Mapping[str, float]
    requests: Counter[str]
    megabytes: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One size: a reconciliation that finds nothing, and one that finds what was put out of step, and repairs."""

    documents: int
    drifted: int
    in_step: Cost
    repairing: Cost


async def measure_reconcile(ground: Ground, options: Options) -> Section:
    """Raises BenchProblem unless exactly what was put out of step is found and is then in the work queue."""
    # Loads pandas and what else does not grow with the documents.
    await _measure(ground, WARM_UP_DOCUMENTS, 1)
    matters = min(MATTERS, options.reconciled_documents // (2 * SMALLER))
    small = await _measure(ground, options.reconciled_documents // SMALLER, matters)
    large = await _measure(ground, options.reconciled_documents, matters)
    times = large.documents / small.documents
    growths = (
        ("seconds", large.in_step.seconds / small.in_step.seconds),
        ("CPU seconds", _own(large.in_step) / _own(small.in_step)),
        ("requests", large.in_step.requests.total() / small.in_step.requests.total()),
    )
    numbers = [*_numbers(small), *_numbers(large)]
    numbers += [
        Number(
            f"growth of {name}", value, "x", f"nothing drifted, {large.documents} documents for {small.documents}",
            aim=f"<= {times:g}", is_met=value <= times,
        )
        for name, value in growths
    ]  # fmt: skip
    notes = [
        f"Requests, {one.documents} documents in step: {_listed(one.in_step.requests)}."
        for one in (small, large)
    ]
    details = {one.documents: dict(one.in_step.requests) for one in (small, large)}
    return Section("reconcile", "Reconciliation of documents and collections", numbers, notes, details)


async def _measure(ground: Ground, documents: int, matters: int) -> Measured:
    settings = settings_of(ground.values(ground.new_folder()))
    async with open_runtime(settings) as runtime:
        made = await make_synced_firm(ground.sandbox, runtime, documents, matters)
        found, in_step = await _cost(ground, lambda: reconciled(runtime, is_dry=True))
        if found:
            raise BenchProblem(f"FAILED: {len(found)} documents have drifted where all is in step.")
        drifted = min(MOST_DRIFTED, documents // 4)
        chosen = list(spread_over(made, drifted))
        await put_out_of_step(ground.sandbox, runtime, chosen)
        found, repairing = await _cost(ground, lambda: reconciled(runtime, is_dry=False))
        check_found(found, chosen, runtime)
    return Measured(documents, drifted, in_step, repairing)


def check_found(found: Sequence[str], chosen: Sequence[SyncedDocument], runtime: Runtime) -> None:
    """Raises BenchProblem unless the chosen documents were found, no others, and each is in the work queue."""
    wrong = set(found) ^ {one.id for one in chosen}
    if wrong:
        raise BenchProblem(
            f"FAILED: {len(wrong)} documents were overlooked, or found without having drifted."
        )
    work = read_open_work(runtime.database)
    if (work.now, work.later, work.parked) != (len(chosen), 0, 0):
        raise BenchProblem(f"FAILED: {work.now} of {len(chosen)} repairs are in the work queue.")


async def reconciled(runtime: Runtime, *, is_dry: bool) -> list[str]:
    """The documents that have drifted; raises BenchProblem where something else has, or waits for a person."""
    reports: list[DriftReport] = await reconcile(
        runtime.database, runtime.reconciliations()[NAME], dry_run=is_dry
    )
    drifts = [drift for report in reports for drift in report.drifts]
    odd = Counter(drift.flow for drift in drifts if drift.flow != NAME or drift.repair != "queue")
    if odd:
        raise BenchProblem(f"FAILED: drift that nobody made, or that is not repaired: {dict(odd)}.")
    return sorted({drift.subject for drift in drifts})


async def _cost(ground: Ground, work: Callable[[], Awaitable[T]]) -> tuple[T, Cost]:
    await ground.sandbox.reset_ledgers()
    meter = ground.meter(ours=os.getpid())
    before, resident = meter.read(), _own_kilobytes("VmRSS")
    _forget_peak()
    started = time.perf_counter()
    result = await work()
    seconds = time.perf_counter() - started
    peak = _own_kilobytes("VmHWM")
    cpu = _apart(spent(before, meter.read()))
    requests: Counter[str] = Counter()
    for system, root in (("espocrm", ground.sandbox.espocrm_url), ("xai", ground.sandbox.xai_url)):
        counts = await ground.sandbox.control(root, "GET", "counts")
        requests.update({f"{system} {name}": int(number) for name, number in counts.items()})
    return result, Cost(seconds, cpu, requests, (peak - resident) / 1000)


def _apart(cpu: Mapping[str, float]) -> dict[str, float]:
    """Ours without that of the servers, which are this process's children."""
    others = {name: value for name, value in cpu.items() if name != "ours"}
    return {"ours": cpu["ours"] - sum(others.values()), **others}


def _forget_peak() -> None:
    """From here on, VmHWM is the highest resident size since."""
    Path("/proc/self/clear_refs").write_text("5")


def _own_kilobytes(name: str) -> int:
    """A line of our /proc/self/status, such as VmHWM, the highest resident size so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


async def put_out_of_step(sandbox: Sandbox, runtime: Runtime, chosen: Sequence[SyncedDocument]) -> None:
    """Behind the pipeline's back: files deleted at xAI, hashes overwritten in EspoCRM, states lost; a third each."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def call(method: str, url: str, headers: dict[str, str], body: object = None) -> None:
        async with limit, sandbox.session.request(method, url, headers=headers, json=body) as response:
            if response.status != 200:
                raise BenchProblem(f"A stand-in answered {response.status} to {method}.")

    espocrm, xai = {"X-Api-Key": ESPOCRM_KEY}, {"Authorization": f"Bearer {XAI_KEY}"}
    await asyncio.gather(
        *(call("DELETE", f"{sandbox.xai_url}/api/v1/files/{one.file_id}", xai) for one in chosen[::WAYS]),
        *(
            call(
                "PUT", f"{sandbox.espocrm_url}/api/v1/{DOCUMENT_TYPE}/{one.id}", espocrm, {"sha256": "0" * 64}
            )
            for one in chosen[1::WAYS]
        ),
    )
    lost = [one.id for one in chosen[2::WAYS]]

    def forget(connection: Connection) -> None:
        for table in (document_state, document_owner):
            connection.execute(delete(table).where(table.c.document_id.in_(lost)))

    await runtime.database.run(forget)


def _own(cost: Cost) -> float:
    return max(cost.cpu["ours"], 0.01)


def _numbers(measured: Measured) -> list[Number]:
    found: list[Number] = []
    for name, cost, how in (
        ("in step", measured.in_step, "a dry run; pandas is loaded"),
        (
            f"{measured.drifted} drifted",
            measured.repairing,
            "files deleted, hashes overwritten, states lost, a third each; until all repairs are in the work queue",
        ),
    ):
        label = f"{measured.documents} documents, {name}"
        found += [
            Number(f"{label}: requests", float(cost.requests.total()), "", how),
            Number(f"{label}: time", cost.seconds, "s", how),
            Number(f"{label}: CPU, this process", cost.cpu["ours"], "s", how),
            Number(f"{label}: CPU, PostgreSQL", cost.cpu.get("postgres", 0.0), "s", how),
            Number(f"{label}: CPU, the stand-ins", cost.cpu.get("sandbox", 0.0), "s", how),
            Number(f"{label}: memory", cost.megabytes, "MB", "this process's peak less what it held before"),
        ]
    return found


def _listed(requests: Counter[str]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(requests.items()))
