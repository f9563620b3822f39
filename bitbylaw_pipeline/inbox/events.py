"""What came in: one row per event and entity, ids only (payloads hold personal data and are not needed)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, func, or_, select, true
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT, rows_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import inbox_event

Item = tuple[str, str, str]
"""(entity type, entity id, action)"""

_COLUMNS = ("id", "received_at", "source", "topic", "entity_type", "entity_id", "action", "digest")
_rows = rows_parameter("rows", {name: DOUBLE if name == "received_at" else TEXT for name in _COLUMNS})
_RECORD = Prepared(
    insert(inbox_event)
    .from_select(list(_COLUMNS), select(*(_rows.c[name] for name in _COLUMNS)).where(true()))
    # A caller that did not learn whether its commit landed repeats it.
    .on_conflict_do_nothing(index_elements=[inbox_event.c.id])
)
_WITH_ID: BindParameter[str] = bindparam("with_id", type_=TEXT)
_OF_ONE = Prepared(select(inbox_event).where(inbox_event.c.id == _WITH_ID))
# By the time, which has an index and is one request's own: a prefix of ids has none where the database's order of texts
# is not that of their bytes.
_first_of = select(inbox_event.c.received_at).where(inbox_event.c.id == _WITH_ID).scalar_subquery()
_OF_REQUEST = Prepared(
    select(inbox_event).where(
        inbox_event.c.received_at == _first_of,
        or_(
            inbox_event.c.id == _WITH_ID,
            func.substr(inbox_event.c.id, 1, func.length(_WITH_ID) + 1) == _WITH_ID.concat("."),
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Received:
    """One request, feed page or click: `event_id` follows it through the logs, `digest` is its body's hash."""

    event_id: str
    source: str
    topic: str
    items: Sequence[Item]
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Want:
    """What `work_queue.want` is to be asked for."""

    stream: str
    keys: Sequence[str]
    priority: int = work_queue.EVENT_PRIORITY
    not_before: float | None = None


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """A stored event."""

    id: str
    received_at: float
    source: str
    topic: str
    entity_type: str
    entity_id: str
    action: str
    digest: str


def record(
    connection: Connection,
    now: float,
    source: str,
    topic: str,
    items: Iterable[Item],
    digest: str,
    event_id: str,
) -> list[str]:
    """Stores one row per item and returns their ids: `event_id`, and for the further ones `event_id.1`, `.2`, …"""
    return _record(connection, now, [Received(event_id, source, topic, list(items), digest)])


def receive(
    connection: Connection, now: float, received: Iterable[Received], wants: Iterable[Want]
) -> list[str]:
    """Stores what came in together with the work that follows from it, and returns the rows' ids."""
    ids = _record(connection, now, received)
    for wanted in wants:
        work_queue.want(
            connection,
            now,
            wanted.stream,
            wanted.keys,
            priority=wanted.priority,
            not_before=wanted.not_before,
        )
    return ids


def _record(connection: Connection, now: float, received: Iterable[Received]) -> list[str]:
    rows = [
        {
            "id": f"{event.event_id}.{number}" if number else event.event_id,
            "received_at": now,
            "source": event.source,
            "topic": event.topic,
            "entity_type": entity_type,
            "entity_id": entity_id,
            "action": action,
            "digest": event.digest,
        }
        for event in received
        for number, (entity_type, entity_id, action) in enumerate(event.items)
    ]
    if rows:
        _RECORD(connection, {"rows": to_json(rows)})
    return [str(row["id"]) for row in rows]


def get(connection: Connection, event_row_id: str) -> InboxEvent | None:
    """The event of that id."""
    row = _OF_ONE(connection, {"with_id": event_row_id}).one_or_none()
    return None if row is None else InboxEvent(*row)


def of_request(connection: Connection, event_id: str) -> list[InboxEvent]:
    """All rows of the request that `record` stored under this id, in the order of its items; none for an unknown id."""
    rows = [InboxEvent(*row) for row in _OF_REQUEST(connection, {"with_id": event_id})]
    return sorted(rows, key=lambda row: int(row.id[len(event_id) + 1 :] or 0))


def listing(
    connection: Connection,
    *,
    source: str | None = None,
    topic: str | None = None,
    entity_type: str | None = None,
    entity_id: str | None = None,
    since: float | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[InboxEvent]:
    """The events that match, latest first; `since` is in UTC epoch seconds."""
    given: tuple[tuple[Any, str | None], ...] = (
        (inbox_event.c.source, source),
        (inbox_event.c.topic, topic),
        (inbox_event.c.entity_type, entity_type),
        (inbox_event.c.entity_id, entity_id),
    )
    statement = select(inbox_event).where(*(column == value for column, value in given if value is not None))
    if since is not None:
        statement = statement.where(inbox_event.c.received_at >= since)
    statement = (
        statement.order_by(inbox_event.c.received_at.desc(), inbox_event.c.id).limit(limit).offset(offset)
    )
    return [InboxEvent(*row) for row in connection.execute(statement)]
