"""What a person sees and decides of the two-way sync (`facts/two_way_sync.md` 1.11): values only where asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, delete, func, select, union, update
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import LinkState
from bitbylaw_pipeline.domain.two_way_state import Decision
from bitbylaw_pipeline.inbox import two_way_holds
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.schema import (
    IS_OPEN_CONFLICT,
    sync_approval,
    sync_conflict,
    sync_hold,
    sync_link,
)
from bitbylaw_pipeline.inbox.sealed_fields import seal, unseal

_TAKE = re.compile(r"left|right|create|link:\S+")


class Refused(Exception):
    """What a person asked for cannot be done; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class HoldView:
    """A hold or a notice. Times are UTC epoch seconds.

    `digest` stands for the values that it is about; `decision` is read with a cipher alone.
    """

    hold_id: str
    pair: str
    subject: str
    why: str
    link_id: str | None
    side: str | None
    record_id: str | None
    is_notice: bool
    digest: str
    first_seen: float
    last_seen: float
    decided_at: float | None
    decided_by: str | None
    decision: Decision | None = None

    @property
    def is_void(self) -> bool:
        """True if the values have changed since a person decided: the decision does not count."""
        return self.decision is not None and self.decision.digest != self.digest


@dataclass(frozen=True, slots=True)
class ConflictView:
    """A conflict, open while `closed_at` is None; the values are there only where asked for, and not yet too old.

    `what` is the unit's name: its fields joined by "+", or "edit_vs_delete".
    """

    conflict_id: str
    pair: str
    link_id: str
    what: str
    winner: str
    first_at: float
    at: float
    closed_at: float | None
    resolved_by: str | None
    base: Mapping[str, Any] | None = None
    left: Mapping[str, Any] | None = None
    right: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PairCounts:
    """One pair in numbers. `holds` are those that wait for an answer; `oldest_hold` is UTC epoch seconds."""

    active: int = 0
    pending: int = 0
    tombstones: int = 0
    quarantined: int = 0
    holds: int = 0
    notices: int = 0
    conflicts: int = 0
    oldest_hold: float | None = None


def list_holds(
    connection: Connection, pair: str | None = None, cipher: Cipher | None = None
) -> list[HoldView]:
    """The holds and notices of a pair, or of all, oldest first; with the cipher also what was decided."""
    statement = select(sync_hold).order_by(sync_hold.c.first_seen, sync_hold.c.id)
    if pair is not None:
        statement = statement.where(sync_hold.c.pair == pair)
    return [_hold_view(row, cipher) for row in connection.execute(statement)]


def list_conflicts(
    connection: Connection,
    cipher: Cipher,
    pair: str | None = None,
    *,
    with_values: bool = False,
    with_closed: bool = False,
) -> list[ConflictView]:
    """The open conflicts of a pair, or of all, oldest first; `with_closed` adds those that are decided."""
    statement = select(sync_conflict).order_by(sync_conflict.c.first_at, sync_conflict.c.id)
    if pair is not None:
        statement = statement.where(sync_conflict.c.pair == pair)
    if not with_closed:
        statement = statement.where(IS_OPEN_CONFLICT)
    return [_conflict_view(row, cipher if with_values else None) for row in connection.execute(statement)]


def decide(
    connection: Connection,
    now: float,
    cipher: Cipher,
    hold_id: str,
    take: str,
    by: str,
    *,
    shown: str | None = None,
) -> None:
    """Notes what a person (`by`) says about a hold: left, right, create or link:<id>; the next run does it.

    `shown` is the digest of the hold that the person looked at. Raises Refused with one sentence.
    """
    if not _TAKE.fullmatch(take):
        raise Refused(f"{take!r} is no answer: say left, right, create, or link:<id of the other record>.")
    row = connection.execute(select(sync_hold).where(sync_hold.c.id == hold_id)).one_or_none()
    if row is None:
        raise Refused(f"There is no hold {hold_id}: it has ended, or the id is wrong; list the holds again.")
    if row.is_notice:
        raise Refused(f"{hold_id} is a notice about something done already: acknowledge it instead.")
    if shown is not None and shown != row.digest:
        raise Refused(f"The values behind hold {hold_id} have changed since: look at it again, then decide.")
    connection.execute(
        update(sync_hold)
        .where(sync_hold.c.id == hold_id)
        .values(decision=seal(cipher, {"take": take, "digest": row.digest}), decided_at=now, decided_by=by)
    )


def acknowledge(connection: Connection, hold_id: str) -> None:
    """Removes a notice that a person has read. Raises Refused with one sentence."""
    row = connection.execute(select(sync_hold.c.is_notice).where(sync_hold.c.id == hold_id)).one_or_none()
    if row is None:
        raise Refused(f"There is no notice {hold_id}: it is acknowledged already, or the id is wrong.")
    if not row.is_notice:
        raise Refused(f"{hold_id} waits for an answer and is no notice: decide it instead.")
    connection.execute(delete(sync_hold).where(sync_hold.c.id == hold_id))


def approve(
    connection: Connection, now: float, pair: str, side: Side, ceiling: int, op: str = "delete"
) -> None:
    """Allows the pair's next run up to so many deletes (or updates: "update") on that side.

    Raises Refused for a ceiling below 1.
    """
    if ceiling < 1:
        raise Refused(f"Say how many {op}s the next run may do at most: a number above 0.")
    name = two_way_holds.approval_name(side, op)
    given = insert(sync_approval).values(pair=pair, side=name, ceiling=ceiling, approved_at=now)
    connection.execute(
        given.on_conflict_do_update(
            index_elements=[sync_approval.c.pair, sync_approval.c.side],
            set_={"ceiling": given.excluded.ceiling, "approved_at": given.excluded.approved_at},
        )
    )


def release_quarantine(connection: Connection, now: float, pair: str, link_id: str) -> None:
    """Lets a link take part again, with no failure and no former write held against it. Raises Refused.

    The loop breaker's memory goes too: with it the next run would put the link back at once.
    """
    has_both = sync_link.c.left_id.is_not(None) & sync_link.c.right_id.is_not(None)
    released = connection.execute(
        update(sync_link)
        .where(
            sync_link.c.pair == pair,
            sync_link.c.link_id == link_id,
            sync_link.c.state == LinkState.QUARANTINED.value,
        )
        .values(
            state=case((has_both, LinkState.ACTIVE.value), else_=LinkState.PENDING.value),
            fail_count=0,
            memory=None,
            row_rev=sync_link.c.row_rev + 1,
            updated_at=now,
        )
    )
    if released.rowcount != 1:
        raise Refused(f"The pair {pair} has no link {link_id} in quarantine: see the list of holds.")


def unlink(connection: Connection, now: float, pair: str, link_id: str) -> None:
    """Ends a link: both records stay, each by itself, and are not linked again. Raises Refused."""
    ended = connection.execute(
        update(sync_link)
        .where(
            _is_link(pair, link_id),
            sync_link.c.is_unlinked.is_(False),
            # Half of an unfinished write may stand in a system: the engine must settle it first.
            sync_link.c.intent.is_(None),
        )
        .values(
            state=LinkState.TOMBSTONE.value,
            is_unlinked=True,
            row_rev=sync_link.c.row_rev + 1,
            updated_at=now,
        )
    )
    if ended.rowcount != 1:
        raise Refused(
            f"The pair {pair} has no link {link_id} that can be ended now: it is unknown, has ended already, or a write "
            "is under way; try again in a minute."
        )


def relink(connection: Connection, now: float, pair: str, link_id: str, *, forget: bool = False) -> None:
    """Lets an ended link live again with what was agreed last, or forgets it, so that its records are matched anew.

    Its notice ends with it. Raises Refused.
    """
    is_ended = (_is_link(pair, link_id), sync_link.c.is_unlinked.is_(True))
    if forget:
        changed = connection.execute(delete(sync_link).where(*is_ended))
    else:
        changed = connection.execute(
            update(sync_link)
            .where(*is_ended)
            .values(is_unlinked=False, row_rev=sync_link.c.row_rev + 1, updated_at=now)
        )
    if changed.rowcount != 1:
        raise Refused(
            f"The pair {pair} has no link {link_id} that was ended: bitbylaw holds --notices names them."
        )
    connection.execute(
        delete(sync_hold).where(
            sync_hold.c.pair == pair, sync_hold.c.subject == link_id, sync_hold.c.is_notice.is_(True)
        )
    )


def _is_link(pair: str, link_id: str) -> ColumnElement[bool]:
    return and_(sync_link.c.pair == pair, sync_link.c.link_id == link_id)


def counts(connection: Connection) -> dict[str, PairCounts]:
    """Every pair that there is anything of, in numbers."""
    found: dict[str, dict[str, Any]] = {}
    pairs = union(select(sync_link.c.pair), select(sync_hold.c.pair), select(sync_conflict.c.pair))
    for pair in connection.execute(pairs).scalars():
        found[pair] = {}
    names = {
        LinkState.ACTIVE: "active",
        LinkState.PENDING: "pending",
        LinkState.TOMBSTONE: "tombstones",
        LinkState.QUARANTINED: "quarantined",
    }
    by_state = select(sync_link.c.pair, sync_link.c.state, func.count()).group_by(
        sync_link.c.pair, sync_link.c.state
    )
    for pair, state, number in connection.execute(by_state):
        found[pair][names[LinkState(state)]] = number
    by_kind = select(
        sync_hold.c.pair, sync_hold.c.is_notice, func.count(), func.min(sync_hold.c.first_seen)
    ).group_by(sync_hold.c.pair, sync_hold.c.is_notice)
    for pair, is_notice, number, first in connection.execute(by_kind):
        found[pair] |= {"notices": number} if is_notice else {"holds": number, "oldest_hold": first}
    of_conflicts = (
        select(sync_conflict.c.pair, func.count()).where(IS_OPEN_CONFLICT).group_by(sync_conflict.c.pair)
    )
    for pair, number in connection.execute(of_conflicts):
        found[pair]["conflicts"] = number
    return {pair: PairCounts(**found[pair]) for pair in sorted(found)}


def _hold_view(row: Row[Any], cipher: Cipher | None) -> HoldView:
    decision = None
    if cipher is not None and row.decision is not None:
        decision = Decision(**unseal(cipher, row.decision))
    return HoldView(
        hold_id=row.id,
        pair=row.pair,
        subject=row.subject,
        why=row.why,
        link_id=row.link_id,
        side=row.side,
        record_id=row.record_id,
        is_notice=row.is_notice,
        digest=row.digest,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        decision=decision,
    )


def _conflict_view(row: Row[Any], cipher: Cipher | None) -> ConflictView:
    values: dict[str, Any] = {}
    if cipher is not None:
        values = {
            "base": unseal(cipher, row.base),
            "left": unseal(cipher, row.on_left),
            "right": unseal(cipher, row.on_right),
        }
    return ConflictView(
        conflict_id=row.id,
        pair=row.pair,
        link_id=row.link_id,
        what=row.what,
        winner=row.winner,
        first_at=row.first_at,
        at=row.at,
        closed_at=row.closed_at,
        resolved_by=row.resolved_by,
        **values,
    )
