"""Writes through the proxy to Advoware."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "proxy_audit",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("key_fingerprint", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("record", sa.Text()),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("ended_at", sa.Double()),
        sa.PrimaryKeyConstraint("id", name="pk_proxy_audit"),
    )
    op.create_index("ix_proxy_audit_at", "proxy_audit", ["at"])


def downgrade() -> None:
    op.drop_table("proxy_audit")
