"""When each pair was last compared as a whole, and with what result: for a person, nothing decides by it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import batches

_FLAG = "last_pass:"


@dataclass(frozen=True, slots=True)
class LastPass:
    """`at` is its end (UTC epoch seconds), `seconds` its length; `is_whole` False: a system went away on the way."""

    at: float
    seconds: float
    writes: int
    failed: int
    is_whole: bool


def note(
    connection: Connection, now: float, pair: str, counts: Mapping[str, int], seconds: float, *, is_whole: bool
) -> None:
    """Notes a pass that has ended."""
    told = {
        "at": now,
        "seconds": round(seconds, 1),
        "writes": counts.get("writes", 0),
        "failed": counts.get("failed", 0),
        "is_whole": is_whole,
    }
    batches.set_flag(connection, now, f"{_FLAG}{pair}", json.dumps(told))


def last(connection: Connection, pairs: Iterable[str]) -> dict[str, LastPass]:
    """The last pass of each of these pairs that ever had one."""
    found = {pair: batches.get_flag(connection, f"{_FLAG}{pair}") for pair in pairs}
    return {pair: LastPass(**json.loads(value)) for pair, value in found.items() if value is not None}
