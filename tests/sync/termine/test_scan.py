"""G24, G25, G32, G33 and the secrecy of appointments, shown by every request that the stand-ins saw."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from tests.sync.termine.busy import STRANGER, BusyOffice, configured
from tests.sync.termine.office import EMPLOYEES, calendar_of
from tests.sync.termine.scan import SCOPE, advoware_breaches, google_breaches
from tests.sync.termine.wire import Call, Wire, over_wire

EVENTS = f"/calendar/v3/calendars/{calendar_of('AB')}/events"
TERMINE = "/relay/api/v1/advonet/Termine"
EVENT = {"organizer": {"self": True}, "summary": "alt"}
TERMIN = {"frNr": 501, "text": "Besprechung", "anwalt": "AB,CD", "privat": 0, "dauertermin": 0, "nr": 7}


@pytest.mark.parametrize(
    ("masks", "surface", "shared"),
    [(True, Surface.GENERAL, "rows"), (False, Surface.ACTIVE_SYNC, "joined")],
)
def test_nothing_is_asked_or_written_that_is_not_ours(
    tmp_path: Path, masks: bool, surface: Surface, shared: str
) -> None:
    """A week of everything: no mail, no guest, nobody else's event or Termin, no other calendar, no other scope."""

    async def story(wire: Wire) -> None:
        office, busy = wire.office, BusyOffice(wire)
        await busy.live()
        assert google_breaches(wire.to("google"), configured(), ["AB@", "Kanzlei Musterwald"]) == []
        assert advoware_breaches(wire.to("advoware"), EMPLOYEES) == []
        assert office.google.state()["mails"] == []
        asked = {(one.user, one.calendar) for one in office.google.journal.entries if one.path != "/token"}
        assert asked == {(user, calendar) for calendar, user in configured().items()}
        assert STRANGER in json.dumps(office.events())
        # Strangers' invitations, private events and those of another kind become no Termin, either.
        assert {"Kommen Sie", "weg"}.isdisjoint(row["text"] for row in office.termine())
        # The scan has seen the writes that it is about.
        for system, methods in (
            ("google", {"POST", "PATCH", "DELETE"}),
            ("advoware", {"POST", "PUT", "DELETE"}),
        ):
            assert {call.method for call in wire.to(system) if call.is_write} >= methods

    over_wire(tmp_path, story, masks=masks, surface=surface, advoware={"shared_termine": shared})


def test_a_mailing_stand_in_notes_its_mails(tmp_path: Path) -> None:
    """An empty list of mails is no accident: the same stand-in notes one for a write that lets it send."""

    async def story(wire: Wire) -> None:
        office = wire.office
        office.termin(501)
        await office.run()
        office.edit_google("add_guests", office.event_of(501), guests=[STRANGER])
        event = office.event_of(501)
        user = office.pairs.calendars["AB"].user
        calendar = office.pairs.google.calendar(user, calendar_of("AB"))
        await calendar.delete(event["id"], etag=event["etag"])
        assert office.google.state()["mails"] == []
        (breach,) = google_breaches(
            [call for call in wire.to("google") if call.method == "DELETE"], configured()
        )
        assert "guests" in breach

    over_wire(tmp_path, story)


def token(scope: str = SCOPE, sub: str = "ab@kanzlei.example") -> Call:
    """A request for a token."""
    claims = base64.urlsafe_b64encode(json.dumps({"scope": scope, "sub": sub}).encode()).decode().rstrip("=")
    return Call(system="google", method="POST", path="/token", body=f"assertion=a.{claims}.b".encode())


def patch(body: Any = None, **given: Any) -> Call:
    """A proper change of an event."""
    proper: dict[str, Any] = {
        "system": "google", "method": "PATCH", "path": f"{EVENTS}/e1", "query": "sendUpdates=none",
        "headers": (("if-match", '"1"'),), "body": json.dumps(body or {"summary": "neu"}).encode(),
        "status": 200, "before": EVENT, "after": {**EVENT, "summary": "neu"},
    }  # fmt: skip
    return Call(**{**proper, **given})


def put(number: str = "501", before: Any = TERMIN, **row: Any) -> Call:
    """A change of a Termin."""
    body = json.dumps({"anwalt": "AB", **row}).encode()
    after = {**before, **row}
    return Call(
        system="advoware",
        method="PUT",
        path=TERMINE,
        query=f"frnr={number}",
        body=body,
        before=before,
        after=after,
    )


BAD_AT_GOOGLE: dict[str, Call] = {
    "another scope": token("https://www.googleapis.com/auth/calendar"),
    "not configured": token(sub="chef@kanzlei.example"),
    "no path of events": patch(path="/calendar/v3/users/me/calendarList"),
    "a calendar that is not": patch(path="/calendar/v3/calendars/ab@kanzlei.example/events/e1"),
    "never used": patch(method="PUT"),
    "no path": patch(method="POST", path=f"{EVENTS}/e1/move"),
    "is a method": patch(method="POST", path=f"{EVENTS}/import"),
    "send mails": patch(query=""),
    "lets Google": patch(query="sendUpdates=none&sendUpdates=all"),
    "whatever is there": patch(headers=()),
    "guests": patch(before={**EVENT, "attendees": [{"email": STRANGER}]}),
    "organizer": patch(before={"organizer": {"email": STRANGER}}),
    "another type": patch(before={**EVENT, "eventType": "focusTime"}),
    "private": patch(before={**EVENT, "visibility": "private"}),
    "confidential": patch(before={**EVENT, "visibility": "confidential"}),
    "carries attendees": patch({"attendees": []}),
    "others see": patch({"extendedProperties": {"shared": {"bitbylaw_frnr": "1"}}}),
    "mail address": patch({"description": STRANGER}),
    "says Über": patch({"description": "Überlinger"}),
    "says Übe": patch(query="sendUpdates=none&quotaUser=%C3%9Cberlinger"),
    "says Ü": patch(headers=(("if-match", '"1"'), ("x-of", "Überlinger"))),
}
BAD_AT_ADVOWARE: dict[str, Call] = {
    "something else": Call(system="advoware", method="GET", path="/relay/api/v1/advonet/Akten"),
    "everything": Call(system="advoware", method="GET", path=TERMINE, query="Kuerzel=AB&from=1&to=2"),
    "not configured": Call(system="advoware", method="GET", path=TERMINE, query="kuerzel=ZZ&from=1&to=2"),
    "makes up": put("-2004"),
    "everybody's": put(before={**TERMIN, "anwalt": "Allgemein"}),
    "is everybody's": put(before={**TERMIN, "anwalt": ""}),
    "is private": put(before={**TERMIN, "privat": 1}),
    "a series": put(before={**TERMIN, "dauertermin": 1}),
    "a Frist": put(before={**TERMIN, "text": "Frist Berufung"}),
    "others share": replace(put(), method="DELETE", body=b"", after=None),
    "moves nr": put(nr=0),
    "moves privat": put(privat=1),
    "derived": put(uhrzeitBisTicks=1),
    "the mask": put(text="(verdeckt)"),
    "it everybody's": put(anwalt=" "),
    "somebody else": replace(put(anwalt="ZZ"), method="POST", query="", before=None),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_AT_GOOGLE)
def test_the_scan_finds_a_bad_request_to_google(what: str) -> None:
    """Each rule of the scan fires for a request that breaks it."""
    found = google_breaches([BAD_AT_GOOGLE[what]], configured(), ["Überlinger"])
    assert any(what in one for one in found), found


@pytest.mark.parametrize("what", BAD_AT_ADVOWARE)
def test_the_scan_finds_a_bad_request_to_advoware(what: str) -> None:
    """Each rule of the scan fires for a request that breaks it."""
    found = advoware_breaches([BAD_AT_ADVOWARE[what]], EMPLOYEES)
    assert any(what in one for one in found), found


def test_the_scan_lets_good_requests_pass() -> None:
    """A proper change on either side breaks no rule."""
    assert google_breaches([token(), patch(), patch(before=None)], configured(), ["Überlinger"]) == []
    assert advoware_breaches([put(), put(text="neu", anwalt="CD")], EMPLOYEES) == []
