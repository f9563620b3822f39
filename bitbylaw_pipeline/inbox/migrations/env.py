"""Runs the migrations on the connection that `inbox.migrate` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from bitbylaw_pipeline.inbox.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite rolls table changes back like any other; Alembic assumes that it does not.
    transactional_ddl=True,
)
context.run_migrations()
