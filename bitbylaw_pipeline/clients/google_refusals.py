"""What the token endpoint means by a refusal: the whole key, or one employee (`facts/two_way_sync.md` 2, Auth)."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from bitbylaw_pipeline.clients.answer import Judge, Refusal
from bitbylaw_pipeline.clients.google_connection import SYSTEM, Scope
from bitbylaw_pipeline.clients.google_errors import limited, refused_scope
from bitbylaw_pipeline.domain.errors import AuthFailed, SyncError

CLOCK_SECONDS = 240.0
"""A clock that is wrong by more explains a refusal; Google tolerates some minutes."""
# What Google is known to say; the texts are looked through and never repeated.
_CLOCK = re.compile(
    r"short-lived|reasonable timeframe|\biat\b|\bexp\b|too early|in the future", re.IGNORECASE
)
_SIGNATURE = re.compile(r"jwt signature|invalid signature", re.IGNORECASE)
_JWT = re.compile(r"\binvalid (?:jwt|assertion)\b", re.IGNORECASE)
_USER = re.compile(
    r"email or user id|suspended|disabled|not a valid email|account has been deleted", re.IGNORECASE
)
_CODE = re.compile(r"[a-z_]{1,60}")


class DelegationMissing(AuthFailed):
    """401 unauthorized_client: no domain-wide delegation, or not for this scope, or not for this user's domain."""


class GrantRefused(AuthFailed):
    """400 invalid_grant for a reason that is not said: the employee, or the service account as a whole."""


def token_judge(client_id: str) -> Judge:
    """The token endpoint's rules; `client_id` is the number by which the admin console knows our service account."""

    def judge(refusal: Refusal) -> SyncError | None:
        if refusal.status >= 500 or refusal.status == 408:
            return None
        if refusal.status == 429:
            return limited(refusal, "asks us to slow down")
        code, text = _said(refusal)
        match code:
            case "":
                return refusal.call.nonsense(
                    "a page that is not Google's; check GOOGLE_TOKEN_URL if this lasts", refusal.status
                )
            case "unauthorized_client":
                sentence = refusal.sentence(
                    f"does not let our service account act for this user: {_advice(client_id)}"
                )
                return DelegationMissing(sentence, system=SYSTEM, status=refusal.status)
            case "invalid_grant":
                return _grant(refusal, text)
            case "rate_limit_exceeded":
                return limited(refusal, "asks us to slow down")
            case _:
                return refusal.auth_failed(
                    f"gives our service account no token ({code}): check GOOGLE_SERVICE_ACCOUNT_FILE, and that the"
                    " service account is enabled"
                )

    return judge


def _advice(client_id: str) -> str:
    who = client_id or "of the service account (client_id in its key file)"
    return (
        "in the Google admin console (Security, API controls, domain-wide delegation) allow the client ID"
        f" {who} the scopes {Scope.EVENTS.value},{Scope.SETUP.value} and check that the user is of your domain"
    )


def _grant(refusal: Refusal, text: str) -> SyncError:
    skew = _skew(refusal)
    if _USER.search(text):
        return refused_scope(
            refusal,
            "knows no such user, or has suspended them: check this Kürzel's user in the calendar setting",
            "user_unknown",
        )
    if _SIGNATURE.search(text):
        return refusal.auth_failed(
            "does not accept our key: it was deleted or belongs to another account; create a new one for"
            " GOOGLE_SERVICE_ACCOUNT_FILE"
        )
    if _CLOCK.search(text) or (skew is not None and abs(skew) > CLOCK_SECONDS):
        # The answer's own time may say that there is none worth telling: Google has looked at what we signed.
        by = (
            ""
            if skew is None or abs(skew) < CLOCK_SECONDS
            else f", which differs from Google's by {abs(skew):.0f} s"
        )
        return refusal.auth_failed(f"finds our time wrong: set this machine's clock{by}")
    if _JWT.search(text):
        return refusal.auth_failed(
            "does not understand our request for a token: check GOOGLE_SERVICE_ACCOUNT_FILE and GOOGLE_TOKEN_URL"
        )
    sentence = refusal.sentence(
        "gives no token for this user: check the user in the calendar setting, the service account, and this"
        " machine's clock"
    )
    return GrantRefused(sentence, system=SYSTEM, status=refusal.status)


def _skew(refusal: Refusal) -> float | None:
    """Seconds by which our clock is ahead of Google's, None if the answer does not tell."""
    try:
        moment = parsedate_to_datetime(refusal.headers.get("date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return refusal.received_at - (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _said(refusal: Refusal) -> tuple[str, str]:
    """The error's code ("" if this is none of Google's answers) and its text, which is looked through and not repeated."""
    data = refusal.data()
    code = data.get("error") if isinstance(data, dict) else None
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return "", ""
    return code, str(data.get("error_description", ""))
