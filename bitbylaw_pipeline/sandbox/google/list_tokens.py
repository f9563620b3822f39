"""Page tokens and sync tokens of `events.list`."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.sandbox.google.calendar_data import Row

Parameters = dict[str, list[str]]
_KEPT_SNAPSHOTS = 2_000


@dataclass(slots=True)
class Snapshot:
    """The rows of one listing at the moment of its first page: what changes later is the next delta's."""

    calendar_id: str
    user: str
    parameters: Parameters
    ids: list[str]
    rows: list[Row]
    sync_token: str | None


class Snapshots:
    """Listings that have pages left, by token; the oldest are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Snapshot] = OrderedDict()
        self._numbers: Iterator[int] = itertools.count(1)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def keep(self, snapshot: Snapshot) -> str:
        """Keep a listing; returns its key for page tokens."""
        key = f"{next(self._numbers):x}"
        self._kept[key] = snapshot
        while len(self._kept) > _KEPT_SNAPSHOTS:
            self._kept.popitem(last=False)
        return key

    def find(self, token: str) -> tuple[Snapshot, str, int, int] | None:
        """Listing, key, offset and number of the page; None for a token that is none or too old."""
        data = decoded(token)
        if not isinstance(data, list) or len(data) != 4 or data[0] != "p" or data[1] not in self._kept:
            return None
        return self._kept[data[1]], data[1], data[2], data[3]


def page_token(key: str, offset: int, page: int) -> str:
    """The token of the page that begins with that row."""
    return encoded(["p", key, offset, page])


def sync_token(
    calendar_id: str, generation: int, position: int, parameters: Parameters, issued_at: float
) -> str:
    """The token for what changes after `position`; it holds the parameters of the first listing."""
    return encoded(["s", calendar_id, generation, position, parameters, issued_at])


def read_sync_token(token: str, calendar_id: str) -> tuple[int, int, Parameters, float] | None:
    """Generation, position, parameters, time of issue; None for a token that is none of this calendar's."""
    data = decoded(token)
    if not isinstance(data, list) or len(data) != 6 or data[0] != "s" or data[1] != calendar_id:
        return None
    return data[2], data[3], data[4], data[5]


def encoded(data: Any) -> str:
    """Opaque text with a check sum: a token that lost a character is no token."""
    raw = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(zlib.crc32(raw).to_bytes(4, "big") + raw).decode()


def decoded(token: str) -> Any:
    """What was encoded, None for anything else."""
    try:
        data = base64.urlsafe_b64decode(token.encode("ascii"))
        if zlib.crc32(data[4:]).to_bytes(4, "big") != data[:4]:
            return None
        return json.loads(data[4:])
    except (ValueError, binascii.Error):
        return None
