"""Insert, get, update, patch, delete and move of events."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.google.conftest import CALENDAR, EVENTS, MW, PM, Office, timed

ID = "termin00abc"


def test_an_inserted_event_has_what_google_adds(office: Office) -> None:
    """Times in the calendar's zone, creator and organizer, version and stamps; defaults are left out."""
    made = office.insert(**timed(id=ID, transparency="opaque", visibility="default", location=""))
    assert made == office.event(ID)
    assert made["start"] == {"dateTime": "2026-03-20T09:00:00+01:00", "timeZone": "Europe/Berlin"}
    assert (made["status"], made["sequence"], made["eventType"]) == ("confirmed", 0, "default")
    assert made["organizer"] == {"email": CALENDAR, "displayName": "Termine PM", "self": True}
    assert made["creator"] == {"email": PM}
    assert made["created"] == made["updated"] == "2026-03-08T20:00:00.250Z"
    assert made["iCalUID"] == f"{ID}@google.com"
    assert not {"transparency", "visibility", "location", "description"} & set(made)


@pytest.mark.parametrize("bad", ["abcd", "ABCDE", "termin-1", "terminw1", "a" * 1025, 5])
def test_an_id_is_of_base32hex(office: Office, bad: Any) -> None:
    """400 invalid with Google's sentence."""
    answer = office.call("POST", EVENTS, json=timed(id=bad))
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Invalid resource id value.")


def test_an_id_stays_taken(office: Office) -> None:
    """409 duplicate while the event lives, after it was deleted, and after its tombstone has disappeared."""
    office.insert(**timed(id=ID))
    assert office.refused("POST", EVENTS, json=timed(id=ID)) == (409, "duplicate")
    office.call("DELETE", f"{EVENTS}/{ID}")
    assert office.refused("POST", EVENTS, json=timed(id=ID)) == (409, "duplicate")
    office.edit("purge_tombstones")
    assert office.refused("GET", f"{EVENTS}/{ID}") == (404, "notFound")
    assert office.refused("POST", EVENTS, json=timed(id=ID)) == (409, "duplicate")
    assert office.insert(calendar=PM, **timed(id=ID))["id"] == ID


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"start": {"date": "2026-03-20"}}, "required"),
        ({"end": {"date": "2026-03-20"}}, "required"),
        ({"start": {"date": "2026-03-20"}, "end": {}}, "required"),
        ({"start": {"date": "2026-03-20"}, "end": {"dateTime": "2026-03-21T09:00:00Z"}}, "invalid"),
        (
            {
                "start": {"date": "2026-03-20", "dateTime": "2026-03-20T09:00:00Z"},
                "end": {"date": "2026-03-21"},
            },
            "invalid",
        ),
        ({"start": {"date": "2026-03-20"}, "end": {"date": "2026-03-20"}}, "timeRangeEmpty"),
        ({"start": {"date": "2026-03-20"}, "end": {"date": "2026-03-19"}}, "timeRangeEmpty"),
        (timed(begin="10:00", end="10:00"), "timeRangeEmpty"),
        (timed(begin="10:00", end="09:00"), "timeRangeEmpty"),
        (
            {"start": {"dateTime": "2026-03-20T09:00:00"}, "end": {"dateTime": "2026-03-20T10:00:00Z"}},
            "required",
        ),
        ({"start": {"dateTime": "20.3.2026"}, "end": {"dateTime": "2026-03-20T10:00:00Z"}}, "invalid"),
        (
            {"start": {"dateTime": "0001-01-01T00:00:00+01:00"}, "end": {"dateTime": "2026-03-20T10:00:00Z"}},
            "invalid",
        ),
        ({"start": {"date": "2026-02-30"}, "end": {"date": "2026-03-21"}}, "invalid"),
        (timed(recurrence=["RRULE:FREQ=OFTEN"]), "invalid"),
        (timed(recurrence=["FREQ=DAILY"]), "invalid"),
        (timed(recurrence=["RRULE:FREQ=DAILY;COUNT=3;UNTIL=20260401"]), "invalid"),
        (
            {
                "start": {"dateTime": "2026-03-20T09:00:00Z"},
                "end": {"dateTime": "2026-03-20T10:00:00Z"},
                "recurrence": ["RRULE:FREQ=DAILY"],
            },
            "required",
        ),
        (timed(start={"dateTime": "2026-03-20T09:00:00", "timeZone": "Europe/Atlantis"}), "invalid"),
        (timed(summary=5), "invalid"),
        (timed(visibility="secret"), "invalid"),
        (timed(attendees=[{"displayName": "ohne Adresse"}]), "required"),
        (timed(attendees=[{"email": "keine Adresse"}]), "invalid"),
        (timed(extendedProperties={"private": {"k": 5}}), "invalid"),
        (timed(extendedProperties={"private": {"k" * 45: "v"}}), "invalid"),
        (timed(extendedProperties={"private": {"k": "v" * 1025}}), "invalid"),
        (timed(extendedProperties={"private": {f"k{n}": "v" for n in range(301)}}), "invalid"),
        (timed(id=ID, iCalUID="other@elsewhere"), "invalid"),
        (timed(eventType="fromGmail"), "invalid"),
        (timed(subject="so heisst kein Feld"), "invalid"),
    ],
)
def test_a_wrong_event_is_refused(office: Office, body: dict[str, Any], reason: str) -> None:
    """400 with the reason; nothing is stored."""
    assert office.refused("POST", EVENTS, json=body) == (400, reason)
    assert office.listing()["items"] == []


def test_a_body_has_to_be_json(office: Office) -> None:
    """400 parseError, and 400 required without one."""
    assert office.refused("POST", EVENTS, content=b"{") == (400, "parseError")
    assert office.refused("POST", EVENTS, content=b"[]") == (400, "parseError")
    assert office.refused("POST", EVENTS) == (400, "required")


@pytest.mark.parametrize(
    ("begin", "end", "shown"),
    [
        ("2026-03-29T02:30:00", "2026-03-29T04:00:00", "2026-03-29T03:30:00+02:00"),
        ("2026-10-25T02:30:00", "2026-10-25T04:00:00", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T04:00:00", "2026-10-25T02:30:00+01:00"),
        ("2026-10-25T00:30:00Z", "2026-10-25T04:00:00", "2026-10-25T02:30:00+02:00"),
        ("2026-03-20T09:00:30.999", "2026-03-20T10:00:00", "2026-03-20T09:00:30+01:00"),
    ],
)
def test_times_on_the_nights_of_the_clocks(office: Office, begin: str, end: str, shown: str) -> None:
    """A time in the gap is an hour later, of autumn's two the first unless an offset says otherwise."""
    zone = "Europe/Berlin"
    body: dict[str, Any] = {
        "start": {"dateTime": begin, "timeZone": zone},
        "end": {"dateTime": end, "timeZone": zone},
    }
    assert office.insert(**body)["start"]["dateTime"] == shown


def test_the_readers_zone_changes_offsets_and_no_day(office: Office) -> None:
    """`timeZone` or a switch: another offset, the same instant; an all-day event stays where it is."""
    office.insert(**timed(id=ID))
    office.insert(id="alldag00", start={"date": "2026-03-20"}, end={"date": "2026-03-21"})
    for items in (
        office.listing(timeZone="Pacific/Honolulu")["items"],
        answered_in(office, "Pacific/Honolulu"),
    ):
        assert items[0]["start"] == {"dateTime": "2026-03-19T22:00:00-10:00", "timeZone": "Europe/Berlin"}
        assert items[1]["start"] == {"date": "2026-03-20"}
    assert answered_in(office, "UTC")[0]["end"]["dateTime"] == "2026-03-20T09:00:00Z"


def answered_in(office: Office, zone: str) -> Any:
    """A listing while the switch `answer_zone` is set."""
    office.switch(answer_zone=zone)
    items = office.listing()["items"]
    office.switch(answer_zone="")
    return items


def test_put_wipes_what_is_not_sent(office: Office) -> None:
    """Description, extended properties and guests are gone; id, creator and created stay, the sequence never falls."""
    more: dict[str, Any] = {
        "description": "Text",
        "extendedProperties": {"private": {"k": "v"}},
        "attendees": [{"email": MW}],
    }
    made = office.insert(**timed(id=ID, **more))
    office.sandbox.clock.advance(60)
    after = office.json("PUT", f"{EVENTS}/{ID}", json=timed(begin="08:00"))
    assert not {"description", "extendedProperties", "attendees"} & set(after)
    assert [after[name] == made[name] for name in ("id", "created", "creator", "etag", "updated")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert after["sequence"] == 1
    assert office.refused("PUT", f"{EVENTS}/{ID}", json=timed(sequence=0)) == (400, "invalid")
    assert office.refused("PUT", f"{EVENTS}/{ID}", json={"summary": "ohne Zeit"}) == (400, "required")


def test_patch_merges(office: Office) -> None:
    """null removes, arrays are replaced, extended properties are merged key by key, the rest stays."""
    guests = [{"email": MW}, {"email": "a@fremd.example"}]
    more: dict[str, Any] = {
        "description": "Text",
        "extendedProperties": {"private": {"a": "1", "b": "2"}},
        "attendees": guests,
    }
    office.insert(**timed(id=ID, **more))
    patch = {
        "description": None,
        "extendedProperties": {"private": {"a": None, "c": "3"}},
        "attendees": [{"email": MW}],
    }
    after = office.json("PATCH", f"{EVENTS}/{ID}", json=patch)
    assert "description" not in after
    assert after["extendedProperties"] == {"private": {"b": "2", "c": "3"}}
    assert [guest["email"] for guest in after["attendees"]] == [MW]
    assert after["summary"] == "Besprechung"


def test_patch_from_timed_to_all_day_needs_nulls(office: Office) -> None:
    """Objects are merged too: a date beside the old dateTime is refused."""
    office.insert(**timed(id=ID))
    days = {"start": {"date": "2026-03-20"}, "end": {"date": "2026-03-21"}}
    assert office.refused("PATCH", f"{EVENTS}/{ID}", json=days) == (400, "invalid")
    nulls = {name: {**day, "dateTime": None, "timeZone": None} for name, day in days.items()}
    assert office.json("PATCH", f"{EVENTS}/{ID}", json=nulls)["start"] == {"date": "2026-03-20"}


def test_a_patch_of_nothing_keeps_or_bumps_the_version(office: Office) -> None:
    """Both answers: unchanged and in no delta, or with a new etag and in the next delta."""
    made = office.insert(**timed(id=ID))
    token = office.listing()["nextSyncToken"]
    same = {"summary": made["summary"], "start": made["start"]}
    assert office.json("PATCH", f"{EVENTS}/{ID}", json=same) == made
    assert office.ids(syncToken=token) == []
    office.switch(no_op_patch="bumps")
    assert office.json("PATCH", f"{EVENTS}/{ID}", json=same)["etag"] != made["etag"]
    assert office.ids(syncToken=token) == [ID]


def test_a_change_of_reminders_leaves_updated_alone(office: Office) -> None:
    """The etag moves, `updated` does not."""
    made = office.insert(**timed(id=ID))
    office.sandbox.clock.advance(60)
    after = office.json("PATCH", f"{EVENTS}/{ID}", json={"reminders": {"useDefault": False}})
    assert after["updated"] == made["updated"]
    assert after["etag"] != made["etag"]


def test_if_match_guards_writes(office: Office) -> None:
    """412 for another version on patch, update, delete and move; the right version and `*` pass."""
    old = office.insert(**timed(id=ID))["etag"]
    new = office.json("PATCH", f"{EVENTS}/{ID}", json={"summary": "neu"}, headers={"If-Match": old})["etag"]
    stale = {"If-Match": old}
    for method, path in (("PATCH", ID), ("PUT", ID), ("DELETE", ID), ("POST", f"{ID}/move?destination={PM}")):
        body: dict[str, Any] = {"json": timed()} if method in ("PATCH", "PUT") else {}
        answer = office.call(method, f"{EVENTS}/{path}", headers=stale, **body)
        error = answer.json()["error"]["errors"][0]
        assert (answer.status_code, error["reason"], error["location"]) == (
            412,
            "conditionNotMet",
            "If-Match",
        )
    assert (
        office.json("PATCH", f"{EVENTS}/{ID}", json={"summary": "x"}, headers={"If-Match": "*"})["etag"]
        != new
    )
    assert office.event(ID)["summary"] == "x"


def test_if_none_match_saves_an_answer(office: Office) -> None:
    """304 without a body for the known version, 200 for another."""
    etag = office.insert(**timed(id=ID))["etag"]
    answer = office.call("GET", f"{EVENTS}/{ID}", headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert office.call("GET", f"{EVENTS}/{ID}", headers={"If-None-Match": '"1"'}).status_code == 200


def test_a_deleted_event_is_a_tombstone(office: Office) -> None:
    """204, then 410; a get still answers 200 with status cancelled, with details or (switch) without."""
    office.insert(**timed(id=ID))
    answer = office.call("DELETE", f"{EVENTS}/{ID}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert office.refused("DELETE", f"{EVENTS}/{ID}") == (410, "deleted")
    assert office.refused("DELETE", f"{EVENTS}/{ID}", headers={"If-Match": '"1"'}) == (410, "deleted")
    assert (office.event(ID)["status"], office.event(ID)["summary"]) == ("cancelled", "Besprechung")
    office.switch(tombstones="bare", deleted_again=412)
    assert set(office.event(ID)) == {"kind", "etag", "id", "status"}
    assert office.refused("DELETE", f"{EVENTS}/{ID}", headers={"If-Match": '"1"'}) == (412, "conditionNotMet")
    assert office.refused("DELETE", f"{EVENTS}/gibtesnicht") == (404, "notFound")


@pytest.mark.parametrize(
    ("mode", "body", "status"),
    [
        ("undelete", {"status": "confirmed"}, "confirmed"),
        ("undelete", {"summary": "neu"}, "cancelled"),
        ("undelete_always", {"summary": "neu"}, "confirmed"),
    ],
)
def test_a_patch_of_a_deleted_event(office: Office, mode: str, body: dict[str, Any], status: str) -> None:
    """With status confirmed it comes back; without, that is a switch."""
    office.switch(patch_cancelled=mode)
    office.insert(**timed(id=ID))
    office.call("DELETE", f"{EVENTS}/{ID}")
    assert office.json("PATCH", f"{EVENTS}/{ID}", json=body)["status"] == status
    assert bool(office.ids()) == (status == "confirmed")


def test_a_patch_of_a_deleted_event_may_be_refused(office: Office) -> None:
    """The other answer: 403, for an update too."""
    office.switch(patch_cancelled="refused")
    office.insert(**timed(id=ID))
    office.call("DELETE", f"{EVENTS}/{ID}")
    assert office.refused("PATCH", f"{EVENTS}/{ID}", json={"status": "confirmed"}) == (403, "forbidden")
    assert office.refused("PUT", f"{EVENTS}/{ID}", json=timed()) == (403, "forbidden")


def test_a_patch_to_cancelled_deletes(office: Office) -> None:
    """Status cancelled is a deletion, also through a patch."""
    office.insert(**timed(id=ID))
    assert office.json("PATCH", f"{EVENTS}/{ID}", json={"status": "cancelled"})["status"] == "cancelled"
    assert office.refused("DELETE", f"{EVENTS}/{ID}") == (410, "deleted")


def test_a_moved_event_is_in_the_other_calendar(office: Office) -> None:
    """The answer says cancelled although it worked; the id stays, the source has a tombstone."""
    office.insert(**timed(id=ID))
    answer = office.json("POST", f"{EVENTS}/{ID}/move", params={"destination": "primary"})
    assert answer["status"] == "cancelled"
    assert office.event(ID, PM)["organizer"] == {"email": PM, "self": True}
    assert office.event(ID)["status"] == "cancelled"
    assert office.refused("POST", f"{EVENTS}/{ID}/move", params={"destination": MW}) == (404, "notFound")
    assert office.refused("POST", f"{EVENTS}/{ID}/move") == (400, "required")


@pytest.mark.parametrize(
    ("switches", "body", "expected"),
    [
        ({"trims_summary": True}, {"summary": "  Termin "}, {"summary": "Termin"}),
        ({"omits_empty": False}, {"location": ""}, {"location": ""}),
        ({"description_form": "html"}, {"description": "a < b\nc"}, {"description": "a &lt; b<br>c"}),
        ({"description_form": "html"}, {"description": "a<br>b"}, {"description": "a<br>b"}),
        ({"description_form": "crlf"}, {"description": "a\nb"}, {"description": "a\r\nb"}),
    ],
)
def test_texts_come_back_changed(
    office: Office, switches: dict[str, Any], body: dict[str, Any], expected: dict[str, Any]
) -> None:
    """What the server makes of texts, by switch."""
    office.switch(**switches)
    made = office.insert(**timed(**body))
    assert {name: made[name] for name in expected} == expected


def test_seconds_may_be_dropped_and_no_length_accepted(office: Office) -> None:
    """Two more coercions by switch."""
    office.switch(drops_seconds=True, zero_length="accepted")
    made = office.insert(start={"dateTime": "2026-03-20T09:00:59Z"}, end={"dateTime": "2026-03-20T09:00:30Z"})
    assert made["start"]["dateTime"] == made["end"]["dateTime"] == "2026-03-20T10:00:00+01:00"


def test_fields_leaves_a_part_of_an_answer(office: Office) -> None:
    """Also the tokens are left out unless they are asked for."""
    office.insert(**timed(id=ID))
    part = office.listing(fields="items(id,start/dateTime),nextSyncToken")
    assert part["items"] == [{"id": ID, "start": {"dateTime": "2026-03-20T09:00:00+01:00"}}]
    assert set(part) == {"items", "nextSyncToken"}
    assert set(office.listing(fields="items/id")) == {"items"}
    for wrong in ("items(id", "items)", "", ",", "a b"):
        assert office.refused("GET", EVENTS, params={"fields": wrong}) == (400, "invalid")
