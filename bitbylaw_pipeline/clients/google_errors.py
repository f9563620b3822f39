"""What the Calendar API means by an answer that is no success (`facts/two_way_sync.md` 2, Errors).

Google's texts may quote an address and are never repeated; its reasons are fixed words.

A refusal that concerns one employee alone must hold up nobody else. Two classes say so:

- `domain.errors.ScopeRefused(Permanent)`: this employee's account or calendar is refused. The queue parks that key, and the next
  schedule tries it again; nothing is paused. `reason` says which: "user_unknown", "access_withdrawn", "token_refused",
  "calendar_missing", "calendar_forbidden".
- `domain.errors.ScopeLimited(RateLimited)`: Google asks us to slow down for this employee. `system` is "google:{Kürzel}", so that
  a pause which is kept by the system's name is theirs alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from bitbylaw_pipeline.clients.answer import Refusal
from bitbylaw_pipeline.clients.google_connection import SYSTEM
from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    Conflict,
    NotFound,
    Permanent,
    RateLimited,
    ScopeLimited,
    ScopeRefused,
    SyncError,
    Transient,
    Unexpected,
)

EVENT_OPERATIONS: Final = frozenset({"get_event", "patch_event", "delete_event"})
"""Calls that name an event. A 404 to any other call is about the calendar."""
SETUP_OPERATIONS: Final = frozenset({"get_calendar", "calendar_list_entry"})
"""Calls with the scope that is good for our own calendars alone: for any other one Google finds it too narrow."""
LIMIT_REASONS: Final = frozenset({"userRateLimitExceeded", "rateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
QUOTA_SECONDS: Final = 4 * 3600.0
"""After "Calendar usage limits exceeded", which lasts for hours and grows with each try: the queue's longest delay."""
_NOT_ENABLED = frozenset(
    {"accessNotConfigured", "SERVICE_DISABLED", "CONSUMER_INVALID", "USER_PROJECT_DENIED"}
)
_CALENDAR_CLOSED = frozenset({"forbidden", "requiredAccessLevel", "notACalendarUser"})
_WORD = re.compile(r"[A-Za-z_]{1,60}")


class SyncTokenExpired(SyncError):
    """410: the token's changes are no longer known, everything has to be listed anew. No sign of any deletion."""


class AlreadyExists(SyncError):
    """409: an event with this id is there, or was and has been deleted: an id is used once."""


class Deleted(NotFound):
    """410: the event has been deleted."""


class EventForbidden(Permanent):
    """403 about one event, or about the whole calendar: which of them, only a look at the calendar tells."""


class TokenRejected(AuthFailed):
    """401: the access token is not accepted; it may just have run out."""


@dataclass(frozen=True, slots=True)
class Said:
    """What Google's error body says in fixed words: every `reason` there is, and the parameters at fault."""

    reasons: frozenset[str]
    locations: frozenset[str]

    @property
    def words(self) -> str:
        """The reasons for a message."""
        return ", ".join(sorted(self.reasons)) or "no reason given"


def judge(refusal: Refusal) -> SyncError | None:
    """The API's rules; None leaves it to the usual meaning of the status."""
    status = refusal.status
    if status == 401:
        return TokenRejected(refusal.sentence("does not accept our token"), system=SYSTEM, status=status)
    if status == 429:
        return limited(refusal, "asks us to slow down for this employee")
    said = _said(refusal)
    if said is None and (300 <= status < 400 or (400 <= status < 500 and status != 408)):
        # A proxy's page, or a wrong address. Taken for a missing record it would look like a deletion.
        return refusal.call.nonsense(
            "a page that is not Google's; check GOOGLE_API_BASE_URL if this lasts", status
        )
    return _meaning(refusal, said) if said is not None else None


def limited(refusal: Refusal, what: str, *, retry_after: float | None = None) -> ScopeLimited:
    """Too many calls for one employee; Google's own Retry-After wins over `retry_after` (seconds)."""
    kuerzel = refusal.call.subject.partition("/")[0]
    return ScopeLimited(
        refusal.sentence(what),
        system=f"{SYSTEM}:{kuerzel}" if kuerzel else SYSTEM,
        status=refusal.status,
        retry_after=refusal.retry_after or retry_after,
    )


def refused_scope(refusal: Refusal, what: str, reason: str) -> ScopeRefused:
    """One employee's own trouble."""
    return ScopeRefused(refusal.sentence(what), system=SYSTEM, status=refusal.status, reason=reason)


def _meaning(refusal: Refusal, said: Said) -> SyncError | None:
    match refusal.status:
        case 400:
            return _invalid(refusal, said)
        case 403:
            return _forbidden(refusal, said)
        case 404 | 410:
            return _missing(refusal, said)
        case 409:
            return _exists(refusal, said)
        case 412:
            return Conflict(refusal.sentence("says it has changed meanwhile"), system=SYSTEM, status=412)
        case _:
            return None


def _missing(refusal: Refusal, said: Said) -> SyncError | None:
    is_event = refusal.call.operation in EVENT_OPERATIONS
    if refusal.status == 404:
        return refusal.not_found() if is_event else refused_scope(refusal, _CALENDAR_GONE, "calendar_missing")
    if not is_event:
        return SyncTokenExpired(refusal.sentence("wants a full list"), system=SYSTEM, status=410)
    if "deleted" in said.reasons:
        return Deleted(refusal.sentence("says that it has been deleted"), system=SYSTEM, status=410)
    return refusal.call.nonsense("a 410 that does not say what is gone", 410)


_CALENDAR_GONE = (
    "does not show us this employee's calendar: it was deleted, its id in the calendar setting is wrong, or our"
    " access to it was withdrawn"
)


def _invalid(refusal: Refusal, said: Said) -> SyncError:
    if "syncToken" in said.locations:  # 410 in practice, yet not by any promise
        return SyncTokenExpired(refusal.sentence("wants a full list"), system=SYSTEM, status=400)
    if "pageToken" in said.locations:
        return Unexpected(refusal.sentence("lost its own place in the list"), system=SYSTEM, status=400)
    return refusal.permanent(f"finds this request invalid: {said.words}", "refused")


def _forbidden(refusal: Refusal, said: Said) -> SyncError:
    return _used_up(refusal, said.reasons) or _shut_out(refusal, said) or _not_for_us(refusal, said)


def _used_up(refusal: Refusal, reasons: frozenset[str]) -> SyncError | None:
    if reasons & LIMIT_REASONS:
        return limited(refusal, "asks us to slow down for this employee")
    if "quotaExceeded" in reasons:
        what = "says that this calendar's usage limits are exceeded"
        return limited(refusal, what, retry_after=QUOTA_SECONDS)
    if "dailyLimitExceeded" in reasons:
        return refusal.later(
            "says that our project's daily quota is used up", RateLimited, retry_after=3600.0
        )
    return None


def _shut_out(refusal: Refusal, said: Said) -> SyncError | None:
    """Where every call of this kind would be refused: all of ours, or all of this employee's."""
    if said.reasons & _NOT_ENABLED:
        return refusal.auth_failed(
            "has not enabled the Google Calendar API for our project: enable it in the Google Cloud console"
        )
    if refusal.call.operation in SETUP_OPERATIONS and "insufficientPermissions" in said.reasons:
        return refused_scope(refusal, "says that this calendar was not made by us", "calendar_forbidden")
    if _lacks_scope(refusal, said.reasons):
        return refusal.auth_failed(
            "says that our token lacks a scope: check the scopes of the domain-wide delegation"
        )
    if said.reasons & _CALENDAR_CLOSED and refusal.call.operation not in EVENT_OPERATIONS:
        what = (
            f"does not let us work on this employee's calendar ({said.words}): they must own it, or be allowed to"
            " make changes to its events"
        )
        return refused_scope(refusal, what, "calendar_forbidden")
    return None


def _not_for_us(refusal: Refusal, said: Said) -> SyncError:
    if "forbiddenForNonOrganizer" in said.reasons:
        return refusal.permanent("lets only the organiser change this", "forbidden_for_non_organizer")
    if "insufficientPermissions" in said.reasons:
        return refusal.permanent("says that we lack the right for this", "insufficient_permissions")
    what = f"does not let us do this: {said.words}"
    if refusal.call.operation in EVENT_OPERATIONS:
        return EventForbidden(
            refusal.sentence(what), system=SYSTEM, status=refusal.status, reason="forbidden"
        )
    return refused_scope(refusal, what, "calendar_forbidden")


def _lacks_scope(refusal: Refusal, reasons: frozenset[str]) -> bool:
    # Both "no right here" and "no scope for that" say insufficientPermissions.
    return (
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT" in reasons
        or "insufficient_scope" in refusal.headers.get("www-authenticate", "")
        or "insufficient authentication scopes" in refusal.text.lower()
    )


def _exists(refusal: Refusal, said: Said) -> SyncError | None:
    if "duplicate" in said.reasons:
        return AlreadyExists(refusal.sentence("has this id already"), system=SYSTEM, status=409)
    if "conflict" in said.reasons:
        return refusal.later("was busy with the same record", Transient)
    return None


def _said(refusal: Refusal) -> Said | None:
    """The error body's fixed words; None if it is not one of Google's."""
    data = refusal.data()
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        return None
    rows = [row for name in ("errors", "details") for row in _rows(error.get(name))]
    return Said(_words(rows, "reason"), _words(rows, "location"))


def _rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _words(rows: list[dict[str, Any]], name: str) -> frozenset[str]:
    values = (row.get(name) for row in rows)
    return frozenset(value for value in values if isinstance(value, str) and _WORD.fullmatch(value))
