"""The demo's judgement of the calendars: a picture in which all is right, and one thing wrong at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from bitbylaw_pipeline.demo.calendar_desk import CalendarRequests, CalendarUsers
from bitbylaw_pipeline.demo.calendar_expectations import (
    EVERYBODY,
    check_appointments,
    check_calendar_story,
    check_calendars,
    check_first_calendars,
    check_withdrawn,
)
from bitbylaw_pipeline.demo.calendar_picture import CalendarPicture, Event, Termin
from bitbylaw_pipeline.demo.calendar_story import DONE, FAILED, OUT, TYPED, CalendarStory
from bitbylaw_pipeline.demo.employee import Employee
from bitbylaw_pipeline.demo.expectations import Verdict
from bitbylaw_pipeline.inbox.calendar_passes import CalendarPasses, Failure
from bitbylaw_pipeline.sandbox.samples.calendars import (
    DELETED_IN_ADVOWARE,
    DELETED_IN_GOOGLE,
    FRIST,
    MOVED_IN_ADVOWARE,
    MOVED_IN_GOOGLE,
    PRIVATE,
    SHARED,
    WITHDRAWN,
    Place,
)
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS

MONDAY = date(2026, 12, 7)
HOUR: Place = ("termin", "2026-12-14T09:00:00", "2026-12-14T10:00:00")
AT_FIVE: Place = ("termin", "2026-12-07T17:00:00", "2026-12-07T17:45:00")
AT_SIX: Place = ("termin", "2026-12-08T18:00:00", "2026-12-08T19:00:00")
AT_TWO: Place = ("termin", "2026-12-14T14:00:00", "2026-12-14T15:00:00")
DAY: Place = ("tag", "2026-12-09", "2026-12-09")
MADE = 300_050
PLACES: dict[str, dict[int, Place]] = {
    "PM": {MOVED_IN_ADVOWARE: AT_FIVE, FRIST: DAY, SHARED: HOUR},
    "MW": {MOVED_IN_GOOGLE: AT_SIX, MADE: HOUR},
    "MÜ": {WITHDRAWN: AT_TWO, SHARED: HOUR},
}


def event(kuerzel: str, fr_nr: int | None, place: Place = HOUR, **changed: Any) -> Event:
    """An event that was made for a Termin, masked."""
    return replace(Event(f"{kuerzel}{fr_nr}", place, fr_nr, "Termin", False, True), **changed)


def passes(kuerzel: str, failure: Failure | None = None) -> CalendarPasses:
    """The last pass of an employee."""
    return CalendarPasses(kuerzel, 1.0, 2.0, {}, failure)


def tidy() -> CalendarPicture:
    """The end of the day as it must be."""
    termine = {
        name: {
            number: Termin(number, place, TYPED if number == MADE else "Besprechung", is_private=False)
            for number, place in places.items()
        }
        for name, places in PLACES.items()
    }
    termine["PM"][PRIVATE] = Termin(PRIVATE, HOUR, "Mittagessen", is_private=True)
    events = {
        name: [event(name, number, place) for number, place in places.items()]
        for name, places in PLACES.items()
    }
    events["PM"] += [event("p", None, is_plain=False), event("i", None, is_plain=False)]
    return CalendarPicture(
        termine, events, {one: passes(one) for one in EVERYBODY}, noted=frozenset({("PM", f"left:{FRIST}")})
    )


def told() -> CalendarStory:
    """A story whose requests were all answered as they must be."""
    outcomes: dict[str, Mapping[str, str]] = {
        "first": dict.fromkeys(EVERYBODY, DONE),
        "withdrawn": {**dict.fromkeys(EVERYBODY, DONE), OUT: FAILED},
        "back": {OUT: DONE},
        "last": dict.fromkeys(EVERYBODY, DONE),
    }
    return CalendarStory(
        Employee("http://127.0.0.1:1"),
        CalendarUsers("http://127.0.0.1:1"),
        CalendarRequests("http://127.0.0.1:1"),
        MONDAY,
        outcomes=outcomes,
        status_without_key=401,
        made=f"MW{MADE}",
        untouchable=["pNone", "iNone"],
        arrival_seconds=5.0,
    )


def request(**changed: Any) -> dict[str, Any]:
    """A request as Google's stand-in has noted it."""
    given = {
        "n": 7,
        "method": "PATCH",
        "path": "/calendar/v3/calendars/c/events/PM310001",
        "query": "",
        "body": {},
    }
    return {**given, **changed}


def wrong(verdicts: list[Verdict]) -> list[str]:
    """What does not hold."""
    return [one.says for one in verdicts if not one.is_ok]


def judged(calendars: CalendarPicture) -> list[Verdict]:
    """All verdicts on a picture."""
    return [
        *check_calendars(calendars),
        *check_first_calendars(calendars),
        *check_appointments(calendars, told()),
    ]


def test_a_tidy_picture_is_right() -> None:
    """Every expectation holds."""
    assert wrong(judged(tidy())) == []
    assert wrong(list(check_calendar_story(told(), [request()], 0))) == []


def with_event(kuerzel: str, of: int | None, **changed: Any) -> Callable[[CalendarPicture], CalendarPicture]:
    """The picture with an event that is otherwise."""

    def spoil(calendars: CalendarPicture) -> CalendarPicture:
        rows = [replace(one, **changed) if one.fr_nr == of else one for one in calendars.events[kuerzel]]
        return replace(calendars, events={**calendars.events, kuerzel: rows})

    return spoil


def with_events(
    kuerzel: str, *more: Event, less: int | None = -1
) -> Callable[[CalendarPicture], CalendarPicture]:
    """The picture with events more, and those of a Termin less."""

    def spoil(calendars: CalendarPicture) -> CalendarPicture:
        rows = [one for one in calendars.events[kuerzel] if one.fr_nr != less]
        return replace(calendars, events={**calendars.events, kuerzel: [*rows, *more]})

    return spoil


def with_termin(kuerzel: str, fr_nr: int, **changed: Any) -> Callable[[CalendarPicture], CalendarPicture]:
    """The picture with a Termin that is otherwise, or new."""

    def spoil(calendars: CalendarPicture) -> CalendarPicture:
        rows = calendars.termine[kuerzel]
        new = replace(rows.get(fr_nr, Termin(fr_nr, HOUR, "Neu", is_private=False)), **changed)
        return replace(calendars, termine={**calendars.termine, kuerzel: {**rows, fr_nr: new}})

    return spoil


WRONGS: dict[str, tuple[str, Callable[[CalendarPicture], CalendarPicture]]] = {
    "a Termin without event": ("agree on each", with_events("PM", less=SHARED)),
    "two events": ("agree on each", with_events("MW", event("x", MADE))),
    "an event without Termin": ("agree on each", with_events("MW", event("x", 999))),
    "an event that was not linked": ("agree on each", with_events("MW", event("x", None))),
    "another time": ("agree on each", with_event("MÜ", SHARED, place=AT_FIVE)),
    "nothing of an employee": ("agree on each", lambda c: replace(c, termine={**c.termine, "MÜ": {}})),
    "a private one in Google": ("agree on each", with_events("PM", event("x", PRIVATE))),
    "a title in Google": ("neither title", with_event("PM", SHARED, tells_something=True)),
    "not brought": ("the first pass", with_events("MW", less=MADE)),
    "not in both": ("both calendars", with_events("MÜ", less=SHARED)),
    "not moved there": ("is moved in Google", with_event("PM", MOVED_IN_ADVOWARE, place=HOUR)),
    "not moved here": ("is moved in Advoware", with_termin("MW", MOVED_IN_GOOGLE, place=HOUR)),
    "the Frist has moved": ("Frist dragged", with_termin("PM", FRIST, place=HOUR)),
    "the Frist was not put back": ("Frist dragged", with_event("PM", FRIST, place=HOUR)),
    "it was not noted": ("Frist dragged", lambda c: replace(c, noted=frozenset())),
    "no Termin was made": ("entered in Google", with_event("MW", MADE, fr_nr=None)),
    "its title was lost": ("entered in Google", with_termin("MW", MADE, text="Termin")),
    "its title stays": ("entered in Google", with_event("MW", MADE, tells_something=True)),
    "the event is still there": ("deleted on one side", with_events("MW", event("x", DELETED_IN_ADVOWARE))),
    "the Termin is still there": ("deleted on one side", with_termin("PM", DELETED_IN_GOOGLE)),
    "a private event is gone": ("stay in Google", with_events("PM", less=None)),
    "a stranger's was taken over": ("stay in Google", with_event("PM", None, fr_nr=5)),
    "it did not come back": ("is back", with_event("MÜ", WITHDRAWN, place=HOUR)),
}


@pytest.mark.parametrize("name", WRONGS)
def test_each_thing_wrong_is_found(name: str) -> None:
    """Its own expectation fails."""
    about, spoil = WRONGS[name]
    assert any(about in says for says in wrong(judged(spoil(tidy()))))


FAILURE = Failure(1.0, 2.0, 1.0, "ScopeRefused", "google shows us nothing.")


def withdrawn() -> CalendarPicture:
    """The picture while one calendar is withdrawn, and a Termin of its employee has been moved."""
    calendars = replace(tidy(), passes={**tidy().passes, OUT: passes(OUT, FAILURE)})
    return with_termin(OUT, WITHDRAWN, place=AT_FIVE)(calendars)


def test_a_withdrawn_calendar_is_known_and_holds_up_nobody() -> None:
    """It fails, nothing of it is missing, and everybody else is in step."""
    assert wrong(check_withdrawn(tidy(), withdrawn())) == []


@pytest.mark.parametrize(
    ("about", "spoil"),
    [
        ("withdrawn", lambda c: replace(c, passes=tidy().passes)),
        ("withdrawn", lambda c: replace(c, termine={**c.termine, OUT: {}})),
        ("withdrawn", with_events(OUT, less=SHARED)),
        ("holds up nobody", with_event("PM", SHARED, place=AT_FIVE)),
        ("holds up nobody", lambda c: replace(c, passes={**c.passes, "PM": passes("PM", FAILURE)})),
    ],
)
def test_what_a_withdrawn_calendar_must_not_do_is_found(
    about: str, spoil: Callable[[CalendarPicture], CalendarPicture]
) -> None:
    """Its own expectation fails."""
    assert any(about in says for says in wrong(check_withdrawn(tidy(), spoil(withdrawn()))))


@pytest.mark.parametrize(
    ("about", "spoiled", "asked", "mails"),
    [
        ("was moved in Google", {"arrival_seconds": None}, [request()], 0),
        ("was moved in Google", {"arrival_seconds": 61.0}, [request()], 0),
        ("by its reference", {"outcomes": {}}, [request()], 0),
        ("by its reference", {"outcomes": {**told().outcomes, "back": {OUT: FAILED}}}, [request()], 0),
        ("without a key", {"status_without_key": 202}, [request()], 0),
        ("no mail", {}, [request()], 1),
        ("no mail", {}, [], 0),
        ("client's name", {}, [request(body={"summary": f"Besprechung {PERSONS[2].nachname}"})], 0),
        ("client's name", {}, [request(query=f"q={PERSONS[0].nachname}")], 0),
        ("never written", {}, [request(path="/calendar/v3/calendars/c/events/pNone")], 0),
    ],
)
def test_each_thing_told_wrong_is_found(
    about: str, spoiled: dict[str, Any], asked: list[dict[str, Any]], mails: int
) -> None:
    """Its own expectation fails."""
    failed = wrong(list(check_calendar_story(replace(told(), **spoiled), asked, mails)))
    assert any(about in says for says in failed), failed
