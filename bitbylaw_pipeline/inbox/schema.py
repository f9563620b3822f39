"""The state database's tables. Times are UTC epoch seconds; ids, hashes and counts only, secrets encrypted.

What a migration makes and what stands here are compared by a test; change both.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s",
    }
)

inbox_event = Table(
    "inbox_event",
    metadata,
    Column("id", Text, primary_key=True),
    Column("received_at", Double, nullable=False),
    Column("source", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Index("ix_inbox_event_received_at", "received_at"),
    Index("ix_inbox_event_entity", "entity_id", "received_at"),
)

work = Table(
    "work",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("wanted", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("wanted_at", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease_token", Text),
    Column("lease_until", Double),
    Column("last_error", Text),
    Column("parked_at", Double),
    Column("park_reason", Text),
    Column("updated_at", Double, nullable=False),
)
# Claiming reads the few open rows in the order in which they are due, however many finished rows there are.
IS_OPEN = and_(work.c.wanted > work.c.done, work.c.parked_at.is_(None))
Index(
    "ix_work_open",
    work.c.stream,
    work.c.priority,
    work.c.not_before,
    # A sweep makes thousands of rows due at the same moment; without the key each claim would sort them all.
    work.c.key,
    postgresql_where=IS_OPEN,
    sqlite_where=IS_OPEN,
)
IS_PARKED = work.c.parked_at.is_not(None)
Index("ix_work_parked", work.c.stream, work.c.parked_at, postgresql_where=IS_PARKED, sqlite_where=IS_PARKED)

batch = Table(
    "batch",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("run_id", Text),
    Column("requested_at", Double, nullable=False),
    Column("heartbeat_at", Double),
    Column("until", Double, nullable=False),
    Column("activity", Text, nullable=False),
)

flag = Table(
    "flag",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("set_at", Double, nullable=False),
)

outage = Table(
    "outage",
    metadata,
    Column("system", Text, primary_key=True),
    Column("since", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("reason", Text, nullable=False),
)

intent = Table(
    "intent",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("settled_at", Double),
    Column("outcome", Text),
    Column("remote_id", Text),
)
IS_UNSETTLED = intent.c.settled_at.is_(None)
Index(
    "ix_intent_unsettled",
    intent.c.kind,
    intent.c.subject,
    postgresql_where=IS_UNSETTLED,
    sqlite_where=IS_UNSETTLED,
)

document_state = Table(
    "document_state",
    metadata,
    Column("document_id", Text, primary_key=True),
    Column("attachment_id", Text),
    Column("md5", Text),
    Column("sha256", Text),
    Column("size", BigInteger),
    Column("file_id", Text),
    Column("collections", Text, nullable=False),
    Column("owners", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("doomed", Text, nullable=False),
    Column("index_status", Text, nullable=False),
    Column("index_check_at", Double),
    Column("updated_at", Double, nullable=False),
    Column("deleted_at", Double),
    Column("record_version", BigInteger),
    Column("record_modified_at", Text),
    Index("ix_document_state_index", "index_status", "index_check_at"),
)

document_owner = Table(
    "document_owner",
    metadata,
    Column("document_id", Text, primary_key=True),
    Column("owner", Text, primary_key=True),
    Index("ix_document_owner_owner", "owner"),
)

collection_state = Table(
    "collection_state",
    metadata,
    Column("owner_key", Text, primary_key=True),
    Column("collection_id", Text),
    Column("is_permitted", Boolean, nullable=False),
    Column("permission_ground", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("deleted_at", Double),
)

egress = Table(
    "egress",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("document_hmac", Text, nullable=False),
    Column("matter_hmac", Text, nullable=False),
    Column("file_hmac", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("collection_id", Text, nullable=False),
    Column("ground", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("row_hash", Text, nullable=False),
    Index("ix_egress_matter_hmac", "matter_hmac"),
)

# One row: the end of the chain. Whoever appends locks it first, and a cut-off end is noticed against it.
egress_head = Table(
    "egress_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("row_hash", Text, nullable=False),
)

matter_key = Table(
    "matter_key",
    metadata,
    Column("matter_digest", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)

webhook = Table(
    "webhook",
    metadata,
    Column("webhook_id", Text, primary_key=True),
    Column("event", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("replaced_at", Double),
)

feed_cursor = Table(
    "feed_cursor",
    metadata,
    Column("entity_type", Text, primary_key=True),
    Column("modified_at", Text),
    Column("record_id", Text),
    Column("polled_at", Double),
    Column("held_until", Double),
    Column("seen", Text),
)
