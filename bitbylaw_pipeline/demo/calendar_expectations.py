"""Whether Advoware and the calendars are in step, and whether each act led to what it must: pure comparisons."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bitbylaw_pipeline.demo.calendar_picture import CalendarPicture, Event, Termin
from bitbylaw_pipeline.demo.calendar_story import DONE, FAILED, OUT, TYPED, WRITING, CalendarStory
from bitbylaw_pipeline.demo.expectations import Verdict, verdict
from bitbylaw_pipeline.demo.leaks import persons_words
from bitbylaw_pipeline.sandbox.samples.calendars import (
    CALENDARS,
    DELETED_IN_ADVOWARE,
    DELETED_IN_GOOGLE,
    FRIST,
    MOVED_IN_ADVOWARE,
    MOVED_IN_GOOGLE,
    SHARED,
    WITHDRAWN,
)

ARRIVES_WITHIN_SECONDS = 60.0
"""A poll's interval and the pass; here a whole hour's work comes at once."""
EVERYBODY = tuple(one.kuerzel for one in CALENDARS)


def check_calendars(calendars: CalendarPicture, employees: Sequence[str] = EVERYBODY) -> list[Verdict]:
    """What holds once the systems can reach each other: every appointment is on both sides, and masked in Google."""
    troubles = [trouble for one in employees for trouble in _troubles(calendars, one)]
    count = sum(len(calendars.termine.get(one, {})) for one in employees)
    return [
        verdict(f"Advoware and Google agree on each of {count} Termine, each once, private ones left out", troubles),
        verdict(
            "Google is told neither title nor notes nor place",
            [one.id for name in employees for one in calendars.events.get(name, ()) if one.is_plain and one.tells_something],
        ),
    ]  # fmt: skip


def check_first_calendars(calendars: CalendarPicture) -> list[Verdict]:
    """What the first pass must have come to."""
    told = {
        name: [one for one in rows.values() if not one.is_private] for name, rows in calendars.termine.items()
    }
    alone = [
        f"{one.fr_nr} of {name}"
        for name, rows in told.items()
        for one in rows
        if calendars.event_of(name, one.fr_nr) is None
    ]
    shared = [calendars.event_of(one, SHARED) for one in ("PM", "MÜ")]
    return [
        verdict(
            f"the first pass has brought each of {sum(map(len, told.values()))} Termine to Google, once",
            alone,
        ),
        Verdict(None not in shared, "one of two employees stands in both calendars", str(SHARED)),
    ]


def check_withdrawn(before: CalendarPicture, during: CalendarPicture) -> list[Verdict]:
    """What must be seen while one calendar is withdrawn; `before` was taken after the first load."""
    others = [one for one in EVERYBODY if one != OUT]
    lost = before.termine[OUT].keys() - during.termine[OUT].keys()
    is_whole = [one.id for one in before.events[OUT]] == [one.id for one in during.events[OUT]]
    return [
        Verdict(
            during.is_refused(OUT) and not lost and is_whole,
            "one employee's calendar is withdrawn: that is noted, and nothing of it is deleted",
            f"{len(lost)} Termine are gone",
        ),
        Verdict(
            all(one.is_ok for one in check_calendars(during, others))
            and not any(map(during.is_refused, others)),
            "it holds up nobody else's appointments",
        ),
    ]


def check_appointments(calendars: CalendarPicture, story: CalendarStory) -> list[Verdict]:
    """What the changes have led to."""
    return [*_moved(calendars, story), *_gone(calendars), *_left_alone(calendars, story)]


def check_calendar_story(
    story: CalendarStory, requests: Iterable[Mapping[str, Any]], mails: int
) -> Iterator[Verdict]:
    """The answers to the requests, and all that Google was asked."""
    asked = list(requests)
    seconds = story.arrival_seconds
    yield Verdict(
        seconds is not None and seconds < ARRIVES_WITHIN_SECONDS,
        f"a Termin moved in Advoware was moved in Google {seconds or 0:.1f} s later",
        f"more than {ARRIVES_WITHIN_SECONDS:.0f} s",
    )
    yield from _answers(story)
    yield Verdict(mails == 0 and bool(asked), "no mail was sent to anybody", f"{mails} mails")
    words = persons_words()
    told = [str(one["n"]) for one in asked if _has_any(one, words)]
    yield verdict("no request to Google holds a client's name, number, street or mail address", told)
    touched = [
        f"{one['method']} {one['n']}"
        for one in asked
        if one["method"] in WRITING and any(event_id in one["path"] for event_id in story.untouchable)
    ]
    yield verdict("a private event and a stranger's invitation were never written", touched)


def is_settled_withdrawn(before: CalendarPicture, during: CalendarPicture, story: CalendarStory) -> bool:
    """True once the busy hour's changes have arrived and the withdrawn calendar is known as such."""
    found = [*check_withdrawn(before, during), *_moved(during, story), *_gone(during)]
    return all(one.is_ok for one in found)


def has_moved(calendars: CalendarPicture) -> bool:
    """True once the Termin moved in Advoware has moved in Google."""
    event = calendars.event_of("PM", MOVED_IN_ADVOWARE)
    return event is not None and "T17:00:00" in event.place[1]


def _troubles(calendars: CalendarPicture, kuerzel: str) -> Iterator[str]:
    termine = calendars.termine.get(kuerzel, {})
    plain = [one for one in calendars.events.get(kuerzel, ()) if one.is_plain]
    for termin in termine.values():
        if why := _trouble(termin, [one for one in plain if one.fr_nr == termin.fr_nr]):
            yield f"{termin.fr_nr} of {kuerzel}: {why}"
    for event in plain:
        if event.fr_nr not in termine:
            yield f"{event.id} of {kuerzel}: no Termin"
    if not termine:
        yield f"{kuerzel}: no Termine"


def _trouble(termin: Termin, events: Sequence[Event]) -> str | None:
    if termin.is_private:
        return "private, and in Google" if events else None
    if len(events) != 1:
        return f"{len(events)} events"
    return None if events[0].place == termin.place else "at another time in Google"


def _moved(calendars: CalendarPicture, story: CalendarStory) -> Iterator[Verdict]:
    yield Verdict(
        has_moved(calendars), "a Termin moved in Advoware is moved in Google", str(MOVED_IN_ADVOWARE)
    )
    there = calendars.termine["MW"].get(MOVED_IN_GOOGLE)
    yield Verdict(
        there is not None and there.place[1] == f"{story.day(1)}T18:00:00",
        "an event moved in Google is moved in Advoware",
        str(MOVED_IN_GOOGLE),
    )
    frist, event = calendars.termine["PM"].get(FRIST), calendars.event_of("PM", FRIST)
    day = ("tag", story.day(2), story.day(2))
    yield Verdict(
        frist is not None and event is not None and frist.place == event.place == day
        and ("PM", f"left:{FRIST}") in calendars.noted,
        "a Frist dragged away in Google is put back, is noted, and stays as it is in Advoware",
        str(FRIST),
    )  # fmt: skip
    made = [one for one in calendars.events["MW"] if one.id == story.made]
    termin = calendars.termine["MW"].get(made[0].fr_nr or 0) if made else None
    yield Verdict(
        termin is not None and termin.text == TYPED and not made[0].tells_something,
        "an appointment entered in Google has a Termin in Advoware, and its title is taken off it in Google",
        story.made,
    )


def _gone(calendars: CalendarPicture) -> Iterator[Verdict]:
    yield Verdict(
        calendars.event_of("MW", DELETED_IN_ADVOWARE) is None
        and DELETED_IN_GOOGLE not in calendars.termine["PM"],
        "what was deleted on one side is gone on the other",
        f"{DELETED_IN_ADVOWARE}, {DELETED_IN_GOOGLE}",
    )


def _left_alone(calendars: CalendarPicture, story: CalendarStory) -> Iterator[Verdict]:
    there = [one for one in calendars.events["PM"] if one.id in story.untouchable]
    yield Verdict(
        len(there) == len(story.untouchable) > 0 and all(one.fr_nr is None for one in there),
        "a private event and a stranger's invitation stay in Google as they are",
        ", ".join(story.untouchable),
    )
    event = calendars.event_of(OUT, WITHDRAWN)
    yield Verdict(
        event is not None and "T14:00:00" in event.place[1],
        "the withdrawn calendar is back, and what has changed meanwhile has come into it",
        str(WITHDRAWN),
    )


def _answers(story: CalendarStory) -> Iterator[Verdict]:
    expected = {
        "first": dict.fromkeys(EVERYBODY, DONE),
        "withdrawn": {one: FAILED if one == OUT else DONE for one in EVERYBODY},
        "back": {OUT: DONE},
        "last": dict.fromkeys(EVERYBODY, DONE),
    }
    wrong = [
        f"{part}: {dict(story.outcomes.get(part, {}))}"
        for part, one in expected.items()
        if story.outcomes.get(part) != one
    ]
    yield verdict(
        f"each of {len(expected)} requests for passes is answered by its reference, for each employee", wrong
    )
    yield Verdict(
        story.status_without_key == 401,
        "without a key no pass can be asked for",
        str(story.status_without_key),
    )


def _has_any(request: Mapping[str, Any], words: Iterable[str]) -> bool:
    text = json.dumps([request["path"], request["query"], request["body"]], ensure_ascii=False)
    return any(word in text for word in words)
