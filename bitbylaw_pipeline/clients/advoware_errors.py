"""What Advoware means by an answer that is no success: it is said in the text, the status varies (`facts/advoware.md` 2).

The text itself is never repeated.
"""

from __future__ import annotations

import json
from typing import Any

from bitbylaw_pipeline.clients import advoware_surface as surface
from bitbylaw_pipeline.clients.advoware_surface import Trouble
from bitbylaw_pipeline.clients.answer import Answer, Call, Refusal
from bitbylaw_pipeline.domain.errors import AuthFailed, SyncError, Unexpected, Unreachable


class TokenRefused(AuthFailed):
    """401 without a reason that we know: the token may just have run out."""


class LoginRefused(AuthFailed):
    """The token service refuses us; `trouble` says why. Trying again would count as a wrong login."""

    def __init__(self, message: str, *, trouble: Trouble, status: int | None = None) -> None:
        super().__init__(message, system="advoware", status=status)
        self.trouble = trouble


def trouble_in(text: str) -> Trouble | None:
    """What a text of Advoware's means, None if it is not one that we know."""
    seen = text.replace("\\/", "/").lower()
    return next((trouble for part, trouble in surface.TEXTS if part in seen), None)


def message_in(data: Any) -> str:
    """The text of a JSON answer that says something instead of being a record: a string, or a message's members."""
    if isinstance(data, str):
        return data
    if isinstance(data, dict) and surface.ROW_ID not in data:
        return " ".join(
            value
            for key, value in data.items()
            if isinstance(value, str) and key.lower() in surface.MESSAGE_KEYS
        )
    return ""


def trouble_error(trouble: Trouble, call: Call, status: int | None, wait: float | None = None) -> SyncError:
    """The error for a known trouble; `wait` in seconds is what Advoware asks for, at least 70 where it is offline."""
    message = f"advoware {surface.SENTENCES[trouble]} ({call}{'' if status is None else f', {status}'})."
    if trouble is Trouble.OFFLINE:
        seconds = max(surface.OFFLINE_SECONDS, wait or 0.0)
        return Unreachable(message, system="advoware", status=status, retry_after=seconds)
    return LoginRefused(message, trouble=trouble, status=status)


def judge(refusal: Refusal) -> SyncError | None:
    """The API's rules; None leaves it to the usual meaning of the status."""
    trouble = trouble_in(_text(refusal))
    status = refusal.status
    if status == 401 and trouble is not Trouble.OFFLINE:
        return TokenRefused(refusal.sentence("does not accept our token"), system="advoware", status=401)
    if trouble is not None:
        return trouble_error(trouble, refusal.call, status, refusal.retry_after)
    match status:
        case 404:
            return _missing(refusal)
        case 405:
            return refusal.permanent("does not offer this", "not_supported")
        case _ if 300 <= status < 400:
            return Unexpected(
                refusal.sentence(
                    "sends us elsewhere, which is never followed; check the ADVOWARE_* addresses"
                ),
                system="advoware",
                status=status,
            )
    return None


def judge_token(refusal: Refusal) -> SyncError | None:
    """The token service's rules: any refusal of ours is final until a person acts, for each try counts as a login."""
    trouble = trouble_in(_text(refusal))
    if trouble is None and refusal.status in (400, 401, 403, 422):
        trouble = Trouble.REFUSED
    if trouble is not None:
        return trouble_error(trouble, refusal.call, refusal.status, refusal.retry_after)
    if 300 <= refusal.status < 400 or refusal.status == 404:
        return _elsewhere(refusal, "ADVOWARE_SECURITY_URL")
    return None


def judge_configurator(refusal: Refusal) -> SyncError | None:
    """The configurator's rules: whatever it refuses, the lookup has failed."""
    if refusal.status < 500 and refusal.status != 429:
        return _elsewhere(refusal, "ADVOWARE_CONFIGURATOR_URL and ADVOWARE_KANZLEI")
    return None


def parsed(body: bytes, call: Call, status: int) -> Any:
    """A success's JSON, None if it is empty; raises what a known text in its place means."""
    if not body:
        return None
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        trouble = trouble_in(body[:4096].decode(errors="replace"))
        if trouble is not None:
            raise trouble_error(trouble, call, status) from None
        raise call.nonsense("something that is not JSON", status) from None
    trouble = trouble_in(message_in(data))
    if trouble is not None:
        raise trouble_error(trouble, call, status)
    return data


def wrong_rows(answer: Answer) -> SyncError:
    """A read that came back with other rows than were asked for: Advoware ignores a filter that it does not know."""
    return answer.nonsense("rows that were not asked for")


def _missing(refusal: Refusal) -> SyncError:
    text = refusal.text.lower()
    if "<html" in text or "<!doctype" in text or any(part in text for part in surface.NO_ROUTE_TEXTS):
        # A wrong prefix or a proxy's page. Taken for a missing record it would look like a deletion of everything.
        return _elsewhere(refusal, "ADVOWARE_PATH_PREFIX and the addresses")
    return refusal.not_found()


def _elsewhere(refusal: Refusal, settings: str) -> SyncError:
    return Unexpected(
        refusal.sentence(f"has nothing at this address; check {settings} if this lasts"),
        system="advoware",
        status=refusal.status,
    )


def _text(refusal: Refusal) -> str:
    data = refusal.data()
    # JSON may have escaped what is looked for; an answer that is no JSON is looked through as it stands.
    return refusal.text if data is None else f"{message_in(data)} {refusal.text}"
