"""What is not well, as sentences for a person who is no administrator, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from bitbylaw_pipeline.inbox.overview import FlowView, Overview, SystemView
from webhook_sensor_app.status_reading import Facts
from webhook_sensor_app.status_times import moment

ALL_IS_WELL = "All is well: every flow works, and nothing waits for a person."

FLOWS = {
    "documents": "Documents",
    "collections": "Collections",
    "beteiligte": "Parties",
    "bankverbindungen": "Bank accounts",
    "akten": "Matters",
    "termine": "Appointments",
}
SYSTEMS = {
    "espocrm": "EspoCRM",
    "xai-files": "xAI (files)",
    "xai-management": "xAI (collections)",
    "advoware": "Advoware",
    "google": "Google Calendar",
}


class Level(IntEnum):
    """How bad it is; a page is as bad as the worst on it."""

    WELL = 0
    LOOK = 1
    """It works, and somebody should look."""
    TROUBLE = 2
    """Something does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about what is not well, and one about what to do; commands stand between backticks."""

    level: Level
    says: str
    advice: str


def flow_name(flow: str) -> str:
    """The flow's name for a person; `termine:AB` is the appointments of AB."""
    name, _, of = flow.partition(":")
    return FLOWS.get(name, name) + (f" of {of}" if of else "")


def system_name(system: str) -> str:
    """The system as its maker writes it."""
    return SYSTEMS.get(system, system)


def findings(facts: Facts) -> list[Finding]:
    """All that is not well; empty where all is."""
    overview = facts.overview
    found = [
        *_of_systems(overview),
        *_of_flows(overview),
        *_of_egress(overview),
        *_of_persons(facts),
    ]
    # The order of one level is the order of urgency in which they are found.
    return sorted(found, key=lambda finding: -finding.level)


def _of_systems(overview: Overview) -> Iterator[Finding]:
    for system in sorted(overview.systems, key=lambda one: not one.is_refused):
        if system.is_refused:
            yield Finding(
                Level.TROUBLE,
                f"{system_name(system.name)} refuses our key{_since(system, overview.now)}, so nothing gets there.",
                "The administrator puts the key right: `bitbylaw doctor` says which one and how.",
            )
        elif system.is_paused:
            yield Finding(
                Level.TROUBLE,
                f"{system_name(system.name)} does not answer{_since(system, overview.now)}; "
                "everything else goes on, and nothing is lost.",
                "It is asked again by itself. If it lasts for hours, tell whoever runs that system.",
            )


def _of_flows(overview: Overview) -> Iterator[Finding]:
    flows = overview.flows
    for flow in flows:
        if flow.silence is not None:
            yield Finding(
                Level.TROUBLE,
                f"{flow_name(flow.name)}: {flow.silence}",
                "The administrator looks whether `bitbylaw up` runs, and at the runs in Dagster.",
            )
    for flow in flows:
        if flow.reconcile_failure is not None:
            yield Finding(
                Level.TROUBLE,
                f"{flow_name(flow.name)} could not be compared: {flow.reconcile_failure}",
                "What differs meanwhile is not noticed. `bitbylaw reconcile` compares anew.",
            )
    yield from _of_parked(flows)
    for flow in flows:
        if flow.withheld:
            yield Finding(
                Level.LOOK,
                f"{flow_name(flow.name)}: {_count(flow.withheld, 'deletion waits', 'deletions wait')} for an approval, "
                "because there are more than is likely.",
                "Find out why before anything is allowed: `bitbylaw reconcile --dry-run` shows them, "
                "`bitbylaw approve-deletes` allows them.",
            )


def _of_parked(flows: Sequence[FlowView]) -> Iterator[Finding]:
    parked = [f"{flow.parked} of {flow_name(flow.name).lower()}" for flow in flows if flow.parked]
    if parked:
        yield Finding(
            Level.LOOK,
            f"Set aside because it failed for good: {', '.join(parked)}.",
            "`bitbylaw inbox parked` says why for each; a new version of the record sets it going again.",
        )


def _of_egress(overview: Overview) -> Iterator[Finding]:
    if overview.egress.is_stopped:
        yield Finding(
            Level.LOOK,
            "The kill switch is on: nothing leaves the firm.",
            "Whoever switched it on knows why; `bitbylaw egress allow` lifts it.",
        )
    if forbidden := overview.egress.forbidden:
        yield Finding(
            Level.LOOK,
            f"{_count(forbidden, 'document or collection is', 'documents or collections are')} still at xAI "
            "although somebody has forbidden it.",
            "`bitbylaw egress remaining` lists them; `bitbylaw erase` takes them away.",
        )


def _of_persons(facts: Facts) -> Iterator[Finding]:
    overview = facts.overview
    if overview.holds:
        yield Finding(
            Level.LOOK,
            f"{_count(overview.holds, 'question waits', 'questions wait')} for a person's answer.",
            "`bitbylaw holds` lists them, `bitbylaw resolve` answers them; all else goes on meanwhile.",
        )
    if facts.alerts:
        yield Finding(
            Level.LOOK,
            f"{_count(len(facts.alerts), 'alert is', 'alerts are')} open.",
            "They are listed below, each with what to do.",
        )
    if overview.is_draining:
        yield Finding(
            Level.LOOK,
            "Work is being brought to an end, as before an upgrade; what comes in is kept.",
            "It goes on with the next start of `bitbylaw up`.",
        )


def _since(system: SystemView, now: float) -> str:
    return "" if system.since is None else f" since {moment(system.since, now)}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
