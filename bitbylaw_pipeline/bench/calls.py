"""`--only calls`: what each event costs in calls to the outside systems, call by call, as the stand-ins' ledger saw them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from bitbylaw_pipeline.bench.agreement import check_agreement
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.engine import EngineRun, make_collections
from bitbylaw_pipeline.bench.firm import (
    MATTER_TYPE,
    BenchDocument,
    add_documents,
    add_matters,
    attachment,
    file_bytes,
    open_firm,
    record_id,
    with_content,
)
from bitbylaw_pipeline.bench.ground import Ground, environment_of, settings_of
from bitbylaw_pipeline.bench.options import Options
from bitbylaw_pipeline.bench.programs import running_receiver
from bitbylaw_pipeline.bench.queue_watch import until_quiet
from bitbylaw_pipeline.bench.report import Number, Section
from bitbylaw_pipeline.bench.sandbox_process import ESPOCRM_KEY, LedgerRow, Sandbox
from bitbylaw_pipeline.bench.statistics import spread
from bitbylaw_pipeline.bench.webhooks import Registration, open_sender, register, send
from bitbylaw_pipeline.loopback import free_port
from bitbylaw_pipeline.wiring import Runtime, open_runtime

DUPLICATES = 10
_STORM_ON_CLEAN = f"{DUPLICATES} identical events, nothing changed"
_STORM = f"new version with {DUPLICATES} identical events"
AIMS = {"new document": 7.0, "redundant event, isolated": 1.0, "renamed": 1.0}
"""Seven are the least a new document can cost under the rule `field`: read, fetch, its owner's permission, upload, link,
write back, read again."""
AIM_ADJACENT = 0.15
INDEX_CHECK_SECONDS = 5.0
"""The ledger is read in between: on a loaded machine a later look that came sooner would count as one of the calls at
once."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The calls of one case on one document: at once, and in the pass that looks at the indexing later."""

    at_once: tuple[str, ...]
    later: tuple[str, ...]


async def measure_calls(ground: Ground, options: Options) -> Section:
    """Raises BenchProblem where a document ends wrong."""
    await open_firm(ground.sandbox)
    # Indexed as soon as it is linked, so that the later look finds it done.
    await ground.sandbox.set_switches(
        stage_seconds=dict.fromkeys(("PROCESSING", "CHUNKED", "EMBEDDING", "WRITING"), 0.0)
    )
    folder, port = ground.new_folder(), free_port()
    values = ground.values(folder, xai_indexing_check_seconds=INDEX_CHECK_SECONDS)
    async with open_runtime(settings_of(values)) as runtime, open_sender() as session:
        registration = register(runtime.database)
        with running_receiver(environment_of(values), port, folder):
            bench = CallsBench(ground.sandbox, runtime, registration, session, f"http://127.0.0.1:{port}")
            await bench.prepare()
            costs = [await bench.run_all(number) for number in range(options.call_documents)]
            await bench.run.stop()
    return _section(costs)


class CallsBench:
    """One worker and one receiver; `run_all` takes a document through its whole life."""

    def __init__(
        self,
        sandbox: Sandbox,
        runtime: Runtime,
        registration: Registration,
        session: aiohttp.ClientSession,
        receiver_url: str,
    ) -> None:
        self._sandbox = sandbox
        self._runtime = runtime
        self._registration = registration
        self._session = session
        self._receiver_url = receiver_url
        self.run = EngineRun(runtime)

    async def prepare(self) -> None:
        """Two matters with collections, and a new document that is not counted: it fetches EspoCRM's metadata."""
        self._matters = await add_matters(self._sandbox, "calls", 2)
        self._collections = await make_collections(self._runtime, self._matters)
        await self.run.start()
        (document,) = await add_documents(self._sandbox, "calls-first", 1, self._matters[:1])
        await self._cost(document, None, 1)

    async def run_all(self, number: int) -> dict[str, Cost]:
        """The cost of each case, in order, on one new document."""
        (document,) = await add_documents(self._sandbox, f"calls-{number}", 1, self._matters[:1])
        first, second = self._matters
        link = f"{MATTER_TYPE}/{second}/dokumentes"
        cases: Sequence[tuple[str, Callable[[], Awaitable[None]] | None, int]] = (
            ("new document", None, 1),
            ("redundant event, isolated", None, 1),
            ("renamed", lambda: self._edit(document, name=f"Umbenannt {number}"), 1),
            ("new version", lambda: self._new_file(document, version=2, label=f"{number}-2"), 1),
            ("same bytes again", lambda: self._new_file(document, version=2, label=f"{number}-3"), 1),
            ("linked to a second matter", lambda: self._espo("POST", link, {"id": document.id}), 1),
            ("unlinked from it", lambda: self._espo("DELETE", link, {"id": document.id}), 1),
            (_STORM_ON_CLEAN, None, DUPLICATES),
            (
                _STORM,
                lambda: self._new_file(document, version=4, label=f"{number}-4"),
                DUPLICATES,
            ),
        )
        costs = {name: await self._cost(document, change, events) for name, change, events in cases}
        await self._check(document, file_bytes(document.id, 4), first)
        return costs

    async def _cost(
        self, document: BenchDocument, change: Callable[[], Awaitable[None]] | None, events: int
    ) -> Cost:
        if change is not None:
            await change()
        await self._sandbox.reset_ledgers()
        request = self._registration.sign([document.id])
        await asyncio.gather(*(send(self._session, self._receiver_url, request) for _ in range(events)))
        await until_quiet(self._runtime.database, every_seconds=0.02)
        at_once = _names(await self._sandbox.calls_since_reset())
        await until_quiet(self._runtime.database, also_later=True)
        return Cost(at_once, _names(await self._sandbox.calls_since_reset())[len(at_once) :])

    async def _espo(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        """What a person does in EspoCRM."""
        url = f"{self._sandbox.espocrm_url}/api/v1/{path}"
        headers = {"X-Api-Key": ESPOCRM_KEY}
        async with self._session.request(method, url, json=body, headers=headers) as response:
            if response.status not in (200, 201):
                raise BenchProblem(f"EspoCRM's stand-in answered {response.status} to {method} {path}.")

    async def _edit(self, document: BenchDocument, **values: str) -> None:
        await self._espo("PUT", f"CDokumente/{document.id}", values)

    async def _new_file(self, document: BenchDocument, *, version: int, label: str) -> None:
        attachment_id = record_id("attachment", "calls", label)
        content = file_bytes(document.id, version)
        await self._sandbox.seed({"attachments": [attachment(attachment_id, document, content)]})
        await self._edit(document, dokumentId=attachment_id)

    async def _check(self, document: BenchDocument, content: bytes, matter: str) -> None:
        """Raises BenchProblem unless the document ended with its newest file, in its one matter's collection."""
        newest = with_content(document, content)
        await check_agreement(
            self._sandbox, [newest], {matter: self._collections[matter]}, self._runtime.database
        )


def _names(rows: Sequence[LedgerRow]) -> tuple[str, ...]:
    return tuple(
        f"{row.method} {row.system}{row.route.removeprefix('/api').removeprefix('/v1')}" for row in rows
    )


def _section(costs: Sequence[Mapping[str, Cost]]) -> Section:
    found = [_number(name, [cost[name] for cost in costs]) for name in costs[0]]
    later = [len(cost["new document"].later) for cost in costs]
    found.insert(
        1, _counted("later, once: has it been indexed?", later, "calls", "one pass, 30 s later by default")
    )
    unchanged = [len(cost[_STORM_ON_CLEAN].at_once) / DUPLICATES for cost in costs]
    found.append(
        _counted(
            "redundant event, ten adjacent, nothing changed", unchanged, "calls", "all calls / 10 events"
        )
    )
    changed = [
        (len(cost[_STORM].at_once) - len(cost["new version"].at_once)) / (DUPLICATES - 1) for cost in costs
    ]
    found.append(
        _counted(
            "redundant event, ten adjacent on a new version",
            changed,
            "calls",
            "(all calls - those of a new version) / 9 redundant events",
            AIM_ADJACENT,
        )
    )
    details = {name: {"at_once": cost.at_once, "later": cost.later} for name, cost in costs[0].items()}
    return Section("calls", "Calls by event", found, _call_by_call(costs[0]), details)


def _number(name: str, costs: Sequence[Cost]) -> Number:
    aim = AIMS.get(name)
    return _counted(name, [len(cost.at_once) for cost in costs], "calls", "ledger, from the webhook on", aim)


def _counted(name: str, values: Sequence[float], unit: str, how: str, aim: float | None = None) -> Number:
    found = spread(values)
    return Number(
        name,
        found.median,
        unit,
        how,
        found.lowest,
        found.highest,
        aim="" if aim is None else f"<= {aim:g}",
        is_met=None if aim is None else found.median <= aim,
    )


def _call_by_call(costs: Mapping[str, Cost]) -> list[str]:
    lines = []
    for name, cost in costs.items():
        lines.append(f"{name}: {_listed(cost.at_once)}")
        if cost.later:
            lines.append(f"  later: {_listed(cost.later)}")
    return lines


def _listed(names: Sequence[str]) -> str:
    counted = [(name, len(list(group))) for name, group in itertools.groupby(names)]
    return "; ".join(f"{name} x{count}" if count > 1 else name for name, count in counted) or "none"
