"""The one vocabulary for what can go wrong at an outside system.

Clients raise these and nothing else; the queue decides by the class what becomes of the work:

- `Transient`: try again later. `RateLimited` says when (`ScopeLimited`: for one employee). `OutcomeUnknown`: the write may have landed.
- `Permanent`: trying again cannot help until somebody changes something; the work is parked. `ScopeRefused`: so is
  all the rest of the same employee's.
- `NotFound`, `Conflict`: answers that a flow handles itself.
- `AuthFailed`: our key is refused; the whole system pauses, nothing hammers.

A message carries ids, counts and statuses: never a name, a file name, a body or a key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any


class SyncError(Exception):
    """Something at an outside system did not go as planned.

    `system` names the system ("espocrm", "xai-files", "xai-management"), `status` is the HTTP status if there
    was an answer.
    """

    def __init__(self, message: str, *, system: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.system = system
        self.status = status


class Transient(SyncError):
    """The same call may well succeed later; `retry_after` is the system's own wish in seconds, if it has one."""

    def __init__(
        self, message: str, *, system: str = "", status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, system=system, status=status)
        self.retry_after = retry_after


class Unreachable(Transient):
    """No connection, or none that lasted until the answer: a sign that the whole system may be down."""


class RateLimited(Transient):
    """429: the system asks us to slow down."""


class ScopeLimited(RateLimited):
    """The limit of one employee's calendar is used up: nobody else need wait. The call was not carried out."""


class OutcomeUnknown(Transient):
    """A write was sent and no answer came: it may have landed. Only its journal knows how to go on."""


class Unexpected(Transient):
    """An answer that makes no sense (HTML instead of JSON, half a body, a wrong size)."""


class Permanent(SyncError):
    """Trying again cannot help until somebody changes something; `reason` is the short code for lists."""

    def __init__(
        self, message: str, *, system: str = "", status: int | None = None, reason: str = "refused"
    ) -> None:
        super().__init__(message, system=system, status=status)
        self.reason = reason


class ScopeRefused(Permanent):
    """One employee's account or calendar is refused: everything in it, and nobody else, is concerned."""


class NotFound(SyncError):
    """There is no such record, or we may not see it."""


class Conflict(SyncError):
    """Somebody else changed the record since we read it; `current` holds its values of the fields we sent."""

    def __init__(
        self,
        message: str,
        *,
        system: str = "",
        status: int | None = None,
        current: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, system=system, status=status)
        self.current = dict(current or {})


class AuthFailed(SyncError):
    """Our key is refused or lacks a right: a person has to act, and until then nothing may hammer."""


@contextlib.contextmanager
def reading_back(what: str) -> Iterator[None]:
    """Around the read after a write that was carried out: whatever goes wrong in it is OutcomeUnknown.

    A refusal of the read was taken for one of the write, and a record that was there already was made a second time.
    `what` names the record by its id.
    """
    try:
        yield
    except OutcomeUnknown:
        raise
    except SyncError as error:
        raise OutcomeUnknown(
            f"{what} was written and could not be read again ({type(error).__name__}: {error})",
            system=error.system,
            status=error.status,
        ) from None
