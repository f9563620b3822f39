"""`--only appointments`: thirty employees' appointments in Advoware and Google, from the first pass to one change.

All passes go through the stream as in production: the work queue, the worker, the leases, both clients over HTTP.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.bench.appointment_changes import Arrival, measure_changes
from bitbylaw_pipeline.bench.appointment_polling import Polled, measure_polling
from bitbylaw_pipeline.bench.calendars import (
    BenchCalendar,
    add_events,
    calendar_settings,
    calls_since,
    employees,
    read_both_sides,
    reset_ledgers,
    seed_calendars,
    today,
)
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.engine import EngineRun
from bitbylaw_pipeline.bench.ground import Ground, settings_of
from bitbylaw_pipeline.bench.options import Options
from bitbylaw_pipeline.bench.parties import resident_megabytes
from bitbylaw_pipeline.bench.queue_watch import until_quiet
from bitbylaw_pipeline.bench.report import Number, Section
from bitbylaw_pipeline.bench.statistics import percentile
from bitbylaw_pipeline.sandbox.advoware.app import create_app
from bitbylaw_pipeline.sandbox.samples.calendars import FRISTEN
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.wiring import open_runtime

STREAM = "termine"
QUIET_PASSES = 5
NO_LIMIT = 1_000_000
PATIENCE_SECONDS = 900.0
READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Passed:
    """Everybody's pass: seconds, the calls that the stand-ins saw by system, method and route, our memory after it."""

    seconds: float
    calls: Counter[str]
    megabytes: float

    def of(self, system: str) -> int:
        """Calls to one system."""
        return sum(count for name, count in self.calls.items() if name.startswith(f"{system} "))

    @property
    def writes(self) -> int:
        """Calls that were no reading."""
        return sum(count for name, count in self.calls.items() if name.split()[1] not in READING)


@dataclass(frozen=True, slots=True)
class Measured:
    """One firm from the first pass on."""

    first: Passed
    made: int
    of_google: Passed
    settling: Passed
    quiet: Sequence[Passed]
    arrivals: Sequence[Arrival]
    values: dict[str, Any]
    """The settings with which it was measured."""


async def measure_appointments(ground: Ground, options: Options) -> Section:
    """Raises BenchProblem unless both sides hold the same appointments in the end."""
    staff = employees(options.employees)
    limited = await _measure(ground, staff, options.appointments)
    polled = await measure_polling(ground, staff, limited.values) if options.polls else None
    (await read_both_sides(ground.sandbox, staff)).check()
    unlimited = await _measure(
        ground,
        staff,
        options.appointments,
        google_requests_per_minute_per_user=NO_LIMIT,
        google_requests_per_minute=NO_LIMIT,
    )
    return _section(limited, unlimited, polled, options)


async def _measure(
    ground: Ground, staff: Sequence[BenchCalendar], appointments: int, **limits: int
) -> Measured:
    await seed_calendars(ground.sandbox, staff, appointments, today())
    values = await _values(ground, staff, **limits)
    settings = settings_of(values)
    keys = [one.kuerzel for one in staff]
    async with open_runtime(settings) as runtime:
        run = EngineRun(runtime, STREAM, patience_seconds=PATIENCE_SECONDS)
        await run.start()

        async def passed() -> Passed:
            await reset_ledgers(ground.sandbox)
            seconds = await run.sync(keys)
            return Passed(seconds, await calls_since(ground.sandbox), resident_megabytes())

        first = await passed()
        # What a pass cannot settle at once is looked at again by itself, seconds later.
        await until_quiet(runtime.database, also_later=True)
        # Not before the first pass: a calendar that is not empty then is a person's to judge.
        made = await add_events(ground.sandbox, staff, appointments, today())
        of_google = await passed()
        await until_quiet(runtime.database, also_later=True)
        settling = await passed()
        await until_quiet(runtime.database, also_later=True)
        quiet = [await passed() for _ in range(QUIET_PASSES)]
        arrivals = await measure_changes(ground.sandbox, run, staff)
        await run.stop()
    both = await read_both_sides(ground.sandbox, staff)
    both.check()
    if not all(len(rows) > appointments // 2 for rows in both.termine.values()):
        raise BenchProblem("FAILED: appointments are missing.")
    return Measured(first, made, of_google, settling, quiet, arrivals, values)


async def _values(ground: Ground, staff: Sequence[BenchCalendar], **more: Any) -> dict[str, Any]:
    """Settings by name, with the key file of Google's stand-in in a new folder."""
    sandbox, folder = ground.sandbox, ground.new_folder()
    key_file = folder / "google-service-account.json"
    key = await sandbox.control(sandbox.google_url, "GET", "service-account")
    key_file.touch(mode=0o600)
    key_file.write_text(json.dumps(key), "utf-8")
    calendars_file = folder / "calendars.json"
    calendars_file.write_text(json.dumps(calendar_settings(staff)), "utf-8")
    return ground.values(
        folder,
        **create_app().settings(sandbox.advoware_url),
        google_service_account_file=str(key_file),
        google_token_url=f"{sandbox.google_url}/token",
        google_api_base_url=f"{sandbox.google_url}/calendar/v3",
        google_calendars_file=calendars_file,
        termine_fristen=FRISTEN,
        **more,
    )


def _section(limited: Measured, unlimited: Measured, polled: Polled | None, options: Options) -> Section:
    size = f"{options.employees} employees with {options.appointments} Termine each"
    default = f"{size}, the limits of calls at their defaults (500 a minute and user, 9,000 a minute)"
    raised = f"{size}, without limits of calls"
    quiet = limited.quiet[-1]
    per_side = options.employees
    aim = f"one call a side and employee, {2 * per_side}"
    is_least = all(one.of("advoware") == one.of("google") == per_side for one in limited.quiet)
    wrote = sum(one.writes for one in limited.quiet)
    grown = quiet.megabytes - limited.quiet[1].megabytes
    found = [
        Number("first sync: time", limited.first.seconds, "s", default),
        Number("first sync without limits: time", unlimited.first.seconds, "s", raised),
        *_counted("first sync", limited.first, default),
        Number(f"{limited.made} made in Google: time", limited.of_google.seconds, "s", "the next pass"),
        *_counted(f"{limited.made} made in Google", limited.of_google, "the next pass"),
        *_counted("settling pass", limited.settling, "the pass after it"),
        Number("settling pass: time", limited.settling.seconds, "s", "the pass after it"),
        Number("quiet run: time", _median_seconds(limited), "s", f"median of {QUIET_PASSES}; nothing had changed"),
        Number("quiet run: calls", float(quiet.calls.total()), "", "of all employees together", aim=aim, is_met=is_least),
        Number("quiet run: writes", float(wrote), "", f"in {QUIET_PASSES} runs", aim="none", is_met=wrote == 0),
        Number("memory grown over the quiet runs", grown, "MB", f"resident after run {QUIET_PASSES} less that after run 2"),
        *_arrivals(limited.arrivals),
        *(_polled(polled) if polled else ()),
    ]  # fmt: skip
    notes = [
        f"Calls of the first sync: {_listed(limited.first.calls)}.",
        f"Calls of a quiet run: {_listed(quiet.calls)}.",
        *([f"Calls of a poll that finds nothing: {_listed(polled.quiet_poll)}."] if polled else []),
        *(
            f"Calls of a pass with one change {one}: {_listed(calls)}."
            for one, calls in _usual(limited.arrivals)
        ),
    ]
    details = {"first": dict(limited.first.calls), "quiet": dict(quiet.calls)}
    return Section("appointments", "Appointments: Advoware and Google", found, notes, details)


def _counted(name: str, passed: Passed, how: str) -> list[Number]:
    return [
        Number(f"{name}: calls to Advoware", float(passed.of("advoware")), "", how),
        Number(f"{name}: calls to Google", float(passed.of("google")), "", how),
        Number(f"{name}: writes", float(passed.writes), "", how),
        Number(f"{name}: resident memory", passed.megabytes, "MB", "of the whole process, after it"),
    ]


def _median_seconds(measured: Measured) -> float:
    return percentile([one.seconds for one in measured.quiet], 0.5)


def _arrivals(arrivals: Sequence[Arrival]) -> list[Number]:
    how = "from the change to the end of the write's call in the other ledger; the pass is asked for at once"
    found = []
    for direction in dict.fromkeys(one.direction for one in arrivals):
        taken = [1000 * one.seconds for one in arrivals if one.direction == direction]
        found.append(
            Number(f"one change {direction}", percentile(taken, 0.5), "ms", how, min(taken), max(taken))
        )
    return found


def _polled(polled: Polled) -> list[Number]:
    seconds = Settings.model_fields["google_poll_seconds"].default
    how = (
        f"through `bitbylaw up`, changed just after a poll, which is the longest wait: polls every {seconds:g} s, looked"
        " for every 5 s; nobody asks for a pass"
    )
    return [
        Number(f"one change {direction}, found by the poll", taken, "s", how)
        for direction, taken in sorted(polled.seconds.items())
    ]


def _usual(arrivals: Sequence[Arrival]) -> list[tuple[str, Counter[str]]]:
    return [(name, calls) for name, calls in {one.direction: one.calls for one in arrivals}.items()]


def _listed(calls: Counter[str]) -> str:
    return ", ".join(f"{count} x {_short(name)}" for name, count in sorted(calls.items()))


def _short(name: str) -> str:
    system, method, route = name.split(maxsplit=2)
    return f"{system} {method} {'/'.join(part for part in route.split('/')[-2:] if part != '{calendarId}')}"
