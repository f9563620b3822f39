"""Where collection states are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select
from sqlalchemy import delete as delete_from
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.inbox.json_rows import TEXT, texts_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import collection_state

_FIELDS = (
    "owner_key",
    "collection_id",
    "is_permitted",
    "permission_ground",
    "updated_at",
    "status",
    "deleted_at",
)
_state = select(*(collection_state.c[name] for name in _FIELDS))
_keys = texts_parameter("keys")
_IS_OWNER = collection_state.c.owner_key == bindparam("of_owner", type_=TEXT)

_given = insert(collection_state).values(
    {name: bindparam(f"with_{name}", type_=collection_state.c[name].type) for name in _FIELDS}
)
_PUT = Prepared(
    _given.on_conflict_do_update(
        index_elements=[collection_state.c.owner_key],
        set_={name: _given.excluded[name] for name in _FIELDS if name != "owner_key"},
    )
)
_GET = Prepared(_state.where(_IS_OWNER))
_GET_MANY = Prepared(_state.where(collection_state.c.owner_key.in_(select(_keys.c.value))))
_DELETE = Prepared(delete_from(collection_state).where(_IS_OWNER))


def get(connection: Connection, owner_key: str) -> CollectionState | None:
    """The owner's state, None if it was never synced."""
    row = _GET(connection, {"of_owner": owner_key}).one_or_none()
    return None if row is None else _read(row)


def get_many(connection: Connection, owner_keys: Iterable[str]) -> dict[str, CollectionState]:
    """The states of those owners that are known, by owner key."""
    rows = _GET_MANY(connection, {"keys": to_json(owner_keys)})
    return {row.owner_key: _read(row) for row in rows}


def put(connection: Connection, state: CollectionState) -> None:
    """Stores the state in place of the former one."""
    _PUT(connection, {f"with_{name}": getattr(state, name) for name in _FIELDS})


def delete(connection: Connection, owner_key: str) -> bool:
    """Forgets the owner altogether; False if it was not known."""
    return _DELETE(connection, {"of_owner": owner_key}).rowcount == 1


def iterate(connection: Connection, page: int = 1000) -> Iterator[CollectionState]:
    """Every owner's state by key, read page by page."""
    last = ""
    while True:
        statement = _state.where(collection_state.c.owner_key > last).order_by(collection_state.c.owner_key)
        rows = connection.execute(statement.limit(page)).all()
        if not rows:
            return
        yield from (_read(row) for row in rows)
        last = rows[-1].owner_key


def _read(row: Row[Any]) -> CollectionState:
    return CollectionState(**{**row._asdict(), "is_permitted": bool(row.is_permitted)})
