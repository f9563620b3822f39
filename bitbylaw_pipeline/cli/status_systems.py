"""What `bitbylaw status` says of the systems: whether they answered, as far as anybody has tried, or now if asked to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bitbylaw_pipeline.cli.screen import moment, span, table
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox import feed_cursors, pass_times
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.flow_views import PASSED_FLOWS, FlowView
from bitbylaw_pipeline.inbox.overview import Overview, SystemView
from bitbylaw_pipeline.settings import Settings

Probe = Callable[[], Awaitable[None]]
LONGEST_PROBE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Probed:
    """What a system said just now; `seconds` until its answer or failure, None where it was not asked."""

    is_reached: bool
    seconds: float | None
    says: str


def answered_at(connection: Connection, settings: Settings, flows: Sequence[FlowView]) -> dict[str, float]:
    """When EspoCRM, Advoware and Google answered last by what succeeded (UTC epoch seconds).

    A document's success says nothing of xAI: most need no more than EspoCRM's read.
    """
    polled = feed_cursors.last_polled(connection)
    success = {flow.name: flow.last_success_at for flow in flows}
    passed = [pass_times.last_pass(connection, pair) for pair in PASSED_FLOWS if settings.has_advoware]
    found = {
        "espocrm": [polled, success.get("documents"), *passed],
        "advoware": [*passed, success.get("termine")],
        "google": [success.get("termine")],
    }
    known = {name: [at for at in times if at is not None] for name, times in found.items()}
    return {name: max(times) for name, times in known.items() if times}


async def probe_systems(settings: Settings, database: Database, overview: Overview) -> dict[str, Probed]:
    """Asks every configured system at once, by the cheapest read that needs our key.

    One that refuses our key is left alone: Advoware locks the user out after a few wrong logins. Raises SettingsError
    where a setting lacks that every system's client needs.
    """
    from bitbylaw_pipeline.wiring import open_runtime  # noqa: PLC0415  # 0.3 s that a status without it need not spend

    refused = {one.name for one in overview.systems if _is_left_alone(one, overview.now)}
    async with open_runtime(settings, database=database) as runtime:
        names = [one.name for one in overview.systems]
        probes = runtime.outage_watch.probes
        asked = [name for name in names if name in probes and name not in refused]
        answers = await asyncio.gather(*(_ask(probes[name]) for name in asked))
    told = dict(zip(asked, answers, strict=True))
    not_asked = Probed(False, None, "not asked: it refuses our key (bitbylaw doctor)")
    return {name: told.get(name, not_asked) for name in names}


def _is_left_alone(system: SystemView, now: float) -> bool:
    return system.is_refused and system.until is not None and system.until > now


async def _ask(probe: Probe) -> Probed:
    began = time.monotonic()
    try:
        async with asyncio.timeout(LONGEST_PROBE_SECONDS):
            await probe()
    except TimeoutError:
        return Probed(False, time.monotonic() - began, f"no answer within {LONGEST_PROBE_SECONDS:.0f} s")
    except SyncError as error:
        return Probed(False, time.monotonic() - began, str(error))
    return Probed(True, time.monotonic() - began, "answers")


def systems_table(overview: Overview, answered: Mapping[str, float], probed: Mapping[str, Probed]) -> Any:
    """One line for each system."""
    rows = [
        (
            one.name,
            _reachable(one, overview.now, answered.get(one.name)),
            *_probe_cells(probed, one.name),
            one.limits,
        )
        for one in overview.systems
    ]
    columns = ("system", "as far as tried", *(("asked now", "#took") if probed else ()), "limits")
    return table("Systems", columns, rows)


def _reachable(one: SystemView, now: float, answered: float | None) -> str:
    if one.is_paused:
        return f"{one.reason} since {moment(one.since)}"
    return "no trouble known" if answered is None else f"answered {span(now - answered)} ago"


def _probe_cells(probed: Mapping[str, Probed], name: str) -> tuple[str, ...]:
    if name not in probed:
        return ("", "") if probed else ()
    found = probed[name]
    return found.says, "" if found.seconds is None else f"{found.seconds * 1000:.0f} ms"
