"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbox_event",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_inbox_event"),
    )
    op.create_index("ix_inbox_event_entity", "inbox_event", ["entity_id", "received_at"])
    op.create_index("ix_inbox_event_received_at", "inbox_event", ["received_at"])
    op.create_table(
        "work",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("wanted", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("wanted_at", sa.Double(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.Text()),
        sa.Column("lease_until", sa.Double()),
        sa.Column("last_error", sa.Text()),
        sa.Column("parked_at", sa.Double()),
        sa.Column("park_reason", sa.Text()),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "key", name="pk_work"),
    )
    op.create_index(
        "ix_work_open",
        "work",
        ["stream", "priority", "not_before", "key"],
        postgresql_where=sa.text("wanted > done AND parked_at IS NULL"),
        sqlite_where=sa.text("wanted > done AND parked_at IS NULL"),
    )
    op.create_index(
        "ix_work_parked",
        "work",
        ["stream", "parked_at"],
        postgresql_where=sa.text("parked_at IS NOT NULL"),
        sqlite_where=sa.text("parked_at IS NOT NULL"),
    )
    op.create_table(
        "batch",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text()),
        sa.Column("requested_at", sa.Double(), nullable=False),
        sa.Column("heartbeat_at", sa.Double()),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "slot", name="pk_batch"),
    )
    op.create_table(
        "flag",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("set_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_flag"),
    )
    op.create_table(
        "outage",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("system", name="pk_outage"),
    )
    op.create_table(
        "intent",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("settled_at", sa.Double()),
        sa.Column("outcome", sa.Text()),
        sa.Column("remote_id", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_intent"),
    )
    op.create_index(
        "ix_intent_unsettled",
        "intent",
        ["kind", "subject"],
        postgresql_where=sa.text("settled_at IS NULL"),
        sqlite_where=sa.text("settled_at IS NULL"),
    )
    op.create_table(
        "document_state",
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("attachment_id", sa.Text()),
        sa.Column("md5", sa.Text()),
        sa.Column("sha256", sa.Text()),
        sa.Column("size", sa.BigInteger()),
        sa.Column("file_id", sa.Text()),
        sa.Column("collections", sa.Text(), nullable=False),
        sa.Column("owners", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("doomed", sa.Text(), nullable=False),
        sa.Column("index_status", sa.Text(), nullable=False),
        sa.Column("index_check_at", sa.Double()),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("deleted_at", sa.Double()),
        sa.Column("record_version", sa.BigInteger()),
        sa.Column("record_modified_at", sa.Text()),
        sa.PrimaryKeyConstraint("document_id", name="pk_document_state"),
    )
    op.create_index("ix_document_state_index", "document_state", ["index_status", "index_check_at"])
    op.create_table(
        "document_owner",
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("document_id", "owner", name="pk_document_owner"),
    )
    op.create_index("ix_document_owner_owner", "document_owner", ["owner"])
    op.create_table(
        "collection_state",
        sa.Column("owner_key", sa.Text(), nullable=False),
        sa.Column("collection_id", sa.Text()),
        sa.Column("is_permitted", sa.Boolean(), nullable=False),
        sa.Column("permission_ground", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("deleted_at", sa.Double()),
        sa.PrimaryKeyConstraint("owner_key", name="pk_collection_state"),
    )
    op.create_table(
        "egress",
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("document_hmac", sa.Text(), nullable=False),
        sa.Column("matter_hmac", sa.Text(), nullable=False),
        sa.Column("file_hmac", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("collection_id", sa.Text(), nullable=False),
        sa.Column("ground", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("row_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_egress"),
    )
    op.create_index("ix_egress_matter_hmac", "egress", ["matter_hmac"])
    head = op.create_table(
        "egress_head",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("row_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_egress_head"),
    )
    op.create_table(
        "matter_key",
        sa.Column("matter_digest", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("matter_digest", name="pk_matter_key"),
    )
    op.create_table(
        "webhook",
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("replaced_at", sa.Double()),
        sa.PrimaryKeyConstraint("webhook_id", name="pk_webhook"),
    )
    op.create_table(
        "feed_cursor",
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("modified_at", sa.Text()),
        sa.Column("record_id", sa.Text()),
        sa.Column("polled_at", sa.Double()),
        sa.Column("held_until", sa.Double()),
        sa.Column("seen", sa.Text()),
        sa.PrimaryKeyConstraint("entity_type", name="pk_feed_cursor"),
    )
    op.bulk_insert(head, [{"id": 1, "seq": 0, "row_hash": "0" * 64}])


def downgrade() -> None:
    op.drop_table("feed_cursor")
    op.drop_table("webhook")
    op.drop_table("matter_key")
    op.drop_table("egress_head")
    op.drop_table("egress")
    op.drop_table("collection_state")
    op.drop_table("document_owner")
    op.drop_table("document_state")
    op.drop_table("intent")
    op.drop_table("outage")
    op.drop_table("flag")
    op.drop_table("batch")
    op.drop_table("work")
    op.drop_table("inbox_event")
