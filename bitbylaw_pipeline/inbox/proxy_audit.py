"""Who wrote what to Advoware through the proxy: fingerprints, ids, hashes and times, no contents."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import proxy_audit


@dataclass(frozen=True, slots=True)
class ProxyWrite:
    """A write as it is about to be sent.

    `key_fingerprint` is the first 8 hex digits of the key's SHA-256, `route` the pattern (`Beteiligte/{id}`),
    `record` the id or ids in it (`104860/7`), `body_sha256` the hex digest of the bytes sent.
    """

    id: str
    key_fingerprint: str
    method: str
    route: str
    record: str | None
    body_sha256: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A stored write. Times are UTC epoch seconds.

    `ended_at` is None while it is under way, and for ever where nobody knows whether it was carried out; `status` is
    Advoware's, None where the write never got there.
    """

    id: str
    at: float
    key_fingerprint: str
    method: str
    route: str
    record: str | None
    body_sha256: str
    status: int | None
    ended_at: float | None


_COLUMNS = ("id", "key_fingerprint", "method", "route", "record", "body_sha256")
_BEGIN = Prepared(
    insert(proxy_audit).values(
        {name: bindparam(f"with_{name}", type_=TEXT) for name in _COLUMNS}
        | {"at": bindparam("at_now", type_=DOUBLE)}
    )
)
_END = Prepared(
    update(proxy_audit)
    .where(proxy_audit.c.id == bindparam("with_id", type_=TEXT))
    .values(
        status=bindparam("with_status", type_=proxy_audit.c.status.type),
        ended_at=bindparam("at_now", type_=DOUBLE),
    )
)


def begin(connection: Connection, now: float, write: ProxyWrite) -> None:
    """Stores the write; commit it before anything is sent."""
    _BEGIN(connection, {f"with_{name}": getattr(write, name) for name in _COLUMNS} | {"at_now": now})


def end(connection: Connection, now: float, write_id: str, status: int | None) -> None:
    """Stores how the write ended: Advoware's status, None if it certainly never got there."""
    _END(connection, {"with_id": write_id, "with_status": status, "at_now": now})


def listing(connection: Connection, *, limit: int = 100, offset: int = 0) -> list[AuditRow]:
    """The writes, latest first."""
    rows = connection.execute(
        select(*(proxy_audit.c[name] for name in AuditRow.__dataclass_fields__))
        .order_by(proxy_audit.c.at.desc(), proxy_audit.c.id)
        .limit(limit)
        .offset(offset)
    )
    return [AuditRow(*row) for row in rows]
