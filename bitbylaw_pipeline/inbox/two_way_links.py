"""Where the links of the two-way sync are kept; each change is compared and set on `row_rev`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, case, func, null, select, tuple_
from sqlalchemy import delete as delete_from
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Link, LinkState
from bitbylaw_pipeline.domain.two_way_state import LinkChanged
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT, rows_parameter, texts_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import sync_link
from bitbylaw_pipeline.inbox.two_way_link_rows import to_link, to_row

Row = Mapping[str, Any]

_GIVEN = tuple(
    column.name
    for column in sync_link.columns
    if column.name not in ("pair", "updated_at", "archived_at", "row_rev")
)
_PAIR = bindparam("of_pair", type_=TEXT)
_NOW = bindparam("at_now", type_=DOUBLE)
_IS_PAIR = sync_link.c.pair == _PAIR

_rows = rows_parameter("links", {name: sync_link.c[name].type for name in (*_GIVEN, "row_rev")})
_keys = rows_parameter("links", {"link_id": TEXT, "row_rev": BigInteger()})

_is_known = select(1).where(_IS_PAIR, sync_link.c.link_id == _rows.c.link_id).correlate(_rows).exists()
_given = insert(sync_link).from_select(
    ["pair", *_GIVEN, "row_rev", "updated_at", "archived_at"],
    select(
        _PAIR,
        *(_rows.c[name] for name in _GIVEN),
        _rows.c.row_rev + 1,
        _NOW,
        case((_rows.c.archive.is_not(None), _NOW), else_=null()),
    ).where((_rows.c.row_rev == 0) | _is_known),
)
# An UPDATE ... FROM the rows would do the same; SQLite parses all rows again for each link then (5,000 took more than 10 s).
_PUT = Prepared(
    _given.on_conflict_do_update(
        index_elements=[sync_link.c.pair, sync_link.c.link_id],
        where=sync_link.c.row_rev == _given.excluded.row_rev - 1,
        set_={name: _given.excluded[name] for name in _GIVEN if name != "link_id"}
        | {
            "row_rev": _given.excluded.row_rev,
            "updated_at": _given.excluded.updated_at,
            # The archive ages from the deletion on that it was made for; each write gives it a new token, so the
            # value itself does not tell a new one.
            "archived_at": case(
                (_given.excluded.archive.is_(None), null()),
                (sync_link.c.archived_at.is_(None), _given.excluded.archived_at),
                (sync_link.c.state != _given.excluded.state, _given.excluded.archived_at),
                else_=sync_link.c.archived_at,
            ),
        },
    ).returning(sync_link.c.link_id)
)
_REMOVE = Prepared(
    delete_from(sync_link)
    .where(
        _IS_PAIR,
        tuple_(sync_link.c.link_id, sync_link.c.row_rev).in_(select(_keys.c.link_id, _keys.c.row_rev)),
    )
    .returning(sync_link.c.link_id)
)

_all = select(sync_link).where(_IS_PAIR).order_by(sync_link.c.link_id)
_left = texts_parameter("left_ids")
_right = texts_parameter("right_ids")
_ALL = Prepared(_all)
_WITH_IDS = Prepared(
    _all.where(
        sync_link.c.left_id.in_(select(_left.c.value)) | sync_link.c.right_id.in_(select(_right.c.value))
    )
)
_IDS = Prepared(select(sync_link.c.left_id, sync_link.c.right_id).where(_IS_PAIR))
_ACTIVE_IDS = Prepared(
    select(sync_link.c.left_id, sync_link.c.right_id).where(
        _IS_PAIR,
        sync_link.c.state == LinkState.ACTIVE.value,
        sync_link.c.left_id.is_not(None),
        sync_link.c.right_id.is_not(None),
    )
)
_COUNT_ACTIVE = Prepared(
    select(func.count()).select_from(sync_link).where(_IS_PAIR, sync_link.c.state == LinkState.ACTIVE.value)
)


def load(
    connection: Connection,
    cipher: Cipher,
    pair: str,
    left_ids: Iterable[str] | None = None,
    right_ids: Iterable[str] | None = None,
) -> list[Link]:
    """The pair's links with one of these ids on that side, by link id; all of them if neither side's are given."""
    if left_ids is None and right_ids is None:
        rows = _ALL(connection, {"of_pair": pair})
    else:
        given = {
            "of_pair": pair,
            "left_ids": to_json(sorted(set(left_ids or ()))),
            "right_ids": to_json(sorted(set(right_ids or ()))),
        }
        rows = _WITH_IDS(connection, given)
    return [to_link(row, cipher) for row in rows]


def linked_ids(connection: Connection, pair: str) -> dict[Side, frozenset[str]]:
    """The ids of all the pair's links, by side."""
    rows = _IDS(connection, {"of_pair": pair}).all()
    return {
        Side.LEFT: frozenset(row.left_id for row in rows if row.left_id is not None),
        Side.RIGHT: frozenset(row.right_id for row in rows if row.right_id is not None),
    }


def active_ids(connection: Connection, pair: str) -> dict[str, str]:
    """Left id -> right id of the pair's active links: no value is decrypted for it."""
    rows = _ACTIVE_IDS(connection, {"of_pair": pair}).all()
    return {row.left_id: row.right_id for row in rows}


def count_active(connection: Connection, pair: str) -> int:
    """How many of the pair's links are active."""
    return int(_COUNT_ACTIVE(connection, {"of_pair": pair}).scalar_one())


def rows_of(links: Iterable[Link], cipher: Cipher) -> list[Row]:
    """The links as `put` takes them: encrypting takes time that a transaction need not last."""
    return [to_row(link, cipher) for link in links]


def put(connection: Connection, now: float, pair: str, rows: Sequence[Row]) -> None:
    """Stores links under the next revision in one statement; one with revision 0 is new.

    Raises LinkChanged if one of them is not stored under the revision that it was loaded with, or if a record has a link
    already; then the transaction must not be committed.
    """
    if not rows:
        return
    try:
        found = _PUT(connection, {"of_pair": pair, "at_now": now, "links": to_json(rows)}).scalars()
        _all_found({row["link_id"] for row in rows}, set(found))
    except IntegrityError as error:
        if not _is_unique_violation(error):
            raise
        # The driver's text names the ids; which of many links it was, it does not tell reliably.
        raise LinkChanged("a record has a link already") from None


def remove(connection: Connection, pair: str, links: Collection[Link]) -> None:
    """Forgets links; raises LinkChanged if one is not stored under the revision that it was loaded with."""
    if links:
        keys = [{"link_id": link.link_id, "row_rev": link.row_rev} for link in links]
        found = _REMOVE(connection, {"of_pair": pair, "links": to_json(keys)}).scalars()
        _all_found({link.link_id for link in links}, set(found))


def stored(link: Link) -> Link:
    """The link as `put` has stored it."""
    return replace(link, row_rev=link.row_rev + 1)


def _all_found(wanted: set[str], found: set[str]) -> None:
    if missing := wanted - found:
        raise LinkChanged(min(missing))


def _is_unique_violation(error: IntegrityError) -> bool:
    code = getattr(error.orig, "pgcode", None)
    return code == "23505" if code is not None else "UNIQUE constraint failed" in str(error.orig)
