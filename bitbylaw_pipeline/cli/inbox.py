"""`bitbylaw inbox`: what came in, what became of it, what is parked; setting that going again, or giving it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import click
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.filters import key_option, reason_option, since_option, stream_option
from bitbylaw_pipeline.cli.problems import NotUsable, Problem
from bitbylaw_pipeline.cli.screen import moment, screen, span, table
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.cli.waking import wake_streams
from bitbylaw_pipeline.cli.work_keys import entity_of, entity_type_of, parse_key
from bitbylaw_pipeline.inbox import events, work_queue
from bitbylaw_pipeline.inbox.work_queue import WorkRow
from bitbylaw_pipeline.settings import Settings

Moment = Callable[[float], float]
PAGE = 500
SHOWN_BEFORE_DROP = 50


@click.group()
def inbox() -> None:
    """Look at what came in and what is parked, and set parked work going again or give it up."""


@inbox.command("list")
@click.option("--source", default=None, help="Only from there: webhook, feed, schedule, ui, cli.")
@click.option("--topic", default=None, help="Only this topic, such as vmh.document.update.")
@key_option
@since_option
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
def list_events(
    source: str | None, topic: str | None, key: str | None, since: Moment | None, limit: int
) -> None:
    """List the events that came in, latest first."""
    entity_type, entity_id = entity_of(key) if key else (None, None)

    def read(conn: Connection) -> list[events.InboxEvent]:
        return events.listing(
            conn,
            source=source,
            topic=topic,
            entity_type=entity_type,
            entity_id=entity_id,
            since=since(database.now(conn)) if since else None,
            limit=limit,
        )

    with open_state(load_settings()) as database:
        found = database.read(read)
    rows = [
        (
            moment(one.received_at),
            one.source,
            one.topic,
            one.action,
            f"{one.entity_type}:{one.entity_id}",
            one.id,
        )
        for one in found
    ]
    screen().print(table("", ("received", "source", "topic", "action", "entity", "event id"), rows))
    screen().print(f"{len(rows)} events" + (" (there may be more: --limit)" if len(rows) == limit else ""))


@inbox.command()
@click.argument("stream")
@click.argument("key")
def show(stream: str, key: str) -> None:
    """Show one entity: its place in the queue and the events behind it."""
    key = parse_key(stream, key)
    entity_type, entity_id = entity_of(key)
    with open_state(load_settings()) as database:
        now, row, last = database.read(
            lambda conn: (
                database.now(conn),
                work_queue.get(conn, stream, key),
                events.listing(conn, entity_type=entity_type, entity_id=entity_id, limit=10),
            )
        )
    if row is None:
        raise Problem(f"{stream} {key} was never asked for: no event for it has come in.")
    console = screen()
    for name, value in _facts(row, now):
        console.print(f"{name:<12} {value}", markup=False)
    rows = [(moment(one.received_at), one.source, one.topic, one.id) for one in last]
    console.print(table("\nLast events", ("received", "source", "topic", "event id"), rows))


def _facts(row: WorkRow, now: float) -> list[tuple[str, str]]:
    return [
        ("state", state_of(row, now)),
        ("generation", f"{row.done} done of {row.wanted} wanted"),
        ("attempts", str(row.attempts)),
        ("last error", row.last_error or "-"),
        ("wanted at", moment(row.wanted_at)),
        ("updated at", moment(row.updated_at)),
    ]


def state_of(row: WorkRow, now: float) -> str:
    """The row's state in words; `now` is UTC epoch seconds."""
    if row.wanted <= row.done:
        is_given_up = row.park_reason == work_queue.DROPPED
        return f"given up at {moment(row.updated_at)}, until its next event" if is_given_up else "done"
    if row.parked_at is not None:
        return f"parked ({row.park_reason}) since {moment(row.parked_at)}"
    if row.lease_until is not None and row.lease_until > now:
        return "in work"
    if row.not_before > now:
        return f"due in {span(row.not_before - now)}"
    return f"waiting since {span(now - row.wanted_at)}"


@dataclass(frozen=True, slots=True)
class ParkedFilter:
    """Which parked rows; None means any."""

    stream: str | None
    reason: str | None
    key: str | None
    since: Moment | None

    @property
    def is_given(self) -> bool:
        """True if anything is narrowed down at all."""
        return bool(self.stream or self.reason or self.key or self.since)

    def find(self, conn: Connection, now: float) -> Sequence[WorkRow]:
        """The rows that match, longest parked first; `now` is UTC epoch seconds."""
        earliest = self.since(now) if self.since else float("-inf")
        found: list[WorkRow] = []
        while True:
            page = work_queue.parked(conn, self.stream, self.reason, self.key, limit=PAGE, offset=len(found))
            found += page
            if len(page) < PAGE:
                return [row for row in found if row.parked_at is not None and row.parked_at >= earliest]


@inbox.command()
@stream_option
@reason_option
@key_option
@since_option
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
def parked(limit: int, **narrowed: Any) -> None:
    """List what is parked: set aside until it is replayed or its next event comes in."""
    chosen = ParkedFilter(**narrowed)
    with open_state(load_settings()) as database:
        found = database.read(lambda conn: chosen.find(conn, database.now(conn)))
    screen().print(_parked_table(found[:limit]))
    screen().print(f"{len(found)} parked" + (f", the first {limit} shown" if len(found) > limit else ""))


@inbox.command()
@stream_option
@reason_option
@key_option
@since_option
@click.option("--all", "everything", is_flag=True, help="Everything that is parked.")
def replay(everything: bool, **narrowed: Any) -> None:
    """Set parked work going again, with fresh attempts; prints how many."""
    chosen = _chosen("replay", everything, narrowed)
    settings = load_settings()

    def commit(conn: Connection) -> Counter[str]:
        now = database.now(conn)
        counts: Counter[str] = Counter()
        for row in chosen.find(conn, now):
            counts[row.stream] += work_queue.replay(conn, now, stream=row.stream, key=row.key)
        return counts

    with open_state(settings) as database:
        counts = database.run_sync(commit)
    wake_streams(settings, counts)
    screen().print(f"replayed {counts.total()}")


@inbox.command()
@stream_option
@reason_option
@key_option
@since_option
@click.option("--all", "everything", is_flag=True, help="Everything that is parked.")
@click.option("--yes", "is_sure", is_flag=True, help="Ask no question.")
def drop(everything: bool, is_sure: bool, **narrowed: Any) -> None:
    """Give parked work up, until the next event for the same record; shows first what that would be.

    What was given up stays in the list of events, with the source cli and the action drop.
    """
    chosen = _chosen("drop", everything, narrowed)
    settings = load_settings()
    with open_state(settings) as database:
        found = database.read(lambda conn: chosen.find(conn, database.now(conn)))
        if not found:
            screen().print("dropped 0")
            return
        screen().print(_parked_table(found[:SHOWN_BEFORE_DROP]))
        if len(found) > SHOWN_BEFORE_DROP:
            screen().print(f"and {len(found) - SHOWN_BEFORE_DROP} more")
        if not is_sure:
            click.confirm(
                f"Give these {len(found)} up? No pass over them is made until their next event", abort=True
            )

        def commit(conn: Connection) -> int:
            # What was wanted anew while the person thought is not given up.
            now = database.now(conn)
            return sum(_give_up(conn, now, row, settings) for row in found)

        dropped = database.run_sync(commit)
    screen().print(f"dropped {dropped}")


def _give_up(conn: Connection, now: float, row: WorkRow, settings: Settings) -> bool:
    if not work_queue.drop(conn, now, row):
        return False
    of_key, entity_id = entity_of(row.key)
    entity_type = of_key or entity_type_of(settings, row.stream)
    events.record(conn, now, "cli", f"{row.stream}.drop", [(entity_type, entity_id, "drop")], "", uuid4().hex)
    return True


def _chosen(verb: str, everything: bool, narrowed: dict[str, Any]) -> ParkedFilter:
    chosen = ParkedFilter(**narrowed)
    if not (everything or chosen.is_given):
        raise NotUsable(f"Say what to {verb}: --key, --stream, --reason, --since, or --all.")
    return chosen


def _parked_table(rows: Sequence[WorkRow]) -> Any:
    shown = [
        (row.stream, row.key, row.park_reason, row.attempts, moment(row.parked_at), row.last_error)
        for row in rows
    ]
    return table("", ("stream", "key", "reason", "#attempts", "parked at", "last error"), shown)
