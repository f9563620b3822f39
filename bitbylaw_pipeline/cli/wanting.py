"""Putting a record into the queue for a person, with the event that says who asked."""

from __future__ import annotations

import uuid

from sqlalchemy import Connection

from bitbylaw_pipeline.cli.pair_names import TERMINE, kuerzel_of
from bitbylaw_pipeline.cli.work_keys import entity_of, entity_type_of
from bitbylaw_pipeline.inbox import calendar_passes, events, person_tasks, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.work_queue import WorkRow
from bitbylaw_pipeline.settings import Settings

LIMITED = "ScopeLimited:"
"""How the last error begins where Google has asked us to leave one employee alone (`clients.google_errors`)."""


def want(
    connection: Connection, database: Database, settings: Settings, stream: str, key: str, action: str
) -> int:
    """Wants the key in its stream; returns the generation to wait for.

    One that waits because Google asked us to slow down for it goes on waiting: what is tried sooner prolongs that.
    """
    now = database.now(connection)
    entity_type, entity_id = entity_of(key)
    item = (entity_type or entity_type_of(settings, stream), entity_id, action)
    topic = calendar_passes.TOPIC if stream == TERMINE else f"{stream}.{action}"
    came = events.Received(str(uuid.uuid4()), "cli", topic, [item])
    row = work_queue.get(connection, stream, key)
    wants = [] if row is not None and _is_limited(row, now) else [events.Want(stream, [key])]
    events.receive(connection, now, [came], wants)
    row = work_queue.get(connection, stream, key)
    return row.wanted if row else 1


def key_behind(
    connection: Connection, settings: Settings, pair: str, subject: str, partner: str | None = None
) -> str | None:
    """The key to want for a link or a hold's subject: the Kürzel, or the id of EspoCRM's record.

    None where EspoCRM has no record yet (and no `partner` there was named), or for somebody who has no calendar any more.
    """
    kuerzel = kuerzel_of(pair)
    if kuerzel is not None:
        return kuerzel if settings.has_calendars and kuerzel in settings.calendars else None
    return person_tasks.left_id(connection, pair, subject) or partner


def _is_limited(row: WorkRow, now: float) -> bool:
    is_delayed = row.wanted > row.done and row.parked_at is None and row.not_before > now
    return is_delayed and (row.last_error or "").startswith(LIMITED)
