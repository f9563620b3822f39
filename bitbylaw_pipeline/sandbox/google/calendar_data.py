"""One calendar: its events by id, its change log, who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]

ROLES = ("none", "freeBusyReader", "reader", "writerWithoutPrivateAccess", "writer", "owner")
WRITING_ROLES = ROLES[3:]


@dataclass(slots=True)
class StoredEvent:
    """An event. `data` is what its owner is shown, in the calendar's zone; a change puts a new dict in its place.

    `start` and `end` are seconds UTC (of a series: of its first occurrence; a day begins at the calendar's midnight).
    `changed` is its last number in the change log. `alive` is the data before it was cancelled.
    """

    id: str
    data: Row
    start: float
    end: float
    changed: int = 0
    updated_at: float = 0.0
    alive: Row | None = None

    @property
    def is_cancelled(self) -> bool:
        """Whether it is deleted (or a cancelled occurrence)."""
        return bool(self.data["status"] == "cancelled")

    @property
    def master_id(self) -> str | None:
        """The series that it is an exception of."""
        return self.data.get("recurringEventId")


@dataclass(slots=True)
class Calendar:
    """A calendar. `acl` is role by scope such as `user:mail`; `overrides` and `denied` are what tests force on users."""

    id: str
    summary: str
    time_zone: str
    owner: str
    etag: str
    is_primary: bool = False
    created_by_app: bool = False
    description: str = ""
    location: str = ""
    acl: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    denied: dict[str, int] = field(default_factory=dict)
    events: dict[str, StoredEvent] = field(default_factory=dict)
    burnt: set[str] = field(default_factory=set)
    exceptions: dict[str, set[str]] = field(default_factory=dict)
    position: int = 0
    token_generation: int = 0
    updated_at: float = 0.0
    _log: dict[str, int] = field(default_factory=dict)

    def put(self, event: StoredEvent, now: float) -> None:
        """Store a new or changed event, at the end of the change log."""
        self.position += 1
        event.changed, event.updated_at, self.updated_at = self.position, now, now
        self.events[event.id] = event
        self.burnt.add(event.id)
        # Taken out and put back in: the log stays in the order of the last changes.
        self._log.pop(event.id, None)
        self._log[event.id] = self.position
        if event.master_id is not None:
            self.exceptions.setdefault(event.master_id, set()).add(event.id)

    def purge(self, event_id: str) -> None:
        """Let a deleted event disappear; its id stays burnt."""
        event = self.events.pop(event_id)
        self._log.pop(event_id, None)
        if event.master_id is not None:
            self.exceptions.get(event.master_id, set()).discard(event_id)

    def changed_since(self, position: int) -> list[StoredEvent]:
        """Events changed after that number, the oldest change first: the cost is that of the answer."""
        found: list[StoredEvent] = []
        for event_id, number in reversed(self._log.items()):
            if number <= position:
                break
            found.append(self.events[event_id])
        found.reverse()
        return found

    def exceptions_of(self, master_id: str) -> Iterator[StoredEvent]:
        """The stored occurrences of a series that differ from it."""
        for event_id in sorted(self.exceptions.get(master_id, ())):
            yield self.events[event_id]

    def role_of(self, user: str) -> str:
        """The effective role of a user, `none` without access."""
        if user in self.overrides:
            return self.overrides[user]
        scopes = (f"user:{user}", f"domain:{user.partition('@')[2]}", "default")
        return max((self.acl.get(scope, "none") for scope in scopes), key=ROLES.index)
