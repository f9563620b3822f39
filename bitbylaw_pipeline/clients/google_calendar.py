"""One employee's calendar: its events, listed, read and written (`facts/two_way_sync.md` 2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.clients.google_bodies import EventBody
from bitbylaw_pipeline.clients.google_connection import SYSTEM, CalendarUser
from bitbylaw_pipeline.clients.google_errors import Deleted, EventForbidden
from bitbylaw_pipeline.clients.google_events import GoogleEvent
from bitbylaw_pipeline.clients.google_pages import EventPage, event_of, list_params, page_of
from bitbylaw_pipeline.clients.google_paths import (
    calendar_path,
    checked_etag,
    checked_own_id,
    event_path,
)
from bitbylaw_pipeline.clients.google_session import Session
from bitbylaw_pipeline.domain.errors import NotFound, ScopeRefused, Unexpected

MOST_PAGES: Final = 1000
WRITER_ROLES: Final = frozenset({"owner", "writer"})
"""With any other role private events' details are hidden, and nothing that is not seen proves anything."""
PATCH_UNITS: Final = 3
"""What a patch costs of the quota."""
NO_MAIL: Final[Mapping[str, str]] = {"sendUpdates": "none"}
"""With each write: nobody is ever written to."""


@dataclass(frozen=True, slots=True)
class CalendarAccess:
    """Our role on a calendar ("owner", "writer", ...) and the calendar's zone."""

    role: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Watching:
    """A channel by which Google reports changes: what stopping it needs beside its id, and its end (UTC epoch seconds)."""

    resource_id: str
    expires_at: float


class EmployeeCalendar:
    """The events of one calendar, as its employee sees them.

    Raises `domain.errors` with system "google", and of `google_errors`: ScopeRefused and ScopeLimited for this
    employee alone. NotFound and Deleted mean that the event is gone and the calendar is still ours to see.
    """

    def __init__(self, session: Session, user: CalendarUser, calendar_id: str) -> None:
        self.user = user
        self._session = session
        self._calendar_id = calendar_id
        self._events = f"{calendar_path(calendar_id)}/events"

    def __repr__(self) -> str:
        return f"EmployeeCalendar({self.user.kuerzel!r})"

    async def list_events(
        self,
        *,
        sync_token: str | None = None,
        time_min: datetime | None = None,
        time_max: datetime | None = None,
    ) -> AsyncIterator[EventPage]:
        """Everything, deletions and series included, or what has changed since `sync_token`; page by page.

        `time_min` bounds the end and `time_max` the begin, both exclusive and aware; a sync token excludes them.
        Raises SyncTokenExpired, and Unexpected where the list goes round in circles or ends without an end.
        """
        params = list_params(sync_token, time_min, time_max)
        seen: set[str] = set()
        page_token = ""
        for _ in range(MOST_PAGES):
            query = {**params, "pageToken": page_token} if page_token else params
            answer = await self._call("GET", self._events, operation="list_events", params=query)
            page, page_token = page_of(answer)
            yield page
            if page.next_sync_token is not None:
                return
            if page_token in seen:
                break
            seen.add(page_token)
        raise Unexpected(f"google's list does not end (list_events {self.user.kuerzel}).", system=SYSTEM)

    async def get(self, event: str) -> GoogleEvent:
        """The event, also a cancelled one. Raises NotFound."""
        path = event_path(self._calendar_id, event)
        return await self._one("GET", path, event, operation="get_event")

    async def insert(self, event: str, body: EventBody) -> GoogleEvent:
        """A new event under our id; returns what Google kept. Raises AlreadyExists, also where that one was deleted."""
        value = body.for_insert(checked_own_id(event))
        answer = await self._write("POST", self._events, event, operation="insert_event", json=value)
        return event_of(answer, event)

    async def patch(self, event: str, body: EventBody, *, etag: str) -> GoogleEvent:
        """Changes the body's fields if the event still has the etag; returns what Google kept.

        Raises Conflict where it has changed, NotFound where it is gone.
        """
        return await self._one(
            "PATCH",
            event_path(self._calendar_id, event),
            event,
            operation="patch_event",
            etag=checked_etag(etag),
            json=body.for_patch(),
            units=PATCH_UNITS,
        )

    async def delete(self, event: str, *, etag: str) -> None:
        """Deletes the event if it still has the etag; one that is deleted already is none's fault.

        Raises Conflict where it has changed, NotFound where it never was.
        """
        path = event_path(self._calendar_id, event)
        headers = {"If-Match": checked_etag(etag)}
        try:
            await self._write("DELETE", path, event, operation="delete_event", headers=headers, ok=(200, 204))
        except Deleted:
            return
        except (NotFound, EventForbidden):
            await self._confirm_ours()
            raise

    async def access(self) -> CalendarAccess:
        """What we may do here. Raises ScopeRefused where the calendar is not there, or not ours to see (any more)."""
        params = {"maxResults": "1", "fields": "accessRole,timeZone"}
        answer = await self._call("GET", self._events, operation="access", params=params)
        found = answer.mapping()
        return CalendarAccess(answer.text("accessRole"), str(found.get("timeZone") or ""))

    async def watch(self, channel_id: str, address: str, token: str, *, ttl: int) -> Watching:
        """Lets Google POST to `address` (https) whenever events change, at most for `ttl` seconds; often it is less.

        Each message names the channel and the token. A channel cannot be prolonged (`facts/two_way_sync.md` 2, Push).
        """
        answer = await self._session.call(
            self.user,
            "POST",
            f"{self._events}/watch",
            operation="watch_events",
            json={
                "id": channel_id,
                "type": "web_hook",
                "address": address,
                "token": token,
                "params": {"ttl": str(ttl)},
            },
            writes=True,
        )
        expiration = answer.text("expiration")
        if not (expiration.isascii() and expiration.isdigit()):
            raise answer.nonsense("an expiration that is no number")
        return Watching(answer.text("resourceId"), int(expiration[:20]) / 1000)

    async def stop(self, channel_id: str, resource_id: str) -> None:
        """Ends a channel; one that has ended already is none's fault."""
        try:
            await self._session.call(
                self.user,
                "POST",
                "/channels/stop",
                operation="stop_channel",
                json={"id": channel_id, "resourceId": resource_id},
                ok=(200, 204),
            )
        except ScopeRefused as refusal:
            # The usual 404 is about the calendar; this one is about the channel.
            if refusal.status != 404:
                raise

    async def _one(
        self, method: str, path: str, event: str, *, operation: str, etag: str = "", **given: Any
    ) -> GoogleEvent:
        headers = {"If-Match": etag} if etag else None
        try:
            if method == "GET":
                answer = await self._call(method, path, subject=event, operation=operation)
            else:
                answer = await self._write(method, path, event, operation=operation, headers=headers, **given)
        except (NotFound, EventForbidden):
            await self._confirm_ours()
            raise
        return event_of(answer, event)

    async def _confirm_ours(self) -> None:
        # A 404 also comes for a calendar that we have lost: taken for a deletion it would empty Advoware. And a 403 about
        # one event stopped the whole calendar, each pass anew.
        found = await self.access()
        if found.role not in WRITER_ROLES:
            raise ScopeRefused(
                f"google lets us no longer make changes in {self.user.kuerzel}'s calendar: give the user the right to"
                f" make changes to its events (access {self.user.kuerzel}).",
                system=SYSTEM,
                reason="calendar_forbidden",
            )

    async def _write(
        self,
        method: str,
        path: str,
        event: str,
        *,
        operation: str,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        ok: tuple[int, ...] = (200,),
        units: int = 1,
    ) -> Answer:
        return await self._session.call(
            self.user,
            method,
            path,
            operation=operation,
            subject=event,
            params=NO_MAIL,
            json=json,
            headers=headers,
            ok=ok,
            writes=True,
            units=units,
        )

    async def _call(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        subject: str = "",
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        return await self._session.call(
            self.user, method, path, operation=operation, subject=subject, params=params
        )
