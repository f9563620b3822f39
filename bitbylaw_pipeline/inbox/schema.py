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

# The two-way sync (`facts/two_way_sync.md` 1.1). A column that holds field values holds one encrypted JSON document;
# ids, field names and versions stand in clear. A pair is "beteiligte", "bank", or "termin_gcal:" and a Kürzel.
sync_link = Table(
    "sync_link",
    metadata,
    Column("pair", Text, primary_key=True),
    Column("link_id", Text, primary_key=True),
    Column("left_id", Text),
    Column("right_id", Text),
    Column("state", Text, nullable=False),
    Column("gen", Integer, nullable=False),
    Column("base_left", Text),
    Column("base_right", Text),
    Column("ver_left", Text),
    Column("ver_right", Text),
    Column("intent", Text),
    Column("is_unlinked", Boolean, nullable=False),
    Column("archive", Text),
    Column("memory", Text),
    Column("lease_until", Double, nullable=False),
    Column("row_rev", BigInteger, nullable=False),
    Column("fail_count", Integer, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("archived_at", Double),
)
HAS_LEFT = sync_link.c.left_id.is_not(None)
HAS_RIGHT = sync_link.c.right_id.is_not(None)
Index(
    "ux_sync_link_left",
    sync_link.c.pair,
    sync_link.c.left_id,
    unique=True,
    postgresql_where=HAS_LEFT,
    sqlite_where=HAS_LEFT,
)
Index(
    "ux_sync_link_right",
    sync_link.c.pair,
    sync_link.c.right_id,
    unique=True,
    postgresql_where=HAS_RIGHT,
    sqlite_where=HAS_RIGHT,
)

# Which records a side has ever shown, and since which look at it (`sync_look` counts them).
sync_seen = Table(
    "sync_seen",
    metadata,
    Column("pair", Text, primary_key=True),
    Column("side", Text, primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("first_seen", BigInteger, nullable=False),
)

sync_look = Table(
    "sync_look",
    metadata,
    Column("pair", Text, primary_key=True),
    Column("side", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# Append-only but for the open ones, which show what stands on both sides now. `what` is a unit's name.
sync_conflict = Table(
    "sync_conflict",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pair", Text, nullable=False),
    Column("link_id", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("winner", Text, nullable=False),
    Column("base", Text),
    Column("on_left", Text),
    Column("on_right", Text),
    Column("first_at", Double, nullable=False),
    Column("at", Double, nullable=False),
    Column("closed_at", Double),
    Column("resolved_by", Text),
    Index("ix_sync_conflict_at", "at"),
)
IS_OPEN_CONFLICT = sync_conflict.c.closed_at.is_(None)
Index(
    "ux_sync_conflict_open",
    sync_conflict.c.pair,
    sync_conflict.c.link_id,
    sync_conflict.c.what,
    unique=True,
    postgresql_where=IS_OPEN_CONFLICT,
    sqlite_where=IS_OPEN_CONFLICT,
)

sync_hold = Table(
    "sync_hold",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pair", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("link_id", Text),
    Column("side", Text),
    Column("record_id", Text),
    Column("is_notice", Boolean, nullable=False),
    Column("digest", Text, nullable=False),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("decision", Text),
    Column("decided_at", Double),
    Column("decided_by", Text),
    Index("ux_sync_hold_subject", "pair", "subject", "why", unique=True),
)

sync_write_log = Table(
    "sync_write_log",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pair", Text, nullable=False),
    Column("link_id", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("op", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("before", Text),
    Column("nonce", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_sync_write_log_at", "at"),
    Index("ix_sync_write_log_link", "pair", "link_id", "at"),
)

# How many deletes of a side a person allows the next run.
sync_approval = Table(
    "sync_approval",
    metadata,
    Column("pair", Text, primary_key=True),
    Column("side", Text, primary_key=True),
    Column("ceiling", Integer, nullable=False),
    Column("approved_at", Double, nullable=False),
)

# The last observation of each record, where a system reports changes and not everything.
sync_mirror = Table(
    "sync_mirror",
    metadata,
    Column("pair", Text, primary_key=True),
    Column("side", Text, primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("fields", Text),
    Column("version", Text),
    Column("marker", Text),
    Column("last_where", Text),
    Column("seen_at", Double, nullable=False),
    Column("gone_evidence", Text),
)

sync_cursor = Table(
    "sync_cursor",
    metadata,
    Column("pair", Text, primary_key=True),
    Column("side", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("cursor", Text),
    Column("params_hash", Text, nullable=False),
    Column("baseline_at", Double, nullable=False),
)

sync_run_lease = Table(
    "sync_run_lease",
    metadata,
    Column("pair", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("until", Double, nullable=False),
)

akte_state = Table(
    "akte_state",
    metadata,
    Column("akte_id", Text, primary_key=True),
    Column("aktennummer", BigInteger),
    Column("owner_key", Text),
    Column("collection_id", Text),
    Column("status", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index("ix_akte_state_owner_key", "owner_key"),
)

# One row per write through the proxy, stored before the write is sent. `ended_at` stays empty where nobody knows
# whether it was carried out; `status` stays empty where Advoware was not reached.
proxy_audit = Table(
    "proxy_audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("key_fingerprint", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("record", Text),
    Column("body_sha256", Text, nullable=False),
    Column("status", Integer),
    Column("ended_at", Double),
    Index("ix_proxy_audit_at", "at"),
)

# One row per employee: the last pass that went through to its end, and the last that failed. `failed_since` is the
# first failure after the last success; a success leaves the four of the failure empty.
calendar_pass = Table(
    "calendar_pass",
    metadata,
    Column("kuerzel", Text, primary_key=True),
    Column("passed_begun_at", Double),
    Column("passed_at", Double),
    Column("counts", Text, nullable=False),
    Column("failed_begun_at", Double),
    Column("failed_at", Double),
    Column("failed_since", Double),
    Column("failed_with", Text),
    Column("failed_why", Text),
)

# By which Google reports that something has changed in a calendar. `address_hash` stands for the address reported to
# and the calendar reported on: a channel for another one is no use any more.
calendar_channel = Table(
    "calendar_channel",
    metadata,
    Column("kuerzel", Text, primary_key=True),
    Column("channel_id", Text, primary_key=True),
    Column("resource_id", Text, nullable=False),
    Column("address_hash", Text, nullable=False),
    Column("expires_at", Double, nullable=False),
)

# One row per flow: what the last reconciliation that came to its end found (`counts`: kind -> rows, `listed`: list -> rows),
# how much of it was put into the queue and how much waits for an approval; and the last that failed.
reconciliation = Table(
    "reconciliation",
    metadata,
    Column("flow", Text, primary_key=True),
    Column("begun_at", Double),
    Column("ended_at", Double),
    Column("listed", Text, nullable=False),
    Column("counts", Text, nullable=False),
    Column("wanted", BigInteger, nullable=False),
    Column("withheld", BigInteger, nullable=False),
    Column("failed_at", Double),
    Column("failed_with", Text),
    Column("failed_why", Text),
)

# One row per erasure: that it was done, when, and what was verified; the subject stands in it as a keyed digest.
erasure = Table(
    "erasure",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject_digest", Text, nullable=False),
    Column("proof", Text, nullable=False),
    Index("ix_erasure_at", "at"),
)

# What a person has to be told about: how large it was when it was last told (`told`: "size"), and for each channel when it
# was told there (UTC epoch seconds) and how large it was then.
alert = Table(
    "alert",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("says", Text, nullable=False),
    Column("advice", Text, nullable=False),
    Column("link", Text),
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("told", Text, nullable=False),
    Column("ended_at", Double),
)
