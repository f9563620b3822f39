"""What a caller of the proxy is told when Advoware gives no answer that could be passed on."""

from __future__ import annotations

import math

from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    SyncError,
    Transient,
    Unexpected,
    Unreachable,
)
from webhook_sensor_app.refusal import Refusal

OFFLINE_RETRY_SECONDS = 70.0
"""What Advoware's vendor tells the callers of its own client (`facts/advoware.md` 2)."""

REFUSED_CREDENTIALS = (
    "Advoware does not accept our credentials: check the ADVOWARE_ settings by `bitbylaw doctor`; too many tries could "
    "lock the account, so the next one is made after 15 minutes."
)
_OFFLINE = (
    "Advoware cannot be reached; its connector in the firm may be off: send the request again after the time in "
    "Retry-After."
)
_UNKNOWN = "Advoware did not answer, and the write may have been carried out: read the record before you send it again."


def told(error: Exception, method: str) -> Refusal:
    """The refusal for an error of the client's, or of our own, at a call by this method."""
    is_write = method != "GET"
    match error:
        case Refusal():
            return error
        case AuthFailed():
            return Refusal(502, REFUSED_CREDENTIALS, "credentials_refused")
        case OutcomeUnknown() | TimeoutError() if is_write:
            return Refusal(504, _UNKNOWN, "outcome_unknown")
        case TimeoutError():
            return Refusal(504, "Advoware did not answer in time: send the request again.", "slow_answer")
        case Unexpected():
            return Refusal(502, "Advoware's answer made no sense: send the request again later.", "nonsense")
        case Transient():
            is_unknown = is_write and not never_sent(error, method)
            return _offline(error.retry_after, _UNKNOWN if is_unknown else _OFFLINE)
        case Permanent() | SyncError():
            return Refusal(502, "Advoware cannot be asked like this: see the receiver's log.", "refused")
        case _:
            return Refusal(500, "The proxy failed: see the receiver's log.", "unexpected")


def never_sent(error: Exception, method: str) -> bool:
    """True if the write certainly was not carried out."""
    if isinstance(error, AuthFailed | Permanent | Refusal | RateLimited):
        return True
    # The client tells a call that was sent and lost (OutcomeUnknown) from one that was not (Unreachable) for POST
    # alone. A time to wait comes from Advoware's own text that its connector is off.
    return isinstance(error, Unreachable) and (method == "POST" or error.retry_after is not None)


def _offline(retry_after: float | None, sentence: str) -> Refusal:
    seconds = max(1, math.ceil(OFFLINE_RETRY_SECONDS if retry_after is None else retry_after))
    return Refusal(503, sentence, "offline", headers={"retry-after": str(seconds)})
