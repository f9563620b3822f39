"""What the last audit of each employee's appointments found, kept among the state's flags: counts and ids only.

Times are UTC epoch seconds.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.json_rows import TEXT, texts_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import sync_write_log

_PREFIX = "calendar_audit:"

_nonces = texts_parameter("nonces")
_WRITTEN_AT = Prepared(
    select(sync_write_log.c.nonce, func.max(sync_write_log.c.at).label("at"))
    .where(
        sync_write_log.c.pair == bindparam("of_pair", type_=TEXT),
        sync_write_log.c.side == Side.RIGHT.value,
        sync_write_log.c.nonce.in_(select(_nonces.c.value)),
    )
    .group_by(sync_write_log.c.nonce)
)


@dataclass(frozen=True, slots=True)
class CalendarAudit:
    """One employee's last audit: when it ended, what it found by kind, and the error's class where it failed."""

    kuerzel: str
    at: float
    counts: Mapping[str, int]
    failed_with: str | None = None


def note(
    connection: Connection,
    now: float,
    kuerzel: str,
    counts: Mapping[str, int],
    failed_with: str | None = None,
) -> None:
    """The employee's audit has just ended."""
    told = {"at": now, "counts": dict(counts), "failed_with": failed_with}
    batches.set_flag(connection, now, _PREFIX + kuerzel, json.dumps(told))


def load(connection: Connection, kuerzel: Iterable[str]) -> dict[str, CalendarAudit]:
    """The last audits of these employees, as far as there was one."""
    found = {}
    for one in kuerzel:
        text = batches.get_flag(connection, _PREFIX + one)
        if text is not None:
            told = json.loads(text)
            found[one] = CalendarAudit(one, told["at"], told["counts"], told["failed_with"])
    return found


def written_at(connection: Connection, pair: str, nonces: Collection[str]) -> dict[str, float]:
    """When the writes to the pair's right side were begun that left these nonces, as far as they are remembered."""
    if not nonces:
        return {}
    rows = _WRITTEN_AT(connection, {"of_pair": pair, "nonces": to_json(sorted(nonces))})
    return {row.nonce: row.at for row in rows}
