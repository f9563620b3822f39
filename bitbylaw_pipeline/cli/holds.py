"""`bitbylaw holds`: what waits for a person's answer, and what was done that a person should know. Ids alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime

import click
from rich.table import Table
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.hold_words import kind_of, meaning, name_of, state_of
from bitbylaw_pipeline.cli.pair_names import (
    PairName,
    asked_for,
    is_among,
    legend_of,
    named_pair,
    shown,
    stream_of,
)
from bitbylaw_pipeline.cli.screen import screen, span, table
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.inbox import two_way_desk
from bitbylaw_pipeline.inbox.two_way_desk import HoldView

CSV_COLUMNS = ("hold", "pair", "kind", "why", "link", "record", "first_seen", "last_seen", "answer", "by")

pair_option = click.option(
    "--pair",
    type=PairName(takes_all=True),
    default=None,
    help="Only this pair; termine:AB are the appointments of AB, termine those of everybody.",
)


@click.command()
@pair_option
@click.option("--notices", "notices_too", is_flag=True, help="Also what is done already and only told.")
@click.option("--csv", "as_csv", is_flag=True, help="For a program: comma-separated, notices among them.")
def holds(pair: str | None, notices_too: bool, as_csv: bool) -> None:
    """List what waits for a person's answer: between EspoCRM and Advoware (parties, accounts, Akten), and between
    Advoware and Google (each employee's appointments, termine:AB). Ids and field names, no values.
    """
    settings = load_settings()
    chosen = None if pair is None else named_pair(settings, pair)
    with open_state(settings) as database:

        def read(connection: Connection) -> tuple[float, list[HoldView]]:
            cipher = database.cipher if settings.state_encryption_key.get_secret_value() else None
            found = two_way_desk.list_holds(connection, asked_for(chosen), cipher)
            return database.now(connection), [one for one in found if is_among(one.pair, chosen)]

        now, found = database.read(read)
    if as_csv:
        click.echo(_as_csv(found), nl=False)
        return
    _print(found, now, notices_too=notices_too)


def _print(found: Sequence[HoldView], now: float, *, notices_too: bool) -> None:
    console = screen()
    told = [one for one in found if notices_too or not one.is_notice]
    shown_pairs = sorted({one.pair for one in told})
    for pair in shown_pairs:
        console.print(holds_table(shown(pair), [one for one in told if one.pair == pair], now))
        console.print()
    for kind in dict.fromkeys(kind_of(one.why) for one in told):
        meant = meaning(kind)
        answers = f" --take {' | '.join(meant.answers)}" if meant.answers else ""
        console.print(f"{kind}: {meant.says}{answers}", markup=False)
    if told:
        console.print("\nbitbylaw resolve HOLD --take …", markup=False)
        for legend, pairs in _legends(shown_pairs).items():
            console.print(f"{', '.join(pairs)}: {legend}.", markup=False)
    waiting = sum(1 for one in found if not one.is_notice)
    notices = len(found) - waiting
    hint = " (--notices)" if notices and not notices_too else ""
    console.print(f"{waiting} wait, {notices} notices{hint}")


def _legends(pairs: Sequence[str]) -> dict[str, list[str]]:
    """Which system is left and right -> the pairs of which that is true, all appointments as one."""
    found: dict[str, list[str]] = {}
    for pair in pairs:
        found.setdefault(legend_of(pair), []).append(stream_of(pair))
    return {legend: sorted(set(names)) for legend, names in found.items()}


def holds_table(title: str, found: Sequence[HoldView], now: float) -> Table:
    """The holds of one pair; `now` is UTC epoch seconds."""
    rows = [(name_of(one), span(now - one.first_seen), one.subject, _why(one)) for one in found]
    return table(title, ("hold", "#since", "record", "why"), rows)


def _why(hold: HoldView) -> str:
    answered = state_of(hold)
    return f"{hold.why} ({answered})" if answered else hold.why


def _as_csv(found: Sequence[HoldView]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in found:
        writer.writerow(
            (
                name_of(one), shown(one.pair), "notice" if one.is_notice else "hold", one.why, one.link_id or "",
                one.subject, _moment(one.first_seen), _moment(one.last_seen),
                one.decision.take if one.decision else "", one.decided_by or "",
            )
        )  # fmt: skip
    return written.getvalue()


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
