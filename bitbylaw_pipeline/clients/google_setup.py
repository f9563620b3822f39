"""Making and checking the employees' calendars, with a scope of its own: the sync never asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.clients.google_connection import CalendarUser, Scope
from bitbylaw_pipeline.clients.google_paths import calendar_path
from bitbylaw_pipeline.clients.google_session import Session


@dataclass(frozen=True, slots=True)
class Calendar:
    """A calendar. The id may be a person's address, so it is not shown."""

    id: str = field(repr=False)
    title: str = field(repr=False)
    time_zone: str


class CalendarSetup:
    """One employee's calendars that we made (`calendar.app.created`); others are not there for it."""

    def __init__(self, session: Session, user: CalendarUser) -> None:
        self.user = user
        self._session = session

    async def create_calendar(self, title: str, *, time_zone: str = "Europe/Berlin") -> Calendar:
        """A new secondary calendar of the employee's own.

        Google counts these for good (some 25 in a short time, and deleting does not refund them): never in a loop, and
        after OutcomeUnknown look into the calendar list first, since each call makes another one.
        """
        answer = await self._session.call(
            self.user,
            "POST",
            "/calendars",
            operation="create_calendar",
            scope=Scope.SETUP,
            json={"summary": title, "timeZone": time_zone},
            writes=True,
        )
        return _calendar(answer)

    async def calendar(self, calendar_id: str) -> Calendar:
        """One that we made. Raises ScopeRefused("calendar_missing") for any other."""
        answer = await self._session.call(
            self.user, "GET", calendar_path(calendar_id), operation="get_calendar", scope=Scope.SETUP
        )
        return _calendar(answer)

    async def role(self, calendar_id: str) -> str:
        """Our role as the employee's calendar list has it; ScopeRefused("calendar_missing") if it is not in it."""
        path = "/users/me/calendarList" + calendar_path(calendar_id).removeprefix("/calendars")
        answer = await self._session.call(
            self.user, "GET", path, operation="calendar_list_entry", scope=Scope.SETUP
        )
        return answer.text("accessRole")


def _calendar(answer: Answer) -> Calendar:
    found = answer.mapping()
    return Calendar(answer.text("id"), str(found.get("summary") or ""), str(found.get("timeZone") or ""))
