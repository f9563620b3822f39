"""What both sides changed and who won, and every write with what it replaced: values encrypted, names in clear."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, literal_column, null, select, true, tuple_, update
from sqlalchemy import insert as insert_into
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.domain.two_way_link import Conflict, LogEntry
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT, rows_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import IS_OPEN_CONFLICT, sync_conflict, sync_hold, sync_write_log
from bitbylaw_pipeline.inbox.sealed_fields import seal

OPEN = "none"
"""The winner of a conflict that nobody has decided yet."""
Key = tuple[str, str]
"""Link id, and the unit's name."""

_PAIR = bindparam("of_pair", type_=TEXT)
_NOW = bindparam("at_now", type_=DOUBLE)
_COLUMNS = ("id", "link_id", "what", "winner", "base", "on_left", "on_right")
_rows = rows_parameter("conflicts", dict.fromkeys(_COLUMNS, TEXT))
_values = [_rows.c[name] for name in _COLUMNS]
_TARGET = ["pair", *_COLUMNS, "first_at", "at", "closed_at"]
_ADD = Prepared(
    insert_into(sync_conflict).from_select(_TARGET, select(_PAIR, *_values, _NOW, _NOW, _NOW).where(true()))
)
_opened = insert(sync_conflict).from_select(
    _TARGET, select(_PAIR, *_values, _NOW, _NOW, null()).where(true())
)
_OPEN = Prepared(
    _opened.on_conflict_do_update(
        index_elements=[sync_conflict.c.pair, sync_conflict.c.link_id, sync_conflict.c.what],
        index_where=IS_OPEN_CONFLICT,
        set_={name: _opened.excluded[name] for name in ("base", "on_left", "on_right", "at")},
    )
)
_keys = rows_parameter("keys", {"link_id": TEXT, "what": TEXT, "resolved_by": TEXT})
# A decided conflict ends before its hold does.
_decided_by = (
    select(func.max(sync_hold.c.decided_by))
    .where(
        sync_hold.c.pair == _PAIR,
        sync_hold.c.subject == sync_conflict.c.link_id,
        sync_hold.c.why.in_([sync_conflict.c.what, literal_column("'conflict:'") + sync_conflict.c.what]),
    )
    .correlate(sync_conflict)
    .scalar_subquery()
)
_named = (
    select(_keys.c.resolved_by)
    .where(_keys.c.link_id == sync_conflict.c.link_id, _keys.c.what == sync_conflict.c.what)
    .correlate(sync_conflict)
    .scalar_subquery()
)
_CLOSE = Prepared(
    update(sync_conflict)
    .where(
        sync_conflict.c.pair == _PAIR,
        IS_OPEN_CONFLICT,
        tuple_(sync_conflict.c.link_id, sync_conflict.c.what).in_(select(_keys.c.link_id, _keys.c.what)),
    )
    .values(closed_at=_NOW, resolved_by=func.coalesce(_named, _decided_by))
)
_LOG_COLUMNS = ("id", "link_id", "side", "op", "fields", "before", "nonce")
_entries = rows_parameter("entries", dict.fromkeys(_LOG_COLUMNS, TEXT))
_LOG = Prepared(
    insert_into(sync_write_log).from_select(
        ["pair", *_LOG_COLUMNS, "at"], select(_PAIR, *(_entries.c[name] for name in _LOG_COLUMNS), _NOW)
    )
)


class ConflictRows:
    """The conflicts of one commit, encrypted: those decided, which end an open one, and those open."""

    def __init__(self, conflicts: Iterable[Conflict], cipher: Cipher) -> None:
        self.decided: list[dict[str, Any]] = []
        self.ended: set[Key] = set()
        still_open: dict[Key, Conflict] = {}
        for conflict in conflicts:
            key = (conflict.link_id, conflict.what)
            if conflict.winner == OPEN:
                still_open[key] = conflict
                continue
            still_open.pop(key, None)
            self.ended.add(key)
            self.decided.append(_conflict_row(conflict, cipher))
        self.open = [_conflict_row(conflict, cipher) for conflict in still_open.values()]


def store(connection: Connection, now: float, pair: str, rows: ConflictRows) -> None:
    """Adds the decided conflicts, ends open ones, and opens or refreshes those that nobody has decided."""
    given = {"of_pair": pair, "at_now": now}
    close(connection, now, pair, dict.fromkeys(rows.ended))
    if rows.decided:
        _ADD(connection, {**given, "conflicts": to_json(rows.decided)})
    if rows.open:
        _OPEN(connection, {**given, "conflicts": to_json(rows.open)})


def close(connection: Connection, now: float, pair: str, ended: Mapping[Key, str | None]) -> None:
    """Ends these conflicts, if they are open; the value says who decided, where the hold no longer does."""
    if ended:
        keys = [
            {"link_id": link_id, "what": what, "resolved_by": who} for (link_id, what), who in ended.items()
        ]
        _CLOSE(connection, {"of_pair": pair, "at_now": now, "keys": to_json(keys)})


def log_rows(entries: Iterable[LogEntry], cipher: Cipher) -> list[dict[str, Any]]:
    """The entries as `log` takes them."""
    return [
        {
            "id": uuid.uuid4().hex,
            "link_id": entry.link_id,
            "side": entry.side.value,
            "op": entry.op,
            "fields": to_json(entry.fields),
            "before": seal(cipher, dict(entry.before)),
            "nonce": entry.nonce,
        }
        for entry in entries
    ]


def log(connection: Connection, now: float, pair: str, rows: Sequence[dict[str, Any]]) -> None:
    """Notes writes."""
    if rows:
        _LOG(connection, {"of_pair": pair, "at_now": now, "entries": to_json(rows)})


def _conflict_row(conflict: Conflict, cipher: Cipher) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "link_id": conflict.link_id,
        "what": conflict.what,
        "winner": conflict.winner,
        "base": seal(cipher, dict(conflict.base)),
        "on_left": seal(cipher, dict(conflict.left)),
        "on_right": seal(cipher, dict(conflict.right)),
    }
