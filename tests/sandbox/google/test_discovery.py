"""The stand-in against Google's own description of the API, as shipped in google-api-python-client."""

from __future__ import annotations

import importlib.resources
import json
from datetime import date, datetime
from functools import cache
from typing import Any

import pytest

from bitbylaw_pipeline.sandbox.google.event_fields import FIELDS, READ_ONLY, TIMES
from bitbylaw_pipeline.sandbox.google.operations import LEFT_OUT, OPERATIONS, STANDARD_PARAMETERS
from tests.sandbox.google.conftest import CALENDAR, EVENTS, MW, PM, Office, timed


@cache
def discovery() -> dict[str, Any]:
    """Google's discovery document of Calendar v3."""
    documents = importlib.resources.files("googleapiclient.discovery_cache") / "documents"
    loaded: dict[str, Any] = json.loads((documents / "calendar.v3.json").read_text(encoding="utf-8"))
    return loaded


def methods() -> dict[str, dict[str, Any]]:
    """Every method by `resource.name`."""
    return {
        f"{resource}.{name}": method
        for resource, found in discovery()["resources"].items()
        for name, method in found["methods"].items()
    }


def problems(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    """What in a JSON value does not fit a schema of the document: unknown fields, wrong types."""
    if "$ref" in schema:
        return problems(value, discovery()["schemas"][schema["$ref"]], where)
    kind = schema.get("type")
    if kind == "object":
        if not isinstance(value, dict):
            return [f"{where}: no object"]
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        found: list[str] = []
        for name, item in value.items():
            below = known.get(name, others)
            found += problems(item, below, f"{where}.{name}") if below else [f"{where}.{name}: unknown"]
        return found
    if kind == "array":
        if not isinstance(value, list):
            return [f"{where}: no list"]
        return [one for item in value for one in problems(item, schema["items"], where)]
    types = {"string": str, "boolean": bool, "integer": int}
    if not isinstance(value, types[str(kind)]) or (kind == "integer" and isinstance(value, bool)):
        return [f"{where}: {value!r} is no {kind}"]
    return _format_problems(value, schema, where)


def _format_problems(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    readers: dict[str, Any] = {"date": date.fromisoformat, "date-time": datetime.fromisoformat, "int64": int}
    read = readers.get(schema.get("format", ""))
    try:
        read(value) if read else None
    except ValueError:
        return [f"{where}: {value!r} is no {schema['format']}"]
    return []


def assert_fits(value: Any, schema: str) -> None:
    """Fail unless the value is one of that schema, its `kind` included."""
    assert problems(value, {"$ref": schema}, schema) == []
    assert value["kind"] == discovery()["schemas"][schema]["properties"]["kind"]["default"]


def test_every_method_is_had_or_left_out_on_purpose() -> None:
    """The explicit list of what is left out and what is had make up the whole API."""
    assert set(OPERATIONS) | LEFT_OUT == set(methods())
    assert not set(OPERATIONS) & LEFT_OUT


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_method_is_as_google_describes_it(name: str) -> None:
    """HTTP method, path, query parameters (all of them, no others) and scopes."""
    ours, theirs = OPERATIONS[name], methods()[name]
    query = {key for key, item in theirs.get("parameters", {}).items() if item["location"] == "query"}
    assert (ours.method, ours.path) == (theirs["httpMethod"], theirs["path"])
    assert ours.parameters == query
    assert ours.scopes == set(theirs["scopes"])


def test_the_standard_parameters_and_the_base_are_googles() -> None:
    """Those that every method takes, and the path that all begin with."""
    assert set(discovery()["parameters"]) == STANDARD_PARAMETERS
    assert discovery()["basePath"] == "/calendar/v3/"


def test_every_field_of_an_event_is_known() -> None:
    """What may be written, what is read only, and the times make up Google's event."""
    properties = set(discovery()["schemas"]["Event"]["properties"])
    assert {*FIELDS, *READ_ONLY, *TIMES} - properties == set()
    assert properties - {*FIELDS, *READ_ONLY, *TIMES} == set()


def test_answered_events_fit_the_schema(office: Office) -> None:
    """Plain, rich, all-day, recurring, occurrence, exception, invitation, tombstone; as lists and alone."""
    rich = timed(
        id="rich000",
        description="Text",
        location="Berlin",
        attendees=[{"email": MW, "optional": True}],
        extendedProperties={"private": {"k": "v"}, "shared": {"s": "t"}},
        source={"url": "https://kanzlei.example", "title": "Akte"},
        visibility="private",
        transparency="transparent",
        colorId="4",
    )
    for body in (
        rich,
        timed(id="series0", recurrence=["RRULE:FREQ=DAILY;COUNT=3"]),
        {"id": "alldag0", "start": {"date": "2026-03-20"}, "end": {"date": "2026-03-21"}},
    ):
        assert_fits(office.insert(**body), "Event")
    office.edit(
        "move_instance", "series0", original_start="2026-03-21T09:00:00+01:00", set={"summary": "anders"}
    )
    office.edit("cancel_instance", "series0", original_start="2026-03-22T09:00:00+01:00")
    office.edit("invite", organizer="mandant@fremd.example", set=timed())
    office.call("DELETE", f"{EVENTS}/alldag0")
    for query in ({"showDeleted": "true"}, {"singleEvents": "true"}, {"maxResults": "1"}):
        listed = office.listing(**query)
        assert listed["items"]
        assert_fits(listed, "Events")
    assert_fits(office.json("GET", f"{EVENTS}/series0/instances", params={"showDeleted": "true"}), "Events")
    assert_fits(office.event("series0_20260320T080000Z"), "Event")
    for role in ("reader", "freeBusyReader", "writerWithoutPrivateAccess"):
        office.edit("set_role", user=PM, role=role)
        assert_fits(office.listing(), "Events")


def test_other_answers_fit_their_schemas(office: Office) -> None:
    """Calendars, the list of them, rules, channels."""
    made = office.json(
        "POST", "calendars", json={"summary": "Neu", "description": "Text", "timeZone": "Europe/Berlin"}
    )
    assert_fits(made, "Calendar")
    assert_fits(office.json("GET", "calendars/primary"), "Calendar")
    assert_fits(office.json("GET", "users/me/calendarList"), "CalendarList")
    assert_fits(office.json("GET", f"users/me/calendarList/{PM}"), "CalendarListEntry")
    rule = {"role": "reader", "scope": {"type": "user", "value": MW}}
    assert_fits(office.json("POST", f"calendars/{CALENDAR}/acl", json=rule), "AclRule")
    assert_fits(office.json("GET", f"calendars/{CALENDAR}/acl"), "Acl")
    assert_fits(office.json("GET", f"calendars/{CALENDAR}/acl/user:{MW}"), "AclRule")
    body = {"id": "c-1", "type": "web_hook", "address": "https://kanzlei.example/push", "token": "t"}
    channel = office.json("POST", f"{EVENTS}/watch", json=body)
    assert problems(channel, {"$ref": "Channel"}, "Channel") == []
