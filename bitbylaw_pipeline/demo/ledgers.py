"""What the stand-ins of EspoCRM, Advoware and Google were asked, by their own ledgers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

SECONDS = 20.0
READING = frozenset({"GET", "HEAD"})
TOKEN_PATHS = ("/api/v1/Token", "/token")  # asking for one writes nothing


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The ledgers at these roots."""

    roots: Sequence[str]

    def marks(self) -> dict[str, int]:
        """How far each ledger has come."""
        return {root: int(self._read(root, since=10**9)["total"]) for root in self.roots}

    def writes_since(self, marks: Mapping[str, int]) -> list[str]:
        """Every request since then that was no read, as "METHOD route"."""
        return [
            f"{entry['method']} {entry['route']}"
            for root in self.roots
            for entry in self._read(root, since=marks[root])["entries"]
            if entry["method"] not in READING and not entry["path"].endswith(TOKEN_PATHS)
        ]

    def paths_with(self, pattern: str) -> list[str]:
        """Every path asked for that the regular expression matches as a whole."""
        return [entry["path"] for root in self.roots for entry in self._read(root, path=pattern)["entries"]]

    @staticmethod
    def _read(root: str, **query: Any) -> Any:
        answer = httpx.get(f"{root}/sandbox/ledger", params=query, timeout=SECONDS)
        return answer.raise_for_status().json()
