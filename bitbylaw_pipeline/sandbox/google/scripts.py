"""What happens to a chosen call: an error before or after it, a user's edit just before it, a listing that lies."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from bitbylaw_pipeline.sandbox.google.calendar_data import Calendar, Row, StoredEvent
from bitbylaw_pipeline.sandbox.google.calls import Call
from bitbylaw_pipeline.sandbox.google.errors import KNOWN

KINDS = (
    "error", "error_after", "concurrent_edit", "sync_token_gone", "empty_list", "last_page_fails", "missing_in_list",
    "deleted_still_listed",
)  # fmt: skip


@dataclass(slots=True)
class Script:
    """One thing to happen. `*` fits everything; the first `after` fitting calls pass, then `times` calls are hit.

    | kind | what happens |
    |---|---|
    | error | `error` (a name of `errors.KNOWN`) instead of an answer; nothing is done |
    | error_after | the same after the call was carried out: a write that succeeded and looks failed |
    | concurrent_edit | `edit` (as for `/sandbox/edits`; calendar and event are added) happens just before the call |
    | sync_token_gone | 410 fullSyncRequired for a listing with a sync token |
    | empty_list | 200 without items, and with a sync token |
    | last_page_fails | `error` (backendError) instead of the last page |
    | missing_in_list | the event is not in the next listings that would have it (`*`: the one changed last) |
    | deleted_still_listed | the deleted event is listed as it was before |

    A listing that lies gives a sync token from before the event's change: the event comes with a later delta.
    """

    kind: str
    operation: str = "*"
    calendar: str = "*"
    user: str = "*"
    event: str = "*"
    times: int = 1
    after: int = 0
    error: str = ""
    edit: Row | None = None
    id: int = 0
    seen: int = 0
    applied: int = 0

    def fits(self, call: Call) -> bool:
        """Whether it is about this call (its event aside)."""
        wanted = (
            (self.operation, call.operation.id),
            (self.user, call.user),
            (self.calendar, call.calendar.id if call.calendar else ""),
        )
        return all(mine in ("*", theirs) for mine, theirs in wanted)

    def is_due(self) -> bool:
        """Count a fitting call; whether it is hit."""
        self.seen += 1
        if self.seen <= self.after or self.applied >= self.times:
            return False
        self.applied += 1
        return True


class Scripts:
    """The scripts set at present, in the order in which they were set."""

    def __init__(self) -> None:
        self.waiting: list[Script] = []
        self._numbers = itertools.count(1)
        self.edit: Callable[[Any], Any] | None = None

    def add(self, items: Any) -> list[int]:
        """Set one script or a list; returns their ids. Raises ValueError with one sentence."""
        scripts = [_script(item) for item in (items if isinstance(items, list) else [items])]
        for script in scripts:
            script.id = next(self._numbers)
        self.waiting += scripts
        return [script.id for script in scripts]

    def as_json(self) -> list[Row]:
        """All of them, with how often they fitted and were applied."""
        return [asdict(script) for script in self.waiting]

    def clear(self) -> int:
        """Remove all; returns how many."""
        count = len(self.waiting)
        self.waiting = []
        return count

    def take(self, kind: str, call: Call) -> Script | None:
        """The first script of that kind due for this call, counted as applied."""
        for script in self.waiting:
            if script.kind == kind and script.fits(call):
                event = call.ids.get("eventId", "")
                if script.event in ("*", event) and script.is_due():
                    return script
        return None

    def edit_before(self, call: Call) -> None:
        """Let the user's edits happen that are due before this call."""
        if not self.waiting or self.edit is None:
            return
        script = self.take("concurrent_edit", call)
        if script is not None:
            given = {"calendar": call.known_calendar.id, "event": call.ids.get("eventId")}
            self.edit({**given, **(script.edit or {})})

    def made_stale(
        self, call: Call, calendar: Calendar, rows: list[Row], position: int
    ) -> tuple[list[Row], int]:
        """The rows and the position of a listing that lies, if one is to."""
        for script in self.waiting:
            if script.kind in ("missing_in_list", "deleted_still_listed") and script.fits(call):
                rows, position = self._lie(script, calendar, rows, position)
        return rows, position

    def _lie(
        self, script: Script, calendar: Calendar, rows: list[Row], position: int
    ) -> tuple[list[Row], int]:
        event = _event_of(script, calendar, rows)
        if event is None or not script.is_due():
            return rows, position
        others = [row for row in rows if row["id"] != event.id]
        if script.kind == "deleted_still_listed" and event.alive is not None:
            others.append(event.alive)
        return others, min(position, event.changed - 1)


def _event_of(script: Script, calendar: Calendar, rows: list[Row]) -> StoredEvent | None:
    """The event that the listing is to lie about."""
    if script.kind == "missing_in_list":
        listed = [calendar.events[row["id"]] for row in rows if row["id"] in calendar.events]
        fitting = [event for event in listed if script.event in ("*", event.id)]
    else:
        deleted = [
            event for event in calendar.events.values() if event.is_cancelled and event.alive is not None
        ]
        fitting = [event for event in deleted if script.event in ("*", event.id)]
    return max(fitting, key=_changed, default=None)


def _changed(event: StoredEvent) -> int:
    return event.changed


_NAMES = {item.name for item in fields(Script)} - {"id", "seen", "applied"}


def _script(item: Any) -> Script:
    if not isinstance(item, dict) or set(item) - _NAMES:
        raise ValueError(f"A script is an object with some of {sorted(_NAMES)}.")
    if item.get("kind") not in KINDS:
        raise ValueError(f"A script's kind is one of {list(KINDS)}.")
    script = Script(**item)
    if script.kind in ("error", "error_after") and not script.error:
        script.error = "backendError"
    if script.error and script.error not in KNOWN:
        raise ValueError(f"A script's error is one of {sorted(KNOWN)}.")
    if not isinstance(script.times, int) or not isinstance(script.after, int):
        raise ValueError("A script's times and after are numbers.")
    if script.kind == "concurrent_edit" and not isinstance(script.edit, dict):
        raise ValueError("A concurrent edit needs edit, an object as for /sandbox/edits.")
    return script
