"""What a call was, what came back, and what an answer that is no success means in our vocabulary."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    SyncError,
    Transient,
    Unexpected,
)

LONGEST_RETRY_AFTER = 4 * 3600.0
"""Seconds. Ten days in a header must silence neither a document nor, by an outage's pause, a whole system."""


@dataclass(frozen=True, slots=True)
class Call:
    """Which call it was, in words that may stand in a log line: `subject` holds entity types and ids, no names."""

    system: str
    operation: str
    subject: str = ""
    creates: bool = False
    """The call makes something new each time, so that an unclear outcome must be looked for, never repeated."""

    def __str__(self) -> str:
        return f"{self.operation} {self.subject}" if self.subject else self.operation

    def nonsense(self, what: str, status: int | None = None) -> Transient:
        """The error for an answer that makes no sense: Unexpected, or OutcomeUnknown where it created something."""
        error = OutcomeUnknown if self.creates else Unexpected
        return error(f"{self.system} answered {self} with {what}.", system=self.system, status=status)


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: `data` is the parsed JSON, None where the body was empty."""

    call: Call
    status: int
    headers: Mapping[str, str]
    data: Any

    def nonsense(self, what: str) -> Transient:
        """The error for a success that lacks what it must hold."""
        return self.call.nonsense(what, self.status)

    def mapping(self) -> dict[str, Any]:
        """The body, which must be an object."""
        if not isinstance(self.data, dict):
            raise self.nonsense("something that is not a JSON object")
        return self.data

    def text(self, key: str) -> str:
        """A text of the body's object that must be there and not empty."""
        value = self.mapping().get(key)
        if not isinstance(value, str) or not value:
            raise self.nonsense(f"no {key}")
        return value

    def rows(self, key: str) -> list[dict[str, Any]]:
        """A list of objects in the body's object."""
        rows = self.mapping().get(key)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self.nonsense(f"no list of {key}")
        return rows

    def server_time(self) -> float | None:
        """The `Date` header as UTC epoch seconds: the clock by which the server stamps its records."""
        return _http_date(self.headers.get("date", ""))


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no success, as the systems' own rules see it; `body` is cut at 64 KiB."""

    call: Call
    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float
    """UTC epoch seconds."""

    @property
    def text(self) -> str:
        """The body as text, to look for known phrases in; never to be repeated in a message."""
        return self.body.decode(errors="replace")

    def data(self) -> Any:
        """The body's JSON, None if it has none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def retry_after(self) -> float | None:
        """Seconds that the system asks us to wait, None where it does not say so in a way that makes sense."""
        now = _http_date(self.headers.get("date", ""))
        return retry_after_seconds(self.headers.get("retry-after"), self.received_at if now is None else now)

    def permanent(self, what: str, reason: str) -> Permanent:
        """`{system} {what}`, with the call and the status."""
        return Permanent(self.sentence(what), system=self.call.system, status=self.status, reason=reason)

    def later(
        self, what: str, kind: type[Transient] = Transient, *, retry_after: float | None = None
    ) -> Transient:
        """As `permanent`, for what may succeed later; the system's own Retry-After wins over ours (seconds)."""
        return kind(
            self.sentence(what),
            system=self.call.system,
            status=self.status,
            retry_after=self.retry_after or retry_after,
        )

    def auth_failed(self, what: str) -> AuthFailed:
        """As `permanent`, for a key or a right."""
        return AuthFailed(self.sentence(what), system=self.call.system, status=self.status)

    def not_found(self) -> NotFound:
        """There is no such record."""
        return NotFound(self.sentence("knows no such record"), system=self.call.system, status=self.status)

    def sentence(self, what: str) -> str:
        """The message's usual form: who, what, at which call, with which status."""
        return f"{self.call.system} {what} ({self.call}, {self.status})."


Judge = Callable[[Refusal], SyncError | None]
"""A system's own rules for an answer that is no success; None leaves it to `usual_error`."""


def usual_error(refusal: Refusal) -> SyncError:
    """What a status means where the system has no rule of its own for it."""
    call, status = refusal.call, refusal.status
    if status == 429:
        return refusal.later("asks us to slow down", RateLimited)
    if status == 408 or status >= 500:
        # A create that was answered 5xx may have been carried out all the same (`facts/espocrm.md` 0.12).
        return refusal.later("has trouble of its own", OutcomeUnknown if call.creates else Transient)
    if status == 401:
        return refusal.auth_failed("does not accept our key")
    if status == 404:
        return refusal.not_found()
    if status == 409:
        return Conflict(refusal.sentence("says it has changed meanwhile"), system=call.system, status=status)
    if 400 <= status < 500:
        return refusal.permanent(*_REFUSED.get(status, ("refused this", "refused")))
    return call.nonsense(f"the status {status}", status)


_REFUSED = {
    403: ("does not let us do this", "forbidden"),
    413: ("finds this too large", "too_large"),
    414: ("finds the address too long", "too_long"),
}


def retry_after_seconds(text: str | None, now: float) -> float | None:
    """The Retry-After header as seconds from `now` (UTC epoch), at most `LONGEST_RETRY_AFTER`.

    Takes seconds (also with a fraction) and an HTTP date; what lies in the past or is neither is None.
    """
    if not text or len(text) > 64:
        return None
    try:
        seconds = float(text)
    except ValueError:
        at = _http_date(text)
        if at is None:
            return None
        seconds = at - now
    return min(seconds, LONGEST_RETRY_AFTER) if math.isfinite(seconds) and seconds > 0 else None


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def epoch_seconds(text: str | None) -> float | None:
    """An RFC 3339 or EspoCRM time (`YYYY-MM-DD HH:MM:SS`, UTC) as epoch seconds, None if it is neither."""
    try:
        moment = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
