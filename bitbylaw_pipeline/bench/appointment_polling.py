"""One changed appointment through the running pipeline: nobody asks for a pass, the poll finds the change."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.bench.appointment_changes import (
    TO_ADVOWARE,
    TO_GOOGLE,
    Movable,
    find_movable,
    move,
    written_at,
)
from bitbylaw_pipeline.bench.calendars import BenchCalendar, calls_since, reset_ledgers
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.ground import Ground, environment_of, settings_of
from bitbylaw_pipeline.bench.programs import running_pipeline
from bitbylaw_pipeline.bench.queue_watch import until_quiet
from bitbylaw_pipeline.wiring import open_database

FIRST_POLL_SECONDS = 180.0
PATIENCE_SECONDS = 150.0
LOOK_EVERY_SECONDS = 0.2
STILL_SECONDS = 3.0
"""Without a call for so long a poll has ended."""


@dataclass(frozen=True, slots=True)
class Polled:
    """Seconds until written, by direction, for changes made just after a poll; the calls of a poll that finds nothing."""

    seconds: Mapping[str, float]
    quiet_poll: Counter[str]


async def measure_polling(
    ground: Ground, staff: Sequence[BenchCalendar], values: Mapping[str, Any]
) -> Polled:
    """With what the setting says about the poll; `values` are the settings of a pipeline that is in step.

    Raises BenchProblem where a change does not arrive.
    """
    folder = values["dagster_home"]
    more = {"dagster_postgres_url": ground.new_database("dagster")} if ground.postgres else {}
    database = open_database(settings_of(dict(values)))
    try:
        with running_pipeline(environment_of({**values, **more}), folder):
            await _until_polled(ground, staff)
            await until_quiet(database, also_later=True)
            quiet = await _quiet_poll(ground, staff)
            one, other = await find_movable(ground.sandbox, staff, 2)
            seconds = await _both_ways(ground, one, other)
            await until_quiet(database, also_later=True)
    finally:
        database.close()
    return Polled(seconds, quiet)


async def _until_polled(ground: Ground, staff: Sequence[BenchCalendar]) -> None:
    """Returns when everybody's calendar was asked for at least once: the first poll gives everybody a pass."""
    await reset_ledgers(ground.sandbox)
    deadline = time.monotonic() + FIRST_POLL_SECONDS
    while _lists(await calls_since(ground.sandbox)) < 2 * len(staff):
        if time.monotonic() > deadline:
            raise BenchProblem("FAILED: the running pipeline does not ask for changes.")
        await asyncio.sleep(1.0)


async def _quiet_poll(ground: Ground, staff: Sequence[BenchCalendar]) -> Counter[str]:
    """The calls of one whole poll."""
    # One that is under way would be counted by half.
    await _until_still(ground, 0)
    await reset_ledgers(ground.sandbox)
    return await _until_still(ground, 2 * len(staff))


async def _until_still(ground: Ground, at_least: int) -> Counter[str]:
    """The calls since the ledgers were reset, once there are so many and no more come."""
    deadline = time.monotonic() + FIRST_POLL_SECONDS
    before = -1
    while True:
        calls = await calls_since(ground.sandbox)
        if calls.total() >= at_least and calls.total() == before:
            return calls
        if time.monotonic() > deadline:
            raise BenchProblem("FAILED: the running pipeline asks for no changes any more, or for ever.")
        before = calls.total()
        await asyncio.sleep(STILL_SECONDS)


async def _both_ways(ground: Ground, one: Movable, other: Movable) -> dict[str, float]:
    await reset_ledgers(ground.sandbox)
    began = {
        TO_GOOGLE: await move(ground.sandbox, one, TO_GOOGLE),
        TO_ADVOWARE: await move(ground.sandbox, other, TO_ADVOWARE),
    }
    found: dict[str, float] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found) < len(began):
        for direction in began.keys() - found.keys():
            if written := await written_at(ground.sandbox, direction):
                found[direction] = written[0] - began[direction]
        if time.monotonic() > deadline:
            raise BenchProblem("FAILED: the running pipeline did not bring a change across.")
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    return found


def _lists(calls: Counter[str]) -> int:
    return sum(count for name, count in calls.items() if name.endswith("/events"))
