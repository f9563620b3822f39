"""What stands where on the status page: every cell as text, so that the template has nothing to decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bitbylaw_pipeline.inbox.overview import FlowView, Overview, SystemView
from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.status_findings import (
    ALL_IS_WELL,
    Finding,
    Level,
    findings,
    flow_name,
    system_name,
)
from webhook_sensor_app.status_reading import Facts, OpenAlert
from webhook_sensor_app.status_times import iso, moment, span, whole_moment

NONE = "–"  # a dash on purpose: an empty cell looks like a mistake

FLOW_COLUMNS = ("Waiting", "In work", "Delayed", "Set aside", "Oldest", "Drift", "Last success", "Compared")
SYSTEM_COLUMNS = ("State", "Since", "Asked again", "Why", "Limits")
ALERT_COLUMNS = ("Since", "What", "What to do")

_WORDS = {Level.WELL: "Well", Level.LOOK: "Please look", Level.TROUBLE: "Trouble"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its column's name (for narrow screens), its text, a second line, a link."""

    label: str
    text: str
    small: str = ""
    link: str = ""
    is_number: bool = False

    @property
    def is_empty(self) -> bool:
        """True if it says nothing: on a narrow screen it is left out."""
        return self.text == NONE


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table: what it is about, how it is, and its cells."""

    name: str
    level: Level
    state: str
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class View:
    """The page. `made_at` and `made_iso` are the same moment, in Germany and in UTC."""

    level: Level
    word: str
    headline: str
    advice: str
    others: Sequence[Finding]
    flows: Sequence[Line]
    systems: Sequence[Line]
    egress: Sequence[Cell]
    egress_level: Level
    persons: Sequence[Cell]
    alerts: Sequence[Line]
    made_at: str
    made_iso: str
    ui_url: str


def view_of(facts: Facts, settings: Settings) -> View:
    """The page for these facts."""
    overview = facts.overview
    found = findings(facts)
    level = max((finding.level for finding in found), default=Level.WELL)
    return View(
        level=level,
        word=_WORDS[level],
        headline=found[0].says if found else ALL_IS_WELL,
        advice=found[0].advice if found else "",
        others=found[1:],
        flows=[_flow_line(flow, overview.now) for flow in overview.flows],
        systems=[_system_line(system, overview.now) for system in overview.systems],
        egress=_egress_cells(overview),
        egress_level=Level.LOOK if overview.egress.is_stopped or overview.egress.forbidden else Level.WELL,
        persons=_person_cells(overview),
        alerts=[_alert_line(one, overview.now) for one in facts.alerts],
        made_at=whole_moment(overview.now),
        made_iso=iso(overview.now),
        ui_url=settings.ui_public_url,
    )


def json_of(facts: Facts, settings: Settings) -> dict[str, Any]:
    """The same for a program; times are UTC epoch seconds."""
    found = findings(facts)
    level = max((finding.level for finding in found), default=Level.WELL)
    return {
        "level": level.name.lower(),
        "headline": found[0].says if found else ALL_IS_WELL,
        "findings": [
            {"level": one.level.name.lower(), "says": one.says, "advice": one.advice} for one in found
        ],
        **asdict(facts.overview),
        "alerts": [asdict(one) for one in facts.alerts],
        "ui": settings.ui_public_url,
    }


def _flow_line(flow: FlowView, now: float) -> Line:
    if flow.silence is not None:
        level, state = Level.TROUBLE, "no success for too long"
    elif flow.reconcile_failure is not None:
        level, state = Level.TROUBLE, "could not be compared"
    elif flow.parked or flow.withheld:
        level, state = Level.LOOK, "waits for a person"
    else:
        level, state = Level.WELL, "works"
    oldest = NONE if flow.oldest_waiting_seconds is None else span(flow.oldest_waiting_seconds)
    drift = NONE if flow.drift is None else str(flow.drift)
    withheld = f"{flow.withheld} withheld" if flow.withheld else ""
    texts = (
        (str(flow.waiting), ""),
        (str(flow.in_work), ""),
        (str(flow.delayed), ""),
        (str(flow.parked), ""),
        (oldest, ""),
        (drift, withheld),
        _past(flow.last_success_at, now),
        _past(flow.reconciled_at, now),
    )
    cells = [
        Cell(label, text, small, is_number=number < len(texts) - 2)
        for number, (label, (text, small)) in enumerate(zip(FLOW_COLUMNS, texts, strict=True))
    ]
    return Line(flow_name(flow.name), level, state, cells)


def _system_line(system: SystemView, now: float) -> Line:
    if system.is_refused:
        level, state = Level.TROUBLE, "refuses our key"
    elif system.is_paused:
        level, state = Level.TROUBLE, "does not answer"
    else:
        level, state = Level.WELL, "no trouble"
    is_down = level is not Level.WELL
    # A refusal's reason is what the state says already.
    why = NONE if system.is_refused or not system.reason else system.reason
    until = NONE if system.until is None or not is_down else moment(system.until, now)
    texts = (_past(system.since, now), (until, ""), (why, ""), (system.limits or NONE, ""))
    cells = [Cell(label, text, small) for label, (text, small) in zip(SYSTEM_COLUMNS[1:], texts, strict=True)]
    return Line(system_name(system.name), level, state, cells)


def _egress_cells(overview: Overview) -> list[Cell]:
    egress = overview.egress
    return [
        Cell("To xAI", egress.says, "setting XAI_EGRESS"),
        Cell("Kill switch", "on: nothing leaves the firm" if egress.is_stopped else "off"),
        Cell("At xAI although forbidden", str(egress.forbidden) if egress.forbidden else "nothing"),
        Cell(
            "Kept there of deleted records",
            str(egress.remaining - egress.forbidden),
            "`bitbylaw egress remaining`",
        ),
    ]


def _person_cells(overview: Overview) -> list[Cell]:
    flows = overview.flows
    return [
        Cell("Questions to be answered", str(overview.holds), "`bitbylaw holds`"),
        Cell("Notices to be read", str(overview.notices), "`bitbylaw holds --notices`"),
        Cell(
            "Set aside, failed for good", str(sum(flow.parked for flow in flows)), "`bitbylaw inbox parked`"
        ),
        Cell(
            "Deletions to be allowed",
            str(sum(flow.withheld for flow in flows)),
            "`bitbylaw reconcile --dry-run`",
        ),
    ]


def _alert_line(one: OpenAlert, now: float) -> Line:
    since, ago = _past(one.since, now)
    # Whatever stands in the table: nothing but an address of the web becomes a link.
    link = one.link if one.link and one.link.startswith(("https://", "http://")) else ""
    cells = [
        Cell("Since", since, ago),
        Cell("What", one.says, one.subject, link),
        Cell("What to do", one.advice),
    ]
    return Line(one.kind.replace("_", " "), Level.LOOK, "open", cells)


def _past(at: float | None, now: float) -> tuple[str, str]:
    return (NONE, "") if at is None else (moment(at, now), f"{span(now - at)} ago")
