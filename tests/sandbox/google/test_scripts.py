"""What a test can make happen to a chosen call, and what the stand-in keeps of every call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.sandbox.google import create_app
from bitbylaw_pipeline.sandbox.google.operations import LEFT_OUT
from bitbylaw_pipeline.sandbox.google.scripts import KINDS
from bitbylaw_pipeline.sandbox.google.switches import SWITCH_NAMES
from tests.sandbox.google.conftest import CALENDAR, EVENTS, MW, PM, SEED, Office, timed

ID = "termin00abc"


def test_an_error_before_a_write_does_nothing(office: Office) -> None:
    """The first call passes, the next two fail, then it is over; other operations and users never see it."""
    office.script(
        "error", operation="events.insert", error="userRateLimitExceeded", user=PM, after=1, times=2
    )
    answers = [office.call("POST", EVENTS, json=timed(id=f"event{n}")).status_code for n in range(4)]
    assert answers == [200, 403, 403, 200]
    assert office.ids() == ["event0", "event3"]


def test_an_error_after_a_write_has_written(office: Office) -> None:
    """503, and the event is there: the retry with the same id is 409."""
    office.script("error_after", operation="events.insert")
    assert office.refused("POST", EVENTS, json=timed(id=ID)) == (503, "backendError")
    assert office.refused("POST", EVENTS, json=timed(id=ID)) == (409, "duplicate")
    assert office.ids() == [ID]


def test_a_timeout_comes_before_or_after_the_write(office: Office) -> None:
    """The shared faults do this on the paths of the API, calendar ids as they read."""
    for kind, stored in (("hang", []), ("timeout_after_commit", [ID])):
        rule = {
            "kind": kind,
            "method": "POST",
            "path": f"/calendar/v3/calendars/{CALENDAR}/events",
            "times": 1,
        }
        office.control("faults", {**rule, "seconds": 0})
        with pytest.raises(ConnectionResetError):
            office.call("POST", EVENTS, json=timed(id=ID))
        assert office.ids() == stored


def test_a_user_gets_in_between(office: Office) -> None:
    """The edit happens just before the call: its If-Match no longer fits, and the user's change stands."""
    etag = office.insert(**timed(id=ID))["etag"]
    edit = {"do": "move", "set": timed(begin="14:00", end="15:00")}
    office.script("concurrent_edit", operation="events.patch", edit=edit)
    path = f"{EVENTS}/{ID}"
    assert office.refused("PATCH", path, json={"summary": "x"}, headers={"If-Match": etag}) == (
        412,
        "conditionNotMet",
    )
    assert office.event(ID)["start"]["dateTime"] == "2026-03-20T14:00:00+01:00"
    assert office.json("PATCH", path, json={"summary": "x"})["summary"] == "x"


def test_a_listing_may_miss_an_event_for_a_while(office: Office) -> None:
    """It is missing in full listings and deltas, and no sync token from then skips it."""
    office.insert(**timed(id="event0"))
    token = office.listing()["nextSyncToken"]
    office.insert(**timed(id=ID))
    office.script("missing_in_list", event=ID, times=2)
    first = office.listing(syncToken=token)
    assert first["items"] == []
    full = office.listing()
    assert [item["id"] for item in full["items"]] == ["event0"]
    assert office.event(ID)["status"] == "confirmed"
    assert office.ids(syncToken=first["nextSyncToken"]) == [ID]
    assert office.ids(syncToken=full["nextSyncToken"]) == [ID]


def test_a_listing_may_still_have_a_deleted_event(office: Office) -> None:
    """As it was before, although a get knows better; the tombstone comes with a later delta."""
    office.insert(**timed(id=ID))
    token = office.listing()["nextSyncToken"]
    office.call("DELETE", f"{EVENTS}/{ID}")
    office.script("deleted_still_listed", times=2)
    full = office.listing()
    assert [(item["id"], item["status"]) for item in full["items"]] == [(ID, "confirmed")]
    delta = office.listing(syncToken=token)
    assert [item["status"] for item in delta["items"]] == ["confirmed"]
    assert office.event(ID)["status"] == "cancelled"
    for later in (full, delta):
        assert [item["status"] for item in office.listing(syncToken=later["nextSyncToken"])["items"]] == [
            "cancelled"
        ]


def test_a_listing_may_be_empty_or_end_badly(office: Office) -> None:
    """200 without items; an error instead of the last page, after good ones."""
    for number in range(3):
        office.insert(**timed(id=f"event{number}"))
    office.script("empty_list")
    assert office.listing()["items"] == []
    office.script("last_page_fails", error="internalError")
    first = office.listing(maxResults=2)
    again = {"maxResults": 2, "pageToken": first["nextPageToken"]}
    assert office.refused("GET", EVENTS, params=again) == (500, "internalError")
    assert len(office.listing(**again)["items"]) == 1


def test_a_sync_token_may_end_several_times(office: Office) -> None:
    """410 for the next so many deltas, of one calendar alone; full listings pass."""
    token = office.listing()["nextSyncToken"]
    office.script("sync_token_gone", calendar=CALENDAR, times=2)
    for _ in range(2):
        assert office.refused("GET", EVENTS, params={"syncToken": token}) == (410, "fullSyncRequired")
        assert office.listing()["items"] == []
    assert office.listing(syncToken=token)["items"] == []


def test_scripts_are_listed_and_removed(office: Office) -> None:
    """With how often they were applied."""
    office.script("error", error="backendError", times=5)
    office.refused("GET", EVENTS)
    (script,) = office.send("GET", "/sandbox/scripts").json()
    assert (script["kind"], script["applied"]) == ("error", 1)
    assert office.send("DELETE", "/sandbox/scripts").json() == {"removed": 1}
    assert office.call("GET", EVENTS).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("scripts", {"kind": "other"}),
        ("scripts", {"kind": "error", "error": "noSuchError"}),
        ("scripts", {"kind": "concurrent_edit"}),
        ("scripts", {"kind": "error", "times": "zwei"}),
        ("scripts", {"kind": "error", "more": 1}),
        ("switches", {"delegation": "perhaps"}),
        ("switches", {"no_such_switch": 1}),
        ("switches", {"page_cap": True}),
        ("seed", {"events": [{"calendar": "none"}]}),
        ("seed", {"events": [{"calendar": CALENDAR, "start": {"date": "2026-03-20"}}]}),
        ("seed", {"users": [{"mail": PM}]}),
        ("seed", {"users": [{"address": PM}]}),
        ("seed", {"calendars": [{"owner": "nobody@kanzlei.example"}]}),
        ("seed", {"tables": []}),
        ("seed", []),
        ("edits", {"do": "something"}),
        ("edits", {"do": "edit", "calendar": "none"}),
        ("edits", {"do": "edit", "calendar": CALENDAR, "event": "none"}),
        ("edits", {"do": "undelete", "calendar": CALENDAR, "event": "none"}),
        ("edits", {"do": "set_role", "calendar": CALENDAR, "role": "king"}),
        ("edits", {"do": "revoke_access", "calendar": CALENDAR, "status": 500}),
        ("edits", {"do": "set_user", "user": PM, "state": "away"}),
        ("edits", {"do": "move_instance", "calendar": CALENDAR, "event": "none"}),
    ],
)
def test_a_wrong_control_request_is_refused(office: Office, path: str, body: Any) -> None:
    """400 with one sentence; there is no such route: 404."""
    answer = office.send("POST", f"/sandbox/{path}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert office.send("POST", "/sandbox/nothing").status_code == 404


def test_every_request_is_kept_with_its_body(office: Office) -> None:
    """Method, path, query, body, operation, user and calendar; also of a call that a fault kept from the app."""
    office.insert(**timed(id=ID))
    office.control("faults", {"kind": "status", "status": 503, "method": "DELETE", "path": "/calendar/.*"})
    office.call("DELETE", f"{EVENTS}/{ID}", params={"sendUpdates": "none"})
    kept = office.send("GET", "/sandbox/requests").json()
    assert [(entry["method"], entry["operation"]) for entry in kept["entries"]] == [
        ("POST", ""), ("POST", "events.insert"), ("DELETE", ""),
    ]  # fmt: skip
    insert, delete = kept["entries"][1:]
    assert (insert["body"], insert["user"], insert["calendar"]) == (timed(id=ID), PM, CALENDAR)
    assert (insert["status"], delete["query"], delete["path"].endswith(ID)) == (200, "sendUpdates=none", True)
    chosen = office.send("GET", f"/sandbox/requests?operation=events.insert&user={PM}&since=1").json()[
        "entries"
    ]
    assert chosen == [insert]


def test_calls_are_counted_by_operation_and_user(office: Office) -> None:
    """And by route, in the ledger that all stand-ins have."""
    office.listing()
    office.insert()
    office.json("GET", "calendars/primary", user=MW)
    assert office.send("GET", "/sandbox/operations").json() == {
        "operations": {"calendars.get": 1, "events.insert": 1, "events.list": 1},
        "users": {PM: {"events.insert": 1, "events.list": 1}, MW: {"calendars.get": 1}},
    }
    counts = office.send("GET", "/sandbox/counts").json()
    assert counts["GET /calendar/v3/calendars/{calendarId}/events"] == 1
    assert counts["POST /token"] == 2


def test_reset_goes_back_to_the_beginning(office: Office) -> None:
    """Nothing is left, and the switches are those given at creation."""
    office.sandbox = create_app({"page_cap": 3})
    office.sandbox.seed(SEED)
    office.tokens.clear()
    office.insert()
    office.script("empty_list")
    office.switch(page_cap=1, token_calls=1)
    office.control("reset", None)
    assert office.sandbox.state() == create_app().state()
    assert (office.sandbox.switches.page_cap, office.sandbox.switches.token_calls) == (3, 0)
    assert (office.sandbox.journal.total, office.sandbox.ledger.total, office.sandbox.scripts.waiting) == (
        0,
        0,
        [],
    )


def test_the_documentation_names_every_control() -> None:
    """Each switch, script, edit and control route, and each method that is left out."""
    text = (Path(__file__).parents[3] / "docs" / "sandbox-google.md").read_text(encoding="utf-8")
    sandbox = create_app()
    names = [*SWITCH_NAMES, *KINDS, *sandbox.edits.names]
    assert [name for name in names if f"`{name}`" not in text] == []
    assert [name for name in LEFT_OUT if f"`{name}`" not in text] == []


def test_a_path_that_is_none_of_googles(office: Office) -> None:
    """404 for nonsense; 501 for what the stand-in leaves out, so that nobody takes it for Google's answer."""
    assert office.call("GET", "nonsense").status_code == 404
    assert office.send("GET", "/elsewhere").status_code == 404
    for path in (f"{EVENTS}/quickAdd", f"{EVENTS}/import"):
        assert office.refused("POST", path, json={}) == (501, "notImplemented")
