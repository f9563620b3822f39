"""Which records a side has shown, and since which look: a record made by a lost create is newer than its intent."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import BigInteger, Connection, bindparam, literal_column, select, true
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_state import Seen
from bitbylaw_pipeline.inbox.json_rows import TEXT, texts_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import sync_look, sync_seen

_PAIR = bindparam("of_pair", type_=TEXT)
_SIDE = bindparam("of_side", type_=TEXT)
_ids = texts_parameter("ids")
_LOOK = Prepared(
    insert(sync_look)
    .values(pair=_PAIR, side=_SIDE, number=literal_column("1"))
    .on_conflict_do_update(
        index_elements=[sync_look.c.pair, sync_look.c.side], set_={"number": sync_look.c.number + 1}
    )
    .returning(sync_look.c.number)
)
_REMEMBER = Prepared(
    insert(sync_seen)
    .from_select(
        ["pair", "side", "record_id", "first_seen"],
        select(_PAIR, _SIDE, _ids.c.value, bindparam("with_number", type_=BigInteger())).where(true()),
    )
    .on_conflict_do_nothing(index_elements=[sync_seen.c.pair, sync_seen.c.side, sync_seen.c.record_id])
)
_SEEN = Prepared(
    select(sync_seen.c.record_id, sync_seen.c.first_seen).where(
        sync_seen.c.pair == _PAIR, sync_seen.c.side == _SIDE
    )
)


def note_seen(connection: Connection, pair: str, side: Side, record_ids: Iterable[str]) -> Seen:
    """Counts one look at a side, remembers what it showed, and returns all that was ever seen there."""
    given = {"of_pair": pair, "of_side": side.value}
    number = int(_LOOK(connection, given).scalar_one())
    ids = sorted(set(record_ids))
    if ids:
        _REMEMBER(connection, {**given, "ids": to_json(ids), "with_number": number})
    return Seen(number, {row.record_id: row.first_seen for row in _SEEN(connection, given)})
