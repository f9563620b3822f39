"""Passes over employees' appointments for `bitbylaw pass` and `plan`; one employee's trouble holds up nobody else."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bitbylaw_pipeline.cli.pair_names import (
    TERMINE,
    kuerzel_of,
    named_pair,
    require_calendars,
    require_kuerzel,
)
from bitbylaw_pipeline.domain.errors import AuthFailed, RateLimited, ScopeLimited, SyncError, Unreachable
from bitbylaw_pipeline.domain.outcome import Fact
from bitbylaw_pipeline.domain.termin_pair import PAIR_PREFIX
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.pair_pass import PairPass
from bitbylaw_pipeline.sync.termine_stream import InHand
from bitbylaw_pipeline.wiring import Runtime


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
        except InHand:
            passed.append(PairPass(pair, is_skipped=True))
        except SyncError as error:
            passed.append(PairPass(pair, stopped_by=error, seconds=time.monotonic() - begun))
            # A delay of this employee's own pauses nothing.
            if await runtime.outage_watch.judge(error) is not None and not isinstance(error, ScopeLimited):
                break
        else:
            passed.append(PairPass(pair, _numbers(outcome.facts), seconds=time.monotonic() - begun))
    return passed


@dataclass(slots=True)
class Planned:
    """By pair, what a pass would do, as lines; `refused` are the pairs whose one line is why there is no plan."""

    lines: dict[str, list[str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


async def plan(runtime: Runtime, employees: Sequence[str]) -> Planned:
    """A plan for each of them; where a whole system refuses us or is away, the rest are not asked for in vain."""
    planned = Planned()
    why_nobody: str | None = None
    for kuerzel in employees:
        pair, why = PAIR_PREFIX + kuerzel, why_nobody
        if why is None:
            try:
                planned.lines[pair] = await runtime.streams[TERMINE].describe(kuerzel)
                continue
            except SyncError as error:
                why = str(error)
                why_nobody = why if _is_of_everybody(error) else None
        planned.lines[pair] = [why]
        planned.refused.add(pair)
    return planned


def _is_of_everybody(error: SyncError) -> bool:
    return isinstance(error, AuthFailed | Unreachable | RateLimited) and not isinstance(error, ScopeLimited)


def _numbers(facts: Mapping[str, Fact]) -> dict[str, int]:
    return {name: value for name, value in facts.items() if isinstance(value, int)}
