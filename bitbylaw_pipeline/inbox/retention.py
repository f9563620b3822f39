"""Deletes what is no longer needed, in portions, so that nobody waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, bindparam, delete, select

from bitbylaw_pipeline.inbox import two_way_retention
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.json_rows import DOUBLE
from bitbylaw_pipeline.inbox.person_tasks import ASKED
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import alert, inbox_event, intent, proxy_audit

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
        intent.c.id.in_(
            select(intent.c.id)
            # A task that a person has not done yet would be asked for a second time.
            .where(intent.c.settled_at < _BEFORE, intent.c.outcome.is_distinct_from(ASKED))
            .limit(PORTION)
        )
    )
)
_OLD_ALERTS = Prepared(delete(alert).where(alert.c.ended_at < _BEFORE))
_OLD_AUDIT = Prepared(
    delete(proxy_audit).where(
        proxy_audit.c.id.in_(select(proxy_audit.c.id).where(proxy_audit.c.at < _BEFORE).limit(PORTION))
    )
)


def delete_older(
    database: Database, days: float, *, tombstone_days: float, audit_days: float
) -> dict[str, int]:
    """Deletes inbox events, settled intents and alerts that ended before `days`; returns the count of each kind.

    Open work does not depend on its events, and unsettled intents stay whatever their age. Of the two-way sync goes what
    is older than `tombstone_days`: tombstones, archived values, the values in conflicts, the write log; of the proxy's
    writes what is older than `audit_days`.
    """
    return {
        "inbox_event": _in_portions(database, days, lambda c, given: _OLD_EVENTS(c, given).rowcount),
        "intent": _in_portions(database, days, lambda c, given: _OLD_INTENTS(c, given).rowcount),
        "alert": _in_portions(database, days, lambda c, given: _OLD_ALERTS(c, given).rowcount),
        "proxy_audit": _in_portions(database, audit_days, lambda c, given: _OLD_AUDIT(c, given).rowcount),
        "sync_tombstone": _in_portions(database, tombstone_days, two_way_retention.delete_tombstones),
        "sync_archive": _in_portions(database, tombstone_days, two_way_retention.clear_links),
        "sync_conflict_values": _in_portions(database, tombstone_days, two_way_retention.clear_conflicts),
        "sync_write_log": _in_portions(database, tombstone_days, two_way_retention.delete_log),
    }


def _in_portions(
    database: Database, days: float, delete_some: Callable[[Connection, Mapping[str, float]], int]
) -> int:
    def portion(connection: Connection) -> int:
        return delete_some(connection, {"before": database.now(connection) - days * SECONDS_PER_DAY})

    total = 0
    while deleted := database.run_sync(portion):
        total += deleted
    return total
