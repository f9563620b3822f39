"""What no request of the pipeline's may ever be or hold: the rules of the secrecy of appointments, as functions."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from urllib.parse import parse_qs

from bitbylaw_pipeline.domain.termin_kind import MASKED
from tests.sync.termine.office import Row
from tests.sync.termine.wire import Call

SCOPE = "https://www.googleapis.com/auth/calendar.events"
WRITABLE = frozenset(
    {"id", "summary", "description", "location", "start", "end", "recurrence", "extendedProperties"}
)
MAPPED = frozenset(
    {
        "text", "notiz", "ort", "anwalt", "datum", "uhrzeitVon", "datumBis", "uhrzeitBis", "vonFold", "bisFold",
        "abwesenheit", "zuletztGeaendertAm",
    }
)  # fmt: skip
"""What a change of ours may move in a stored Termin; everything else in it is somebody else's."""
_EVENTS = re.compile(r"/calendar/v3/calendars/([^/]+)/events(?:/([^/]+))?")
_FRIST = re.compile("^Frist")


def google_breaches(
    calls: Iterable[Call], calendars: Mapping[str, str], names: Collection[str] = ()
) -> list[str]:
    """What is wrong with these requests to Google. `calendars`: the configured ones, with the users they are for."""
    return [
        f"{call.method} {call.path}: {what}"
        for call in calls
        for what in (*_of_google(call, calendars), *(f"says {name}" for name in names if name in call.said))
    ]


def advoware_breaches(calls: Iterable[Call], employees: Collection[str]) -> list[str]:
    """What is wrong with these requests to Advoware."""
    return [
        f"{call.method} {call.path}?{call.query}: {what}"
        for call in calls
        for what in _of_advoware(call, employees)
    ]


def _of_google(call: Call, calendars: Mapping[str, str]) -> Iterator[str]:
    if call.path == "/token":
        if call.method != "POST" or _claims(call).get("scope") != SCOPE:
            yield "asks for another scope than that of events"
        if _claims(call).get("sub") not in calendars.values():
            yield "acts for somebody who is not configured"
        return
    found = _EVENTS.fullmatch(call.path)
    if found is None:
        yield "is no path of events"
        return
    if call.path == "/calendar/v3/calendars/primary/events" and not call.header("authorization"):
        return  # whether Google answers at all: nobody's calendar is seen by it
    if found[1] not in calendars:
        yield "is about a calendar that is not configured"
    if call.method not in ({"GET", "PATCH", "DELETE"} if found[2] else {"GET", "POST"}):
        yield "is a method that is never used"
    if found[2] in ("import", "quickAdd", "watch"):
        yield "is a method that is never used"
    if call.method != "GET":
        yield from _of_a_write(call)


def _of_a_write(call: Call) -> Iterator[str]:
    if [value for name, value in call.asked if name in ("sendUpdates", "sendNotifications")] != ["none"]:
        yield "lets Google send mails"
    if call.method != "POST" and not call.header("if-match"):
        yield "changes whatever is there"
    if call.before is not None and guarded(call.before) and call.after != call.before:
        yield f"changes what is not ours: {guarded(call.before)}"
    body = call.json()
    if foreign := set(body) - WRITABLE:
        yield f"carries {', '.join(sorted(foreign))}"
    properties = body.get("extendedProperties", {})
    if set(properties) - {"private"} or any(
        not name.startswith("bitbylaw_") for name in properties.get("private", {})
    ):
        yield "carries properties that others see"
    if b"@" in call.body:
        yield "carries a mail address"


def guarded(event: Row) -> str:
    """Why an event is never to be written; empty if it may be."""
    if any(not guest.get("self") for guest in event.get("attendees", [])):
        return "guests"
    if event.get("organizer", {}).get("self") is False or "self" not in event.get(
        "organizer", {"self": True}
    ):
        return "a foreign organizer"
    if event.get("eventType", "default") != "default":
        return "another type"
    return event["visibility"] if event.get("visibility") in ("private", "confidential") else ""


def _of_advoware(call: Call, employees: Collection[str]) -> Iterator[str]:
    resource = call.path.rpartition("/")[2]
    if resource not in ("Termine", "TermineActiveSync"):
        if call.is_write or "/relay/" in call.path:
            yield "is about something else than Termine"
        return
    asked = dict(call.asked)
    if call.method == "GET" and set(asked) not in ({"frnr"}, {"from", "to", "kuerzel"}):
        yield "asks for everything"
    if call.method == "GET" and asked.get("kuerzel", next(iter(employees))) not in employees:
        yield "asks for somebody who is not configured"
    if call.method not in ("GET", "POST", "PUT", "DELETE"):
        yield "is a method that is never used"
    if call.method in ("PUT", "DELETE"):
        yield from _of_a_change(call, asked.get("frnr", ""))
    if call.method in ("PUT", "POST"):
        yield from _of_a_body(
            {name[:1].lower() + name[1:]: value for name, value in call.json().items()},
            call.method,
            employees,
        )


def _of_a_change(call: Call, number: str) -> Iterator[str]:
    if not number.isdigit():
        yield "changes what Advoware makes up"
    row = call.before or {}
    owners = [name.strip() for name in str(row.get("anwalt", "")).split(",") if name.strip()]
    if row and (not owners or owners[0].upper() in ("ALLE", "ALLGEMEIN")):
        yield "changes what is everybody's"
    if row.get("privat"):
        yield "changes what is private"
    if row.get("dauertermin"):
        yield "changes a series"
    if _FRIST.search(row.get("text", "")):
        yield "changes a Frist"
    if call.method == "DELETE" and len(owners) > 1:
        yield "deletes what others share"
    if call.before is not None and call.after is not None:
        moved = {name for name, value in call.before.items() if call.after.get(name) != value} - MAPPED
        if moved:
            yield f"moves {', '.join(sorted(moved))}"


def _of_a_body(body: Row, method: str, employees: Collection[str]) -> Iterator[str]:
    if "uhrzeitBisTicks" in body:
        yield "sends back what is derived"
    if body.get("text") == MASKED or body.get("notiz") == MASKED or body.get("ort") == MASKED:
        yield "carries the mask"
    if method == "POST" and (body.get("anwalt") not in employees or body.get("privat")):
        yield "makes a Termin of somebody else, or a private one"
    if not str(body.get("anwalt", "")).strip():
        yield "makes it everybody's"


def _claims(call: Call) -> Row:
    given = parse_qs(call.body.decode()).get("assertion", [".."])[0]
    payload = given.split(".")[1]
    try:
        found: Row = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return found
