"""`bitbylaw resolve`: a person's answer to a hold, or the acknowledgement of a notice."""

from __future__ import annotations

import asyncio
import getpass
import os

import click
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.field_values import WARNING, print_values
from bitbylaw_pipeline.cli.hold_words import CONFIRMED_PAIR, fields_of, meaning, name_of
from bitbylaw_pipeline.cli.pair_names import (
    kuerzel_of,
    legend_of,
    require_kuerzel,
    shown,
    sides_of,
    stream_of,
)
from bitbylaw_pipeline.cli.problems import NotUsable, Problem
from bitbylaw_pipeline.cli.screen import screen
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.cli.waking import wake_streams
from bitbylaw_pipeline.cli.wanting import key_behind, want
from bitbylaw_pipeline.cli.work_keys import require_advoware
from bitbylaw_pipeline.inbox import two_way_desk, two_way_links
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_desk import HoldView, Refused
from bitbylaw_pipeline.settings import Settings


@click.command()
@click.argument("hold")
@click.option("--take", default=None, metavar="ANSWER", help="left, right, create, or link:ID.")
@click.option("--acknowledge", is_flag=True, help="For a notice: it has been read.")
@click.option("--dry-run", is_flag=True, help="Show what the answer would do, and do nothing.")
@click.option("--values", "with_values", is_flag=True, help="Show the values with it: personal data.")
@click.option("--yes", "is_confirmed", is_flag=True, help="Bank accounts: do not ask again.")
def resolve(
    hold: str, take: str | None, acknowledge: bool, dry_run: bool, with_values: bool, is_confirmed: bool
) -> None:
    """Answer HOLD (as `bitbylaw holds` names it): whose values count, or what becomes of the record.

    left takes EspoCRM's values, right Advoware's (of appointments: left Advoware's, right Google's); create makes the
    counterpart, link:ID says which record it is. It is carried out at once where bitbylaw up runs. Answers about bank
    accounts have to be confirmed.
    """
    if bool(take) == acknowledge:
        raise NotUsable("Say either --take left, right, create or link:ID, or --acknowledge for a notice.")
    settings = load_settings()
    with open_state(settings) as database:
        found = database.read(lambda c: find_hold(c, database, hold))
        if take is None:
            _acknowledge(database, found, dry_run=dry_run)
            return
        database.read(lambda c: check_answer(c, found, take))
        if dry_run or found.pair == CONFIRMED_PAIR:
            _show(settings, found, take, with_values=with_values, needs_plan=dry_run or not is_confirmed)
        if dry_run:
            screen().print("Nothing has been changed.")
            return
        if found.pair == CONFIRMED_PAIR and not is_confirmed:
            _confirm(found)
        key = database.run_sync(lambda c: decide(c, database, settings, found, take))
    wake_streams(settings, [stream_of(found.pair)] if key else [])
    screen().print(f"{name_of(found)}: answered {take}.", markup=False)
    if key:
        screen().print(
            f"{stream_of(found.pair)} {key} is wanted; it is carried out at once if bitbylaw up runs."
        )
    else:
        screen().print(
            f"The next pass carries it out: within 15 minutes, or now with bitbylaw pass {shown(found.pair)}."
        )


def find_hold(connection: Connection, database: Database, name: str) -> HoldView:
    """The hold of that name. Raises Problem where there is none, or where its values are no longer those seen."""
    hold_id, _, seen = name.partition("-")
    found = next(
        (one for one in two_way_desk.list_holds(connection, None, database.cipher) if one.hold_id == hold_id),
        None,
    )
    if found is None:
        raise Problem(f"There is no hold {hold_id}: it has ended, or the id is wrong; see bitbylaw holds.")
    if found.digest and not seen:
        raise NotUsable(
            f"Write the hold as bitbylaw holds shows it, such as {hold_id}-123abc: what follows the hyphen stands for "
            "the values that you have seen."
        )
    if name_of(found) != name:
        raise Problem(
            f"The values behind hold {hold_id} have changed since you looked: see bitbylaw holds, then answer."
        )
    return found


def check_answer(connection: Connection, found: HoldView, take: str) -> None:
    """Raises NotUsable or Problem for an answer that this hold cannot take."""
    if found.is_notice:
        raise NotUsable(f"{found.hold_id} is a notice about something done already: use --acknowledge.")
    told = meaning(found.why)
    kind, _, partner = take.partition(":")
    if not told.answers:
        raise Problem(f"{found.why} takes no answer. {told.says}")
    if (f"{kind}:ID" if partner else kind) not in told.answers:
        raise NotUsable(f"{take!r} is no answer to {found.why}: say {' or '.join(told.answers)}.")
    if partner:
        other = "right" if found.subject.startswith("left:") else "left"
        linked = two_way_links.linked_ids(connection, found.pair)
        if any(partner in ids for side, ids in linked.items() if side.value == other):
            raise Problem(
                f"{partner} in {sides_of(found.pair)[other]} is linked with another record already."
            )


def decide(
    connection: Connection, database: Database, settings: Settings, found: HoldView, take: str
) -> str | None:
    """Stores the answer and wants the record (of an appointment: the employee) in its stream.

    Returns the key there, None where there is none (yet).
    """
    now = database.now(connection)
    try:
        two_way_desk.decide(connection, now, database.cipher, found.hold_id, take, who(), shown=found.digest)
    except Refused as refused:
        raise Problem(str(refused)) from None
    partner = take.removeprefix("link:") if take.startswith("link:") else None
    key = key_behind(connection, settings, found.pair, found.subject, partner)
    if key is not None:
        want(connection, database, settings, stream_of(found.pair), key, "resolve")
    return key


def who() -> str:
    """The login name of the person at the terminal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _acknowledge(database: Database, found: HoldView, *, dry_run: bool) -> None:
    if not found.is_notice:
        raise NotUsable(f"{found.hold_id} waits for an answer and is no notice: use --take.")
    if dry_run:
        screen().print(f"The notice {found.hold_id} would be removed.")
        return
    try:
        database.run_sync(lambda c: two_way_desk.acknowledge(c, found.hold_id))
    except Refused as refused:
        raise Problem(str(refused)) from None
    screen().print(f"{found.hold_id}: acknowledged.")


def _show(settings: Settings, found: HoldView, take: str, *, with_values: bool, needs_plan: bool) -> None:
    console = screen()
    legend = legend_of(found.pair)
    console.print(f"{shown(found.pair)} {found.subject}: {found.why}, answer {take} ({legend})", markup=False)
    if not (needs_plan or with_values):
        return
    from bitbylaw_pipeline.cli.trial import try_answer  # noqa: PLC0415  # it imports the clients

    require_advoware(settings)
    if (kuerzel := kuerzel_of(found.pair)) is not None:
        require_kuerzel(settings, kuerzel)
    trial = asyncio.run(try_answer(settings, found, take, with_values=with_values))
    for line in trial.lines or ["Nothing would be done."]:
        console.print(f"  {line}", markup=False)
    if with_values:
        console.print(f"[yellow]{WARNING}[/]")
        names = {name for values in trial.values.values() for name in values or {}}
        print_values(fields_of(found.why) or sorted(names), trial.values, sides_of(found.pair))


def _confirm(found: HoldView) -> None:
    name = name_of(found)
    typed = click.prompt(
        f"This is about a bank account. Type {name} to go on", default="", show_default=False
    )
    if typed.strip() != name:
        raise Problem("That is not the hold's name: nothing has been changed.")
