"""What became of a request for passes: an employee's part of it, and the whole.

A request is answered by a pass that *began* at or after it: an earlier one may not have seen what it was made for.
Times are UTC epoch seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bitbylaw_pipeline.inbox.calendar_passes import CalendarPasses, Failure
from bitbylaw_pipeline.inbox.work_queue import WorkRow


class Status(StrEnum):
    """Where a request stands."""

    WAITING = "waiting"
    RUNNING = "running"
    """A pass is at work, perhaps one that began before the request: then another one follows."""
    RETRYING = "retrying"
    DONE = "done"
    FAILED = "failed"
    """Set aside: nothing happens until the next request, schedule or change."""


@dataclass(frozen=True, slots=True)
class EmployeeOutcome:
    """One employee's part. `counts` are those of the last whole pass; `why` says what went wrong last."""

    status: Status
    finished_at: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    why: str | None = None


def employee_outcome(
    requested_at: float, now: float, row: WorkRow | None, passes: CalendarPasses | None
) -> EmployeeOutcome:
    """What a request of that time has come to, by the queue's row and the employee's last passes."""
    if passes is not None and passes.begun_at is not None and passes.begun_at >= requested_at:
        return EmployeeOutcome(Status.DONE, passes.passed_at, passes.counts)
    failure = _failure_since(requested_at, passes)
    if row is not None and row.parked_at is not None:
        # A request takes a row out of its park, and a pass that began before it cannot put it there again.
        finished_at, why = (row.parked_at, row.last_error) if failure is None else (failure.at, failure.why)
        return EmployeeOutcome(Status.FAILED, finished_at, why=why)
    if failure is not None:
        return EmployeeOutcome(Status.RETRYING, why=failure.why)
    if row is not None and row.lease_until is not None and row.lease_until > now:
        return EmployeeOutcome(Status.RUNNING)
    # An error from before the request, or of a system that is down for everybody: it says what is waited for.
    return EmployeeOutcome(Status.WAITING, why=None if row is None else row.last_error)


def overall(parts: Iterable[Status]) -> Status:
    """Failed if any is; done if all are; else retrying if any is; running if any is running or done; else waiting."""
    found = set(parts)
    for status in (Status.FAILED, Status.RETRYING, Status.RUNNING):
        if status in found:
            return status
    if Status.DONE in found:
        return Status.DONE if len(found) == 1 else Status.RUNNING
    return Status.WAITING


def _failure_since(requested_at: float, passes: CalendarPasses | None) -> Failure | None:
    failure = None if passes is None else passes.failure
    return failure if failure is not None and failure.begun_at >= requested_at else None
