"""What EspoCRM means by a status: it is said in `X-Status-Reason`, seldom in the body (`facts/espocrm.md` 1).

The reason itself is never repeated: a formula of the firm's may put a name into it.
"""

from __future__ import annotations

import re

from bitbylaw_pipeline.clients.answer import Refusal
from bitbylaw_pipeline.domain.document import is_record_id
from bitbylaw_pipeline.domain.errors import Conflict, Permanent, SyncError, Unexpected

IP_BLOCK_SECONDS = 60.0
"""Ten wrong logins within a minute lock our whole address out for a minute, good keys included."""

_VALIDATION = re.compile(r"Field validation failure; entityType: (\w+), field: (\w+), type: (\w+)\.")
_SEARCH = re.compile(r"(?:attribute|type|field) '(\w{1,100})'|search params JSON|order value")
_NO_ACCESS = re.compile(r"No '?(\w+)'? access\.")
_RECORD_GONE = re.compile(r"(?:Record \S* ?(?:does not exist|not found)\.)?")


class FieldRefused(Permanent):
    """EspoCRM does not take the value of one field; `field` and `rule` are EspoCRM's words, the value is not kept."""

    def __init__(self, message: str, *, system: str, status: int, field: str, rule: str) -> None:
        super().__init__(message, system=system, status=status, reason="invalid")
        self.field = field
        self.rule = rule


class Duplicate(Permanent):
    """EspoCRM's duplicate check found records like this one; `ids` are theirs, as far as the answer names them."""

    def __init__(self, message: str, *, system: str, status: int, ids: tuple[str, ...]) -> None:
        super().__init__(message, system=system, status=status, reason="duplicate")
        self.ids = ids


def judge(refusal: Refusal) -> SyncError | None:
    """EspoCRM's rules; None leaves it to the usual meaning of the status."""
    reason = refusal.headers.get("x-status-reason")
    match refusal.status:
        case 400:
            return _bad_request(refusal, reason or "")
        case 403:
            return _forbidden(refusal, reason)
        case 404:
            return _missing(refusal, reason)
        case 409:
            return _conflict(refusal, reason)
        case 503 if reason and "maintenance mode" in reason:
            return refusal.later(
                "is in maintenance mode"
            )  # nothing was carried out, also where it was a create
    return None


def _bad_request(refusal: Refusal, reason: str) -> SyncError:
    if found := _VALIDATION.match(reason):
        entity_type, field, rule = found.groups()
        return FieldRefused(
            refusal.sentence(f"does not take the value of {entity_type}.{field} (rule: {rule})"),
            system=refusal.call.system,
            status=refusal.status,
            field=field,
            rule=rule,
        )
    if found := _SEARCH.search(reason):
        about = f" (about {found[1]})" if found[1] else ""
        return refusal.permanent(f"does not understand the search{about}", "bad_search")
    return refusal.permanent("refused this", "invalid")


def _forbidden(refusal: Refusal, reason: str | None) -> SyncError:
    if reason is None and not refusal.body:
        return refusal.later("has locked our address out after wrong logins", retry_after=IP_BLOCK_SECONDS)
    if reason is None:
        return refusal.auth_failed("did not answer itself: a proxy before it refuses us")
    if found := _NO_ACCESS.match(reason):
        return refusal.permanent(f"gives our user no right to {found[1]} this", "no_access")
    if reason.startswith("Can't relate"):
        return refusal.permanent("knows no such record to link", "related_missing")
    if reason.startswith("Max size"):
        return refusal.permanent("allows no pages of this size", "page_too_large")
    return refusal.permanent("does not let us do this", "forbidden")


def _missing(refusal: Refusal, reason: str | None) -> SyncError:
    if reason is None:
        # A proxy's or a wrong address's 404. Taken for a missing record it would unlink everything we know.
        return Unexpected(
            refusal.sentence("did not answer itself; check ESPOCRM_API_BASE_URL if this lasts"),
            system=refusal.call.system,
            status=refusal.status,
        )
    if _RECORD_GONE.fullmatch(reason):
        return refusal.not_found()
    if reason.startswith("Controller "):
        return refusal.permanent("has no such entity type: check the names in the settings", "no_entity_type")
    if reason.startswith("Link "):
        return refusal.permanent("has no such link: check the names in the settings", "no_link")
    return refusal.permanent("has nothing of this kind", "no_route")


def _conflict(refusal: Refusal, reason: str | None) -> SyncError:
    data = refusal.data()
    if reason == "duplicate":
        found = [item.get("id") for item in data if isinstance(item, dict)] if isinstance(data, list) else []
        return Duplicate(
            refusal.sentence(f"already has {len(found) or 'some'} such record(s)"),
            system=refusal.call.system,
            status=refusal.status,
            ids=tuple(one for one in found if isinstance(one, str) and is_record_id(one)),
        )
    if reason == "modified":
        body = data if isinstance(data, dict) else {}
        values = body.get("values")
        return Conflict(
            refusal.sentence("has a newer version of this record"),
            system=refusal.call.system,
            status=refusal.status,
            current={
                **(values if isinstance(values, dict) else {}),
                "versionNumber": body.get("versionNumber"),
            },
        )
    return refusal.permanent("could not store this", "invalid")
