"""What users do in Google itself, guests and mails, and push messages."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.sandbox.google.conftest import CALENDAR, EVENTS, MW, PM, Office, timed

ID = "termin00abc"
STRANGER = "mandant@fremd.example"


def test_users_edit_delete_and_undelete(office: Office) -> None:
    """Each is a change that a delta reports; what was deleted comes back as it was, under its id."""
    office.insert(**timed(id=ID, description="Text"))
    token = office.listing()["nextSyncToken"]
    office.edit("edit", ID, set={"summary": "neu"})
    office.edit("delete", ID)
    assert [item["status"] for item in office.listing(syncToken=token)["items"]] == ["cancelled"]
    office.edit("undelete", ID)
    (row,) = office.listing(syncToken=token)["items"]
    assert (row["status"], row["summary"], row["description"]) == ("confirmed", "neu", "Text")
    made = office.edit("create", set=timed())
    assert office.event(made["id"])["creator"]["email"] == PM
    assert office.edit("make_private", ID)["visibility"] == "private"


@pytest.mark.parametrize("copies", [True, False])
def test_a_duplicate_may_carry_private_properties(office: Office, copies: bool) -> None:
    """Both answers: the marker of the original on the copy, or not; the original stays as it is."""
    office.switch(duplicate_copies_private=copies)
    before = office.insert(**timed(id=ID, extendedProperties={"private": {"k": "v"}, "shared": {"s": "t"}}))
    copy = office.edit("duplicate", ID, set=timed(day="2026-03-21"))
    assert copy["id"] != ID
    assert ("private" in copy["extendedProperties"], copy["extendedProperties"]["shared"]) == (
        copies,
        {"s": "t"},
    )
    assert office.event(ID) == before


def test_an_invitation_is_its_organizers(office: Office) -> None:
    """organizer.self is missing; what is shared cannot be changed, what is the guest's own can."""
    invited = office.edit("invite", organizer=STRANGER, set=timed())
    assert "self" not in invited["organizer"]
    path = f"{EVENTS}/{invited['id']}"
    assert office.refused("PATCH", path, json={"summary": "x"}) == (403, "forbiddenForNonOrganizer")
    assert office.refused("PUT", path, json=timed(begin="08:00")) == (403, "forbiddenForNonOrganizer")
    assert office.refused("POST", f"{path}/move", params={"destination": PM}) == (
        403,
        "forbiddenForNonOrganizer",
    )
    own = {"colorId": "4", "extendedProperties": {"private": {"k": "v"}}}
    assert office.json("PATCH", path, json=own)["colorId"] == "4"
    office.sandbox.store.calendars[CALENDAR].events[invited["id"]].data["guestsCanModify"] = True
    assert office.json("PATCH", path, json={"summary": "x"})["summary"] == "x"


def mails(office: Office) -> list[tuple[str, str]]:
    """Kind and receiver of every mail."""
    return [(mail["kind"], mail["to"]) for mail in office.sandbox.state()["mails"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"sendUpdates": "none"}, []),
        ({"sendNotifications": "false"}, []),
        ({"sendUpdates": "all"}, [STRANGER, MW]),
        ({"sendNotifications": "true"}, [STRANGER, MW]),
        ({"sendUpdates": "externalOnly"}, [STRANGER]),
        ({}, [STRANGER, MW]),
    ],
)
def test_guests_get_mails_unless_asked_not_to(
    office: Office, query: dict[str, str], expected: list[str]
) -> None:
    """Invitation, update and cancellation; also where nothing was said, since Google may send some then."""
    guests: dict[str, Any] = {"attendees": [{"email": MW}, {"email": STRANGER}]}
    office.json("POST", EVENTS, json=timed(id=ID, **guests), params=query)
    office.json("PATCH", f"{EVENTS}/{ID}", json={"summary": "neu"}, params=query)
    office.json("PATCH", f"{EVENTS}/{ID}", json={"colorId": "4"}, params=query)
    office.call("DELETE", f"{EVENTS}/{ID}", params=query)
    kinds = ("invitation", "update", "cancellation")
    assert mails(office) == [(kind, to) for kind in kinds for to in expected]


def test_without_guests_there_is_no_mail(office: Office) -> None:
    """Nothing said about sendUpdates, nobody invited: nothing to send. A wrong value is refused."""
    office.insert(**timed(id=ID))
    office.json("PATCH", f"{EVENTS}/{ID}", json={"summary": "neu"})
    assert office.refused("DELETE", f"{EVENTS}/{ID}", params={"sendUpdates": "nobody"}) == (400, "invalid")
    assert office.event(ID)["status"] == "confirmed"
    office.call("DELETE", f"{EVENTS}/{ID}")
    assert mails(office) == []


def test_users_own_invitations_are_not_ours(office: Office) -> None:
    """Guests that a user adds get their mail from the user; our change of that event is one of ours."""
    office.insert(**timed(id=ID))
    office.edit("add_guests", ID, guests=[STRANGER])
    assert mails(office) == []
    office.json("PATCH", f"{EVENTS}/{ID}", json={"location": "Saal 5"})
    assert mails(office) == [("update", STRANGER)]
    invited = office.edit("invite", organizer=STRANGER, set=timed())
    office.call("DELETE", f"{EVENTS}/{invited['id']}")
    assert mails(office)[1:] == [("response", STRANGER)]


def test_users_move_events_and_delete_calendars(office: Office) -> None:
    """The event is cancelled here and there under the same id; a deleted calendar is 404."""
    office.insert(**timed(id=ID))
    office.edit("move_to_calendar", ID, destination=PM)
    assert (office.event(ID)["status"], office.event(ID, PM)["status"]) == ("cancelled", "confirmed")
    office.edit("delete_calendar")
    assert office.refused("GET", EVENTS) == (404, "notFound")
    assert office.refused("GET", f"{EVENTS}/{ID}") == (404, "notFound")


def watch(office: Office, **more: Any) -> Any:
    """Open a channel."""
    body = {
        "id": "channel-1",
        "type": "web_hook",
        "address": "https://kanzlei.example/push",
        "token": "t",
        **more,
    }
    return office.json("POST", f"{EVENTS}/watch", json=body)


def messages(office: Office) -> list[tuple[str, str]]:
    """State and number of the messages that wait."""
    waiting = office.control("push", {})["messages"]
    return [
        (one["headers"]["X-Goog-Resource-State"], one["headers"]["X-Goog-Message-Number"]) for one in waiting
    ]


def test_a_channel_tells_of_changes(office: Office) -> None:
    """sync first, then exists with ascending numbers; nothing after the stop, or once it has expired."""
    channel = watch(office)
    assert int(channel["expiration"]) == (1_773_000_000 + 604_800) * 1000 + 250
    assert messages(office) == [("sync", "1")]
    office.insert(**timed(id=ID))
    office.edit("delete", ID)
    office.listing()
    assert messages(office) == [("exists", "4"), ("exists", "7")]
    stop = {"id": channel["id"], "resourceId": "other"}
    assert office.refused("POST", "channels/stop", json=stop) == (404, "notFound")
    assert (
        office.call("POST", "channels/stop", json={**stop, "resourceId": channel["resourceId"]}).status_code
        == 204
    )
    office.edit("undelete", ID)
    watch(office, params={"ttl": "60"})
    messages(office)
    office.sandbox.clock.advance(61)
    office.edit("delete", ID)
    assert messages(office) == []


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("lost", []),
        ("duplicated", [("exists", "4"), ("exists", "4"), ("exists", "7"), ("exists", "7")]),
        ("reordered", [("exists", "7"), ("exists", "4")]),
    ],
)
def test_push_is_not_reliable(office: Office, mode: str, expected: list[tuple[str, str]]) -> None:
    """Messages are lost, come twice or in another order."""
    watch(office)
    messages(office)
    office.switch(push=mode)
    office.insert(**timed(id=ID))
    office.edit("delete", ID)
    assert messages(office) == expected


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"id": ""}, "required"),
        ({"id": "x" * 65}, "invalid"),
        ({"token": "x" * 257}, "invalid"),
        ({"type": "mail"}, "invalid"),
        ({"address": "http://kanzlei.example/push"}, "push.webhookUrlNotHttps"),
        ({"params": {"ttl": "ewig"}}, "invalid"),
    ],
)
def test_a_wrong_channel_is_refused(office: Office, more: dict[str, Any], reason: str) -> None:
    """400; so is an id that is in use."""
    body = {"id": "channel-1", "type": "web_hook", "address": "https://kanzlei.example/push", **more}
    assert office.refused("POST", f"{EVENTS}/watch", json=body) == (400, reason)
    watch(office)
    again = {"id": "channel-1", "type": "web_hook", "address": "https://kanzlei.example/push"}
    assert office.refused("POST", f"{EVENTS}/watch", json=again) == (400, "channelIdNotUnique")


@contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A small web server that keeps the headers of what it is sent."""
    seen: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(dict(self.headers))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is http.server's
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/push", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_messages_are_sent_when_asked_for(office: Office) -> None:
    """To their own address or another one; an address that does not answer is reported."""
    watch(office)
    office.insert()
    with receiver() as (address, seen):
        done = office.control("push", {"deliver": address})["delivered"]
        assert [one["status"] for one in done] == [200, 200]
        assert [headers["X-Goog-Resource-State"] for headers in seen] == ["sync", "exists"]
        assert seen[1]["X-Goog-Channel-Token"] == "t"
        office.switch(push_allows_http=True)
        watch(office, id="channel-2", address=address)
        assert office.control("push", {"deliver": True})["delivered"][0]["status"] == 200
    office.insert()
    assert {one["status"] for one in office.control("push", {"deliver": address})["delivered"]} == {None}
    assert office.send("GET", "/sandbox/push").json()["messages"] == []
