"""What a person has to be told about, who was told when, and how the channels fare. Times are UTC epoch seconds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.domain.alert import Alert, Told, Trouble, TroubleKind
from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import alert, flag

LEASE = "alerts"
"""The name of the lease under which alerts are told: two daemons would tell everything twice."""
ENDED_FOR_SECONDS = 7 * 86_400.0
"""What ended longer ago is not told any more, even by a channel that has failed all the time."""

_given = insert(alert).values(
    kind=bindparam("of_kind", type_=TEXT),
    subject=bindparam("of_subject", type_=TEXT),
    says=bindparam("with_says", type_=TEXT),
    advice=bindparam("with_advice", type_=TEXT),
    link=bindparam("with_link", type_=TEXT),
    first_at=bindparam("with_first", type_=DOUBLE),
    last_at=bindparam("with_last", type_=DOUBLE),
    told=bindparam("with_told", type_=TEXT),
    ended_at=bindparam("with_ended", type_=DOUBLE),
)
_PUT = Prepared(
    _given.on_conflict_do_update(
        index_elements=[alert.c.kind, alert.c.subject],
        set_={
            column.name: _given.excluded[column.name]
            for column in alert.columns
            if column.name not in ("kind", "subject")
        },
    )
)
_OPEN = Prepared(
    select(alert).where(alert.c.ended_at.is_(None)).order_by(alert.c.first_at, alert.c.kind, alert.c.subject)
)
_GET = Prepared(
    select(alert).where(
        alert.c.kind == bindparam("of_kind", type_=TEXT),
        alert.c.subject == bindparam("of_subject", type_=TEXT),
    )
)
_RECENT = Prepared(select(alert).where(alert.c.ended_at > bindparam("after", type_=DOUBLE)))
_SIZE = "size"


@dataclass(frozen=True, slots=True)
class Channel:
    """How a channel fares: known since then, failed so often running, left alone until `not_before`.

    `error` is the class of the last failure's error.
    """

    since: float
    failures: int = 0
    not_before: float = 0.0
    error: str = ""


def put(connection: Connection, alerts: Iterable[Alert]) -> None:
    """Stores them as they are; one that had ended is replaced by its return."""
    for one in alerts:
        trouble = one.trouble
        # The size of now stands with those that were told: the table has no column for it.
        told = {channel: [when.at, when.size] for channel, when in one.told.items()}
        _PUT(
            connection,
            {
                "of_kind": trouble.kind.value,
                "of_subject": trouble.subject,
                "with_says": trouble.says,
                "with_advice": trouble.advice,
                "with_link": trouble.link,
                "with_first": one.first_at,
                "with_last": one.last_at,
                "with_told": json.dumps({_SIZE: trouble.size, **told}),
                "with_ended": one.ended_at,
            },
        )


def open_ones(connection: Connection) -> list[Alert]:
    """Those that have not ended, the longest first."""
    return [_read(row) for row in _OPEN(connection, {})]


def ended_lately(connection: Connection, now: float) -> list[Alert]:
    """Those whose end may still have to be told."""
    return [_read(row) for row in _RECENT(connection, {"after": now - ENDED_FOR_SECONDS})]


def load(connection: Connection, among: Iterable[Alert]) -> list[Alert]:
    """The same alerts as they stand now."""
    rows = (
        _GET(connection, {"of_kind": kind, "of_subject": subject})
        for kind, subject in (a.name for a in among)
    )
    return [_read(row) for found in rows for row in found]


def channel(connection: Connection, now: float, name: str) -> Channel:
    """How that channel fares; one not heard of before is known from now on."""
    stored = batches.get_flag(connection, _flag(name))
    if stored is not None:
        return Channel(**json.loads(stored))
    fresh = Channel(since=now)
    note_channel(connection, now, name, fresh)
    return fresh


def channels(connection: Connection) -> dict[str, Channel]:
    """All that were ever used, by name."""
    prefix = _flag("")
    rows = connection.execute(
        select(flag.c.name, flag.c.value).where(flag.c.name.startswith(prefix, autoescape=True))
    )
    return {row.name.removeprefix(prefix): Channel(**json.loads(row.value)) for row in rows}


def note_channel(connection: Connection, now: float, name: str, fares: Channel) -> None:
    """Remembers how it fares."""
    values = {
        "since": fares.since,
        "failures": fares.failures,
        "not_before": fares.not_before,
        "error": fares.error,
    }
    batches.set_flag(connection, now, _flag(name), json.dumps(values))


def _flag(name: str) -> str:
    return f"alert_channel:{name}"


def _read(row: Row[Any]) -> Alert:
    told = json.loads(row.told)
    size = int(told.pop(_SIZE, 1))
    trouble = Trouble(TroubleKind(row.kind), row.subject, row.says, row.advice, row.link, size)
    by_channel = {name: Told(float(at), int(count)) for name, (at, count) in told.items()}
    return Alert(trouble, row.first_at, row.last_at, row.ended_at, by_channel)
