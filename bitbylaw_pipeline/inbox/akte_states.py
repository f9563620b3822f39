"""Where the states of Akten are kept: from an Akte to its matter and collection, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, true
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.domain.akte_match import AkteState, AkteStatus
from bitbylaw_pipeline.inbox.json_rows import BIGINT, TEXT, rows_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import akte_state

_COLUMNS = tuple(column.name for column in akte_state.columns)
_states = rows_parameter("states", {column.name: column.type for column in akte_state.columns})
_given = insert(akte_state).from_select(
    list(_COLUMNS), select(*(_states.c[name] for name in _COLUMNS)).where(true())
)
_PUT_MANY = Prepared(
    _given.on_conflict_do_update(
        index_elements=[akte_state.c.akte_id],
        set_={name: _given.excluded[name] for name in _COLUMNS if name != "akte_id"},
    )
)
_ALL = Prepared(select(akte_state).order_by(akte_state.c.akte_id))
_GET = Prepared(select(akte_state).where(akte_state.c.akte_id == bindparam("of_akte", type_=TEXT)))


def _having(name: str, value: Any) -> Prepared:
    column = akte_state.c[name]
    is_there = akte_state.c.status != AkteStatus.GONE.value
    return Prepared(select(akte_state).where(column == value, is_there).order_by(akte_state.c.akte_id))


_OF_OWNER = _having("owner_key", bindparam("of_owner", type_=TEXT))
_OF_NUMBER = _having("aktennummer", bindparam("of_number", type_=BIGINT))


def get(connection: Connection, akte_id: str) -> AkteState | None:
    """The Akte's state, None if it was never seen."""
    row = _GET(connection, {"of_akte": akte_id}).one_or_none()
    return None if row is None else _read(row)


def load(connection: Connection) -> dict[str, AkteState]:
    """Every state by the Akte's id."""
    return {row.akte_id: _read(row) for row in _ALL(connection, {})}


def put_many(connection: Connection, now: float, states: Iterable[AkteState]) -> None:
    """Stores the states in place of the former ones, as of `now` (UTC epoch seconds)."""
    rows = [
        {
            "akte_id": state.akte_id,
            "aktennummer": state.aktennummer,
            "owner_key": state.owner_key,
            "collection_id": state.collection_id,
            "status": state.status.value,
            "updated_at": now,
        }
        for state in states
    ]
    if rows:
        _PUT_MANY(connection, {"states": to_json(rows)})


def of_owner(connection: Connection, owner_key: str) -> list[AkteState]:
    """The Akte of that matter (`{EntityType}:{id}`), unless it is gone."""
    return [_read(row) for row in _OF_OWNER(connection, {"of_owner": owner_key})]


def of_number(connection: Connection, aktennummer: int) -> list[AkteState]:
    """The Akten with that number as last seen, without those that are gone."""
    return [_read(row) for row in _OF_NUMBER(connection, {"of_number": aktennummer})]


def _read(row: Row[Any]) -> AkteState:
    return AkteState(**{**row._asdict(), "status": AkteStatus(row.status)})
