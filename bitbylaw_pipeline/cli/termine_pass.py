"""Passes over employees' appointments for `bitbylaw pass` and `plan`; one employee's trouble holds up nobody else."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from bitbylaw_pipeline.cli.pair_names import (
    TERMINE,
    kuerzel_of,
    named_pair,
    require_calendars,
    require_kuerzel,
)
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.outcome import Fact
from bitbylaw_pipeline.domain.termin_pair import PAIR_PREFIX
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.pair_pass import PairPass
from bitbylaw_pipeline.wiring import Runtime

IN_HAND = "pipeline"
"""The system of an error that says that another run has the employee in hand."""


def chosen(settings: Settings, pair: str | None) -> list[str]:
    """The Kürzel that a person named; all of them where nothing was named. Raises NotUsable for one without a calendar."""
    if pair is None:
        return sorted(settings.calendars) if settings.has_calendars else []
    if pair == TERMINE:
        require_calendars(settings)
        return sorted(settings.calendars)
    kuerzel = kuerzel_of(named_pair(settings, pair))
    if kuerzel is None:
        return []
    require_kuerzel(settings, kuerzel)
    return [kuerzel]


async def run(runtime: Runtime, employees: Sequence[str]) -> list[PairPass]:
    """A pass over each of them, one after the other; ends early where a whole system refuses us or is away."""
    passed = []
    for kuerzel in employees:
        begun = time.monotonic()
        pair = PAIR_PREFIX + kuerzel
        try:
            outcome = await runtime.streams[TERMINE].sync(kuerzel)
        except SyncError as error:
            if error.system == IN_HAND:
                passed.append(PairPass(pair, is_skipped=True))
                continue
            passed.append(PairPass(pair, stopped_by=error, seconds=time.monotonic() - begun))
            # A delay of this employee's own (`google:AB`) pauses nothing.
            if await runtime.outage_watch.judge(error) is not None and ":" not in error.system:
                break
        else:
            passed.append(PairPass(pair, _numbers(outcome.facts), seconds=time.monotonic() - begun))
    return passed


async def plan(runtime: Runtime, employees: Sequence[str]) -> dict[str, list[str]]:
    """By pair, what a pass would do, as lines."""
    return {PAIR_PREFIX + one: await runtime.streams[TERMINE].describe(one) for one in employees}


def _numbers(facts: Mapping[str, Fact]) -> dict[str, int]:
    return {name: value for name, value in facts.items() if isinstance(value, int)}
