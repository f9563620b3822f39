"""One burst, measured: from its start to the last write-back in the stand-ins' ledger, with the CPU time it took."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bitbylaw_pipeline.bench.cpu_time import CpuMeter, spent
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.firm import BARE_TYPE, DOCUMENT_TYPE
from bitbylaw_pipeline.bench.report import Number
from bitbylaw_pipeline.bench.sandbox_process import LedgerRow, Sandbox
from bitbylaw_pipeline.bench.statistics import spread

WRITE_BACK = f"PUT /api/v1/{DOCUMENT_TYPE}/{{id}}"
SHARED_CALLS = frozenset(
    {
        "espocrm GET /api/v1/CDokumente",
        "espocrm GET /api/v1/Metadata",
        "espocrm GET /api/v1/CVmhRumungsklage",
        "espocrm GET /api/v1/CMietinkasso",
        "espocrm GET /api/v1/Account",
        "espocrm GET /api/v1/CBeteiligte",
    }
)
"""Calls for all documents together: the change feed's pages, and EspoCRM's description of itself."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One burst: seconds to the last write-back, CPU seconds by process, calls and bytes by route.

    Raises BenchProblem for a burst that ended before it began.
    """

    documents: int
    seconds: float
    cpu: Mapping[str, float]
    calls: Mapping[str, int]
    sent_bytes: int

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise BenchProblem(f"FAILED: the last write-back came {-self.seconds:.1f} s before the start.")

    @property
    def per_second(self) -> float:
        """Documents per second."""
        return self.documents / self.seconds


@dataclass(frozen=True, slots=True)
class Pair:
    """The bare loop and what stands beside it, in one repetition."""

    bare: Trial
    ours: Trial


async def measure(
    sandbox: Sandbox, documents: int, meter: CpuMeter, work: Callable[[], Awaitable[object]]
) -> Trial:
    """Runs the work, which returns when everything is done, and reads the ledger afterwards.

    Raises BenchProblem unless there is one write-back for each document.
    """
    await sandbox.reset_ledgers()
    own = time.process_time()
    before, started = meter.read(), time.time()
    await work()
    after = meter.read()
    cpu = {"bench": time.process_time() - own, **spent(before, after)}
    rows = await sandbox.calls_since_reset()
    written = [row for row in rows if row.method == "PUT" and row.system == "espocrm"]
    if len(written) != documents:
        statuses = dict(Counter((row.route, row.status) for row in written))
        raise BenchProblem(f"FAILED: {len(written)} write-backs for {documents} documents: {statuses}")
    own_calls = [row for row in rows if row.name not in SHARED_CALLS]
    return Trial(
        documents,
        max(row.ended for row in written) - started,
        cpu,
        Counter(row.name.replace(BARE_TYPE, DOCUMENT_TYPE) for row in own_calls),
        _bytes(own_calls),
    )


def check_same_calls(pair: Pair) -> None:
    """Raises BenchProblem unless ours made every call of the bare loop and no other write, with bodies of like size.

    Reads beyond those are ours to pay for: the change feed may show a document its own write-back.
    """
    theirs, ours = pair.bare.calls, pair.ours.calls
    for name in {*theirs, *ours}:
        more = ours.get(name, 0) - theirs.get(name, 0)
        if more < 0 or (more > 0 and " GET " not in name):
            raise BenchProblem(
                f"FAILED: not the same calls: {name} {theirs.get(name, 0)} times by the bare loop, {ours.get(name, 0)} by us."
            )
    if abs(pair.bare.sent_bytes - pair.ours.sent_bytes) > 0.02 * pair.bare.sent_bytes:
        raise BenchProblem(
            f"FAILED: not the same bodies: {pair.bare.sent_bytes} and {pair.ours.sent_bytes} bytes."
        )


def numbers(pairs: Sequence[Pair], label: str, *, aim: float | None, how: str) -> list[Number]:
    """Rates, their ratio, and CPU by process for some repetitions; `label` says under which latency."""
    rates = spread([pair.ours.per_second for pair in pairs])
    bare = spread([pair.bare.per_second for pair in pairs])
    ratio = spread([pair.ours.per_second / pair.bare.per_second for pair in pairs])
    found = [
        Number(f"documents per second, {label}", rates.median, "docs/s", how, rates.lowest, rates.highest),
        Number(
            f"bare asyncio + aiohttp loop, {label}",
            bare.median,
            "docs/s",
            "the same calls with the same bodies, 16 documents at once, the same stand-ins; order alternated",
            bare.lowest,
            bare.highest,
        ),
        Number(
            f"ratio, {label}",
            ratio.median,
            "",
            "ours / bare loop, by repetition; median",
            ratio.lowest,
            ratio.highest,
            "" if aim is None else f">= {aim}",
            None if aim is None else ratio.median >= aim,
        ),
    ]
    calls = spread([sum(pair.ours.calls.values()) / pair.ours.documents for pair in pairs])
    found.append(
        Number(
            f"calls per document, {label}",
            calls.median,
            "",
            "by the ledger, without the feed's list calls; the bare loop: 6",
            calls.lowest,
            calls.highest,
        )
    )
    for name in pairs[0].ours.cpu:
        each = spread([1000 * pair.ours.cpu[name] / pair.ours.documents for pair in pairs])
        found.append(
            Number(
                f"CPU per document, {name}, {label}",
                each.median,
                "ms",
                "/proc/<pid>/stat with all children",
                each.lowest,
                each.highest,
            )
        )
    own = spread([1000 * pair.bare.cpu["bench"] / pair.bare.documents for pair in pairs])
    found.append(
        Number(
            f"CPU per document, bare loop itself, {label}",
            own.median,
            "ms",
            "of this process",
            own.lowest,
            own.highest,
        )
    )
    return found


def _bytes(rows: Sequence[LedgerRow]) -> int:
    return sum(row.request_bytes for row in rows)
