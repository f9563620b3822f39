"""Which tasks of EspoCRM stand for holds that only a person can end; they live among the journaled creates."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select, update

from bitbylaw_pipeline.inbox.schema import intent, sync_hold, sync_link

KIND = "person_task"
ASKED, DONE = "asked", "done"


def wanted(connection: Connection, pair: str) -> list[tuple[str, str]]:
    """(subject, why) of the pair's holds that ask a person to do something in a system."""
    rows = connection.execute(
        select(sync_hold.c.subject, sync_hold.c.why)
        .where(sync_hold.c.pair == pair, sync_hold.c.why.startswith("task:", autoescape=True))
        .order_by(sync_hold.c.subject, sync_hold.c.why)
    )
    return [(row.subject, row.why) for row in rows]


def asked(connection: Connection, pair: str) -> dict[str, tuple[str, str]]:
    """Subject of the journal -> (intent id, task id) for each task that is out."""
    rows = connection.execute(
        select(intent.c.id, intent.c.subject, intent.c.remote_id).where(
            intent.c.kind == KIND,
            intent.c.outcome == ASKED,
            intent.c.subject.startswith(f"{pair}|", autoescape=True),
        )
    )
    return {row.subject: (row.id, row.remote_id) for row in rows}


def finish(connection: Connection, now: float, intent_ids: Sequence[str]) -> None:
    """These tasks have been closed."""
    connection.execute(update(intent).where(intent.c.id.in_(intent_ids)).values(outcome=DONE, settled_at=now))


def times_asked(connection: Connection, name: str) -> int:
    """How often this very task has been asked for before."""
    found = connection.execute(
        select(func.count()).select_from(intent).where(intent.c.kind == KIND, intent.c.subject == name)
    ).scalar_one()
    return int(found)


def left_id(connection: Connection, pair: str, subject: str) -> str | None:
    """The id of EspoCRM's record behind a hold's subject (a link's id, or "left:id"), if there is one."""
    known: str | None = connection.execute(
        select(sync_link.c.left_id).where(sync_link.c.pair == pair, sync_link.c.link_id == subject)
    ).scalar()
    return known or (subject.removeprefix("left:") if subject.startswith("left:") else None)
