"""`--only receiver`: acknowledgements per second and their latency, each after a durable commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from sqlalchemy import func, select

from bitbylaw_pipeline.bench.cpu_time import spent
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.ground import Ground, environment_of, settings_of
from bitbylaw_pipeline.bench.options import Options
from bitbylaw_pipeline.bench.programs import running_receiver
from bitbylaw_pipeline.bench.report import Number, Section
from bitbylaw_pipeline.bench.statistics import percentile, schedule
from bitbylaw_pipeline.bench.webhooks import (
    MOST_EVENTS,
    Registration,
    SignedRequest,
    open_sender,
    register,
    send,
)
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import inbox_event, work
from bitbylaw_pipeline.loopback import free_port
from bitbylaw_pipeline.wiring import open_database

CONNECTIONS = 16
MOST_PER_SECOND = 4000
"""Requests signed beforehand for each second of a closed loop; a receiver that takes more is measured for less time."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one load came to: seconds of latency of each acknowledged request, and the CPU time by process."""

    latencies: Sequence[float]
    events: int
    seconds: float
    cpu: dict[str, float]


async def measure_receiver(ground: Ground, options: Options) -> Section:
    """Raises BenchProblem unless exactly what was acknowledged is in the inbox."""
    folder, port = ground.new_folder(), free_port()
    values = ground.values(folder)
    database = open_database(settings_of(values))
    try:
        registration = register(database)
        with running_receiver(environment_of(values), port, folder) as pid:
            bench = _ReceiverBench(ground, f"http://127.0.0.1:{port}", registration, pid)
            await bench.closed_loop(1, 1.0)  # the first requests open connections and fill caches
            single = await bench.closed_loop(1, options.load_seconds)
            full = await bench.closed_loop(MOST_EVENTS, options.load_seconds)
            steady = await bench.open_loop(options.open_loop_rate, options.open_loop_seconds)
        _check(database, bench)
    finally:
        database.close()
    closed = f"closed loop, {CONNECTIONS} connections, {options.load_seconds:g} s, signed like EspoCRM's"
    opened = (
        f"open loop, {options.open_loop_rate:g} requests/s for {options.open_loop_seconds:g} s, 1 event each; "
        "from the intended send time"
    )
    found = [
        *_rates(single, "1 event", f"{closed}; 1 event a request", 1000, "requests"),
        *_rates(full, "50 events", f"{closed}; 50 events a request", 8000, "events"),
        *_latencies(steady, f"{options.open_loop_rate:g} req/s", opened, {0.99: 50.0, 0.999: 250.0}),
        *_cpu(single, "1 event"),
        *_cpu(full, "50 events"),
    ]
    durable = "fsync and synchronous_commit on" if ground.postgres else "synchronous=FULL"
    total = f"{bench.acknowledged} acknowledged events, as many in the inbox afterwards."
    return Section(
        "receiver",
        "Receiver: acknowledged after a durable commit",
        found,
        [f"Every answer came after its commit ({durable}). {total}"],
    )


class _ReceiverBench:
    def __init__(self, ground: Ground, url: str, registration: Registration, pid: int) -> None:
        self._url = url
        self._registration = registration
        self._meter = ground.meter(receiver=pid)
        self._next_id = 0
        self.acknowledged = 0
        self.ids = 0

    async def closed_loop(self, events: int, seconds: float) -> Load:
        """Each connection sends its next request as soon as the last was answered."""
        waiting = iter(self._signed(int(MOST_PER_SECOND * seconds) // (1 if events == 1 else 8), events))
        latencies: list[float] = []

        async def sender(session: aiohttp.ClientSession, until: float) -> None:
            for request in waiting:
                begun = time.perf_counter()
                if begun > until:
                    return
                await self._send(session, request)
                latencies.append(time.perf_counter() - begun)

        async with open_sender(CONNECTIONS) as session:
            before, started = self._meter.read(), time.perf_counter()
            await asyncio.gather(*(sender(session, started + seconds) for _ in range(CONNECTIONS)))
            took = time.perf_counter() - started
        cpu = spent(before, self._meter.read())
        return Load(latencies, len(latencies) * events, took, cpu)

    async def open_loop(self, rate: float, seconds: float) -> Load:
        """Sends by the clock, whatever became of the requests before."""
        moments = list(schedule(rate, seconds))
        latencies: list[float] = []

        async def sender(session: aiohttp.ClientSession, request: SignedRequest, intended: float) -> None:
            await self._send(session, request)
            latencies.append(time.perf_counter() - intended)

        async with open_sender(0) as session, asyncio.TaskGroup() as group:
            before, started = self._meter.read(), time.perf_counter()
            for moment, request in zip(moments, self._signed(len(moments), 1), strict=True):
                intended = started + moment
                await asyncio.sleep(max(0.0, intended - time.perf_counter()))
                group.create_task(sender(session, request, intended))
        took = time.perf_counter() - started
        return Load(latencies, len(latencies), took, spent(before, self._meter.read()))

    async def _send(self, session: aiohttp.ClientSession, request: SignedRequest) -> None:
        await send(session, self._url, request)
        self.acknowledged += request.events

    def _signed(self, count: int, events: int) -> list[SignedRequest]:
        made = []
        for _ in range(count):
            ids = [f"{number:017x}" for number in range(self._next_id, self._next_id + events)]
            self._next_id += events
            made.append(self._registration.sign(ids))
        return made


def _check(database: Database, bench: _ReceiverBench) -> None:
    stored, wanted = database.read(
        lambda conn: (
            conn.execute(select(func.count()).select_from(inbox_event)).scalar_one(),
            conn.execute(select(func.sum(work.c.wanted))).scalar_one(),
        )
    )
    if not stored == wanted == bench.acknowledged:
        raise BenchProblem(
            f"FAILED: {bench.acknowledged} events acknowledged, {stored} in the inbox, {wanted} wanted."
        )


def _rates(load: Load, label: str, how: str, aim: float, counted: str) -> list[Number]:
    per_second = len(load.latencies) / load.seconds
    events = load.events / load.seconds
    judged = per_second if counted == "requests" else events
    return [
        Number(
            f"requests acknowledged, {label}",
            per_second,
            "/s",
            how,
            aim=f">= {aim:g} {counted}/s",
            is_met=judged >= aim,
        ),
        Number(f"events acknowledged, {label}", events, "/s", how),
        *_latencies(load, label, how, {0.99: 100.0}),
    ]


def _latencies(load: Load, label: str, how: str, aims: dict[float, float]) -> list[Number]:
    found = []
    for share, name in ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")):
        value = 1000 * percentile(load.latencies, share)
        aim = aims.get(share)
        found.append(
            Number(
                f"acknowledgement {name}, {label}",
                value,
                "ms",
                how,
                aim="" if aim is None else f"<= {aim:g} ms",
                is_met=None if aim is None else value <= aim,
            )
        )
    return found


def _cpu(load: Load, label: str) -> list[Number]:
    return [
        Number(
            f"CPU per request, {name}, {label}",
            1000 * load.cpu[name] / len(load.latencies),
            "ms",
            "/proc/<pid>/stat with all children",
        )
        for name in ("receiver", "postgres")
        if name in load.cpu
    ]
