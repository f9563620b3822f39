"""Ends what the two-way sync remembers of old changes: tombstones, and values that were overwritten or deleted."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, case, delete, null, or_, select, tuple_, update

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import LinkState
from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT, rows_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import sync_conflict, sync_hold, sync_link, sync_seen, sync_write_log

PORTION = 1_000

_BEFORE = bindparam("before", type_=DOUBLE)
_LINK = tuple_(sync_link.c.pair, sync_link.c.link_id)
_IS_OLD_TOMBSTONE = (sync_link.c.state == LinkState.TOMBSTONE.value) & (sync_link.c.updated_at < _BEFORE)
_IS_HELD = (
    select(1).where(sync_hold.c.pair == sync_link.c.pair, sync_hold.c.subject == sync_link.c.link_id).exists()
)
_tombstones = (
    select(sync_link.c.pair, sync_link.c.link_id)
    # The survivor of an unlinked pair lives on: without its tombstone it would be new, and be made on the other side.
    .where(_IS_OLD_TOMBSTONE, ~sync_link.c.is_unlinked, sync_link.c.intent.is_(None), ~_IS_HELD)
    .limit(PORTION)
)
_DELETE_TOMBSTONES = Prepared(
    delete(sync_link)
    .where(_LINK.in_(_tombstones))
    .returning(sync_link.c.pair, sync_link.c.left_id, sync_link.c.right_id)
)
_gone = rows_parameter("gone", {"pair": TEXT, "side": TEXT, "record_id": TEXT})
_FORGET_SEEN = Prepared(
    delete(sync_seen).where(
        tuple_(sync_seen.c.pair, sync_seen.c.side, sync_seen.c.record_id).in_(
            select(_gone.c.pair, _gone.c.side, _gone.c.record_id)
        )
    )
)

_IS_BURIED = sync_link.c.is_unlinked & _IS_OLD_TOMBSTONE
_VALUES = (sync_link.c.base_left, sync_link.c.base_right, sync_link.c.memory)
_with_old_values = (
    select(sync_link.c.pair, sync_link.c.link_id)
    .where(
        # A delete under way still needs what it archived.
        sync_link.c.intent.is_(None),
        or_(
            sync_link.c.archived_at < _BEFORE,
            _IS_BURIED & or_(*(column.is_not(None) for column in _VALUES)),
        ),
    )
    .limit(PORTION)
)
_CLEAR_LINKS = Prepared(
    update(sync_link)
    .where(_LINK.in_(_with_old_values))
    .values(
        {
            "archive": null(),
            "archived_at": null(),
            # A run that loaded the link before must not write the values back.
            "row_rev": sync_link.c.row_rev + 1,
            **{column.name: case((_IS_BURIED, null()), else_=column) for column in _VALUES},
        }
    )
)
_conflicts = (
    select(sync_conflict.c.id)
    .where(
        sync_conflict.c.at < _BEFORE,
        or_(
            sync_conflict.c.base.is_not(None),
            sync_conflict.c.on_left.is_not(None),
            sync_conflict.c.on_right.is_not(None),
        ),
    )
    .limit(PORTION)
)
_CLEAR_CONFLICTS = Prepared(
    update(sync_conflict)
    .where(sync_conflict.c.id.in_(_conflicts))
    .values(base=null(), on_left=null(), on_right=null())
)
_entries = select(sync_write_log.c.id).where(sync_write_log.c.at < _BEFORE).limit(PORTION)
_DELETE_LOG = Prepared(delete(sync_write_log).where(sync_write_log.c.id.in_(_entries)))


def delete_tombstones(connection: Connection, given: Mapping[str, float]) -> int:
    """Forgets a portion of the links that were deleted on both sides before `given["before"]` (UTC epoch seconds).

    Those of unlinked pairs, and those that a person is asked about, stay.
    """
    links = _DELETE_TOMBSTONES(connection, given).all()
    gone = [
        {"pair": link.pair, "side": side.value, "record_id": record_id}
        for link in links
        for side, record_id in ((Side.LEFT, link.left_id), (Side.RIGHT, link.right_id))
        if record_id is not None
    ]
    if gone:
        _FORGET_SEEN(connection, {"gone": to_json(gone)})
    return len(links)


def clear_links(connection: Connection, given: Mapping[str, float]) -> int:
    """Clears what links have kept since before then: archives, and all values of unlinked pairs; a portion."""
    return _CLEAR_LINKS(connection, given).rowcount


def clear_conflicts(connection: Connection, given: Mapping[str, float]) -> int:
    """Clears the values of older conflicts, a portion; which fields they were about and who won stays."""
    return _CLEAR_CONFLICTS(connection, given).rowcount


def delete_log(connection: Connection, given: Mapping[str, float]) -> int:
    """Deletes older entries of the write log, a portion."""
    return _DELETE_LOG(connection, given).rowcount
