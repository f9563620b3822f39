"""How far EspoCRM's change feed has been read, per entity type, and who is reading it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import feed_cursor


@dataclass(frozen=True, slots=True)
class FeedCursor:
    """From where the feed is read next, as EspoCRM spells its time, and when it was read last (UTC epoch seconds).

    `seen` marks the rows behind that place which were wanted already: they are read again because a row becomes
    visible a little after its stamp.
    """

    entity_type: str
    modified_at: str | None = None
    record_id: str | None = None
    polled_at: float | None = None
    seen: tuple[str, ...] = ()


_ENTITY_TYPE = bindparam("of_type", type_=TEXT)
_NOW = bindparam("at_now", type_=DOUBLE)
_IS_FEED = feed_cursor.c.entity_type == _ENTITY_TYPE
_GET = Prepared(
    select(
        feed_cursor.c.entity_type,
        feed_cursor.c.modified_at,
        feed_cursor.c.record_id,
        feed_cursor.c.polled_at,
        feed_cursor.c.seen,
    ).where(_IS_FEED)
)
_given = insert(feed_cursor).values(
    entity_type=_ENTITY_TYPE,
    modified_at=bindparam("with_modified_at", type_=TEXT),
    record_id=bindparam("with_record", type_=TEXT),
    polled_at=_NOW,
    seen=bindparam("with_seen", type_=TEXT),
)
_PUT = Prepared(
    _given.on_conflict_do_update(
        index_elements=[feed_cursor.c.entity_type],
        set_={name: _given.excluded[name] for name in ("modified_at", "record_id", "polled_at", "seen")},
    )
)
_added = insert(feed_cursor).values(entity_type=_ENTITY_TYPE, seen=bindparam("with_seen", type_=TEXT))
_PUT_SEEN = Prepared(
    _added.on_conflict_do_update(
        index_elements=[feed_cursor.c.entity_type], set_={"seen": _added.excluded.seen}
    )
)
_LAST_POLLED = Prepared(select(func.max(feed_cursor.c.polled_at)))
_held = insert(feed_cursor).values(entity_type=_ENTITY_TYPE, held_until=bindparam("with_until", type_=DOUBLE))
_HOLD = Prepared(
    _held.on_conflict_do_update(
        index_elements=[feed_cursor.c.entity_type],
        set_={"held_until": _held.excluded.held_until},
        where=or_(feed_cursor.c.held_until.is_(None), feed_cursor.c.held_until <= _NOW),
    ).returning(feed_cursor.c.entity_type)
)
_RELEASE = Prepared(update(feed_cursor).where(_IS_FEED).values(held_until=None))


def get(connection: Connection, entity_type: str) -> FeedCursor:
    """The cursor; an empty one if the feed was never read."""
    row = _GET(connection, {"of_type": entity_type}).one_or_none()
    if row is None:
        return FeedCursor(entity_type)
    return FeedCursor(
        row.entity_type, row.modified_at, row.record_id, row.polled_at, tuple(json.loads(row.seen or "[]"))
    )


def last_polled(connection: Connection) -> float | None:
    """When any of the feeds was read last (UTC epoch seconds); None if none ever was."""
    at: float | None = _LAST_POLLED(connection, {}).scalar_one()
    return at


def put(
    connection: Connection,
    now: float,
    entity_type: str,
    modified_at: str | None,
    record_id: str | None,
    seen: Iterable[str] = (),
) -> None:
    """Stores how far the feed has been read by now."""
    given = {
        "of_type": entity_type,
        "with_modified_at": modified_at,
        "with_record": record_id,
        "at_now": now,
        "with_seen": to_json(seen),
    }
    _PUT(connection, given)


def add_seen(connection: Connection, entity_type: str, marks: Iterable[str]) -> None:
    """Takes these states (id@modifiedAt@version) for seen: whoever calls holds the feed, or a poll under way undoes it.

    Those that the next poll does not read again are left out; the feed drops the others as it passes them.
    """
    cursor = get(connection, entity_type)
    place = (cursor.modified_at or "", cursor.record_id or "")
    ahead = {mark for mark in marks if _place_of(mark) > place}
    if ahead:
        seen = to_json(sorted(ahead.union(cursor.seen)))
        _PUT_SEEN(connection, {"of_type": entity_type, "with_seen": seen})


def hold(connection: Connection, now: float, entity_type: str, seconds: float) -> bool:
    """Takes the reading of this feed upon the caller for so many seconds; False if somebody else is at it."""
    given = {"of_type": entity_type, "with_until": now + seconds, "at_now": now}
    return _HOLD(connection, given).scalar_one_or_none() is not None


def release(connection: Connection, entity_type: str) -> None:
    """Lets the next one read before the time that was held is over."""
    _RELEASE(connection, {"of_type": entity_type})


def _place_of(mark: str) -> tuple[str, str]:
    record_id, modified_at, _ = mark.split("@")
    return modified_at, record_id
