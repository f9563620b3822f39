"""What only a person may let go on, end, or take up again: approvals, quarantine, links."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import click
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.pair_names import (
    ADVOWARE_PAIRS,
    DOCUMENTS,
    SIDES,
    PairName,
    kuerzel_of,
    named_pair,
    require_kuerzel,
    shown,
    sides_of,
    stream_of,
)
from bitbylaw_pipeline.cli.problems import NotUsable, Problem
from bitbylaw_pipeline.cli.screen import screen, table
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.cli.waking import wake_streams
from bitbylaw_pipeline.cli.wanting import key_behind, want
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import LinkState
from bitbylaw_pipeline.inbox import two_way_desk, two_way_links
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_desk import Refused

PAIRS = PairName()
WITH_DOCUMENTS = PairName((DOCUMENTS, *ADVOWARE_PAIRS))


class Change(Protocol):
    """A change of one link of that pair."""

    def __call__(self, connection: Connection, now: float, pair: str) -> None:
        """Makes it. Raises Refused."""
        ...


@click.command("approve-deletes")
@click.argument("pair", type=WITH_DOCUMENTS)
@click.argument("side", type=click.Choice(SIDES))
@click.argument("number", type=click.IntRange(min=1), metavar="N")
def approve_deletes(pair: str, side: str, number: int) -> None:
    """Allow the next pass over PAIR at most N deletes on SIDE (left: EspoCRM, right: Advoware; of
    appointments, termine:AB, left: Advoware, right: Google; of documents, right: xAI).

    It is planned anew then; if there are more than N, none is done. Used once. The next reconciliation of documents, and
    its repairs of appointments, heed it likewise.
    """
    if pair == DOCUMENTS and side == "left":
        raise NotUsable("Nothing is ever deleted in EspoCRM for documents: say right, for xAI.")
    _approve(pair, side, number, "delete")


@click.command("approve-updates")
@click.argument("pair", type=PAIRS)
@click.argument("side", type=click.Choice(SIDES))
@click.argument("number", type=click.IntRange(min=1), metavar="N")
def approve_updates(pair: str, side: str, number: int) -> None:
    """Allow the next pass over PAIR at most N updates on SIDE (left: EspoCRM, right: Advoware; of
    appointments, termine:AB, left: Advoware, right: Google).

    For when a third of all records really has changed at once. Used once.
    """
    _approve(pair, side, number, "update")


def _approve(pair: str, side: str, number: int, op: str) -> None:
    settings = load_settings()
    pair = named_pair(settings, pair)
    if (kuerzel := kuerzel_of(pair)) is not None:
        # A mistyped Kürzel would be approved for nobody, and the guard go on holding.
        require_kuerzel(settings, kuerzel)
    with open_state(settings) as database:
        database.run_sync(lambda c: two_way_desk.approve(c, database.now(c), pair, Side(side), number, op))
    if pair == DOCUMENTS:
        screen().print(f"The next reconciliation of documents may delete up to {number} at xAI.")
        screen().print("That is tonight, or now with bitbylaw reconcile --flow documents.")
        return
    # The single records are not wanted: each by itself would go past the ceiling.
    screen().print(
        f"The next pass over {shown(pair)} may {op} up to {number} records in {sides_of(pair)[side]}."
    )
    screen().print(f"That is within 15 minutes, or now with bitbylaw pass {shown(pair)}.")


@click.command()
@click.argument("pair", type=PAIRS)
@click.argument("link", required=False)
def release(pair: str, link: str | None) -> None:
    """Let LINK take part again, its failures and former writes forgotten. Without LINK: list those in quarantine."""
    if link is None:
        settings = load_settings()
        with open_state(settings) as database:
            _print_quarantined(database, named_pair(settings, pair))
        return
    chosen = link
    _change(pair, chosen, "release", partial(two_way_desk.release_quarantine, link_id=chosen))
    screen().print(f"{link} takes part again.", markup=False)


@click.command()
@click.argument("pair", type=PAIRS)
@click.argument("link")
def unlink(pair: str, link: str) -> None:
    """End LINK: both records stay as they are, each by itself, and are not linked again."""
    _change(pair, link, "unlink", partial(two_way_desk.unlink, link_id=link))
    screen().print(f"{link} has ended. bitbylaw relink {shown(pair)} {link} takes that back.", markup=False)


@click.command()
@click.argument("pair", type=PAIRS)
@click.argument("link")
@click.option(
    "--forget", is_flag=True, help="Forget what was agreed; its records are matched anew, like new ones."
)
def relink(pair: str, link: str, forget: bool) -> None:
    """Let LINK, which had ended, live again: what differs by now is merged with what was agreed last.

    For a party that was deleted by mistake and restored. One that was entered anew has another id: use --forget.
    """
    _change(pair, link, "relink", partial(two_way_desk.relink, link_id=link, forget=forget))
    screen().print(f"{link} is {'forgotten' if forget else 'linked again'}.", markup=False)


def _change(pair: str, link: str, why: str, change: Change) -> None:
    """The change of a link, and its record wanted, in one commit. Raises Problem."""
    settings = load_settings()
    pair = named_pair(settings, pair)
    with open_state(settings) as database:

        def commit(connection: Connection) -> str | None:
            key = key_behind(connection, settings, pair, link)
            change(connection, database.now(connection), pair)
            if key is not None:
                want(connection, database, settings, stream_of(pair), key, why)
            return key

        try:
            key = database.run_sync(commit)
        except Refused as refused:
            raise Problem(str(refused)) from None
    wake_streams(settings, [stream_of(pair)] if key else [])


def _print_quarantined(database: Database, pair: str) -> None:
    links = database.read(lambda c: two_way_links.load(c, database.cipher, pair))
    found = [one for one in links if one.state is LinkState.QUARANTINED]
    rows = [(one.link_id, one.left_id, one.right_id, one.fail_count) for one in found]
    sides = sides_of(pair)
    screen().print(table("", ("link", sides["left"], sides["right"], "#failures"), rows))
    screen().print(f"{len(found)} in quarantine")
