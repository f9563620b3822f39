"""An employee at the firm who works in Advoware itself, and the connector that joins the firm to Advoware's relay."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx

SECONDS = 20.0


class Employee:
    """Works at Advoware's stand-in (`root` of `/sandbox/...`); raises httpx.HTTPError where it refuses."""

    def __init__(self, root: str) -> None:
        self._client = httpx.Client(base_url=root, timeout=SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def change_party(self, betnr: int, **values: Any) -> None:
        """Changes fields of a party, by Advoware's names."""
        self._post("edits", {"table": "beteiligte", "id": betnr, "set": values})

    def add_number(self, betnr: int, number: str, kind: int) -> None:
        """Adds a number to a party; `kind` is Advoware's kommKz."""
        self._post(
            "edits", {"table": "kommunikation", "betNr": betnr, "set": {"tlf": number, "kommKz": kind}}
        )

    def change_termin(self, fr_nr: int, **values: Any) -> None:
        """Changes fields of a Termin, by Advoware's names."""
        self._post("edits", {"table": "termine", "id": fr_nr, "set": values})

    def delete_termin(self, fr_nr: int) -> None:
        """Deletes a Termin."""
        self._post("edits", {"table": "termine", "id": fr_nr, "delete": True})

    def switch_connector(self, *, is_online: bool) -> None:
        """Logs the connector on or off: without it Advoware is there and the firm's data is not."""
        self._post("switches", {"connector": "online" if is_online else "offline"})

    def _post(self, route: str, body: Any) -> None:
        self._client.post(f"/sandbox/{route}", json=body).raise_for_status()
