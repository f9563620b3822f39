"""The journal of writes that cannot simply be repeated: stored before the call, settled after it.

After a crash or an unclear answer an unsettled intent says what may exist, and by which token to look for it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, insert, literal_column, select, update

from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT, rows_parameter, texts_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import IS_UNSETTLED, intent

DONE = "done"
RECOVERED = "recovered"
"""What an intent from an earlier attempt came to, once a later one has put things right."""


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


_OPEN = Prepared(
    insert(intent).values(
        id=bindparam("with_id", type_=TEXT),
        kind=bindparam("of_kind", type_=TEXT),
        subject=bindparam("of_subject", type_=TEXT),
        token=bindparam("with_token", type_=TEXT),
        detail=bindparam("with_detail", type_=TEXT),
        opened_at=bindparam("at_now", type_=DOUBLE),
    )
)
_SETTLE = Prepared(
    update(intent)
    .where(intent.c.id == bindparam("with_id", type_=TEXT), IS_UNSETTLED)
    .values(
        settled_at=bindparam("at_now", type_=DOUBLE),
        outcome=bindparam("with_outcome", type_=TEXT),
        remote_id=bindparam("with_remote", type_=TEXT),
    )
)
_IS_KIND = intent.c.kind == bindparam("of_kind", type_=TEXT)
_unsettled = select(intent).where(_IS_KIND, IS_UNSETTLED).order_by(intent.c.opened_at, intent.c.id)
_UNSETTLED_ALL = Prepared(_unsettled)
_UNSETTLED = Prepared(_unsettled.where(intent.c.subject == bindparam("of_subject", type_=TEXT)))
_subjects = texts_parameter("subjects")
_UNSETTLED_OF_MANY = Prepared(_unsettled.where(intent.c.subject.in_(select(_subjects.c.value))))
_opened = rows_parameter("opened", {"id": TEXT, "subject": TEXT, "token": TEXT})
_OPEN_MANY = Prepared(
    insert(intent).from_select(
        ["id", "kind", "subject", "token", "detail", "opened_at"],
        select(
            _opened.c.id,
            bindparam("of_kind", type_=TEXT),
            _opened.c.subject,
            _opened.c.token,
            literal_column("'{}'"),
            bindparam("at_now", type_=DOUBLE),
        ),
    )
)
_landed = rows_parameter("landed", {"id": TEXT, "subject": TEXT, "remote_id": TEXT})
_SETTLE_SUBJECTS = Prepared(
    update(intent)
    .where(_IS_KIND, IS_UNSETTLED, intent.c.subject == _landed.c.subject)
    .values(
        settled_at=bindparam("at_now", type_=DOUBLE),
        outcome=case(
            (intent.c.id == _landed.c.id, literal_column(f"'{DONE}'")), else_=literal_column(f"'{RECOVERED}'")
        ),
        remote_id=_landed.c.remote_id,
    )
)


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
    _OPEN(connection, given)
    return intent_id


def open_many(connection: Connection, now: float, kind: str, wanted: Sequence[tuple[str, str]]) -> list[str]:
    """`open_intent` for many (subject, token) in one statement; returns their ids in order."""
    rows = [{"id": uuid.uuid4().hex, "subject": subject, "token": token} for subject, token in wanted]
    if rows:
        _OPEN_MANY(connection, {"opened": to_json(rows), "of_kind": kind, "at_now": now})
    return [row["id"] for row in rows]


def settle_subjects(
    connection: Connection, now: float, kind: str, landed: Iterable[tuple[str, str, str]]
) -> None:
    """Settles everything open of each (subject, intent id, remote id): that intent as DONE, older ones as RECOVERED."""
    rows = [
        {"subject": subject, "id": intent_id, "remote_id": remote_id}
        for subject, intent_id, remote_id in landed
    ]
    _SETTLE_SUBJECTS(connection, {"landed": to_json(rows), "of_kind": kind, "at_now": now})


def settle(
    connection: Connection, now: float, intent_id: str, outcome: str, remote_id: str | None = None
) -> bool:
    """Records how it ended; False if that was recorded before (which then stands)."""
    given = {"with_id": intent_id, "at_now": now, "with_outcome": outcome, "with_remote": remote_id}
    return _SETTLE(connection, given).rowcount == 1


def unsettled(connection: Connection, kind: str, subject: str) -> list[Intent]:
    """The subject's intents of that kind whose outcome is not known, oldest first."""
    return [_read(row) for row in _UNSETTLED(connection, {"of_kind": kind, "of_subject": subject})]


def unsettled_of_many(connection: Connection, kind: str, subjects: Iterable[str]) -> dict[str, list[Intent]]:
    """`unsettled` for many subjects, by subject; one with nothing open is not in it."""
    found: dict[str, list[Intent]] = {}
    for row in _UNSETTLED_OF_MANY(connection, {"of_kind": kind, "subjects": to_json(sorted(set(subjects)))}):
        found.setdefault(row.subject, []).append(_read(row))
    return found


def unsettled_all(connection: Connection, kind: str) -> list[Intent]:
    """Every intent of that kind whose outcome is not known, oldest first."""
    return [_read(row) for row in _UNSETTLED_ALL(connection, {"of_kind": kind})]


def _read(row: Row[Any]) -> Intent:
    fields = row._asdict()
    return Intent(**{**fields, "detail": json.loads(fields["detail"])})
