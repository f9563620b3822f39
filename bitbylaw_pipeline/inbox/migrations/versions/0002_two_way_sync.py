"""The two-way sync: links, conflicts, holds, and what goes with them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sync_link",
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("link_id", sa.Text(), nullable=False),
        sa.Column("left_id", sa.Text()),
        sa.Column("right_id", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("gen", sa.Integer(), nullable=False),
        sa.Column("base_left", sa.Text()),
        sa.Column("base_right", sa.Text()),
        sa.Column("ver_left", sa.Text()),
        sa.Column("ver_right", sa.Text()),
        sa.Column("intent", sa.Text()),
        sa.Column("is_unlinked", sa.Boolean(), nullable=False),
        sa.Column("archive", sa.Text()),
        sa.Column("memory", sa.Text()),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.Column("row_rev", sa.BigInteger(), nullable=False),
        sa.Column("fail_count", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("archived_at", sa.Double()),
        sa.PrimaryKeyConstraint("pair", "link_id", name="pk_sync_link"),
    )
    op.create_index(
        "ux_sync_link_left",
        "sync_link",
        ["pair", "left_id"],
        unique=True,
        postgresql_where=sa.text("left_id IS NOT NULL"),
        sqlite_where=sa.text("left_id IS NOT NULL"),
    )
    op.create_index(
        "ux_sync_link_right",
        "sync_link",
        ["pair", "right_id"],
        unique=True,
        postgresql_where=sa.text("right_id IS NOT NULL"),
        sqlite_where=sa.text("right_id IS NOT NULL"),
    )
    op.create_table(
        "sync_seen",
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pair", "side", "record_id", name="pk_sync_seen"),
    )
    op.create_table(
        "sync_look",
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pair", "side", name="pk_sync_look"),
    )
    op.create_table(
        "sync_conflict",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("link_id", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("winner", sa.Text(), nullable=False),
        sa.Column("base", sa.Text()),
        sa.Column("on_left", sa.Text()),
        sa.Column("on_right", sa.Text()),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("closed_at", sa.Double()),
        sa.Column("resolved_by", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_sync_conflict"),
    )
    op.create_index("ix_sync_conflict_at", "sync_conflict", ["at"])
    op.create_index(
        "ux_sync_conflict_open",
        "sync_conflict",
        ["pair", "link_id", "what"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
        sqlite_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "sync_hold",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("link_id", sa.Text()),
        sa.Column("side", sa.Text()),
        sa.Column("record_id", sa.Text()),
        sa.Column("is_notice", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.Double(), nullable=False),
        sa.Column("last_seen", sa.Double(), nullable=False),
        sa.Column("decision", sa.Text()),
        sa.Column("decided_at", sa.Double()),
        sa.Column("decided_by", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_sync_hold"),
    )
    op.create_index("ux_sync_hold_subject", "sync_hold", ["pair", "subject", "why"], unique=True)
    op.create_table(
        "sync_write_log",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("link_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("before", sa.Text()),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sync_write_log"),
    )
    op.create_index("ix_sync_write_log_at", "sync_write_log", ["at"])
    op.create_index("ix_sync_write_log_link", "sync_write_log", ["pair", "link_id", "at"])
    op.create_table(
        "sync_approval",
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("ceiling", sa.Integer(), nullable=False),
        sa.Column("approved_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("pair", "side", name="pk_sync_approval"),
    )
    op.create_table(
        "sync_mirror",
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text()),
        sa.Column("version", sa.Text()),
        sa.Column("marker", sa.Text()),
        sa.Column("last_where", sa.Text()),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("gone_evidence", sa.Text()),
        sa.PrimaryKeyConstraint("pair", "side", "record_id", name="pk_sync_mirror"),
    )
    op.create_table(
        "sync_cursor",
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text()),
        sa.Column("params_hash", sa.Text(), nullable=False),
        sa.Column("baseline_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("pair", "side", "scope", name="pk_sync_cursor"),
    )
    op.create_table(
        "sync_run_lease",
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("pair", name="pk_sync_run_lease"),
    )
    op.create_table(
        "akte_state",
        sa.Column("akte_id", sa.Text(), nullable=False),
        sa.Column("aktennummer", sa.BigInteger()),
        sa.Column("owner_key", sa.Text()),
        sa.Column("collection_id", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("akte_id", name="pk_akte_state"),
    )
    op.create_index("ix_akte_state_owner_key", "akte_state", ["owner_key"])


def downgrade() -> None:
    op.drop_table("akte_state")
    op.drop_table("sync_run_lease")
    op.drop_table("sync_cursor")
    op.drop_table("sync_mirror")
    op.drop_table("sync_approval")
    op.drop_table("sync_write_log")
    op.drop_table("sync_hold")
    op.drop_table("sync_conflict")
    op.drop_table("sync_look")
    op.drop_table("sync_seen")
    op.drop_table("sync_link")
