"""Brings the state database's tables up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

if TYPE_CHECKING:
    from bitbylaw_pipeline.inbox.database import Database


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for the migrations in this package, on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(database: Database) -> None:
    """Runs every migration that is missing, in one transaction.

    Safe when several processes start at once: the transaction holds the writers' lock, so the second one finds
    everything done.
    """
    database.run_sync(lambda connection: command.upgrade(configuration(connection), "head"))
