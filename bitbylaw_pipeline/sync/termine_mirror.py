"""What an employee's calendar holds, kept up to date by Google's reports of changes (`facts/two_way_sync.md` 2).

A report and the token of the next one go into the state database together, and only once the report's last page has
been read: a list that broke off says nothing about what is missing from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import structlog

from bitbylaw_pipeline.clients.google_calendar import WRITER_ROLES, EmployeeCalendar
from bitbylaw_pipeline.clients.google_connection import SYSTEM
from bitbylaw_pipeline.clients.google_errors import SyncTokenExpired
from bitbylaw_pipeline.clients.google_event_rows import event_row
from bitbylaw_pipeline.clients.google_events import GoogleEvent, NotAnEvent, parse_event
from bitbylaw_pipeline.domain.errors import ScopeRefused, Unexpected
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import calendar_change, two_way_mirror
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_mirror import MirrorCursor, MirrorPlace

log = structlog.get_logger(__name__)

BASELINE_SECONDS = 86_400.0
"""How long reports of changes are believed before everything is listed once more: one that went missing heals so."""
_UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the calendar holds: events by id, and those that are there and cannot be understood."""

    events: dict[str, GoogleEvent]
    unreadable: frozenset[str]


class CalendarMirror:
    """One employee's calendar, for one pass. Raises `domain.errors`, and ScopeRefused for this employee alone."""

    def __init__(self, calendar: EmployeeCalendar, calendar_id: str, database: Database, pair: str) -> None:
        self._calendar = calendar
        self._database = database
        self._place = MirrorPlace(pair, Side.RIGHT, _digest(calendar_id))
        self._asked = _digest("list_events", "singleEvents=false", "showDeleted=true", calendar_id)
        self._known: frozenset[str] = frozenset()
        self._has_gaps = False

    async def is_of_another_calendar(self) -> bool:
        """Whether what is stored was learnt in another calendar."""
        return await self._database.run(lambda c: calendar_change.is_another(c, self._place))

    async def forget_another_calendar(self) -> None:
        """Forgets what was learnt in another calendar, links included; to be called before anything is planned."""
        links = await self._database.run(lambda c: calendar_change.forget_former(c, self._place))
        if links is not None:
            log.warning("calendar_changed", kuerzel=self._calendar.user.kuerzel, links_forgotten=links)

    async def read_on(self) -> Seen:
        """Takes in what has changed, or everything, and returns what is there now. One list call where nothing has."""
        cursor = await self._database.run(lambda c: two_way_mirror.cursor(c, self._place))
        now = await self._database.run(self._database.now)
        is_due = (
            cursor is None
            or cursor.params_hash != self._asked
            or now - cursor.baseline_at >= BASELINE_SECONDS
        )
        if cursor is None or is_due:
            await self._baseline(now)
        else:
            try:
                await self._changes(cursor)
            except SyncTokenExpired:
                # It says nothing about any event: what was deleted meanwhile is missing from the new list.
                log.info("google_token_expired", kuerzel=self._calendar.user.kuerzel)
                await self._baseline(now)
        return await self._read()

    def note_missing(self, event_id: str) -> None:
        """An event that is there and that no report showed: everything is listed again by the next pass."""
        if event_id not in self._known:
            self._has_gaps = True

    async def close(self) -> None:
        """Stores what the pass has found out about the mirror itself."""
        if self._has_gaps:
            await self.distrust()

    async def distrust(self) -> None:
        """Whatever is stored may be wrong: the next pass lists the whole calendar anew."""
        cursor = await self._database.run(lambda c: two_way_mirror.cursor(c, self._place))
        if cursor is not None:
            await self._store([], [], replace(cursor, baseline_at=0.0))

    async def has_changed(self) -> bool:
        """Whether a pass would find anything new; takes nothing in."""
        cursor = await self._database.run(lambda c: two_way_mirror.cursor(c, self._place))
        if cursor is None or cursor.params_hash != self._asked:
            return True
        try:
            async for page in self._calendar.list_events(sync_token=cursor.cursor):
                if page.events or page.unreadable:
                    return True
        except SyncTokenExpired:
            return True
        return False

    async def _changes(self, cursor: MirrorCursor) -> None:
        events, unreadable, token = await self._list(cursor.cursor)
        await self._store(events, unreadable, replace(cursor, cursor=token))

    async def _baseline(self, now: float) -> None:
        try:
            events, unreadable, token = await self._list(None)
        except SyncTokenExpired:
            raise Unexpected(
                f"google calls a list expired that was asked for without a token ({self._calendar.user.kuerzel}).",
                system=SYSTEM,
            ) from None
        rows = {event.id: event_row(event) for event in events if not _is_gone(event)}
        rows |= {event_id: {_UNREADABLE: True} for event_id in unreadable}
        # A calendar that shows nothing may be one that could not show anything: it is asked for everything again.
        cursor = MirrorCursor(token, self._asked, now if rows else 0.0)
        await self._database.run(
            lambda c: two_way_mirror.store_baseline(
                c, self._database.cipher, self._database.now(c), self._place, rows, cursor
            )
        )

    async def _list(self, token: str | None) -> tuple[list[GoogleEvent], frozenset[str], str]:
        events: dict[str, GoogleEvent] = {}
        unreadable: set[str] = set()
        async for page in self._calendar.list_events(sync_token=token):
            self._check_role(page.access_role)
            for event in page.events:
                # Changed while the list was being read: its last state is on the last page.
                events[event.id] = event
                unreadable.discard(event.id)
            unreadable |= page.unreadable
            for event_id in page.unreadable:
                events.pop(event_id, None)
            if page.next_sync_token is not None:
                return list(events.values()), frozenset(unreadable), page.next_sync_token
        raise Unexpected(f"google's list did not end ({self._calendar.user.kuerzel}).", system=SYSTEM)

    def _check_role(self, role: str) -> None:
        if role in WRITER_ROLES:
            return
        # With less, what is private is hidden, and hidden looks like emptied.
        raise ScopeRefused(
            f"google shows us {self._calendar.user.kuerzel}'s calendar as {role or 'nobody'} alone: give the user the"
            " right to make changes to its events.",
            system=SYSTEM,
            reason="calendar_forbidden",
        )

    async def _store(
        self, events: Iterable[GoogleEvent], unreadable: Iterable[str], cursor: MirrorCursor
    ) -> None:
        changed = {event.id: event_row(event) for event in events if not _is_gone(event)}
        changed |= {event_id: {_UNREADABLE: True} for event_id in unreadable}
        gone = [event.id for event in events if _is_gone(event)]
        await self._database.run(
            lambda c: two_way_mirror.store_changes(
                c, self._database.cipher, self._database.now(c), self._place, changed, gone, cursor
            )
        )

    async def _read(self) -> Seen:
        rows = await self._database.run(
            lambda c: two_way_mirror.records(c, self._database.cipher, self._place)
        )
        self._known = frozenset(rows)
        events: dict[str, GoogleEvent] = {}
        unreadable = set()
        for event_id, row in rows.items():
            try:
                events[event_id] = parse_event(row)
            except NotAnEvent:
                unreadable.add(event_id)
        return Seen(events, frozenset(unreadable))


def _is_gone(event: GoogleEvent) -> bool:
    # A cancelled occurrence is a fact about its series, which is there.
    return event.is_cancelled and event.recurring_event_id is None


def _digest(*parts: str) -> str:
    # A calendar's id may be an employee's mail address.
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
