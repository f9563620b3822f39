"""The journal of writes that cannot simply be repeated: stored before the call, settled after it.

After a crash or an unclear answer an unsettled intent says what may exist, and by which token to look for it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT
from bitbylaw_pipeline.inbox.schema import IS_UNSETTLED, intent


@dataclass(frozen=True, slots=True)
class Intent:
    """A write that is about to be made (`settled_at` None) or was; `detail` holds ids and hashes only."""

    id: str
    kind: str
    subject: str
    token: str
    detail: Mapping[str, Any]
    opened_at: float
    settled_at: float | None = None
    outcome: str | None = None
    remote_id: str | None = None


_OPEN = insert(intent).values(
    id=bindparam("with_id", type_=TEXT),
    kind=bindparam("of_kind", type_=TEXT),
    subject=bindparam("of_subject", type_=TEXT),
    token=bindparam("with_token", type_=TEXT),
    detail=bindparam("with_detail", type_=TEXT),
    opened_at=bindparam("at_now", type_=DOUBLE),
)
_SETTLE = (
    update(intent)
    .where(intent.c.id == bindparam("with_id", type_=TEXT), IS_UNSETTLED)
    .values(
        settled_at=bindparam("at_now", type_=DOUBLE),
        outcome=bindparam("with_outcome", type_=TEXT),
        remote_id=bindparam("with_remote", type_=TEXT),
    )
)
_IS_KIND = intent.c.kind == bindparam("of_kind", type_=TEXT)
_UNSETTLED_ALL = select(intent).where(_IS_KIND, IS_UNSETTLED).order_by(intent.c.opened_at, intent.c.id)
_UNSETTLED = _UNSETTLED_ALL.where(intent.c.subject == bindparam("of_subject", type_=TEXT))


def open_intent(
    connection: Connection,
    now: float,
    *,
    kind: str,
    subject: str,
    token: str,
    detail: Mapping[str, Any] | None = None,
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> str:
    """Stores what is about to be created for the subject, under a token that will be findable there; returns its id.

    Commit before the call: an intent in an open transaction is gone with the process.
    """
    intent_id = new_id()
    given = {
        "with_id": intent_id,
        "of_kind": kind,
        "of_subject": subject,
        "with_token": token,
        "with_detail": json.dumps(dict(detail or {}), sort_keys=True),
        "at_now": now,
    }
    connection.execute(_OPEN, given)
    return intent_id


def settle(
    connection: Connection, now: float, intent_id: str, outcome: str, remote_id: str | None = None
) -> bool:
    """Records how it ended; False if that was recorded before (which then stands)."""
    given = {"with_id": intent_id, "at_now": now, "with_outcome": outcome, "with_remote": remote_id}
    return connection.execute(_SETTLE, given).rowcount == 1


def unsettled(connection: Connection, kind: str, subject: str) -> list[Intent]:
    """The subject's intents of that kind whose outcome is not known, oldest first."""
    return [_read(row) for row in connection.execute(_UNSETTLED, {"of_kind": kind, "of_subject": subject})]


def unsettled_all(connection: Connection, kind: str) -> list[Intent]:
    """Every intent of that kind whose outcome is not known, oldest first."""
    return [_read(row) for row in connection.execute(_UNSETTLED_ALL, {"of_kind": kind})]


def _read(row: Row[Any]) -> Intent:
    fields = row._asdict()
    return Intent(**{**fields, "detail": json.loads(fields["detail"])})
