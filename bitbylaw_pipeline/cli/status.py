"""`bitbylaw status`: every flow and system, who is at work, what may leave the firm, and what a person has to look at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import click
from rich.markup import escape
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.filters import ADVOWARE_STREAMS, STREAM_NAMES
from bitbylaw_pipeline.cli.screen import moment, screen, span, table
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.cli.status_systems import Probed, answered_at, probe_systems, systems_table
from bitbylaw_pipeline.cli.termine_status import TermineStatus, print_termine, read_termine
from bitbylaw_pipeline.domain.akte_match import AkteStatus
from bitbylaw_pipeline.domain.alert import Alert
from bitbylaw_pipeline.inbox import akte_states, alerts, batches, events, outages, two_way_desk
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.egress_switch import LIFTED_BY
from bitbylaw_pipeline.inbox.flow_views import FlowView
from bitbylaw_pipeline.inbox.overview import Overview, read_overview
from bitbylaw_pipeline.inbox.pass_times import last_pass
from bitbylaw_pipeline.inbox.two_way_desk import PairCounts
from bitbylaw_pipeline.inbox.work_queue import StreamSummary
from bitbylaw_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Status:
    """The state as of one moment; times are UTC epoch seconds."""

    overview: Overview
    batches: Sequence[batches.Batch]
    paused: Sequence[outages.Outage]
    flags: dict[str, str]
    events: Sequence[events.InboxEvent]
    pairs: Mapping[str, PairCounts]
    """Empty where Advoware is not configured."""
    last_passes: Mapping[str, float | None]
    termine: TermineStatus | None
    """None where nobody has a calendar."""
    answered: Mapping[str, float]
    """When a system has answered last, as far as that can be told without asking it."""
    alerts: Sequence[Alert]
    probed: Mapping[str, Probed]
    """Empty unless every system was asked just now."""

    @property
    def now(self) -> float:
        """The moment."""
        return self.overview.now


def read_status(database: Database, settings: Settings, *, last_events: int) -> Status:
    """Everything in one reading transaction."""
    pairs = ADVOWARE_STREAMS if settings.has_advoware else ()
    employees = sorted(settings.calendars) if settings.has_calendars else ()

    def read(conn: Connection) -> Status:
        now = database.now(conn)
        overview = read_overview(conn, now, settings)
        flags = {name: batches.get_flag(conn, name) for name in (batches.DRAIN, batches.EGRESS_STOP)}
        last_passes = {pair: last_pass(conn, pair) for pair in pairs}
        termine = read_termine(conn, now, employees) if employees else None
        return Status(
            overview,
            [batch for stream in STREAM_NAMES for batch in batches.live(conn, now, stream)],
            outages.listing(conn),
            {name: value for name, value in flags.items() if value is not None},
            events.listing(conn, limit=last_events) if last_events else [],
            _pair_counts(conn, pairs),
            last_passes,
            termine,
            answered_at(conn, settings, overview.flows),
            alerts.open_ones(conn),
            {},
        )

    return database.read(read)


def _pair_counts(conn: Connection, pairs: Sequence[str]) -> dict[str, PairCounts]:
    found = two_way_desk.counts(conn) if pairs else {}
    counted = {pair: found.get(pair, PairCounts()) for pair in pairs}
    if "akten" in counted:
        linked = sum(1 for one in akte_states.load(conn).values() if one.status is AkteStatus.LINKED)
        counted["akten"] = replace(counted["akten"], active=linked)
    return counted


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a program: everything as one JSON object.")
@click.option(
    "--events", "last_events", default=5, show_default=True, help="How many of the last events to show."
)
@click.option(
    "--probe", "is_probed", is_flag=True, help="Ask every configured system now whether it answers."
)
def status(as_json: bool, last_events: int, is_probed: bool) -> None:
    """Show every flow and system, who is at work, and what may leave the firm."""
    settings = load_settings()
    with open_state(settings) as database:
        found = read_status(database, settings, last_events=last_events)
        if is_probed:
            found = replace(found, probed=asyncio.run(probe_systems(settings, database, found.overview)))
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        _print(found)


def _print(found: Status) -> None:
    console = screen()
    console.print(_flows(found))
    for flow in found.overview.flows:
        _print_trouble(flow)
    console.print()
    _print_batches(found)
    for outage in found.paused:
        until = (
            f"until {moment(outage.until)}"
            if outage.until > found.now
            else "about to be asked whether it is back"
        )
        console.print(
            f"[bold red]paused[/] {outage.system}: {escape(outage.reason)}, since {moment(outage.since)}, {until}"
        )
    if found.overview.is_draining:
        console.print("[yellow]draining[/]: batches end, none is started until bitbylaw up starts again")
    _print_egress(found)
    console.print()
    console.print(systems_table(found.overview, found.answered, found.probed))
    if found.pairs:
        console.print()
        console.print(_pairs(found))
        console.print(f"Advoware {_reach(found)}", markup=False)
    if found.termine is not None:
        console.print()
        print_termine(found.termine, found.now)
    if found.overview.holds or found.overview.notices:
        console.print(
            f"holds   {found.overview.holds} wait for an answer, {found.overview.notices} notices: bitbylaw holds"
        )
    _print_alerts(found)
    if found.events:
        console.print()
        console.print(_last_events(found.events))


def _flows(found: Status) -> Any:
    rows = [
        (
            flow.name, flow.waiting, flow.in_work, flow.delayed, flow.parked,
            span(flow.oldest_waiting_seconds) or "-", _ago(found.now, flow.last_success_at),
            "-" if flow.drift is None else flow.drift, _ago(found.now, flow.reconciled_at),
        )
        for flow in found.overview.flows
    ]  # fmt: skip
    columns = (
        "flow", "#waiting", "#in work", "#delayed", "#parked", "#oldest waiting", "#last success", "#drift",
        "#reconciled",
    )  # fmt: skip
    return table("Flows", columns, rows)


def _print_trouble(flow: FlowView) -> None:
    console = screen()
    told = (
        flow.silence,
        f"{flow.withheld} deletes wait for an approval (bitbylaw approve-deletes)."
        if flow.withheld
        else None,
    )
    failure = f"No good reconciliation: {flow.reconcile_failure}" if flow.reconcile_failure else None
    for says in (*told, failure):
        if says:
            console.print(f"  {flow.name}: {says}", style="yellow", markup=False)


def _ago(now: float, at: float | None) -> str:
    return "never" if at is None else f"{span(now - at)} ago"


def _print_egress(found: Status) -> None:
    console, egress = screen(), found.overview.egress
    console.print(f"egress  {egress.says}", markup=False)
    if egress.is_stopped:
        console.print(f"        {LIFTED_BY} lifts it.")
    if egress.remaining:
        kept = egress.remaining - egress.forbidden
        console.print(
            f"        at xAI: {egress.forbidden} although forbidden, {kept} kept of deleted records: bitbylaw egress remaining",
            style="yellow" if egress.forbidden else None,
        )


def _pairs(found: Status) -> Any:
    rows = [
        (
            name, one.active, one.holds, one.notices, one.conflicts, one.quarantined,
            _ago(found.now, found.last_passes[name]),
        )
        for name, one in found.pairs.items()
    ]  # fmt: skip
    columns = ("pair", "#links", "#holds", "#notices", "#conflicts", "#quarantined", "#last pass")
    return table("EspoCRM and Advoware", columns, rows)


def _reach(found: Status) -> str:
    """Whether Advoware answers, as far as anybody has tried."""
    down = next((one for one in found.paused if one.system == "advoware"), None)
    if down is not None:
        return f"{down.reason} since {moment(down.since)} ({span(found.now - down.since)})"
    newest = found.termine.newest_pass if found.termine is not None else None
    last = max((at for at in (*found.last_passes.values(), newest) if at is not None), default=None)
    return "has not been reached yet" if last is None else f"answered {span(found.now - last)} ago"


def _print_batches(found: Status) -> None:
    console = screen()
    if not found.batches:
        waiting = sum(one.waiting for one in found.overview.flows)
        hint = (
            "the sensor starts one within seconds, if bitbylaw up is running"
            if waiting
            else "nothing is ready"
        )
        console.print(f"batches none alive: {hint}")
    for batch in found.batches:
        doing = batch.activity if batch.state == batches.RUNNING else "requested, its run is starting"
        beat = f", last seen {span(found.now - batch.heartbeat_at)} ago" if batch.heartbeat_at else ""
        run = f" run {batch.run_id}" if batch.run_id else ""
        since = span(found.now - batch.requested_at)
        console.print(f"batch   {batch.stream} slot {batch.slot}: {doing} since {since}{beat}{run}")


def _print_alerts(found: Status) -> None:
    if not found.alerts:
        return
    console = screen()
    console.print(f"\n[bold]Alerts[/] ({len(found.alerts)} open)")
    for one in found.alerts:
        trouble = one.trouble
        console.print(
            f"  {trouble.kind.value} {trouble.subject}: {trouble.says} Since {moment(one.first_at)}.",
            markup=False,
        )
        console.print(f"      -> {trouble.advice}", style="dim", markup=False)


def _last_events(found: Sequence[events.InboxEvent]) -> Any:
    rows = [
        (
            moment(event.received_at),
            event.source,
            event.topic,
            f"{event.entity_type}:{event.entity_id}",
            event.id,
        )
        for event in found
    ]
    return table("Last events", ("received", "source", "topic", "entity", "event id"), rows)


def _as_json(found: Status) -> dict[str, Any]:
    """The names stay as they are: programs of the firm read them."""
    overview = found.overview
    told: dict[str, Any] = {"now": overview.now}
    told["flows"] = {flow.name: asdict(flow) for flow in overview.flows}
    told["streams"] = {flow.name: asdict(_queue(flow)) for flow in overview.flows}
    told["systems"] = {
        one.name: {
            **asdict(one),
            "answered_at": found.answered.get(one.name),
            "probe": asdict(found.probed[one.name]) if one.name in found.probed else None,
        }
        for one in overview.systems
    }
    told["batches"] = [asdict(batch) for batch in found.batches]
    for batch in told["batches"]:
        del batch["token"]
    told["paused"] = [asdict(one) for one in found.paused]
    told["flags"] = found.flags
    told["is_draining"] = overview.is_draining
    told["egress"] = {
        **asdict(overview.egress),
        "leaves_the_firm": overview.egress.rule != "off" and not overview.egress.is_stopped,
    }
    told["holds"], told["notices"] = overview.holds, overview.notices
    told["alerts"] = [
        {"kind": one.trouble.kind.value, "subject": one.trouble.subject, "says": one.trouble.says,
         "advice": one.trouble.advice, "link": one.trouble.link, "first_at": one.first_at, "last_at": one.last_at}
        for one in found.alerts
    ]  # fmt: skip
    told["pairs"] = {name: asdict(one) for name, one in found.pairs.items()}
    told["last_passes"] = found.last_passes
    told["advoware"] = {"says": _reach(found)} if found.pairs else None
    told["termine"] = None if found.termine is None else asdict(found.termine)
    told["events"] = [asdict(event) for event in found.events]
    return told


def _queue(flow: FlowView) -> StreamSummary:
    return StreamSummary(flow.waiting, flow.in_work, flow.delayed, flow.parked, flow.oldest_waiting_seconds)
