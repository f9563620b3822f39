"""Who is at work on a stream, and the flags by which a person stops everybody.

A batch run holds a slot of its stream by a heartbeat. A sensor's tick requests the slot for the run that it is about
to start, because a run needs longer than a tick to come up, and the next tick would start a second one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import batch, flag
from bitbylaw_pipeline.inbox.work_queue import random_token

DRAIN = "drain"
EGRESS_STOP = "egress_stop"
EGRESS_ALLOWED = "egress_allowed"
"""Its time is when the kill switch was lifted last."""

REQUESTED = "requested"
RUNNING = "running"
WORKING = "working"
IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Batch:
    """A slot that is held: requested for a run, or running; alive until `until`."""

    stream: str
    slot: int
    state: str
    token: str
    run_id: str | None
    requested_at: float
    heartbeat_at: float | None
    until: float
    activity: str


_NOW = bindparam("at_now", type_=DOUBLE)
_UNTIL = bindparam("with_until", type_=DOUBLE)
_IS_SLOT = (batch.c.stream == bindparam("in_stream", type_=TEXT)) & (
    batch.c.slot == bindparam("in_slot", type_=batch.c.slot.type)
)
_IS_OURS = _IS_SLOT & (batch.c.token == bindparam("with_token", type_=TEXT))

_offered = insert(batch).values(
    stream=bindparam("in_stream", type_=TEXT),
    slot=bindparam("in_slot", type_=batch.c.slot.type),
    state=bindparam("with_state", type_=TEXT),
    token=bindparam("with_token", type_=TEXT),
    run_id=bindparam("with_run", type_=TEXT),
    requested_at=_NOW,
    heartbeat_at=bindparam("with_beat", type_=DOUBLE),
    until=_UNTIL,
    activity=literal_column(f"'{IDLE}'"),
)
_OCCUPY = Prepared(
    _offered.on_conflict_do_update(
        index_elements=[batch.c.stream, batch.c.slot],
        set_={
            name: _offered.excluded[name]
            for name in ("state", "token", "run_id", "requested_at", "heartbeat_at", "until", "activity")
        },
        where=batch.c.until <= _offered.excluded.requested_at,
    ).returning(batch.c.slot)
)
_TAKE_OVER = Prepared(
    update(batch)
    .where(
        batch.c.stream == bindparam("in_stream", type_=TEXT),
        batch.c.token == bindparam("with_token", type_=TEXT),
        batch.c.state == REQUESTED,
    )
    .values(state=RUNNING, run_id=bindparam("with_run", type_=TEXT), heartbeat_at=_NOW, until=_UNTIL)
    .returning(batch.c.slot)
)
_BEAT = Prepared(
    update(batch)
    .where(_IS_OURS, batch.c.state == RUNNING)
    .values(heartbeat_at=_NOW, until=_UNTIL, activity=bindparam("with_activity", type_=TEXT))
)
_END = Prepared(delete(batch).where(_IS_OURS))
_LIVE = Prepared(
    select(batch)
    .where(batch.c.stream == bindparam("in_stream", type_=TEXT), batch.c.until > _NOW)
    .order_by(batch.c.slot)
)


def request(
    connection: Connection,
    now: float,
    stream: str,
    slots: int,
    ttl: float = 60.0,
    *,
    new_token: Callable[[], str] = random_token,
) -> tuple[int, str] | None:
    """Reserves a free slot for a run about to be started: (slot, token), or None if all are held.

    The run has `ttl` seconds to take it over.
    """
    token = new_token()
    slot = _occupy(connection, now, stream, slots, state=REQUESTED, token=token, run_id=None, ttl=ttl)
    return None if slot is None else (slot, token)


def take_over(
    connection: Connection,
    now: float,
    stream: str,
    token: str | None,
    run_id: str,
    ttl: float,
    *,
    slots: int = 1,
) -> int | None:
    """Makes a run the holder of its requested slot for `ttl` seconds; None if somebody else holds it by now.

    A run that nobody requested (`token` None) may take a free slot, and holds it with its run id as the token.
    """
    if token is None:
        return _occupy(connection, now, stream, slots, state=RUNNING, token=run_id, run_id=run_id, ttl=ttl)
    given = {
        "in_stream": stream,
        "with_token": token,
        "with_run": run_id,
        "at_now": now,
        "with_until": now + ttl,
    }
    slot: int | None = _TAKE_OVER(connection, given).scalar_one_or_none()
    return slot


def beat(
    connection: Connection, now: float, stream: str, slot: int, token: str, activity: str, ttl: float
) -> bool:
    """Says that the holder is alive, for another `ttl` seconds; False means that the slot was lost: stop at once."""
    given = {
        "in_stream": stream,
        "in_slot": slot,
        "with_token": token,
        "with_activity": activity,
        "at_now": now,
        "with_until": now + ttl,
    }
    return _BEAT(connection, given).rowcount == 1


def end(connection: Connection, stream: str, slot: int, token: str) -> bool:
    """Gives the slot back; False if it was not ours any more."""
    given = {"in_stream": stream, "in_slot": slot, "with_token": token}
    return _END(connection, given).rowcount == 1


def live(connection: Connection, now: float, stream: str) -> list[Batch]:
    """The stream's slots that are held, by slot."""
    return [Batch(*row) for row in _LIVE(connection, {"in_stream": stream, "at_now": now})]


def _occupy(
    connection: Connection,
    now: float,
    stream: str,
    slots: int,
    *,
    state: str,
    token: str,
    run_id: str | None,
    ttl: float,
) -> int | None:
    for slot in range(slots):
        given = {
            "in_stream": stream,
            "in_slot": slot,
            "with_state": state,
            "with_token": token,
            "with_run": run_id,
            "with_beat": now if state == RUNNING else None,
            "at_now": now,
            "with_until": now + ttl,
        }
        if _OCCUPY(connection, given).scalar_one_or_none() is not None:
            return slot
    return None


_flag_given = insert(flag).values(
    name=bindparam("with_name", type_=TEXT), value=bindparam("with_value", type_=TEXT), set_at=_NOW
)
_SET_FLAG = Prepared(
    _flag_given.on_conflict_do_update(
        index_elements=[flag.c.name],
        set_={"value": _flag_given.excluded.value, "set_at": _flag_given.excluded.set_at},
    )
)
_GET_FLAG = Prepared(select(flag.c.value).where(flag.c.name == bindparam("with_name", type_=TEXT)))
_FLAG_SET_AT = Prepared(select(flag.c.set_at).where(flag.c.name == bindparam("with_name", type_=TEXT)))
_CLEAR_FLAG = Prepared(delete(flag).where(flag.c.name == bindparam("with_name", type_=TEXT)))


def set_flag(connection: Connection, now: float, name: str, value: str = "1") -> None:
    """Raises a flag (`DRAIN`: batches end at their next claim; `EGRESS_STOP`: nothing leaves the firm)."""
    _SET_FLAG(connection, {"with_name": name, "with_value": value, "at_now": now})


def get_flag(connection: Connection, name: str) -> str | None:
    """The flag's value, None if it is not raised."""
    value: str | None = _GET_FLAG(connection, {"with_name": name}).scalar_one_or_none()
    return value


def flag_set_at(connection: Connection, name: str) -> float | None:
    """When the flag was raised last (UTC epoch seconds), None if it is not."""
    at: float | None = _FLAG_SET_AT(connection, {"with_name": name}).scalar_one_or_none()
    return at


def clear_flag(connection: Connection, name: str) -> bool:
    """Takes the flag down; False if it was not raised."""
    return _CLEAR_FLAG(connection, {"with_name": name}).rowcount == 1
