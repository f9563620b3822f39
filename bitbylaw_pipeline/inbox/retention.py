"""Deletes what is no longer needed, in portions, so that nobody waits for it."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, select

from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.json_rows import DOUBLE
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import inbox_event, intent

PORTION = 5_000
SECONDS_PER_DAY = 86_400.0

_BEFORE = bindparam("before", type_=DOUBLE)
_OLD_EVENTS = Prepared(
    delete(inbox_event).where(
        inbox_event.c.id.in_(
            select(inbox_event.c.id)
            .where(inbox_event.c.received_at < _BEFORE)
            .order_by(inbox_event.c.received_at)
            .limit(PORTION)
        )
    )
)
_OLD_INTENTS = Prepared(
    delete(intent).where(
        intent.c.id.in_(select(intent.c.id).where(intent.c.settled_at < _BEFORE).limit(PORTION))
    )
)


def delete_older(database: Database, days: float) -> dict[str, int]:
    """Deletes inbox events, and settled intents, that are older than so many days; returns the count of each.

    Open work does not depend on its events, and unsettled intents stay whatever their age.
    """
    return {
        "inbox_event": _delete_portions(database, days, _OLD_EVENTS),
        "intent": _delete_portions(database, days, _OLD_INTENTS),
    }


def _delete_portions(database: Database, days: float, statement: Prepared) -> int:
    def portion(connection: Connection) -> int:
        before = database.now(connection) - days * SECONDS_PER_DAY
        return statement(connection, {"before": before}).rowcount

    total = 0
    while deleted := database.run_sync(portion):
        total += deleted
    return total
