"""The sample firm's appointments: who has a calendar at Google, and Termine in which clients are named.

The Kürzel are Advoware's sample employees (`samples.advoware.MITARBEITER`); users and calendars are invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bitbylaw_pipeline.sandbox.samples.persons import PERSONS, Person

Row = dict[str, Any]
Place = tuple[str, str, str]
"""What an appointment is (termin, tag or serie), its begin and its end in Berlin's time; a series has no end here."""
FRISTEN = "text:^Frist"
"""TERMINE_FRISTEN of the sample firm."""
MADE_IN_GOOGLE = ("Termin", "Frist")
"""All that Google is told of an appointment beside its time, while titles are masked."""
_BERLIN = ZoneInfo("Europe/Berlin")


@dataclass(frozen=True, slots=True)
class SampleCalendar:
    """One employee with the calendar made for the Termine."""

    kuerzel: str
    user: str
    calendar_id: str


CALENDARS = (
    SampleCalendar("PM", "probst@kanzlei.example", "c_4be0probst@group.calendar.google.com"),
    SampleCalendar("MW", "musterwald@kanzlei.example", "c_91d7musterwald@group.calendar.google.com"),
    # An umlaut, as Advoware's Kürzel have them.
    SampleCalendar("MÜ", "muehlbrandt@kanzlei.example", "c_c03amuehlbrandt@group.calendar.google.com"),
)

MOVED_IN_ADVOWARE, MOVED_IN_GOOGLE, FRIST = 310_001, 310_002, 310_003
DELETED_IN_ADVOWARE, DELETED_IN_GOOGLE = 310_004, 310_005
PRIVATE, WITHDRAWN, SHARED = 310_006, 310_007, 310_008


def calendar_of(kuerzel: str) -> SampleCalendar:
    """That employee's."""
    return next(one for one in CALENDARS if one.kuerzel == kuerzel)


def calendar_settings() -> dict[str, dict[str, str]]:
    """GOOGLE_CALENDARS of the sample firm."""
    return {one.kuerzel: {"user": one.user, "calendar": one.calendar_id} for one in CALENDARS}


def google_seed_document() -> Row:
    """The JSON for `POST /sandbox/seed` of Google's stand-in: users with empty calendars for their Termine."""
    calendars = [{"id": one.calendar_id, "owner": one.user, "summary": "Termine"} for one in CALENDARS]
    return {"reset": True, "users": [{"mail": one.user} for one in CALENDARS], "calendars": calendars}


def coming_monday(today: date) -> date:
    """The Monday after the next seven days: all that is laid out from there on lies ahead."""
    return today + timedelta(days=14 - today.weekday())


def calendar_termine(monday: date) -> list[Row]:
    """Termine that name clients, in Advoware's general form, from that Monday on; their numbers are those above."""

    def on(number: int, day: int, begin: int, text: str, person: Person, owners: str, **fields: Any) -> Row:
        when = (monday + timedelta(days=day)).isoformat()
        return {
            "frNr": number, "datum": when, "datumBis": when, "uhrzeitVon": f"{begin:02}:00:00",
            "uhrzeitBis": f"{begin + 1:02}:00:00", "text": f"{text} {person.nachname}", "anwalt": owners,
            "ort": person.anschrift, "notiz": f"{person.name}\n{person.telefon}", **fields,
        }  # fmt: skip

    whole_day = {"uhrzeitVon": "00:00:00", "uhrzeitBis": "23:59:00", "abwesenheit": 1}
    return [
        on(MOVED_IN_ADVOWARE, 0, 11, "Besprechung", PERSONS[0], "PM"),
        on(MOVED_IN_GOOGLE, 1, 9, "Ortstermin", PERSONS[1], "MW"),
        on(FRIST, 2, 0, "Frist: Berufungsbegründung", PERSONS[2], "PM", **whole_day),
        on(DELETED_IN_ADVOWARE, 3, 16, "Telefonat", PERSONS[4], "MW"),
        on(DELETED_IN_GOOGLE, 4, 10, "Rückruf", PERSONS[5], "PM"),
        on(PRIVATE, 4, 12, "Mittagessen mit", PERSONS[7], "PM", privat=1),
        on(WITHDRAWN, 7, 13, "Besprechung", PERSONS[8], "MÜ"),
        on(SHARED, 8, 15, "Güteverhandlung", PERSONS[9], "PM,MÜ"),
    ]


def place_of_termin(row: Mapping[str, Any]) -> Place:
    """Of a row as Advoware's stand-in stores it."""
    begin, end = f"{row['datum']}T{row['uhrzeitVon']}", f"{row['datumBis']}T{row['uhrzeitBis']}"
    if row["dauertermin"]:
        return ("serie", begin, "")
    if begin.endswith("T00:00:00") and end.endswith("T23:59:00"):
        return ("tag", row["datum"], row["datumBis"])
    return ("termin", begin, end)


def place_of_event(event: Mapping[str, Any]) -> Place:
    """Of an event as Google's stand-in stores it."""
    start, end = event["start"], event["end"]
    if "date" in start:
        last = date.fromisoformat(end["date"]) - timedelta(days=1)
        return ("tag", start["date"], last.isoformat())
    if "recurrence" in event:
        return ("serie", _wall(start["dateTime"]), "")
    return ("termin", _wall(start["dateTime"]), _wall(end["dateTime"]))


def tells_something(event: Mapping[str, Any]) -> bool:
    """Whether an event says more than when."""
    return event.get("summary") not in MADE_IN_GOOGLE or "description" in event or "location" in event


def _wall(moment: str) -> str:
    """Berlin's wall time."""
    return datetime.fromisoformat(moment).astimezone(_BERLIN).strftime("%Y-%m-%dT%H:%M:%S")
