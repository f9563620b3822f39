"""Each kind of row is kept for its own period, to the minute; some are kept for good."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Table, insert, select

from bitbylaw_pipeline.inbox import retention, schema, work_queue
from bitbylaw_pipeline.inbox.database import Database
from tests.conftest import FakeClock

DAY = 86_400.0
INBOX, TOMBSTONES, AUDIT = 10.0, 20.0, 30.0

EVENT = {
    "source": "feed",
    "topic": "t",
    "entity_type": "CDokumente",
    "entity_id": "d",
    "action": "update",
    "digest": "0",
}
INTENT = {"kind": "upload", "subject": "d", "token": "t", "detail": "{}", "opened_at": 0.0}
ALERT = {"kind": "parked", "says": "", "advice": "", "first_at": 0.0, "last_at": 0.0, "told": "{}"}
WRITE = {"key_fingerprint": "k", "method": "PUT", "route": "r", "body_sha256": "0"}
LOGGED = {"pair": "bank", "link_id": "l", "side": "left", "op": "update", "fields": "[]", "nonce": "n"}
PROOF = {"kind": "document", "subject_digest": "0", "proof": "{}"}
LEFT = dict.fromkeys(
    (
        "document_hmac",
        "matter_hmac",
        "file_hmac",
        "system",
        "collection_id",
        "ground",
        "previous_hash",
        "row_hash",
    ),
    "0",
)


def clean(database: Database) -> dict[str, int]:
    """One night; what was deleted."""
    deleted = retention.delete_older(database, INBOX, tombstone_days=TOMBSTONES, audit_days=AUDIT)
    return {name: count for name, count in deleted.items() if count}


def put(database: Database, table: Table, **values: Any) -> None:
    """One row."""
    database.run_sync(lambda c: c.execute(insert(table).values(**values)))


def ids(database: Database, table: Table, column: str = "id") -> set[Any]:
    """What is left."""
    return set(database.read(lambda c: c.execute(select(table.c[column])).scalars().all()))


@pytest.mark.parametrize(
    ("table", "id_column", "time_column", "rest", "days"),
    [
        (schema.inbox_event, "id", "received_at", EVENT, INBOX),
        (schema.intent, "id", "settled_at", INTENT, INBOX),
        (schema.alert, "subject", "ended_at", ALERT, INBOX),
        (schema.sync_write_log, "id", "at", LOGGED, TOMBSTONES),
        (schema.proxy_audit, "id", "at", WRITE, AUDIT),
    ],
    ids=lambda value: value.name if isinstance(value, Table) else "",
)
def test_rows_go_right_after_their_period(
    database: Database,
    clock: FakeClock,
    table: Table,
    id_column: str,
    time_column: str,
    rest: dict[str, Any],
    days: float,
) -> None:
    """A minute inside its period a row stays, a minute outside it goes; the next night finds nothing."""
    for name, age in (("inside", days * DAY - 60), ("outside", days * DAY + 60)):
        put(database, table, **rest, **{id_column: name, time_column: clock() - age})
    assert clean(database) == {table.name: 1}
    assert ids(database, table, id_column) == {"inside"}
    assert clean(database) == {}


def test_what_stays_whatever_its_age(database: Database, clock: FakeClock) -> None:
    """Open work, unsettled intents, alerts that last, the egress register and proofs of erasures are never deleted."""
    put(database, schema.intent, **INTENT, id="unsettled")
    put(database, schema.alert, **ALERT, subject="open")
    put(database, schema.egress, **LEFT, seq=1, at=0.0)
    put(database, schema.erasure, **PROOF, id="proof", at=0.0)
    database.run_sync(lambda c: work_queue.want(c, clock(), "documents", ["d1"]))
    clock.advance(4000 * DAY)
    assert clean(database) == {}
    assert ids(database, schema.intent) == {"unsettled"}
    assert ids(database, schema.alert, "subject") == {"open"}
    assert ids(database, schema.egress, "seq") == {1}
    assert ids(database, schema.erasure) == {"proof"}
    assert database.read(lambda c: work_queue.ready_count(c, clock(), "documents")) == 1
