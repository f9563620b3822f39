"""What we write into an event. Guests cannot be expressed: with them Google would write mails to clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal

from bitbylaw_pipeline.clients.google_connection import SYSTEM
from bitbylaw_pipeline.clients.google_events import EventTime
from bitbylaw_pipeline.domain.errors import Permanent

LONGEST_KEY: Final = 44
LONGEST_VALUE: Final = 1024


class _Unchanged(Enum):
    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = _Unchanged.UNCHANGED
"""A field that is not sent at all; None removes it."""
Unchanged = Literal[_Unchanged.UNCHANGED]


@dataclass(frozen=True, slots=True)
class EventBody:
    """The fields of an insert or a patch; what is `UNCHANGED` is left as it is, None removes it.

    `private` is merged key by key, a None removes that key. A recurring event's times need their `time_zone`.
    """

    summary: str | Unchanged | None = field(default=UNCHANGED, repr=False)
    description: str | Unchanged | None = field(default=UNCHANGED, repr=False)
    location: str | Unchanged | None = field(default=UNCHANGED, repr=False)
    start: EventTime | Unchanged = UNCHANGED
    end: EventTime | Unchanged = UNCHANGED
    recurrence: Sequence[str] | Unchanged | None = UNCHANGED
    private: Mapping[str, str | None] = field(default_factory=dict, repr=False)

    def for_insert(self, event_id: str) -> dict[str, Any]:
        """The JSON of a new event. Raises Permanent("incomplete") without begin and end, "too_long" for a property."""
        if self.start is UNCHANGED or self.end is UNCHANGED:
            raise Permanent(
                "A new event needs begin and end; nothing was sent.", system=SYSTEM, reason="incomplete"
            )
        texts = {name: value for name, value in self._texts().items() if value is not None}
        body: dict[str, Any] = {
            "id": event_id,
            **texts,
            "start": _time(self.start, is_patch=False),
            "end": _time(self.end, is_patch=False),
        }
        if self.recurrence is not UNCHANGED and self.recurrence:
            body["recurrence"] = list(self.recurrence)
        private = {key: value for key, value in self._private().items() if value is not None}
        if private:
            body["extendedProperties"] = {"private": private}
        return body

    def for_patch(self) -> dict[str, Any]:
        """The JSON of a change: exactly what is to change. Raises Permanent("too_long") for a property."""
        body: dict[str, Any] = dict(self._texts())
        if self.start is not UNCHANGED:
            body["start"] = _time(self.start, is_patch=True)
        if self.end is not UNCHANGED:
            body["end"] = _time(self.end, is_patch=True)
        if self.recurrence is not UNCHANGED:
            body["recurrence"] = list(self.recurrence) if self.recurrence else None
        if self.private:
            body["extendedProperties"] = {"private": self._private()}
        return body

    def _texts(self) -> dict[str, str | None]:
        pairs = (("summary", self.summary), ("description", self.description), ("location", self.location))
        return {name: value for name, value in pairs if value is not UNCHANGED}

    def _private(self) -> dict[str, str | None]:
        for key, value in self.private.items():
            if not 0 < len(key) <= LONGEST_KEY or len(value or "") > LONGEST_VALUE:
                # Google cuts or drops them: a marker that is not kept whole is worse than none.
                raise Permanent(
                    f"A private property is longer than Google keeps ({LONGEST_KEY} and {LONGEST_VALUE} characters);"
                    " nothing was sent.",
                    system=SYSTEM,
                    reason="too_long",
                )
        return dict(self.private)


def _time(given: EventTime, *, is_patch: bool) -> dict[str, str | None]:
    is_moment = isinstance(given.value, datetime)
    found: dict[str, str | None] = {
        "date": None if is_moment else given.value.isoformat(),
        "dateTime": given.value.isoformat(timespec="seconds") if isinstance(given.value, datetime) else None,
        "timeZone": given.time_zone if is_moment else None,
    }
    # A patch merges: without the null an event that becomes all-day would keep its time beside the day.
    return found if is_patch else {key: value for key, value in found.items() if value is not None}
