"""doctor's checks of Google: key file, delegation, scopes, and each employee's account and calendar by Kürzel.

No address, key or calendar's id is ever printed. A key that is refused is tried for one employee alone (the client asks
for up to three others, to tell that employee's own refusal from everybody's).
"""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from bitbylaw_pipeline.cli.checking import Check, attempt, clock_difference, clock_finding
from bitbylaw_pipeline.cli.findings import Finding, bad, fine, odd
from bitbylaw_pipeline.cli.google_access import connection_of
from bitbylaw_pipeline.cli.screen import WRONG
from bitbylaw_pipeline.cli.termine_checks import check_rules
from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_calendar import WRITER_ROLES
from bitbylaw_pipeline.clients.google_connection import CalendarUser, Scope
from bitbylaw_pipeline.clients.google_refusals import DelegationMissing
from bitbylaw_pipeline.domain.errors import AuthFailed, Permanent, ScopeLimited, ScopeRefused, SyncError
from bitbylaw_pipeline.settings import Settings, SettingsError

AREA = "Google"
CLOCK_SECONDS = 60.0
AT_ONCE = 4
"""Employees that are looked at at once."""
ASKED = 4
"""Employees whose token is asked for, one after the other, before anything else: until one is given."""
_CONSOLE = "console.cloud.google.com (IAM & Admin, Service accounts)"
_KEY_ADVICE = f"the service account's key is made in {_CONSOLE}: Keys, Add key, JSON."
_SHARING = 'in Google Calendar, settings of that calendar, the account needs "Make changes to events".'
_ACCOUNT = (
    "compare the user in GOOGLE_CALENDARS with admin.google.com (Directory, Users); whoever has left the firm is taken "
    "out of GOOGLE_CALENDARS."
)

REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "user_unknown": _ACCOUNT,
        "access_withdrawn": _ACCOUNT,
        "token_refused": _ACCOUNT,
        "calendar_missing": "compare the calendar's id in GOOGLE_CALENDARS with Google Calendar (settings of the calendar, "
        "Integrate calendar); lost for good: bitbylaw setup-calendar makes another one.",
        "calendar_forbidden": _SHARING,
        "bad_name": "copy the calendar's id anew: Google Calendar, settings of the calendar, Integrate calendar.",
    }
)


async def check_google(settings: Settings) -> AsyncIterator[Finding]:
    """Everything about Google and the setting of calendars; one line where nobody has one."""
    if not settings.calendars:
        yield fine(AREA, "Not configured: appointments are not kept in step with Google's calendars.")
        return
    if not settings.has_advoware:
        yield odd(
            AREA,
            "GOOGLE_CALENDARS is set, but Advoware is not configured: no appointments are kept in step.",
            "set the ADVOWARE_* settings.",
        )
    for finding in check_rules(settings):
        yield finding
    try:
        users = [CalendarUser(kuerzel, one.user) for kuerzel, one in settings.calendars.items()]
        google = Google.open(connection_of(settings), users=users)
    except SettingsError as error:
        yield bad(AREA, str(error), _KEY_ADVICE)
        return
    try:
        yield _key_file(settings, google)
        async for finding in attempt(AREA, "clock", lambda: _clock(google)):
            yield finding
        answer = await _ask_for_a_token(google, users)
        if answer is not None:
            yield answer
            if answer.level == WRONG:
                return
        visit = _Visit(google, settings)
        checks: tuple[tuple[str, Check], ...] = (
            ("employees' calendars", visit.look_at_all),
            ("scope for making calendars", visit.look_at_setup),
        )
        for name, check in checks:
            async for finding in attempt(AREA, name, check):
                yield finding
    finally:
        await google.aclose()


async def _clock(google: Google) -> AsyncIterator[Finding]:
    # Before the token, which Google refuses to a clock that is off by minutes, in words that may mean anything.
    before = time.time()
    try:
        at = await google.server_time()
    except SyncError:
        return  # what is the matter is said by those that need more of it
    off = None if at is None else clock_difference(before, at, time.time())
    matters = "it gives no token to a clock that is off by minutes"
    yield clock_finding(AREA, "Google's", off, longest=CLOCK_SECONDS, matters=matters)


def _key_file(settings: Settings, google: Google) -> Finding:
    mode = Path(settings.google_service_account_file).expanduser().stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return odd(
            AREA,
            "The key file can be read by others on this machine: whoever has it reads every employee's calendars.",
            "chmod 600, and its owner the user that runs the pipeline.",
        )
    known = "names" if google.client_id else "does not name"
    return fine(AREA, f"The key file is usable, private, and {known} its client ID.")


async def _ask_for_a_token(google: Google, users: Sequence[CalendarUser]) -> Finding | None:
    """Whether Google gives us a token for the first of them whose account is well; None if the first few are not."""
    for user in users[:ASKED]:
        try:
            await google.check(user)
        except (ScopeRefused, ScopeLimited):
            continue  # that employee's own trouble, of which the look at the calendars tells
        except AuthFailed as error:
            return await _refusal(google, user, error)
        return fine(AREA, "Google takes our key and lets it act for the firm's users.")
    return None


async def _refusal(google: Google, user: CalendarUser, error: AuthFailed) -> Finding:
    """What concerns everybody."""
    if isinstance(error, DelegationMissing):
        return await _delegation(google, user)
    return bad(
        AREA,
        str(error),
        f"in {_CONSOLE}: is the account enabled, and the key in the file one of its keys? In APIs and services: is the "
        "Google Calendar API enabled? A clock that is off by minutes is refused, too: NTP sets it.",
    )


async def _delegation(google: Google, user: CalendarUser) -> Finding:
    who = google.client_id or "that the key file lacks (Unique ID of the service account)"
    advice = (
        "admin.google.com, Security, Access and data control, API controls, Manage domain-wide delegation: client ID "
        f"{who}, and as scopes what stands below. It takes some minutes until it holds.\n"
        f"{Scope.EVENTS.value},{Scope.SETUP.value}"
    )
    try:
        await google.check(user, Scope.SETUP)
    except SyncError:
        says = "Our service account may not act for the firm's users: its domain-wide delegation is missing."
    else:
        says = "The domain-wide delegation of our service account lacks the scope calendar.events."
    return bad(AREA, says, advice)


@dataclass(slots=True)
class _Visit:
    """Looks at everybody's calendar; ends early where a refusal is not one employee's own."""

    google: Google
    settings: Settings
    well: list[CalendarUser] = field(default_factory=list)
    over: tuple[CalendarUser, SyncError] | None = None

    async def look_at_all(self) -> AsyncIterator[Finding]:
        """A line for each who is not well, one for all the others. Raises what concerns everybody."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def look(kuerzel: str) -> Finding | None:
            async with limit:
                return None if self.over is not None else await self._look(kuerzel)

        for finding in await asyncio.gather(*map(look, self.settings.calendars)):
            if finding is not None:
                yield finding
        match self.over:
            case user, AuthFailed() as error:
                yield await _refusal(self.google, user, error)
                return
            case _, error:
                raise error
        if self.well:
            names = ", ".join(sorted(user.kuerzel for user in self.well))
            count = f"{len(self.well)} of {len(self.settings.calendars)}"
            yield fine(AREA, f"{count} calendars can be read and written: {names}.")

    async def _look(self, kuerzel: str) -> Finding | None:
        one = self.settings.calendars[kuerzel]
        user = CalendarUser(kuerzel, one.user)
        try:
            found = await self.google.calendar(user, one.calendar).access()
        except ScopeLimited as error:
            return odd(AREA, f"{kuerzel}: {error}", "wait, for hours if it is the calendar's usage limits.")
        except Permanent as error:
            return bad(AREA, f"{kuerzel}: {error}", REMEDIES.get(error.reason, _SHARING))
        except SyncError as error:
            self.over = user, error
            return None
        if found.role not in WRITER_ROLES:
            return bad(
                AREA,
                f"{kuerzel}: the calendar can be seen, but not written (our role is {found.role or 'none'}).",
                _SHARING,
            )
        self.well.append(user)
        return None

    async def look_at_setup(self) -> AsyncIterator[Finding]:
        """Whether `setup-calendar` would do, for the first employee who is well: nothing else needs it."""
        if not self.well:
            return
        try:
            await self.google.check(self.well[0], Scope.SETUP)
        except (AuthFailed, ScopeRefused):
            yield fine(
                AREA,
                "The scope calendar.app.created is not delegated: setup-calendar needs it, and nothing else does.",
            )
        else:
            yield fine(AREA, "setup-calendar may make calendars.")
