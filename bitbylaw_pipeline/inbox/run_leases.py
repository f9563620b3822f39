"""One run at a time per pair: a lease that ends by itself when its holder dies."""

from __future__ import annotations

import uuid

from sqlalchemy import Connection, bindparam, delete, update
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import sync_run_lease

_given = insert(sync_run_lease).values(
    pair=bindparam("of_pair", type_=TEXT),
    token=bindparam("with_token", type_=TEXT),
    until=bindparam("with_until", type_=DOUBLE),
)
_TAKE = Prepared(
    _given.on_conflict_do_update(
        index_elements=[sync_run_lease.c.pair],
        set_={"token": _given.excluded.token, "until": _given.excluded.until},
        where=sync_run_lease.c.until <= bindparam("at_now", type_=DOUBLE),
    )
)
_IS_MINE = (
    sync_run_lease.c.pair == bindparam("of_pair", type_=TEXT),
    sync_run_lease.c.token == bindparam("with_token", type_=TEXT),
)
_RENEW = Prepared(update(sync_run_lease).where(*_IS_MINE).values(until=bindparam("with_until", type_=DOUBLE)))
_RELEASE = Prepared(delete(sync_run_lease).where(*_IS_MINE))


def take(connection: Connection, now: float, pair: str, seconds: float) -> str | None:
    """The token of a lease on the pair for so many seconds; None while somebody else has one."""
    token = uuid.uuid4().hex
    given = {"of_pair": pair, "with_token": token, "with_until": now + seconds, "at_now": now}
    return token if _TAKE(connection, given).rowcount == 1 else None


def renew(connection: Connection, now: float, pair: str, token: str, seconds: float) -> bool:
    """Extends the lease to so many seconds from now; False if it ran out and somebody else has one."""
    given = {"of_pair": pair, "with_token": token, "with_until": now + seconds}
    return _RENEW(connection, given).rowcount == 1


def release(connection: Connection, pair: str, token: str) -> bool:
    """Ends the lease; False if somebody else has one."""
    return _RELEASE(connection, {"of_pair": pair, "with_token": token}).rowcount == 1
