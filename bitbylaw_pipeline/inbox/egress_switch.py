"""The kill switch: while it is on, nothing leaves the firm, whatever the rule permits."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, exists, select

from bitbylaw_pipeline.domain.collection_state import MUST_SEARCH
from bitbylaw_pipeline.domain.document_plan import PARTIAL, STOPPED
from bitbylaw_pipeline.inbox import batches, work_queue
from bitbylaw_pipeline.inbox.schema import collection_state, document_state, work

LIFTED_BY = "bitbylaw egress allow"
"""The command, for every text that says that egress is stopped."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """What was wanted again, by number; `was_stopped` False if the switch was not on."""

    was_stopped: bool
    documents: int = 0
    collections: int = 0


def is_stopped(connection: Connection) -> bool:
    """True while the switch is on."""
    return batches.get_flag(connection, batches.EGRESS_STOP) is not None


def stopped_since(connection: Connection) -> float | None:
    """Since when the switch is on (UTC epoch seconds), None while it is off."""
    return batches.flag_set_at(connection, batches.EGRESS_STOP)


def stop(connection: Connection, now: float) -> bool:
    """Throws the switch; False if it was on already, and then it keeps its time."""
    if is_stopped(connection):
        return False
    batches.set_flag(connection, now, batches.EGRESS_STOP)
    return True


def allow(connection: Connection, now: float) -> Resumed:
    """Lifts the switch and wants, in the same transaction, whatever it kept back or broke off."""
    if not batches.clear_flag(connection, batches.EGRESS_STOP):
        return Resumed(False)
    # What was kept back all the while is not late at once.
    batches.set_flag(connection, now, batches.EGRESS_ALLOWED)
    documents = _kept_back_documents(connection)
    owners = connection.execute(
        select(collection_state.c.owner_key)
        .where(collection_state.c.status.in_((STOPPED, MUST_SEARCH)))
        .order_by(collection_state.c.owner_key)
    ).scalars()
    return Resumed(
        True,
        work_queue.want(connection, now, "documents", documents),
        work_queue.want(connection, now, "collections", list(owners)),
    )


def _kept_back_documents(connection: Connection) -> list[str]:
    # A document that is parked is so for a reason of its own, which this does not take away.
    is_parked = exists().where(
        work.c.stream == "documents",
        work.c.key == document_state.c.document_id,
        work.c.parked_at.is_not(None),
    )
    statement = select(document_state.c.document_id).where(
        (document_state.c.status == STOPPED) | ((document_state.c.status == PARTIAL) & ~is_parked)
    )
    return list(connection.execute(statement.order_by(document_state.c.document_id)).scalars())
