"""`bitbylaw conflicts`: what was changed on both sides, and who won. Values only where asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.field_values import WARNING, print_values
from bitbylaw_pipeline.cli.hold_words import name_of
from bitbylaw_pipeline.cli.holds import pair_option
from bitbylaw_pipeline.cli.pair_names import asked_for, is_among, named_pair, shown, sides_of
from bitbylaw_pipeline.cli.screen import screen, span, table
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.inbox import two_way_desk
from bitbylaw_pipeline.inbox.two_way_desk import ConflictView, HoldView

Holds = Mapping[tuple[str, str, str], HoldView]
"""(pair, link id, what the conflict is about) -> the hold by which it is answered."""


@click.command()
@pair_option
@click.option("--values", "with_values", is_flag=True, help="Show what stood where: personal data.")
@click.option("--all", "with_closed", is_flag=True, help="Also those that are decided.")
def conflicts(pair: str | None, with_values: bool, with_closed: bool) -> None:
    """List what was changed on both sides; `resolve` the hold that stands beside it.

    An edit in Google that was put back (of a Frist, or of a masked text) is decided at once: --all shows it.
    """
    settings = load_settings()
    chosen = None if pair is None else named_pair(settings, pair)
    with open_state(settings) as database:

        def read(connection: Connection) -> tuple[float, list[ConflictView], Holds]:
            found = two_way_desk.list_conflicts(
                connection,
                database.cipher,
                asked_for(chosen),
                with_values=with_values,
                with_closed=with_closed,
            )
            waiting = two_way_desk.list_holds(connection, asked_for(chosen))
            found = [one for one in found if is_among(one.pair, chosen)]
            return database.now(connection), found, _by_subject(waiting)

        now, found, waiting = database.read(read)
    _print(found, waiting, now)
    if with_values and found:
        screen().print(f"\n[yellow]{WARNING}[/]")
        for one in found:
            screen().print(f"\n{one.link_id} {one.what}", markup=False)
            _print_values(one)
    screen().print(f"\n{sum(1 for one in found if one.closed_at is None)} open")


def _by_subject(waiting: Sequence[HoldView]) -> Holds:
    return {(one.pair, one.subject, one.why.removeprefix("conflict:")): one for one in waiting}


def _print(found: Sequence[ConflictView], waiting: Holds, now: float) -> None:
    console = screen()
    for pair in sorted({one.pair for one in found}):
        rows = []
        for one in (one for one in found if one.pair == pair):
            hold = waiting.get((one.pair, one.link_id, one.what)) if one.closed_at is None else None
            rows.append((one.link_id, one.what, span(now - one.first_at), _outcome(one, hold)))
        console.print(table(shown(pair), ("link", "fields", "#since", "outcome, or hold"), rows))


def _outcome(one: ConflictView, hold: HoldView | None) -> str:
    if one.closed_at is None:
        return name_of(hold) if hold else "open"
    sides = sides_of(one.pair)
    if one.winner in sides:
        return f"{sides[one.winner]} won"
    return f"answered by {one.resolved_by}" if one.resolved_by else "ended by itself"


def _print_values(one: ConflictView) -> None:
    columns = {"left": one.left, "right": one.right}
    if one.base:
        columns = {"agreed": one.base, **columns}
    fields = sorted({name for values in columns.values() for name in values or {}})
    if not fields:
        screen().print("  (values are kept for SYNC_TOMBSTONE_DAYS only)")
    is_whole = one.what == "edit_vs_delete"
    print_values(
        fields,
        {
            name: None if is_whole and name != "agreed" and not values else values
            for name, values in columns.items()
        },
        sides_of(one.pair),
    )
