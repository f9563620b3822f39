"""What `bitbylaw status` says of appointments: everybody in numbers, and a line for each with whom something is wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from bitbylaw_pipeline.cli.pair_names import TERMINE
from bitbylaw_pipeline.cli.screen import screen, span
from bitbylaw_pipeline.domain.termin_pair import PAIR_PREFIX
from bitbylaw_pipeline.inbox import calendar_passes, two_way_desk, work_queue
from bitbylaw_pipeline.inbox.calendar_passes import CalendarPasses
from bitbylaw_pipeline.inbox.two_way_desk import PairCounts
from bitbylaw_pipeline.inbox.work_queue import WorkRow

STALE_SECONDS = 45 * 60.0
"""Three times what lies between two passes: nobody is late for being busy once."""


@dataclass(frozen=True, slots=True)
class TermineStatus:
    """Times are UTC epoch seconds. `troubles` has a sentence for each Kürzel that is not well."""

    employees: int
    never_passed: int
    oldest_pass: float | None
    newest_pass: float | None
    """When the last pass ended of whoever has waited longest, and of whoever has waited least, if they had one."""
    links: int
    holds: int
    notices: int
    conflicts: int
    quarantined: int
    troubles: Mapping[str, str]


def read_termine(connection: Connection, now: float, employees: Collection[str]) -> TermineStatus:
    """The state of these employees' appointments as of `now` (UTC epoch seconds)."""
    passes = calendar_passes.load(connection, employees)
    counted = two_way_desk.counts(connection)
    counts = [counted.get(PAIR_PREFIX + one, PairCounts()) for one in employees]
    ended = [one.passed_at for one in passes.values() if one.passed_at is not None]
    told = {
        one: _trouble(passes.get(one), work_queue.get(connection, TERMINE, one), now) for one in employees
    }
    return TermineStatus(
        employees=len(employees),
        never_passed=len(employees) - len(ended),
        oldest_pass=min(ended, default=None),
        newest_pass=max(ended, default=None),
        links=sum(one.active for one in counts),
        holds=sum(one.holds for one in counts),
        notices=sum(one.notices for one in counts),
        conflicts=sum(one.conflicts for one in counts),
        quarantined=sum(one.quarantined for one in counts),
        troubles={one: says for one, says in told.items() if says is not None},
    )


def _trouble(passes: CalendarPasses | None, row: WorkRow | None, now: float) -> str | None:
    if passes is not None and passes.failure is not None:
        failure = passes.failure
        return f"fails since {span(now - failure.since)}: {failure.why}"
    if row is not None and row.parked_at is not None:
        return f"parked ({row.park_reason}): {row.last_error or ''}"
    if passes is not None and passes.passed_at is not None and now - passes.passed_at > STALE_SECONDS:
        return f"no pass for {span(now - passes.passed_at)}: does bitbylaw up run?"
    return None


def print_termine(found: TermineStatus, now: float) -> None:
    """A line for all, and one for each trouble."""
    console = screen()
    passed = "no pass yet"
    if found.oldest_pass is not None:
        passed = f"oldest pass {span(now - found.oldest_pass)} ago"
        if found.never_passed:
            passed += f", {found.never_passed} without one"
    console.print(
        f"Appointments: {found.employees} employees, {passed}; {found.links} links, {found.holds} holds,"
        f" {found.notices} notices, {found.conflicts} conflicts, {found.quarantined} quarantined"
    )
    for kuerzel, says in found.troubles.items():
        console.print(f"  {kuerzel:<6} {says}", markup=False)
