"""An employee's appointments go into another calendar than before: what was known of the former one is forgotten."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, func, select

from bitbylaw_pipeline.inbox.json_rows import TEXT
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import sync_cursor, sync_link, sync_mirror
from bitbylaw_pipeline.inbox.two_way_mirror import MirrorPlace

_PAIR = bindparam("of_pair", type_=TEXT)
_SIDE = bindparam("of_side", type_=TEXT)
_IS_CURSOR_SIDE = (sync_cursor.c.pair == _PAIR) & (sync_cursor.c.side == _SIDE)
_OTHERS = Prepared(
    select(func.count())
    .select_from(sync_cursor)
    .where(_IS_CURSOR_SIDE, sync_cursor.c.scope != bindparam("of_scope", type_=TEXT))
)
_FORGET = (
    Prepared(delete(sync_cursor).where(_IS_CURSOR_SIDE)),
    Prepared(delete(sync_mirror).where(sync_mirror.c.pair == _PAIR, sync_mirror.c.side == _SIDE)),
)
_FORGET_LINKS = Prepared(delete(sync_link).where(sync_link.c.pair == _PAIR))


def is_another(connection: Connection, place: MirrorPlace) -> bool:
    """Whether what is known of the side was learnt in another calendar than the place's."""
    return bool(_OTHERS(connection, {**_side(place), "of_scope": place.scope}).scalar_one())


def forget_former(connection: Connection, place: MirrorPlace) -> int | None:
    """Forgets mirror, token and links of another calendar than the place's; the links' count, None if it is the same one.

    With the links every event of the former calendar would seem to be deleted in the new one, and its Termin would
    follow.
    """
    if not is_another(connection, place):
        return None
    for forget in _FORGET:
        forget(connection, _side(place))
    return _FORGET_LINKS(connection, {"of_pair": place.pair}).rowcount


def _side(place: MirrorPlace) -> dict[str, str]:
    return {"of_pair": place.pair, "of_side": place.side.value}
