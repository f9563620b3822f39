"""Google's errors as JSON (`facts/two_way_sync.md` 2, table of errors), by the names of their reasons."""

from __future__ import annotations

from typing import Any

_QUOTA_403 = "Rate Limit Exceeded"
# name: status, domain, reason, message, locationType, location
KNOWN: dict[str, tuple[int, str, str, str, str, str]] = {
    "timeRangeEmpty": (400, "calendar", "timeRangeEmpty", "The specified time range is empty.", "", ""),
    "invalid": (400, "global", "invalid", "Invalid Value", "", ""),
    "required": (400, "global", "required", "Required", "", ""),
    "parseError": (400, "global", "parseError", "Parse Error", "", ""),
    "authError": (401, "global", "authError", "Invalid Credentials", "header", "Authorization"),
    "userRateLimitExceeded": (403, "usageLimits", "userRateLimitExceeded", "User Rate Limit Exceeded", "", ""),
    "rateLimitExceeded": (403, "usageLimits", "rateLimitExceeded", _QUOTA_403, "", ""),
    "quotaExceeded": (403, "usageLimits", "quotaExceeded", "Calendar usage limits exceeded.", "", ""),
    "accessNotConfigured": (
        403, "usageLimits", "accessNotConfigured",
        "Google Calendar API has not been used in project 184000000000 before or it is disabled.", "", "",
    ),
    "notACalendarUser": (
        403, "calendar", "notACalendarUser", "The user must be signed up for Google Calendar.", "", "",
    ),
    "forbiddenForNonOrganizer": (
        403, "calendar", "forbiddenForNonOrganizer",
        "Shared properties can only be changed by the organizer of the event.", "", "",
    ),
    "forbiddenForServiceAccounts": (
        403, "calendar", "forbiddenForServiceAccounts",
        "Service accounts cannot invite attendees without Domain-Wide Delegation of Authority.", "", "",
    ),
    "requiredAccessLevel": (
        403, "calendar", "requiredAccessLevel", "You need to have writer access to this calendar.", "", "",
    ),
    "forbidden": (403, "global", "forbidden", "Forbidden", "", ""),
    "insufficientPermissions": (
        403, "global", "insufficientPermissions",
        "Insufficient Permission: Request had insufficient authentication scopes.", "", "",
    ),
    "notFound": (404, "global", "notFound", "Not Found", "", ""),
    "duplicate": (409, "global", "duplicate", "The requested identifier already exists.", "", ""),
    "conflict": (409, "global", "conflict", "Conflict", "", ""),
    "fullSyncRequired": (
        410, "calendar", "fullSyncRequired",
        "Sync token is no longer valid, a full sync is required.", "parameter", "syncToken",
    ),
    "updatedMinTooLongAgo": (
        410, "calendar", "updatedMinTooLongAgo",
        "The requested minimum modification time lies too far in the past.", "parameter", "updatedMin",
    ),
    "deleted": (410, "global", "deleted", "Resource has been deleted", "", ""),
    "conditionNotMet": (412, "global", "conditionNotMet", "Precondition Failed", "header", "If-Match"),
    "tooManyRequests": (429, "usageLimits", "rateLimitExceeded", _QUOTA_403, "", ""),
    "backendError": (503, "global", "backendError", "Backend Error", "", ""),
    "internalError": (500, "global", "internalError", "Internal Error", "", ""),
    "notImplemented": (501, "global", "notImplemented", "The stand-in does not do this.", "", ""),
}  # fmt: skip


class ApiError(Exception):
    """An error answer: HTTP status and payload."""

    def __init__(self, status: int, payload: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.payload = payload


def api_error(name: str, message: str = "", *, parameter: str = "") -> ApiError:
    """One of `KNOWN`, with another message or with the query parameter that is to blame. Raises KeyError."""
    status, domain, reason, default, location_type, location = KNOWN[name]
    error = {"domain": domain, "reason": reason, "message": message or default}
    if parameter:
        location_type, location = "parameter", parameter
    if location:
        error |= {"locationType": location_type, "location": location}
    body = {"code": status, "message": message or default, "errors": [error]}
    return ApiError(status, {"error": body})


def invalid(message: str, *, parameter: str = "") -> ApiError:
    """400 invalid."""
    return api_error("invalid", message, parameter=parameter)


def required(message: str) -> ApiError:
    """400 required: something is missing."""
    return api_error("required", message)
