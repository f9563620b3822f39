"""Calendars, rights and quotas."""

from __future__ import annotations

import pytest

from tests.sandbox.google.conftest import CALENDAR, EVENTS, MW, PM, Office, timed

ID = "termin00abc"
ACL = f"calendars/{CALENDAR}/acl"


def share(office: Office, role: str) -> None:
    """Give MW a role in PM's calendar, without a mail."""
    rule = {"role": role, "scope": {"type": "user", "value": MW}}
    office.json("POST", ACL, json=rule, params={"sendNotifications": "false"})


def test_a_new_calendar_is_its_makers(office: Office) -> None:
    """Owner, in the list, with its own zone; the primary one cannot be deleted."""
    made = office.json("POST", "calendars", json={"summary": "Neu", "timeZone": "Europe/Vienna"})
    assert (made["timeZone"], made["dataOwner"]) == ("Europe/Vienna", PM)
    entry = office.json("GET", f"users/me/calendarList/{made['id']}")
    assert entry["accessRole"] == "owner"
    assert office.refused("GET", f"calendars/{made['id']}", user=MW) == (404, "notFound")
    assert office.refused("POST", "calendars", json={"timeZone": "Europe/Vienna"}) == (400, "required")
    assert office.refused("POST", "calendars", json={"summary": "x", "timeZone": "Mars"}) == (400, "invalid")
    assert office.call("DELETE", f"calendars/{made['id']}").status_code == 204
    assert office.refused("GET", f"calendars/{made['id']}") == (404, "notFound")
    assert office.refused("DELETE", "calendars/primary") == (403, "forbidden")


def test_a_calendar_is_changed(office: Office) -> None:
    """A patch of nothing keeps the etag; another zone shows the same instants with other offsets."""
    office.insert(**timed(id=ID))
    before = office.json("GET", f"calendars/{CALENDAR}")
    assert office.json("PATCH", f"calendars/{CALENDAR}", json={"summary": before["summary"]}) == before
    after = office.json("PATCH", f"calendars/{CALENDAR}", json={"timeZone": "UTC", "description": "Text"})
    assert (after["etag"] != before["etag"], after["description"]) == (True, "Text")
    assert office.event(ID)["start"] == {"dateTime": "2026-03-20T08:00:00Z", "timeZone": "Europe/Berlin"}
    assert "description" not in office.json("PUT", f"calendars/{CALENDAR}", json={"summary": "Anders"})
    assert office.refused("PATCH", f"calendars/{CALENDAR}", json={"title": "x"}) == (400, "invalid")


def test_a_shared_calendar_comes_into_the_list_only_by_hand(office: Office) -> None:
    """Its events can be read at once; the list has it after an insert, and no longer after a delete."""
    share(office, "reader")
    assert office.listing(user=MW)["accessRole"] == "reader"
    assert office.refused("GET", f"users/me/calendarList/{CALENDAR}", user=MW) == (404, "notFound")
    office.json("POST", "users/me/calendarList", json={"id": CALENDAR}, user=MW)
    listed = office.json("GET", "users/me/calendarList", user=MW, params={"minAccessRole": "reader"})
    assert [item["id"] for item in listed["items"]] == [MW, CALENDAR]
    owned = office.json("GET", "users/me/calendarList", user=MW, params={"minAccessRole": "owner"})
    assert [item["id"] for item in owned["items"]] == [MW]
    assert office.call("DELETE", f"users/me/calendarList/{CALENDAR}", user=MW).status_code == 204
    assert office.listing(user=MW)["items"] == []


def test_rules_are_the_owners(office: Office) -> None:
    """Read, changed and removed by the owner alone; the owner cannot be removed."""
    share(office, "writer")
    assert office.refused("GET", ACL, user=MW) == (403, "requiredAccessLevel")
    assert {rule["id"]: rule["role"] for rule in office.json("GET", ACL)["items"]} == {
        f"user:{PM}": "owner", f"user:{MW}": "writer",
    }  # fmt: skip
    assert office.json("PATCH", f"{ACL}/user:{MW}", json={"role": "reader"})["role"] == "reader"
    assert office.refused("POST", EVENTS, json=timed(), user=MW) == (403, "requiredAccessLevel")
    assert office.call("DELETE", f"{ACL}/user:{MW}").status_code == 204
    assert office.refused("GET", EVENTS, user=MW) == (404, "notFound")
    assert office.refused("DELETE", f"{ACL}/user:{PM}") == (403, "forbidden")
    assert office.refused("PATCH", f"{ACL}/user:{MW}", json={"role": "reader"}) == (404, "notFound")
    for body in (
        {"role": "reader"},
        {"role": "king", "scope": {"type": "default"}},
        {"scope": {"type": "default"}},
    ):
        assert office.refused("POST", ACL, json=body)[0] == 400


def test_sharing_tells_people_by_mail_unless_asked_not_to(office: Office) -> None:
    """A new rule mails its user by default: this is a mail too."""
    share(office, "reader")
    assert office.sandbox.state()["mails"] == []
    office.json("POST", ACL, json={"role": "writer", "scope": {"type": "user", "value": MW}})
    (mail,) = office.sandbox.state()["mails"]
    assert (mail["to"], mail["kind"]) == (MW, "calendar shared")


@pytest.mark.parametrize(
    ("role", "public", "private", "writes"),
    [
        ("freeBusyReader", False, False, 403),
        ("reader", True, False, 403),
        ("writerWithoutPrivateAccess", True, False, 200),
        ("writer", True, True, 200),
    ],
)
def test_a_role_hides_details_and_forbids_writes(
    office: Office, role: str, public: bool, private: bool, writes: int
) -> None:
    """What cannot be read is missing, never empty; times are always shown."""
    office.insert(**timed(id="event0"))
    office.insert(**timed(id="event1", visibility="private", extendedProperties={"private": {"k": "v"}}))
    share(office, role)
    listed = office.listing(user=MW)
    assert listed["accessRole"] == role
    first, second = listed["items"]
    assert ("summary" in first, "summary" in second, "extendedProperties" in second) == (
        public,
        private,
        private,
    )
    assert first["start"] == second["start"]
    answer = office.call("PATCH", f"{EVENTS}/event0", json={"summary": "neu"}, user=MW)
    assert answer.status_code == writes


def test_a_writer_without_private_access_leaves_private_events_alone(office: Office) -> None:
    """403 for a patch of what cannot be seen."""
    office.insert(**timed(id=ID, visibility="private"))
    share(office, "writerWithoutPrivateAccess")
    assert office.refused("PATCH", f"{EVENTS}/{ID}", json={"summary": "x"}, user=MW) == (
        403,
        "requiredAccessLevel",
    )


def test_access_is_revoked_and_comes_back(office: Office) -> None:
    """404 (or 403) for every call on the calendar, nothing is deleted, and old sync tokens have ended."""
    office.insert(**timed(id=ID))
    token = office.listing()["nextSyncToken"]
    for status, reason in ((404, "notFound"), (403, "forbidden")):
        office.edit("revoke_access", user=PM, status=status)
        assert office.refused("GET", EVENTS) == (status, reason)
        assert office.refused("GET", f"{EVENTS}/{ID}") == (status, reason)
        listed = office.json("GET", "users/me/calendarList")["items"]
        assert [item["id"] for item in listed] == [PM]
    office.edit("restore_access", user=PM)
    assert office.ids() == [ID]
    assert office.refused("GET", EVENTS, params={"syncToken": token}) == (410, "fullSyncRequired")


def test_a_user_has_so_many_calls_a_minute(office: Office) -> None:
    """A sliding window per user: others go on, a patch costs three, quotaUser decides whose it is."""
    office.switch(user_quota_per_minute=5)
    office.insert(**timed(id=ID))
    assert office.call("PATCH", f"{EVENTS}/{ID}", json={"summary": "x"}).status_code == 200
    assert office.call("GET", EVENTS).status_code == 200
    assert office.refused("GET", EVENTS) == (403, "userRateLimitExceeded")
    assert office.call("GET", "calendars/primary", user=MW).status_code == 200
    assert office.call("GET", EVENTS, params={"quotaUser": "anderer"}).status_code == 200
    office.sandbox.clock.advance(59)
    office.switch(quota_answer=429)
    assert office.refused("GET", EVENTS) == (429, "rateLimitExceeded")
    office.sandbox.clock.advance(2)
    assert office.call("GET", EVENTS).status_code == 200


def test_the_project_and_a_calendar_have_limits_too(office: Office) -> None:
    """All users together; many writes to one calendar in quick succession."""
    office.switch(project_quota_per_minute=2)
    office.call("GET", EVENTS)
    office.call("GET", "calendars/primary", user=MW)
    assert office.refused("GET", EVENTS) == (403, "rateLimitExceeded")
    office.switch(project_quota_per_minute=0, calendar_writes_per_minute=1)
    office.insert(**timed(id=ID))
    assert office.refused("DELETE", f"{EVENTS}/{ID}") == (403, "rateLimitExceeded")
    assert office.call("GET", EVENTS).status_code == 200


def test_new_calendars_and_events_are_limited_by_day(office: Office) -> None:
    """403 quotaExceeded after so many; deleting gives nothing back; the next day does."""
    office.switch(new_calendars_per_day=2, new_events_per_day=1)
    first = office.json("POST", "calendars", json={"summary": "1"})
    office.json("POST", "calendars", json={"summary": "2"})
    office.call("DELETE", f"calendars/{first['id']}")
    assert office.refused("POST", "calendars", json={"summary": "3"}) == (403, "quotaExceeded")
    office.insert()
    assert office.refused("POST", EVENTS, json=timed()) == (403, "quotaExceeded")
    office.sandbox.clock.advance(86_401)
    office.tokens.clear()
    office.json("POST", "calendars", json={"summary": "3"})
