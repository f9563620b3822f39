"""Opening the state database, and what has to be true before anybody may be let in."""

from __future__ import annotations

from sqlalchemy import Connection, select, text

from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.migrate import upgrade
from bitbylaw_pipeline.inbox.schema import calendar_pass, inbox_event, webhook, work
from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.refusal import WAIT_SECONDS
from webhook_sensor_app.registrations import read_registrations


class StartRefused(Exception):
    """The receiver must not start like this; the message says what to do."""


def open_database(settings: Settings, *, wait_seconds: float = WAIT_SECONDS) -> Database:
    """The state database with the receiver's short patience; makes no connection yet."""
    key = settings.state_encryption_key.get_secret_value() or None
    return Database.open(settings.database_url, encryption_key=key, wait_seconds=wait_seconds)


def prepare(settings: Settings, database: Database) -> None:
    """Brings the tables up to date and makes sure that some sender could be recognised.

    Raises StartRefused, CipherError (secrets stored under another key), DatabaseUnavailable.
    """
    upgrade(database)
    registered = database.run_sync(lambda connection: read_registrations(database, connection))
    has_secret = bool(settings.webhook_shared_secret.get_secret_value())
    if not (registered or has_secret or settings.webhook_allow_unsigned):
        raise StartRefused(
            "No webhook is registered and WEBHOOK_SHARED_SECRET is empty, so nobody could be recognised: run "
            "`bitbylaw setup-espocrm --apply`, or set WEBHOOK_SHARED_SECRET for hooks written by hand."
        )


def check_tables(connection: Connection) -> None:
    """Raises the database's error unless every table that the receiver needs is there."""
    for table in (inbox_event, work, webhook, calendar_pass):
        connection.execute(select(text("1")).select_from(table).limit(0))
