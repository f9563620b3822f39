"""What happens to appointments: in Advoware, in Google, and while one employee's calendar cannot be reached."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Protocol

from bitbylaw_pipeline.demo.calendar_desk import CalendarUsers
from bitbylaw_pipeline.demo.employee import Employee
from bitbylaw_pipeline.demo.person import Person
from bitbylaw_pipeline.demo.story import Act
from bitbylaw_pipeline.sandbox.samples.calendars import (
    DELETED_IN_ADVOWARE,
    DELETED_IN_GOOGLE,
    FRIST,
    MOVED_IN_ADVOWARE,
    MOVED_IN_GOOGLE,
    WITHDRAWN,
)
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS

OUT = "MÜ"
"""Whose calendar is withdrawn for a while."""
TYPED = f"Erstgespräch {PERSONS[12].nachname}"
"""Typed in Google by an employee, with a client's name."""
DONE, FAILED = "done", "failed"
WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Requests(Protocol):
    """Whoever can ask for passes over appointments."""

    def ask(self, kuerzel: str | None = None) -> str:
        """For one employee, or for everybody; the reference."""
        ...

    def without_key(self) -> int:
        """The status without a key."""
        ...

    def outcome(self, reference: str) -> Mapping[str, str]:
        """By Kürzel where the request stands."""
        ...


@dataclass(slots=True)
class CalendarStory:
    """The acts, from `monday` on, and what they brought to light."""

    employee: Employee
    users: CalendarUsers
    requests: Requests
    monday: date
    reference: str = ""
    """Of the newest request for passes."""
    outcomes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """By the part of the day: where its request stood in the end."""
    status_without_key: int | None = None
    made: str = ""
    untouchable: list[str] = field(default_factory=list)
    """Events that are nobody's business."""
    arrival_seconds: float | None = None
    """How long the moved Termin took from Advoware to Google."""
    _moved_at: float = 0.0

    # -- acts

    def first_pass(self) -> Sequence[Act]:
        """The first pass over everybody's appointments."""
        return [Act("a program of the firm asks for a pass over all appointments", self._ask_all)]

    def busy_hour(self) -> Sequence[Act]:
        """Changes on both sides, and a calendar that is withdrawn."""
        return [
            Act("an employee moves a Termin in Advoware", self._move_here),
            Act("an employee moves an event in Google", self._move_there),
            Act("an employee drags a Frist to another day in Google", self._drag_frist),
            Act("an employee enters an appointment with a client's name in Google", self._enter),
            Act(
                "an employee deletes a Termin in Advoware",
                lambda _: self.employee.delete_termin(DELETED_IN_ADVOWARE),
            ),
            Act("an employee deletes an event in Google", self._delete_there),
            Act("an employee enters a private one, and a stranger invites an employee", self._enter_private),
            Act("Google withdraws one employee's calendar", lambda _: self._withdraw()),
            Act("a Termin of that employee is moved in Advoware meanwhile", self._move_withdrawn),
            Act("a program of the firm asks for a pass over all appointments", self._ask_all),
        ]

    def comes_back(self) -> Sequence[Act]:
        """The calendar is there again, and somebody asks for a pass over it."""
        return [
            Act("the withdrawn calendar is back", lambda _: self.users.do("restore_access", OUT)),
            Act("a program of the firm asks for a pass over that employee's appointments", self._ask_one),
        ]

    def last_pass(self) -> Sequence[Act]:
        """Nothing has changed since."""
        return [Act("a program of the firm asks for one more pass over all appointments", self._ask_all)]

    # -- what is looked at

    def is_answered(self, part: str) -> bool:
        """True once the newest request has come to its end, well or not; remembered under the part of the day."""
        found = self.requests.outcome(self.reference)
        self.outcomes[part] = found
        return set(found.values()) <= {DONE, FAILED}

    def note_arrival(self) -> None:
        """The moved Termin has been seen in Google; counts the first time."""
        if self.arrival_seconds is None and self._moved_at:
            self.arrival_seconds = time.monotonic() - self._moved_at

    def day(self, days: int) -> str:
        """A day counted from the Monday."""
        return (self.monday + timedelta(days=days)).isoformat()

    # -- inner parts

    def _ask_all(self, _: Person) -> None:
        if self.status_without_key is None:
            self.status_without_key = self.requests.without_key()
        self.reference = self.requests.ask()

    def _ask_one(self, _: Person) -> None:
        self.reference = self.requests.ask(OUT)

    def _move_here(self, _: Person) -> None:
        self._moved_at = time.monotonic()
        self.employee.change_termin(MOVED_IN_ADVOWARE, uhrzeitVon="17:00:00", uhrzeitBis="17:45:00")

    def _move_there(self, _: Person) -> None:
        event_id = self.users.event_of("MW", MOVED_IN_GOOGLE)
        self.users.do("move", "MW", event_id, set=self._hour(1, 18))

    def _drag_frist(self, _: Person) -> None:
        event_id = self.users.event_of("PM", FRIST)
        days = {"start": {"date": self.day(9)}, "end": {"date": self.day(10)}}
        self.users.do("move", "PM", event_id, set=days)

    def _enter(self, _: Person) -> None:
        self.made = self.users.do("create", "MW", set={"summary": TYPED, **self._hour(3, 19)})["id"]

    def _delete_there(self, _: Person) -> None:
        self.users.do("delete", "PM", self.users.event_of("PM", DELETED_IN_GOOGLE))

    def _enter_private(self, _: Person) -> None:
        private = {"summary": "Zahnarzt", "visibility": "private", **self._hour(5, 8)}
        invited = {"summary": "Stammtisch", **self._hour(4, 20)}
        self.untouchable += [
            self.users.do("create", "PM", set=private)["id"],
            self.users.do("invite", "PM", set=invited)["id"],
        ]

    def _withdraw(self) -> None:
        self.users.do("revoke_access", OUT)

    def _move_withdrawn(self, _: Person) -> None:
        self.employee.change_termin(WITHDRAWN, uhrzeitVon="14:00:00", uhrzeitBis="15:00:00")

    def _hour(self, day: int, hour: int) -> dict[str, Any]:
        """Begin and end of an hour in Berlin."""
        moments = (f"{self.day(day)}T{one:02}:00:00" for one in (hour, hour + 1))
        start, end = ({"dateTime": moment, "timeZone": "Europe/Berlin"} for moment in moments)
        return {"start": start, "end": end}
