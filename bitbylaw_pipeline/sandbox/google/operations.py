"""The methods of Calendar v3 that the stand-in has: paths, query parameters and scopes as in Google's discovery document."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from bitbylaw_pipeline.sandbox.google.errors import ApiError, api_error

_AUTH = "https://www.googleapis.com/auth/"
STANDARD_PARAMETERS = frozenset({"alt", "fields", "key", "oauth_token", "prettyPrint", "quotaUser", "userIp"})
_SCOPES = {
    "own": "calendar calendar.app.created calendar.calendars",
    "own_read": "calendar calendar.app.created calendar.calendars calendar.calendars.readonly calendar.readonly",
    "list": "calendar calendar.app.created calendar.calendarlist",
    "list_add": "calendar calendar.calendarlist",
    "list_get": "calendar calendar.app.created calendar.calendarlist calendar.calendarlist.readonly calendar.readonly",
    "list_list": "calendar calendar.calendarlist calendar.calendarlist.readonly calendar.readonly",
    "acl": "calendar calendar.acls",
    "acl_get": "calendar calendar.acls calendar.acls.readonly calendar.readonly",
    "acl_list": "calendar calendar.acls calendar.acls.readonly",
    "events": "calendar calendar.app.created calendar.events calendar.events.owned",
    "move": "calendar calendar.events calendar.events.owned",
    "events_read": (
        "calendar calendar.app.created calendar.events calendar.events.freebusy calendar.events.owned "
        "calendar.events.owned.readonly calendar.events.public.readonly calendar.events.readonly calendar.readonly"
    ),
    "stop": (
        "calendar calendar.acls calendar.acls.readonly calendar.app.created calendar.calendarlist "
        "calendar.calendarlist.readonly calendar.events calendar.events.freebusy calendar.events.owned "
        "calendar.events.owned.readonly calendar.events.public.readonly calendar.events.readonly calendar.readonly "
        "calendar.settings calendar.settings.readonly"
    ),
}
_NOTIFY = "sendNotifications sendUpdates"
_VERSIONS = "conferenceDataVersion eventLabelVersion supportsAttachments"
_LIST = (
    "alwaysIncludeEmail eventTypes iCalUID maxAttendees maxResults orderBy pageToken privateExtendedProperty q "
    "sharedExtendedProperty showDeleted showHiddenInvitations singleEvents syncToken timeMax timeMin timeZone updatedMin"
)
_CALENDAR, _EVENT = "calendars/{calendarId}", "calendars/{calendarId}/events/{eventId}"
_ENTRY, _RULE = "users/me/calendarList/{calendarId}", "calendars/{calendarId}/acl/{ruleId}"
# id, method, path, query parameters, scopes
_TABLE = (
    ("acl.delete", "DELETE", _RULE, "", "acl"),
    ("acl.get", "GET", _RULE, "", "acl_get"),
    ("acl.insert", "POST", "calendars/{calendarId}/acl", "sendNotifications", "acl"),
    ("acl.list", "GET", "calendars/{calendarId}/acl", "maxResults pageToken showDeleted syncToken", "acl_list"),
    ("acl.patch", "PATCH", _RULE, "sendNotifications", "acl"),
    ("acl.update", "PUT", _RULE, "sendNotifications", "acl"),
    ("calendarList.delete", "DELETE", _ENTRY, "", "list"),
    ("calendarList.get", "GET", _ENTRY, "", "list_get"),
    ("calendarList.insert", "POST", "users/me/calendarList", "colorRgbFormat", "list_add"),
    (
        "calendarList.list", "GET", "users/me/calendarList",
        "maxResults minAccessRole pageToken showDeleted showHidden showOwnOrganizationOnly syncToken", "list_list",
    ),
    ("calendars.delete", "DELETE", _CALENDAR, "", "own"),
    ("calendars.get", "GET", _CALENDAR, "", "own_read"),
    ("calendars.insert", "POST", "calendars", "", "own"),
    ("calendars.patch", "PATCH", _CALENDAR, "", "own"),
    ("calendars.update", "PUT", _CALENDAR, "", "own"),
    ("channels.stop", "POST", "channels/stop", "", "stop"),
    ("events.delete", "DELETE", _EVENT, _NOTIFY, "events"),
    ("events.get", "GET", _EVENT, "alwaysIncludeEmail maxAttendees timeZone", "events_read"),
    ("events.insert", "POST", "calendars/{calendarId}/events", f"maxAttendees {_VERSIONS} {_NOTIFY}", "events"),
    (
        "events.instances", "GET", f"{_EVENT}/instances",
        "alwaysIncludeEmail maxAttendees maxResults originalStart pageToken showDeleted timeMax timeMin timeZone",
        "events_read",
    ),
    ("events.list", "GET", "calendars/{calendarId}/events", _LIST, "events_read"),
    ("events.move", "POST", f"{_EVENT}/move", f"destination {_NOTIFY}", "move"),
    ("events.patch", "PATCH", _EVENT, f"alwaysIncludeEmail maxAttendees {_VERSIONS} {_NOTIFY}", "events"),
    ("events.update", "PUT", _EVENT, f"alwaysIncludeEmail maxAttendees {_VERSIONS} {_NOTIFY}", "events"),
    ("events.watch", "POST", "calendars/{calendarId}/events/watch", _LIST, "events_read"),
)  # fmt: skip

LEFT_OUT = frozenset(
    {
        "acl.watch", "calendarList.patch", "calendarList.update", "calendarList.watch", "calendars.clear",
        "calendars.transferOwnership", "colors.get", "events.import", "events.quickAdd", "freebusy.query",
        "settings.get", "settings.list", "settings.watch",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of the API. `path` is relative to `/calendar/v3/`; `is_write`: it changes events."""

    id: str
    method: str
    path: str
    parameters: frozenset[str]
    scopes: frozenset[str]
    is_write: bool


def _scopes(key: str) -> frozenset[str]:
    return frozenset(_AUTH + name for name in _SCOPES[key].split())


OPERATIONS = {
    name: Operation(
        name, method, path, frozenset(parameters.split()), _scopes(scopes), scopes in ("events", "move")
    )
    for name, method, path, parameters, scopes in _TABLE
}
_BY_SHAPE = {
    (
        operation.method,
        "/".join("{}" if part[0] == "{" else part for part in operation.path.split("/")),
    ): operation
    for operation in OPERATIONS.values()
}
_SHAPES = {shape for _, shape in _BY_SHAPE}
# Where a name stands and no id, although an id could stand there.
_NAMES = frozenset({"watch", "import", "quickAdd"})


def operation_of(method: str, raw_path: str) -> tuple[Operation, dict[str, str]]:
    """The operation of a path below `/calendar/v3/` (still percent-encoded) and the ids in it. Raises ApiError."""
    parts = [unquote(part) for part in raw_path.split("/")]
    shape = "/".join(_place(index, part, parts, method) for index, part in enumerate(parts))
    operation = _BY_SHAPE.get((method, shape))
    if operation is None:
        raise api_error("notImplemented") if shape in _SHAPES or parts[-1] in _NAMES else _no_such_page()
    names = operation.path.split("/")
    return operation, {name[1:-1]: part for name, part in zip(names, parts, strict=True) if name[0] == "{"}


def _place(index: int, part: str, parts: list[str], method: str) -> str:
    if parts[0] == "calendars":
        is_id = index == 1 or (index == 3 and not (method == "POST" and len(parts) == 4 and part in _NAMES))
    else:
        is_id = parts[0] == "users" and index == 3
    return "{}" if is_id else part


def _no_such_page() -> ApiError:
    return ApiError(404, {"error": {"code": 404, "message": "Not Found", "errors": []}})
