"""What a side of a pair showed last, kept where a system reports changes and not everything.

A report of changes and the place to read on from are stored in one transaction: a place without its changes would lose
them for good, changes without the place come again and mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, true
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT, rows_parameter, texts_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import sync_cursor, sync_mirror
from bitbylaw_pipeline.inbox.sealed_fields import seal, unseal


@dataclass(frozen=True, slots=True)
class MirrorPlace:
    """Whose records: one side of a pair, in one scope there (a calendar's id)."""

    pair: str
    side: Side
    scope: str


@dataclass(frozen=True, slots=True)
class MirrorCursor:
    """Where to read on. `params_hash` says what was asked for when it was given; it serves no other question.

    `baseline_at` is when everything was read the last time (UTC epoch seconds).
    """

    cursor: str
    params_hash: str
    baseline_at: float


_PAIR = bindparam("of_pair", type_=TEXT)
_SIDE = bindparam("of_side", type_=TEXT)
_SCOPE = bindparam("of_scope", type_=TEXT)
_IS_SIDE = (sync_mirror.c.pair == _PAIR) & (sync_mirror.c.side == _SIDE)
_IS_CURSOR_SIDE = (sync_cursor.c.pair == _PAIR) & (sync_cursor.c.side == _SIDE)

_CURSOR = Prepared(
    select(
        sync_cursor.c.scope, sync_cursor.c.cursor, sync_cursor.c.params_hash, sync_cursor.c.baseline_at
    ).where(_IS_CURSOR_SIDE, sync_cursor.c.scope == _SCOPE)
)
_new_cursor = insert(sync_cursor).values(
    pair=_PAIR,
    side=_SIDE,
    scope=_SCOPE,
    cursor=bindparam("with_cursor", type_=TEXT),
    params_hash=bindparam("with_hash", type_=TEXT),
    baseline_at=bindparam("with_baseline", type_=DOUBLE),
)
_PUT_CURSOR = Prepared(
    _new_cursor.on_conflict_do_update(
        index_elements=[sync_cursor.c.pair, sync_cursor.c.side, sync_cursor.c.scope],
        set_={name: _new_cursor.excluded[name] for name in ("cursor", "params_hash", "baseline_at")},
    )
)
_FORGET_CURSORS = Prepared(delete(sync_cursor).where(_IS_CURSOR_SIDE))
_RECORDS = Prepared(select(sync_mirror.c.record_id, sync_mirror.c.fields).where(_IS_SIDE))
_records = rows_parameter("records", {"record_id": TEXT, "fields": TEXT})
_given = insert(sync_mirror).from_select(
    ["pair", "side", "record_id", "fields", "seen_at"],
    select(_PAIR, _SIDE, _records.c.record_id, _records.c.fields, bindparam("at_now", type_=DOUBLE)).where(
        true()
    ),
)
_PUT_RECORDS = Prepared(
    _given.on_conflict_do_update(
        index_elements=[sync_mirror.c.pair, sync_mirror.c.side, sync_mirror.c.record_id],
        set_={name: _given.excluded[name] for name in ("fields", "seen_at")},
    )
)
_gone = texts_parameter("gone")
_REMOVE = Prepared(delete(sync_mirror).where(_IS_SIDE, sync_mirror.c.record_id.in_(select(_gone.c.value))))
_CLEAR = Prepared(delete(sync_mirror).where(_IS_SIDE))


def cursor(connection: Connection, place: MirrorPlace) -> MirrorCursor | None:
    """Where to read on; None where everything has to be read (again)."""
    row = _CURSOR(connection, {**_side(place), "of_scope": place.scope}).one_or_none()
    if row is None or row.cursor is None:
        return None
    return MirrorCursor(row.cursor, row.params_hash, row.baseline_at)


def records(connection: Connection, cipher: Cipher, place: MirrorPlace) -> dict[str, dict[str, Any]]:
    """Every record as it was reported last, by id. Raises CipherError under another key than it was written with."""
    return {row.record_id: unseal(cipher, row.fields) for row in _RECORDS(connection, _side(place))}


def store_changes(
    connection: Connection,
    cipher: Cipher,
    now: float,
    place: MirrorPlace,
    changed: Mapping[str, Mapping[str, Any]],
    gone: Iterable[str],
    read_on: MirrorCursor,
) -> None:
    """Takes in a whole report of changes (documents by id, and what is gone), and where to read on."""
    gone_ids = [record_id for record_id in gone if record_id not in changed]
    if gone_ids:
        _REMOVE(connection, {**_side(place), "gone": to_json(gone_ids)})
    _put(connection, cipher, now, place, changed)
    _put_cursor(connection, place, read_on)


def store_baseline(
    connection: Connection,
    cipher: Cipher,
    now: float,
    place: MirrorPlace,
    found: Mapping[str, Mapping[str, Any]],
    read_on: MirrorCursor,
) -> None:
    """Puts everything that was found in the place of what was known, another scope's records and cursor included."""
    _CLEAR(connection, _side(place))
    _FORGET_CURSORS(connection, _side(place))
    _put(connection, cipher, now, place, found)
    _put_cursor(connection, place, read_on)


def _put(
    connection: Connection,
    cipher: Cipher,
    now: float,
    place: MirrorPlace,
    documents: Mapping[str, Mapping[str, Any]],
) -> None:
    rows = [
        {"record_id": record_id, "fields": seal(cipher, dict(document))}
        for record_id, document in documents.items()
    ]
    if rows:
        _PUT_RECORDS(connection, {**_side(place), "records": to_json(rows), "at_now": now})


def _put_cursor(connection: Connection, place: MirrorPlace, read_on: MirrorCursor) -> None:
    given = {
        "of_scope": place.scope,
        "with_cursor": read_on.cursor,
        "with_hash": read_on.params_hash,
        "with_baseline": read_on.baseline_at,
    }
    _PUT_CURSOR(connection, {**_side(place), **given})


def _side(place: MirrorPlace) -> dict[str, str]:
    return {"of_pair": place.pair, "of_side": place.side.value}
