"""Everything that the stand-in keeps: users, calendars, the lists of calendars, mails; and its clock and counters."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.google.calendar_data import Calendar, Row
from bitbylaw_pipeline.sandbox.google.switches import Switches

DOMAIN = "kanzlei.example"
ZONE = "Europe/Berlin"
USER_STATES = ("active", "suspended", "no_calendar")
_FIRST_ETAG = 3_400_000_000_000_000
_BASE32HEX = "0123456789abcdefghijklmnopqrstuv"


class Store:
    """State in memory. `domain` is the firm's Workspace domain, whose users the service account may act for."""

    def __init__(self, clock: SandboxClock, switches: Switches, domain: str = DOMAIN) -> None:
        self._clock = clock
        self.switches = switches
        self.domain = domain
        self.users: dict[str, Row] = {}
        self.calendars: dict[str, Calendar] = {}
        # By user: ids of the calendars in the user's list, with what the user set for them.
        self.listed: dict[str, dict[str, Row]] = {}
        self.mails: list[Row] = []
        self._etags = 0
        self._ids = 0

    def clear(self) -> None:
        """Forget users, calendars and mails."""
        for table in (self.users, self.calendars, self.listed, self.mails):
            table.clear()
        self._etags = self._ids = 0

    def now(self) -> float:
        """Seconds UTC as Google sees them: the sandbox clock and the switch `clock_skew_seconds`."""
        return self._clock.now() + self.switches.clock_skew_seconds

    def next_etag(self) -> str:
        """A new version, quotation marks included."""
        self._etags += 1
        return f'"{_FIRST_ETAG + self._etags * 2}"'

    def new_event_id(self) -> str:
        """An id as Google makes them: 26 characters of base32hex."""
        return "".join(secrets.choice(_BASE32HEX) for _ in range(26))

    def user_state(self, mail: str) -> str:
        """`active`, `suspended`, `no_calendar`, or `unknown`."""
        user = self.users.get(mail)
        return "unknown" if user is None else str(user["state"])

    def add_user(self, mail: str, name: str = "", time_zone: str = ZONE, state: str = "active") -> Row:
        """Add an employee with a primary calendar. Raises ValueError."""
        mail = mail.lower()
        if mail in self.users:
            raise ValueError(f"There is a user {mail} already.")
        if "@" not in mail or state not in USER_STATES:
            raise ValueError(f"A user has a mail address and a state of {list(USER_STATES)}.")
        self.users[mail] = {"mail": mail, "name": name or mail, "time_zone": time_zone, "state": state}
        self.add_calendar(mail, name or mail, time_zone=time_zone, calendar_id=mail)
        return self.users[mail]

    def add_calendar(
        self, owner: str, summary: str, *, time_zone: str = ZONE, calendar_id: str = "", by_app: bool = False
    ) -> Calendar:
        """Add a calendar to its owner's list; with the owner's mail as id it is the primary one. Raises ValueError."""
        if not calendar_id:
            self._ids += 1
            calendar_id = f"c_{self._ids:06x}{secrets.token_hex(29)}@group.calendar.google.com"
        if calendar_id in self.calendars:
            raise ValueError(f"There is a calendar {calendar_id} already.")
        calendar = Calendar(
            calendar_id,
            summary,
            time_zone,
            owner,
            self.next_etag(),
            is_primary=calendar_id == owner,
            created_by_app=by_app,
            acl={f"user:{owner}": "owner"},
            updated_at=self.now(),
        )
        self.calendars[calendar_id] = calendar
        self.listed.setdefault(owner, {})[calendar_id] = {}
        return calendar

    def drop_calendar(self, calendar: Calendar) -> None:
        """Remove a calendar and its place in everyone's list."""
        del self.calendars[calendar.id]
        for entries in self.listed.values():
            entries.pop(calendar.id, None)

    def add_mail(self, kind: str, to: list[str], **facts: Any) -> None:
        """Note mails that Google would have sent."""
        at = timestamp(self.now())
        self.mails.extend({"at": at, "kind": kind, "to": address, **facts} for address in to)


def timestamp(seconds: float) -> str:
    """Seconds UTC as Google writes `created` and `updated`: `2026-03-08T20:00:00.250Z`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
