"""The fields of an event that a caller may write: types, limits, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bitbylaw_pipeline.sandbox.google.calendar_data import Row
from bitbylaw_pipeline.sandbox.google.errors import invalid, required
from bitbylaw_pipeline.sandbox.google.switches import Switches

# Sent back by callers that read before they write; Google takes no notice of them.
READ_ONLY = frozenset(
    {
        "kind", "etag", "created", "updated", "creator", "organizer", "htmlLink", "hangoutLink", "locked",
        "recurringEventId", "originalStartTime", "attendeesOmitted", "endTimeUnspecified", "privateCopy",
        "eventType", "iCalUID", "id", "gadget",
    }
)  # fmt: skip
_DEFAULTS = {"transparency": "opaque", "visibility": "default"}
_CHOICES = {
    "status": ("confirmed", "tentative", "cancelled"),
    "transparency": ("opaque", "transparent"),
    "visibility": ("default", "public", "private", "confidential"),
}
_LONGEST_KEY, _LONGEST_VALUE, _MOST_PROPERTIES, _MOST_BYTES = 44, 1024, 300, 32 * 1024


def _text(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        raise invalid(f"Invalid value for: {name}.")
    return value


def _flag(name: str, value: Any) -> Any:
    if not isinstance(value, bool):
        raise invalid(f"Invalid value for: {name}.")
    return value


def _number(name: str, value: Any) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(f"Invalid value for: {name}.")
    return value


def _object(name: str, value: Any) -> Any:
    if not isinstance(value, dict):
        raise invalid(f"Invalid value for: {name}.")
    return value


def _choice(name: str, value: Any) -> Any:
    if value not in _CHOICES[name]:
        raise invalid(f"Invalid value for: {name}.")
    return value


def _attendees(name: str, value: Any) -> Any:
    if not isinstance(value, list):
        raise invalid(f"Invalid value for: {name}.")
    shown: list[Row] = []
    for guest in value:
        mail = guest.get("email") if isinstance(guest, dict) else None
        if not isinstance(mail, str):
            raise required("Missing attendee email.")
        if mail.count("@") != 1 or mail[0] == "@" or mail[-1] == "@" or " " in mail:
            raise invalid("Invalid attendee email.")
        kept = {key: item for key, item in guest.items() if key not in ("self", "organizer", "id")}
        shown.append({**kept, "responseStatus": guest.get("responseStatus", "needsAction")})
    return shown


def _properties(name: str, value: Any) -> Any:
    shown: Row = {}
    for kind, pairs in _object(name, value).items():
        if kind not in ("private", "shared") or not isinstance(pairs, dict):
            raise invalid("Invalid value for: extendedProperties.")
        for key, item in pairs.items():
            if not isinstance(item, str):
                raise invalid(f"Invalid value for: extendedProperties.{kind}.")
            if not key or len(key) > _LONGEST_KEY or len(item) > _LONGEST_VALUE:
                raise invalid("The extended property is too long.")
        if pairs:
            shown[kind] = dict(pairs)
    every = [pair for pairs in shown.values() for pair in pairs.items()]
    size = sum(len(key.encode()) + len(item.encode()) for key, item in every)
    if len(every) > _MOST_PROPERTIES or size > _MOST_BYTES:
        raise invalid("There are too many extended properties.")
    return shown


def _list(name: str, value: Any) -> Any:
    if not isinstance(value, list):
        raise invalid(f"Invalid value for: {name}.")
    return list(value)


FIELDS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("summary", "description", "location", "colorId", "eventLabelId"), _text),
    **dict.fromkeys(("status", "transparency", "visibility"), _choice),
    **dict.fromkeys(
        ("anyoneCanAddSelf", "guestsCanInviteOthers", "guestsCanModify", "guestsCanSeeOtherGuests"), _flag
    ),
    **dict.fromkeys(("reminders", "source", "conferenceData"), _object),
    **dict.fromkeys(
        ("birthdayProperties", "focusTimeProperties", "outOfOfficeProperties", "workingLocationProperties"),
        _object,
    ),
    "sequence": _number,
    "attendees": _attendees,
    "attachments": _list,
    "extendedProperties": _properties,
}
TIMES = ("start", "end", "recurrence")


def check_names(body: Row, switches: Switches) -> None:
    """Raise ApiError for a field that no event has (switch `strict`)."""
    if switches.strict:
        for name in body:
            if name not in FIELDS and name not in READ_ONLY and name not in TIMES:
                raise invalid(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')


def written_fields(body: Row, switches: Switches) -> Row:
    """The fields of `body` but for the times, as they are stored: null and what equals a default is left out.

    Raises ApiError (invalid, required).
    """
    shown: Row = {}
    for name, check in FIELDS.items():
        value = body.get(name)
        if value is None:
            continue
        value = check(name, value)
        if name == "summary" and switches.trims_summary:
            value = value.strip()
        is_empty = value in ("", [], {})
        if is_empty and (switches.omits_empty or not isinstance(value, str)):
            continue
        if _DEFAULTS.get(name) != value:
            shown[name] = value
    return shown


def merged(present: Row, patch: Row) -> Row:
    """`present` after a patch: objects are merged key by key, null removes, arrays and values are replaced."""
    result = dict(present)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            below = result.get(name)
            result[name] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[name] = value
    return result
