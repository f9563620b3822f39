"""The rows behind the stand-in, as they lie in Advoware's database."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bitbylaw_pipeline.sandbox.advoware.moments import stamp
from bitbylaw_pipeline.sandbox.advoware.switches import Switches
from bitbylaw_pipeline.sandbox.clock import SandboxClock

Row = dict[str, Any]

FIRST_BETNR = 104_860
FIRST_ROW_ID = 50_001
FIRST_FRNR = 300_001


@dataclass(slots=True)
class Beteiligter:
    """A party's own row, and by id the rows that hang from it."""

    row: Row
    adressen: dict[int, Row] = field(default_factory=dict)
    kommunikation: dict[int, Row] = field(default_factory=dict)
    bankverbindungen: dict[int, Row] = field(default_factory=dict)

    def rows(self, name: str) -> dict[int, Row]:
        """The rows of one kind: adressen, kommunikation or bankverbindungen."""
        found: dict[int, Row] = getattr(self, name)
        return found


class Store:
    """Everything in memory. Ids ascend and are never used twice."""

    def __init__(self, clock: SandboxClock, switches: Switches) -> None:
        self.clock = clock
        self.switches = switches
        self.beteiligte: dict[int, Beteiligter] = {}
        self.akten: dict[int, Row] = {}
        self.mitarbeiter: dict[str, Row] = {}
        self.termine: dict[int, Row] = {}
        # Addresses, communication and accounts share one sequence, so that a client that mixes them up is told.
        self.sub_ids: dict[int, Any] = {}
        self._counters: dict[str, Iterator[int]] = {}
        self._versions = itertools.count(1)

    def clear(self) -> None:
        """Forget all rows; ids start again."""
        for table in (self.beteiligte, self.akten, self.mitarbeiter, self.termine, self.sub_ids):
            table.clear()
        self._counters.clear()
        self._versions = itertools.count(1)

    def next_id(self, kind: str, first: int, taken: dict[int, Any]) -> int:
        """The next free id of a kind, from `first` on."""
        counter = self._counters.setdefault(kind, itertools.count(first))
        return next(number for number in counter if number not in taken)

    def take_sub_id(self, wanted: int | None = None) -> int:
        """The wanted or the next id for an address, communication or account. Raises ValueError if it is taken."""
        if wanted in self.sub_ids:
            raise ValueError(f"The id {wanted} of an address, communication or account is taken.")
        found = wanted or self.next_id("row", FIRST_ROW_ID, self.sub_ids)
        self.sub_ids[found] = None
        return found

    def now_text(self) -> str:
        """The sandbox clock's time as Advoware writes it."""
        return stamp(self.clock.now(), self.switches.fraction_digits)

    def new_row_id(self) -> str:
        """A rowId: opaque, never twice the same."""
        digest = hashlib.sha256(b"row %d" % next(self._versions)).digest()
        return base64.b64encode(digest[:12]).decode()

    def touch(self, row: Row) -> None:
        """The row has changed: a new rowId and time of change, where the row has them."""
        if "rowId" in row:
            row["rowId"] = self.new_row_id()
        for name in ("geaendertAm", "zuletztGeaendertAm"):
            if name in row:
                row[name] = self.now_text()
