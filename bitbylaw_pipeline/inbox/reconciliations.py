"""What the last reconciliation of each flow found, for the status, the checks and the alerts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.inbox.json_rows import BIGINT, DOUBLE, TEXT
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import reconciliation

DAY = 86_400.0
OVERDUE_SECONDS = 2 * DAY + 2 * 3600.0
"""Two nights, and two hours for one that ran late: a machine that was off for one night is nobody's trouble."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One flow's last reconciliation; times are UTC epoch seconds.

    `counts` and `listed` are those of the last one that came to its end at `ended_at` (None: none has yet). The three of
    the failure are empty once a later one has succeeded.
    """

    flow: str
    begun_at: float | None
    ended_at: float | None
    listed: Mapping[str, int]
    counts: Mapping[str, int]
    wanted: int
    withheld: int
    failed_at: float | None = None
    failed_with: str | None = None
    failed_why: str | None = None

    @property
    def drift(self) -> int:
        """How much was found in all."""
        return sum(self.counts.values())

    def overdue(self, now: float) -> str | None:
        """For how long there has been none, in words, where two nights went by without any; None before the first."""
        if self.ended_at is None or now - self.ended_at < OVERDUE_SECONDS:
            return None
        # In whole days: the same is told in the same words for a while.
        return f"not made for {int((now - self.ended_at) // DAY)} d"


_ended = insert(reconciliation).values(
    flow=bindparam("of_flow", type_=TEXT),
    begun_at=bindparam("with_begun", type_=DOUBLE),
    ended_at=bindparam("at_now", type_=DOUBLE),
    listed=bindparam("with_listed", type_=TEXT),
    counts=bindparam("with_counts", type_=TEXT),
    wanted=bindparam("with_wanted", type_=BIGINT),
    withheld=bindparam("with_withheld", type_=BIGINT),
    failed_at=None,
    failed_with=None,
    failed_why=None,
)
_NOTE_ENDED = Prepared(
    _ended.on_conflict_do_update(
        index_elements=[reconciliation.c.flow],
        set_={
            column.name: _ended.excluded[column.name]
            for column in reconciliation.columns
            if column.name != "flow"
        },
    )
)
_failed = insert(reconciliation).values(
    flow=bindparam("of_flow", type_=TEXT),
    begun_at=None,
    ended_at=None,
    listed="{}",
    counts="{}",
    wanted=0,
    withheld=0,
    failed_at=bindparam("at_now", type_=DOUBLE),
    failed_with=bindparam("with_class", type_=TEXT),
    failed_why=bindparam("with_why", type_=TEXT),
)
_NOTE_FAILED = Prepared(
    _failed.on_conflict_do_update(
        index_elements=[reconciliation.c.flow],
        set_={name: _failed.excluded[name] for name in ("failed_at", "failed_with", "failed_why")},
    )
)
_ALL = Prepared(select(reconciliation).order_by(reconciliation.c.flow))


def note_ended(
    connection: Connection,
    now: float,
    flow: str,
    *,
    begun_at: float,
    listed: Mapping[str, int],
    counts: Mapping[str, int],
    wanted: int,
    withheld: int,
) -> None:
    """The flow's reconciliation has come to its end."""
    _NOTE_ENDED(
        connection,
        {
            "of_flow": flow,
            "with_begun": begun_at,
            "at_now": now,
            "with_listed": json.dumps(dict(listed)),
            "with_counts": json.dumps(dict(counts)),
            "with_wanted": wanted,
            "with_withheld": withheld,
        },
    )


def note_failed(connection: Connection, now: float, flow: str, error: Exception) -> None:
    """It failed: what the last one found stands. The error's own text is kept, so it must be one of `domain.errors`."""
    given = {"of_flow": flow, "at_now": now, "with_class": type(error).__name__, "with_why": str(error)}
    _NOTE_FAILED(connection, given)


def load(connection: Connection) -> dict[str, Reconciled]:
    """Every flow that was ever reconciled, by name."""
    return {row.flow: _read(row) for row in _ALL(connection, {})}


def _read(row: Row[Any]) -> Reconciled:
    return Reconciled(**{**row._asdict(), "listed": json.loads(row.listed), "counts": json.loads(row.counts)})
