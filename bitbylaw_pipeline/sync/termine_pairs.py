"""Opens the engine of one employee's appointments: Advoware on the left, the employee's own calendar on the right."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_connection import CalendarUser
from bitbylaw_pipeline.domain.errors import Permanent
from bitbylaw_pipeline.domain.termin_kind import FristRule
from bitbylaw_pipeline.domain.termin_pair import PAIR_PREFIX
from bitbylaw_pipeline.domain.termin_times import BERLIN
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.pair_lease import pair_lease
from bitbylaw_pipeline.sync.termine_advoware import AdvowareTermineSide, Window
from bitbylaw_pipeline.sync.termine_google import GoogleTermineSide
from bitbylaw_pipeline.sync.termine_mirror import CalendarMirror
from bitbylaw_pipeline.sync.termine_policy import termine_policy
from bitbylaw_pipeline.sync.termine_rule_change import RuleChange
from bitbylaw_pipeline.sync.two_way import Reconciler
from bitbylaw_pipeline.sync.two_way_database import DatabaseLinkStore

CONCURRENCY = 4
"""Appointments of one employee at work at once: Google throttles many quick writes to one calendar, and Advoware's
connector is a service on a server in the firm."""
ANOTHER_CALENDAR = (
    "The calendar is another one than before: what was known of the former one is forgotten first."
)
OTHER_RULES = "TERMINE_MASKED or TERMINE_FRISTEN has changed: the next pass compares every appointment anew."
_LOCK_WAIT_SECONDS = 20.0
_LOCK_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class CalendarOf:
    """An employee and the calendar that was made for their Termine; everything in it is ours by definition."""

    user: CalendarUser
    calendar_id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TermineRules:
    """What the firm has set: which Termine are Fristen, whether Google is told names, how many days around today."""

    fristen: FristRule = field(default_factory=FristRule)
    masks: bool = True
    days_back: int = 30
    days_ahead: int = 365

    def window(self, now: float) -> Window:
        """The days around `now` (UTC epoch seconds), Berlin's."""
        today = datetime.fromtimestamp(now, UTC).astimezone(BERLIN).date()
        return Window(today - timedelta(days=self.days_back), today + timedelta(days=self.days_ahead))


class SettingsChanged(Permanent):
    """What was agreed rests on a setting that has changed since: only a pass takes the new one in."""


@dataclass(slots=True)
class TerminePairs:
    """All employees' pairs. `clock` is UTC epoch seconds."""

    database: Database
    termine: Termine
    google: Google
    calendars: Mapping[str, CalendarOf]
    rules: TermineRules = field(default_factory=TermineRules)
    clock: Callable[[], float] = time.time

    def pair(self, kuerzel: str) -> str:
        """The pair's name in our state."""
        return PAIR_PREFIX + kuerzel

    def store(self, kuerzel: str) -> DatabaseLinkStore:
        """The pair's state."""
        return DatabaseLinkStore(self.database, self.pair(kuerzel))

    def check(self, kuerzel: str) -> None:
        """Raises Permanent("unknown_kuerzel") for a Kürzel without a calendar."""
        self._calendar_of(kuerzel)

    def mirror(self, kuerzel: str) -> CalendarMirror:
        """What the employee's calendar holds. Raises Permanent("unknown_kuerzel") for a Kürzel without one."""
        of = self._calendar_of(kuerzel)
        calendar = self.google.calendar(of.user, of.calendar_id)
        return CalendarMirror(calendar, of.calendar_id, self.database, self.pair(kuerzel))

    def rule_change(self, kuerzel: str) -> RuleChange:
        """What the pair was last passed over with, against the rules of now."""
        return RuleChange(self.database, self.pair(kuerzel), self.rules.fristen, masks=self.rules.masks)

    async def why_not_plannable(self, kuerzel: str) -> str | None:
        """Why nothing can be said of the pair before its next pass; None where a plan or an audit makes sense.

        Raises Permanent("unknown_kuerzel").
        """
        if await self.mirror(kuerzel).is_of_another_calendar():
            return ANOTHER_CALENDAR
        return OTHER_RULES if await self.rule_change(kuerzel).is_due() else None

    async def require_plannable(self, kuerzel: str) -> None:
        """Raises SettingsChanged with the sentence of `why_not_plannable`, and Permanent("unknown_kuerzel")."""
        if (why := await self.why_not_plannable(kuerzel)) is not None:
            raise SettingsChanged(why, system="google", reason="settings_changed")

    @contextlib.asynccontextmanager
    async def reconciler(self, kuerzel: str) -> AsyncIterator[Reconciler]:
        """The pair's engine, for one pass, under the pair's lease. Raises Permanent("unknown_kuerzel").

        Where the setting names another calendar than before, the former one's links are forgotten first; where its rules
        have changed, what was agreed under the former ones is compared anew.
        """
        mirror = self.mirror(kuerzel)
        await mirror.forget_another_calendar()
        await self.rule_change(kuerzel).follow(self.store(kuerzel))
        yield self._engine(kuerzel, mirror)
        await mirror.close()

    @contextlib.asynccontextmanager
    async def trial(self, kuerzel: str) -> AsyncIterator[Reconciler]:
        """The pair's engine, to plan with and without a lease: it leaves links and what was agreed as they are.

        Raises SettingsChanged where only a pass can go on, and Permanent("unknown_kuerzel").
        """
        await self.require_plannable(kuerzel)
        yield self._engine(kuerzel, self.mirror(kuerzel))

    def _engine(self, kuerzel: str, mirror: CalendarMirror) -> Reconciler:
        of, pair, rules = self._calendar_of(kuerzel), self.pair(kuerzel), self.rules
        return Reconciler(
            termine_policy(masks=rules.masks),
            {
                Side.LEFT: AdvowareTermineSide(
                    self.termine, kuerzel, rules.window(self.clock()), rules.fristen, self._alone
                ),
                Side.RIGHT: GoogleTermineSide(
                    self.google.calendar(of.user, of.calendar_id), mirror, pair, masks=rules.masks
                ),
            },
            self.store(kuerzel),
            concurrency=CONCURRENCY,
        )

    def _calendar_of(self, kuerzel: str) -> CalendarOf:
        found = self.calendars.get(kuerzel)
        if found is None:
            raise Permanent(
                f"{kuerzel} has no calendar: name user and calendar in GOOGLE_CALENDARS.",
                system="google",
                reason="unknown_kuerzel",
            )
        return found

    @contextlib.asynccontextmanager
    async def _alone(self, fr_nr: int) -> AsyncIterator[bool]:
        """One write to a Termin at a time, whoever of its employees it is for."""
        until = asyncio.get_running_loop().time() + _LOCK_WAIT_SECONDS
        while True:
            async with pair_lease(self.database, f"termin:{fr_nr}") as is_ours:
                if is_ours or asyncio.get_running_loop().time() >= until:
                    yield is_ours
                    return
            await asyncio.sleep(_LOCK_LOOK_SECONDS)
