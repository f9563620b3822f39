"""Putting a record into the queue for a person, with the event that says who asked."""

from __future__ import annotations

import uuid

from sqlalchemy import Connection

from bitbylaw_pipeline.cli.work_keys import entity_of, entity_type_of
from bitbylaw_pipeline.inbox import events, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings


def want(
    connection: Connection, database: Database, settings: Settings, stream: str, key: str, action: str
) -> int:
    """Wants the key in its stream; returns the generation to wait for."""
    entity_type, entity_id = entity_of(key)
    item = (entity_type or entity_type_of(settings, stream), entity_id, action)
    came = events.Received(str(uuid.uuid4()), "cli", f"{stream}.{action}", [item])
    events.receive(connection, database.now(connection), [came], [events.Want(stream, [key])])
    row = work_queue.get(connection, stream, key)
    return row.wanted if row else 1
