"""Who works with the calendars: employees in Google itself, and a program of the firm's that asks for passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from bitbylaw_pipeline.sandbox.samples.calendars import calendar_of

SECONDS = 20.0
API_KEY = "sandbox-calendar-key"
SYNC_PATH = "/advoware/calendar/sync"


class CalendarUsers:
    """The employees, in Google's stand-in at `root`; raises httpx.HTTPError where it refuses."""

    def __init__(self, root: str) -> None:
        self._client = httpx.Client(base_url=root, timeout=SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def event_of(self, kuerzel: str, fr_nr: int) -> str:
        """The id of the event that was made for a Termin. Raises RuntimeError where there is none."""
        for event in self._calendar(kuerzel)["events"]:
            private = event.get("extendedProperties", {}).get("private", {})
            if private.get("bitbylaw_frnr") == str(fr_nr) and event["status"] != "cancelled":
                return str(event["id"])
        raise RuntimeError(f"Google has no event of the Termin {fr_nr}.")

    def do(self, what: str, kuerzel: str, event_id: str | None = None, **more: Any) -> Any:
        """One edit as people make it, by the stand-in's name for it; the event after it."""
        edit = {"do": what, "calendar": calendar_of(kuerzel).calendar_id, **more}
        if event_id is not None:
            edit["event"] = event_id
        return self._client.post("/sandbox/edits", json=edit).raise_for_status().json()[0]

    def requests(self) -> list[Mapping[str, Any]]:
        """Every request that Google has had, with its body."""
        found: list[Mapping[str, Any]] = (
            self._client.get("/sandbox/requests").raise_for_status().json()["entries"]
        )
        return found

    def tokens(self) -> list[str]:
        """The tokens that are valid, which may stand nowhere."""
        return list(self._client.get("/sandbox/tokens").raise_for_status().json()["valid"])

    def _calendar(self, kuerzel: str) -> Any:
        state = self._client.get("/sandbox/state").raise_for_status().json()
        return next(one for one in state["calendars"] if one["id"] == calendar_of(kuerzel).calendar_id)


@dataclass(frozen=True, slots=True)
class CalendarRequests:
    """Asks the receiver for passes, and what became of them. Raises httpx.HTTPError where it does not take that."""

    receiver_url: str

    def ask(self, kuerzel: str | None = None) -> str:
        """Asks for a pass over one employee's appointments, or over everybody's; the reference."""
        body = None if kuerzel is None else {"kuerzel": kuerzel}
        answer = httpx.post(
            f"{self.receiver_url}{SYNC_PATH}", json=body, headers={"X-Api-Key": API_KEY}, timeout=SECONDS
        )
        return str(answer.raise_for_status().json()["reference"])

    def without_key(self) -> int:
        """The status of such a request without a key."""
        return httpx.post(f"{self.receiver_url}{SYNC_PATH}", timeout=SECONDS).status_code

    def outcome(self, reference: str) -> Mapping[str, str]:
        """By Kürzel where the request stands: waiting, running, retrying, done or failed."""
        address = f"{self.receiver_url}{SYNC_PATH}/{reference}"
        answer = httpx.get(address, headers={"X-Api-Key": API_KEY}, timeout=SECONDS).raise_for_status()
        return {kuerzel: one["status"] for kuerzel, one in answer.json()["employees"].items()}
