"""A long week in the office, with everything in it that may come across an appointment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.outcome import Outcome
from bitbylaw_pipeline.sync.termine_stream import TermineStream
from tests.sync.termine.office import EMPLOYEES, Office, Row, calendar_of
from tests.sync.termine.wire import Wire

CLIENTS = ("Überlinger", "Zwerchfell", "Rosenstraße", "Käthe", "Ilsebill", "Müßig")
"""What must stay in the firm; each stands in titles, notes and places."""
STRANGER = "mandant@fremd.example"
TITLE, NOTES, PLACE = "Mdt. Käthe Überlinger ./. Zwerchfell", "Käthe kommt\r\nmit Müßig", "Rosenstraße 7"
OWN: dict[str, Any] = {"sb": "SK", "nr": 7, "erinnerung": 15, "optionalAttendees": "XY"}
"""What a Termin has beside: nobody's business here."""
SECRET: dict[str, Any] = {"text": TITLE, "notiz": NOTES, "ort": PLACE, **OWN}
"""An ordinary Termin with a client's name in every text."""
WHOLE_DAY: dict[str, Any] = {"abwesenheit": 1, "uhrzeitVon": "00:00:00", "uhrzeitBis": "23:59:00"}
WEEKLY: dict[str, Any] = {"dauertermin": 1, "turnus": 1, "turnusArt": 2, "datumBis": "2026-06-29"}


def at(day: str, hour: int = 14) -> dict[str, Any]:
    """An hour in Berlin's winter, as fields of an event."""
    return {
        "start": {"dateTime": f"{day}T{hour:02}:00:00+01:00"},
        "end": {"dateTime": f"{day}T{hour + 1:02}:00:00+01:00"},
    }


class BusyOffice:
    """The week's story; `outcomes` are what passes came to, `errors` what they ended with."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.office: Office = wire.office
        self.errors: list[str] = []
        self.outcomes: list[Outcome] = []
        self.frozen: dict[str, Row] = {}
        """Events that are nobody's to write, as they were when they became so."""

    async def passes(self, times: int = 2, employees: Sequence[str] = ("AB",)) -> None:
        """Passes, one after the other."""
        for _ in range(times):
            for kuerzel in employees:
                self.office.advance(900.0)
                try:
                    self.outcomes.append(await TermineStream(self.office.pairs).sync(kuerzel))
                except SyncError as error:
                    self.errors.append(f"{type(error).__name__}: {error}")

    def event(self, fr_nr: int, kuerzel: str = "AB") -> Row:
        """The event made for a Termin."""
        return self.office.event_of(fr_nr, kuerzel)

    def freeze(self, event_id: str, kuerzel: str = "AB") -> None:
        """Remembers an event that nobody may write any more."""
        self.frozen[event_id] = next(one for one in self.office.events(kuerzel) if one["id"] == event_id)

    def assert_frozen(self) -> None:
        """None of them has been written since."""
        present = {one["id"]: one for kuerzel in EMPLOYEES for one in self.office.events(kuerzel)}
        assert {event_id: present.get(event_id) for event_id in self.frozen} == self.frozen

    async def live(self) -> None:
        """The whole week."""
        self.fill()
        await self.passes(2, EMPLOYEES)
        await self.plain_edits()
        await self.what_is_not_ours()
        await self.one_way()
        await self.shared()
        await self.lost_answers()
        await self.met_on_the_way()
        await self.passes(2, EMPLOYEES)
        self.assert_frozen()

    def fill(self) -> None:
        """Everybody's calendar of the weeks to come."""
        office, more = self.office, dict(SECRET)
        office.advoware.switches.update({"everybody": "included"})
        for place, kuerzel in enumerate(EMPLOYEES):
            for number in range(1, 30 if kuerzel == "AB" else 4):
                day = f"2026-03-{10 + number // 2:02}"
                office.termin(500 + 100 * place + number, day, anwalt=kuerzel, **more)
        for number, anwalt in ((801, "AB,CD,EF"), (802, "AB,CD"), (803, ""), (804, "Allgemein")):
            office.termin(number, anwalt=anwalt, **more)
        for number, anwalt in ((811, "AB"), (812, "AB"), (813, "AB,CD")):
            office.termin(number, **{**more, "anwalt": anwalt, "text": f"Frist Berufung {TITLE}"})
        office.termin(821, "2026-03-16", **{**more, **WEEKLY})
        office.termin(822, "2026-03-31", **{**more, **WEEKLY, "turnusArt": 3})
        office.termin(831, **more, privat=1)
        office.termin(832, **more, vortermin=15, hinfahrt=30, rueckfahrt=30)
        office.termin(-77, **more)
        office.termin(833, "2026-04-01", **more, **WHOLE_DAY)

    async def plain_edits(self) -> None:
        """Edits, moves, new ones and deletions on both sides, and an edit on both at once."""
        office = self.office
        office.edit_termin(501, text=f"Neu {TITLE}", uhrzeitVon="08:30:00", uhrzeitBis="09:00:00")
        office.edit_termin(502, notiz=f"Nachtrag {NOTES}", ort=f"Hof {PLACE}")
        office.delete_termin(503)
        office.edit_google("move", self.event(504), set=at("2026-03-27"))
        office.edit_google("edit", self.event(505), set={"location": "Saal 3"})
        office.edit_google("delete", self.event(506))
        office.edit_google(
            "create", set={"summary": "Ilsebill", "description": "<b>Ilsebill</b>", **at("2026-03-24")}
        )
        office.edit_google("duplicate", self.event(507), set=at("2026-03-25"))
        office.edit_google("move", self.event(508), set=at("2026-03-26"))
        office.edit_termin(508, uhrzeitVon="16:00:00", uhrzeitBis="17:00:00", ort=f"{PLACE} b")
        office.edit_google("edit", self.event(508), set={"location": "Saal 9", "description": "dort"})
        await self.passes()
        office.edit_google("end_sync_tokens")
        office.edit_google("delete", self.event(509))
        await self.passes()

    async def what_is_not_ours(self) -> None:
        """Guests, invitations, private ones and other kinds; then Advoware changes what belongs to them."""
        office = self.office
        office.edit_google("add_guests", self.event(511), guests=[STRANGER])
        office.edit_google("add_guests", self.event(512), guests=[STRANGER])
        office.edit_google("make_private", self.event(513))
        office.edit_google("make_private", self.event(514), visibility="confidential")
        made = [self.event(number) for number in (511, 512, 513, 514)]
        made.append(office.edit_google("invite", set={"summary": "Kommen Sie", **at("2026-03-23")}))
        kinds: list[Row] = [{"eventType": kind} for kind in ("focusTime", "outOfOffice", "workingLocation")]
        kinds += [{"visibility": "private"}, {"summary": "Fest", "attendees": [{"email": STRANGER}]}]
        for kind in kinds:
            made.append(office.edit_google("create", set={"summary": "weg", **kind, **at("2026-03-23")}))  # noqa: PERF401  # an edit, no value
        zoned = {end: {**one, "timeZone": "Europe/Berlin"} for end, one in at("2026-03-23").items()}
        series = {"summary": "Jour fixe", "recurrence": ["RRULE:FREQ=WEEKLY;BYDAY=MO,TH"], **zoned}
        made.append(office.edit_google("create", set=series))
        for event in made:
            self.freeze(event["id"])
        await self.passes()
        for number in (511, 513):
            office.edit_termin(number, uhrzeitVon="11:00:00", uhrzeitBis="12:00:00", text=TITLE + "!")
        for number in (512, 514):
            office.delete_termin(number)
        # The other way round: what becomes private in Advoware is not touched for an edit in Google.
        office.edit_termin(515, privat=1)
        office.edit_termin(516, privat=1)
        office.edit_google("move", self.event(515), set=at("2026-03-28"))
        office.edit_google("delete", self.event(516))
        office.edit_termin(517, anwalt="")
        await self.passes()
        assert office.at_advoware(516)

    async def one_way(self) -> None:
        """A Frist, a Termin that has become one, and a series, changed and deleted in Google."""
        office = self.office
        office.edit_termin(518, text=f"Frist {TITLE}")
        await self.passes(1)
        office.edit_google("move", self.event(811), set=at("2026-03-30"))
        office.edit_google("edit", self.event(518), set={"summary": "Ilsebill", "location": "dort"})
        office.edit_google("delete", self.event(812))
        office.edit_google("delete", self.event(813, "CD"), "CD")
        office.edit_google(
            "move_instance", self.event(821), original_start="2026-03-23T09:30:00+01:00", set=at("2026-03-24")
        )
        office.edit_google("edit", self.event(821), set={"summary": "Ilsebill"})
        await self.passes(1, EMPLOYEES)
        office.edit_google("delete", self.event(821))
        await self.passes()

    async def shared(self) -> None:
        """One takes herself off, two move it at once."""
        office = self.office
        office.edit_google("delete", self.event(801, "CD"), "CD")
        office.edit_google("move", self.event(802, "AB"), "AB", set=at("2026-03-20", 12))
        office.edit_google("move", self.event(802, "CD"), "CD", set=at("2026-03-20", 16))
        await self.passes(2, EMPLOYEES)

    async def lost_answers(self) -> None:
        """Writes that are carried out and look failed, on both sides; guests are invited before anybody knows."""
        office, more = self.office, dict(SECRET)
        for operation in ("events.insert", "events.patch", "events.delete"):
            office.script("error_after", operation=operation, error="backendError")
        office.termin(841, "2026-03-29", **more)
        office.edit_termin(519, uhrzeitVon="11:00:00", uhrzeitBis="12:00:00")
        office.delete_termin(520)
        before = {event["id"] for event in office.events()}
        await self.passes(1)
        (unknown,) = [event for event in office.events() if event["id"] not in before]
        office.edit_google("add_guests", unknown, guests=[STRANGER])
        self.freeze(unknown["id"])
        await self.passes()
        for method in ("POST", "PUT", "DELETE"):
            office.fail("advoware", ".*/Termine.*", method=method, kind="timeout_after_commit", times=1)
        office.edit_google("create", set={"summary": "Ilsebill zwei", **at("2026-03-29", 9)})
        office.edit_google("move", self.event(521), set=at("2026-03-29", 10))
        office.edit_google("delete", self.event(522))
        await self.passes()
        office.mend()

    async def met_on_the_way(self) -> None:
        """Somebody makes an appointment untouchable just before it is written."""
        office = self.office
        hidden = {"do": "make_private"}, {"do": "add_guests", "guests": [STRANGER]}
        for number, edit in zip((523, 524), hidden, strict=True):
            office.edit_termin(number, uhrzeitVon="11:00:00", uhrzeitBis="12:00:00")
            office.script(
                "concurrent_edit", operation="events.patch", edit=edit, event=self.event(number)["id"]
            )
        office.script(
            "concurrent_edit", operation="events.delete", edit=hidden[1], event=self.event(525)["id"]
        )
        office.delete_termin(525)
        met: dict[int, Row] = {526: {"privat": 1}, 527: {"text": f"Frist {TITLE}"}, 528: {"privat": 1}}
        for number, edit in met.items():
            kind: tuple[str, dict[str, Any]] = (
                ("delete", {}) if number == 528 else ("move", {"set": at("2026-03-29", 11)})
            )
            office.edit_google(kind[0], self.event(number), **kind[1])
            self.wire.before_next("GET", f"frnr={number}$", partial(office.edit_termin, number, **edit))
        await self.passes(1)
        assert office.at_advoware(528)["privat"] == 1
        await self.passes()


def configured() -> dict[str, str]:
    """The configured calendars with their users."""
    return {calendar_of(one): f"{one.lower()}@kanzlei.example" for one in EMPLOYEES}
