"""What waits for a person: holds with what was decided about them, and the deletes that a person allowed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Boolean, Connection, bindparam, delete, false, select, true, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import TypeEngine

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Hold
from bitbylaw_pipeline.domain.two_way_state import Decision, HoldChanges
from bitbylaw_pipeline.inbox import two_way_conflicts
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT, rows_parameter, texts_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import sync_approval, sync_hold
from bitbylaw_pipeline.inbox.sealed_fields import unseal

CONFLICT = "conflict:"
"""What stands before the unit's name in a hold about a conflict."""

_PAIR = bindparam("of_pair", type_=TEXT)
_NOW = bindparam("at_now", type_=DOUBLE)
_COLUMNS: dict[str, TypeEngine[Any]] = {
    **dict.fromkeys(("id", "subject", "why", "link_id", "side", "record_id"), TEXT),
    "is_notice": Boolean(),
    "digest": TEXT,
}
_found = rows_parameter("found", _COLUMNS)
_opened = insert(sync_hold).from_select(
    ["pair", *_COLUMNS, "first_seen", "last_seen"],
    select(_PAIR, *(_found.c[name] for name in _COLUMNS), _NOW, _NOW).where(true()),
)
_OPEN = Prepared(
    _opened.on_conflict_do_update(
        index_elements=[sync_hold.c.pair, sync_hold.c.subject, sync_hold.c.why],
        set_={
            name: _opened.excluded[name]
            for name in ("link_id", "side", "record_id", "is_notice", "digest", "last_seen")
        },
    )
)
_kept = rows_parameter("found", {"subject": TEXT, "why": TEXT})
_end = delete(sync_hold).where(
    sync_hold.c.pair == _PAIR,
    sync_hold.c.is_notice.is_(false()),
    tuple_(sync_hold.c.subject, sync_hold.c.why).not_in(select(_kept.c.subject, _kept.c.why)),
)
_covered = texts_parameter("covers")
_spared = texts_parameter("spares")
_end = _end.where(sync_hold.c.subject.not_in(select(_spared.c.value)))
_ENDED = (sync_hold.c.subject, sync_hold.c.why, sync_hold.c.decided_by)
_END_ALL = Prepared(_end.returning(*_ENDED))
_END_COVERED = Prepared(_end.where(sync_hold.c.subject.in_(select(_covered.c.value))).returning(*_ENDED))
_DECIDED = Prepared(
    select(sync_hold.c.subject, sync_hold.c.why, sync_hold.c.decision).where(
        sync_hold.c.pair == _PAIR, sync_hold.c.decision.is_not(None)
    )
)
_APPROVED = Prepared(
    select(sync_approval.c.side, sync_approval.c.ceiling).where(sync_approval.c.pair == _PAIR)
)
_sides = texts_parameter("sides")
_USE_APPROVALS = Prepared(
    delete(sync_approval).where(
        sync_approval.c.pair == _PAIR, sync_approval.c.side.in_(select(_sides.c.value))
    )
)


def replace_holds(connection: Connection, now: float, pair: str, changes: HoldChanges) -> None:
    """Opens holds that are new, and ends those that the run looked for and did not find again, with their conflicts.

    A hold that goes on keeps its id, its age and what was decided about it; a notice ends by a person alone.
    """
    rows = [_row(hold) for hold in {(hold.subject, hold.why): hold for hold in changes.found}.values()]
    given = {
        "of_pair": pair,
        "at_now": now,
        "found": to_json(rows),
        "spares": to_json(sorted(changes.spares)),
    }
    if changes.covers is None:
        ended = _END_ALL(connection, given).all()
    else:
        ended = _END_COVERED(connection, {**given, "covers": to_json(sorted(changes.covers))}).all()
    of_conflicts = {(row.subject, row.why.removeprefix(CONFLICT)): row.decided_by for row in ended}
    two_way_conflicts.close(connection, now, pair, of_conflicts)
    if rows:
        _OPEN(connection, given)


def decisions(connection: Connection, cipher: Cipher, pair: str) -> dict[str, dict[str, Decision]]:
    """What a person decided: subject -> why -> decision."""
    decided: dict[str, dict[str, Decision]] = {}
    for row in _DECIDED(connection, {"of_pair": pair}):
        decided.setdefault(row.subject, {})[row.why] = Decision(**unseal(cipher, row.decision))
    return decided


def approval_name(side: Side, op: str) -> str:
    """What is allowed, in the column `side`: "left" is deletes on the left, "left:update" updates there."""
    return side.value if op == "delete" else f"{side.value}:{op}"


def approved(connection: Connection, pair: str, op: str) -> dict[Side, int]:
    """How many deletes ("delete") or updates ("update") of a side a person allows the next run."""
    ceilings = {row.side: row.ceiling for row in _APPROVED(connection, {"of_pair": pair})}
    return {side: ceilings[name] for side in Side if (name := approval_name(side, op)) in ceilings}


def use_approvals(connection: Connection, pair: str, sides: Iterable[Side], op: str = "delete") -> None:
    """Forgets what was allowed for these sides."""
    names = [approval_name(side, op) for side in sides]
    _USE_APPROVALS(connection, {"of_pair": pair, "sides": to_json(names)})


def _row(hold: Hold) -> dict[str, Any]:
    return {
        # Random, and new for each time that it opens: an answer to an older one must not meet this one.
        "id": uuid.uuid4().hex[:12],
        "subject": hold.subject,
        "why": hold.why,
        "link_id": hold.link_id,
        "side": hold.side,
        "record_id": hold.record_id,
        "is_notice": hold.is_notice,
        "digest": hold.digest,
    }
