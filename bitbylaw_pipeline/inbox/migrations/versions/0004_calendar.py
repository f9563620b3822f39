"""What the last passes over each employee's appointments came to, and the channels by which Google reports changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calendar_pass",
        sa.Column("kuerzel", sa.Text(), nullable=False),
        sa.Column("passed_begun_at", sa.Double()),
        sa.Column("passed_at", sa.Double()),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("failed_begun_at", sa.Double()),
        sa.Column("failed_at", sa.Double()),
        sa.Column("failed_since", sa.Double()),
        sa.Column("failed_with", sa.Text()),
        sa.Column("failed_why", sa.Text()),
        sa.PrimaryKeyConstraint("kuerzel", name="pk_calendar_pass"),
    )
    op.create_table(
        "calendar_channel",
        sa.Column("kuerzel", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("address_hash", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("kuerzel", "channel_id", name="pk_calendar_channel"),
    )


def downgrade() -> None:
    op.drop_table("calendar_channel")
    op.drop_table("calendar_pass")
