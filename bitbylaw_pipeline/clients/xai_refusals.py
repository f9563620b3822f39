"""What xAI's two hosts mean by a status; much of it stands in the text alone (`facts/xai.md` 6).

The texts are searched for known phrases and never repeated: they may quote a file's name.
"""

from __future__ import annotations

import re

from bitbylaw_pipeline.clients.answer import Refusal
from bitbylaw_pipeline.domain.errors import RateLimited, SyncError, Unexpected

_NO_CREDITS = re.compile(r"credits?\b|spending limit|billing|prepaid", re.IGNORECASE)
_BAD_KEY = re.compile(r"incorrect api key|invalid api key|bad-credentials", re.IGNORECASE)
_UNKNOWN_FIELD = re.compile(r"Unknown field '([A-Za-z0-9_]{1,64})'")
_OUT_OF_CREDITS = "says that the team has no credits left"
_RPC_CODE = re.compile(r"rpc error: code = (\w+)")


def judge(refusal: Refusal) -> SyncError | None:
    """xAI's rules for both hosts; None leaves it to the usual meaning of the status."""
    text, status = refusal.text, refusal.status
    if status in (400, 401, 403) and _BAD_KEY.search(text):
        # The files host answers 400 to a wrong key: taken for a bad file it would park every document.
        return refusal.auth_failed("does not accept our key")
    if status in (402, 403, 429) and _NO_CREDITS.search(text):
        return refusal.auth_failed(_OUT_OF_CREDITS)
    if status == 403:
        return refusal.auth_failed("says that our key lacks a right")
    if status == 404 and not _is_own(refusal):
        return Unexpected(
            refusal.sentence("did not answer itself; check the XAI_*_BASE_URL settings if this lasts"),
            system=refusal.call.system,
            status=status,
        )
    if status in (405, 501):
        return refusal.permanent("does not offer this call (any more)", "no_route")
    if status in (400, 422):
        return _invalid(refusal, text)
    if status == 500 and (code := _RPC_CODE.search(text)):
        return _rpc_error(refusal, code[1], text)
    return None


def _rpc_error(refusal: Refusal, code: str, text: str) -> SyncError | None:
    """The one-shot upload answers 500 whatever it means: taken as trouble it would be tried for hours."""
    match code:
        case "InvalidArgument" | "FailedPrecondition" | "OutOfRange":
            return _invalid(refusal, text)
        case "NotFound":
            return refusal.not_found()
        case "PermissionDenied" | "Unauthenticated":
            return refusal.auth_failed("says that our key lacks a right")
        case "ResourceExhausted" if _NO_CREDITS.search(text):
            return refusal.auth_failed(_OUT_OF_CREDITS)
        case "ResourceExhausted":
            return refusal.later("asks us to slow down", RateLimited)
        case _:
            return None


def _invalid(refusal: Refusal, text: str) -> SyncError:
    if found := _UNKNOWN_FIELD.search(text):
        return refusal.permanent(f"says that the collection defines no field {found[1]}", "unknown_field")
    return refusal.permanent("finds this request invalid", "invalid")


def _is_own(refusal: Refusal) -> bool:
    data = refusal.data()
    return isinstance(data, dict) and ("code" in data or "error" in data)
