"""`bitbylaw status`: what is waiting, who is at work, what is paused, and what may leave the firm."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import click
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.filters import ADVOWARE_STREAMS, STREAM_NAMES
from bitbylaw_pipeline.cli.pair_names import TERMINE
from bitbylaw_pipeline.cli.screen import moment, screen, span, table
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.cli.termine_status import TermineStatus, print_termine, read_termine
from bitbylaw_pipeline.domain.akte_match import AkteStatus
from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.inbox import akte_states, batches, events, outages, two_way_desk, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_desk import PairCounts
from bitbylaw_pipeline.inbox.work_queue import StreamSummary
from bitbylaw_pipeline.orchestration.pass_times import last_pass

STREAMS = STREAM_NAMES
_NOTHING = StreamSummary(0, 0, 0, 0, None)

EGRESS_IN_WORDS = {
    EgressRule.OFF: "off: nothing leaves the firm",
    EgressRule.COLLECTION: "collection: documents linked to a configured owner go into its collection at xAI",
    EgressRule.FIELD: "field: documents leave only where the owner's permission, reference and date are set",
}


@dataclass(frozen=True, slots=True)
class Status:
    """The state as of one moment; times are UTC epoch seconds."""

    now: float
    streams: dict[str, StreamSummary]
    batches: Sequence[batches.Batch]
    paused: Sequence[outages.Outage]
    flags: dict[str, str]
    events: Sequence[events.InboxEvent]
    pairs: Mapping[str, PairCounts]
    """Empty where Advoware is not configured."""
    last_passes: Mapping[str, float | None]
    termine: TermineStatus | None
    """None where nobody has a calendar."""


def read_status(
    database: Database, *, last_events: int, has_advoware: bool, employees: Collection[str] = ()
) -> Status:
    """Everything in one reading transaction; `employees` are the Kürzel that have a calendar."""
    absent = {*(() if has_advoware else ADVOWARE_STREAMS), *(() if employees else (TERMINE,))}
    always = tuple(name for name in STREAMS if name not in absent)
    pairs = ADVOWARE_STREAMS if has_advoware else ()

    def read(conn: Connection) -> Status:
        now = database.now(conn)
        found = work_queue.summary(conn, now)
        flags = {name: batches.get_flag(conn, name) for name in (batches.DRAIN, batches.EGRESS_STOP)}
        return Status(
            now,
            {name: found.get(name, _NOTHING) for name in (*always, *sorted(set(found) - set(always)))},
            [batch for stream in STREAMS for batch in batches.live(conn, now, stream)],
            outages.listing(conn),
            {name: value for name, value in flags.items() if value is not None},
            events.listing(conn, limit=last_events) if last_events else [],
            _pair_counts(conn, pairs),
            {pair: last_pass(conn, pair) for pair in pairs},
            read_termine(conn, now, employees) if employees else None,
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
def status(as_json: bool, last_events: int) -> None:
    """Show what is waiting, who is at work, and what may leave the firm."""
    settings = load_settings()
    with open_state(settings) as database:
        found = read_status(
            database,
            last_events=last_events,
            has_advoware=settings.has_advoware,
            employees=sorted(settings.calendars) if settings.has_calendars else (),
        )
    if as_json:
        click.echo(json.dumps(_as_json(found, settings.xai_egress), indent=2))
        return
    console = screen()
    console.print(_streams(found))
    console.print()
    _print_batches(found)
    for outage in found.paused:
        until = (
            f"until {moment(outage.until)}"
            if outage.until > found.now
            else "about to be asked whether it is back"
        )
        console.print(
            f"[bold red]paused[/] {outage.system}: {outage.reason}, since {moment(outage.since)}, {until}"
        )
    if batches.DRAIN in found.flags:
        console.print("[yellow]draining[/]: batches end, none is started until bitbylaw up starts again")
    console.print(f"egress  {_egress(found, settings.xai_egress)}")
    if found.pairs:
        console.print()
        console.print(_pairs(found))
        console.print(f"Advoware {_reach(found)}", markup=False)
    if found.termine is not None:
        console.print()
        print_termine(found.termine, found.now)
    if found.events:
        console.print()
        rows = [
            (
                moment(event.received_at),
                event.source,
                event.topic,
                f"{event.entity_type}:{event.entity_id}",
                event.id,
            )
            for event in found.events
        ]
        console.print(table("Last events", ("received", "source", "topic", "entity", "event id"), rows))


def _egress(found: Status, rule: EgressRule) -> str:
    if batches.EGRESS_STOP in found.flags:
        return f"stopped by the kill switch: nothing leaves the firm (the rule would be {rule.value})"
    return EGRESS_IN_WORDS[rule]


def _streams(found: Status) -> Any:
    rows = [
        (name, one.waiting, one.leased, one.delayed, one.parked, span(one.oldest_waiting_seconds) or "-")
        for name, one in found.streams.items()
    ]
    columns = ("stream", "#waiting", "#in work", "#delayed", "#parked", "#oldest waiting")
    return table("Work", columns, rows)


def _pairs(found: Status) -> Any:
    rows = []
    for name, one in found.pairs.items():
        at = found.last_passes[name]
        ago = "never" if at is None else f"{span(found.now - at)} ago"
        rows.append((name, one.active, one.holds, one.notices, one.conflicts, one.quarantined, ago))
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
        waiting = sum(one.waiting for one in found.streams.values())
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


def _as_json(found: Status, rule: EgressRule) -> dict[str, Any]:
    told = asdict(found)
    for batch in told["batches"]:
        del batch["token"]
    if found.pairs:
        told["advoware"] = {"says": _reach(found)}
    told["egress"] = {
        "rule": rule.value,
        "leaves_the_firm": rule is not EgressRule.OFF and batches.EGRESS_STOP not in found.flags,
        "says": _egress(found, rule),
    }
    return told
