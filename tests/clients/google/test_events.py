"""Events as Google shows them, and what is taken for none."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.clients.google_events import EventTime, NotAnEvent, Status, parse_event
from tests.clients.google.office import an_event, says_nothing

BERLIN = "Europe/Berlin"


def moment(text: str, zone: str | None = BERLIN) -> dict[str, Any]:
    """A time as the API shows it."""
    return {"dateTime": text, **({"timeZone": zone} if zone else {})}


def test_a_whole_event() -> None:
    """Every field that the facts name."""
    event = parse_event(
        an_event(
            description="<b>Akte</b> 12/26",
            location="Saal 3",
            visibility="private",
            locked=True,
            attendees=[{"email": "a@b", "self": True}],
            extendedProperties={"private": {"bitbylaw": "claim"}, "shared": {"x": "y"}},
        )
    )
    assert event.id == "abcde"
    assert event.etag == '"3181161784712000"'
    assert event.status is Status.CONFIRMED
    assert event.updated == datetime(2026, 3, 20, 8, 0, 0, 123000, UTC)
    assert (event.summary, event.location) == ("Termin Mustermann", "Saal 3")
    assert event.description == "<b>Akte</b> 12/26"
    start, end = event.times()
    assert start.value == datetime(2026, 3, 20, 8, tzinfo=UTC)
    assert start.time_zone == BERLIN
    assert not start.is_all_day
    assert end.value == datetime(2026, 3, 20, 9, tzinfo=UTC)
    assert event.recurrence == ()
    assert event.recurring_event_id is None
    assert event.original_start is None
    assert (event.visibility, event.event_type) == ("private", "default")
    assert event.organizer_is_self
    assert event.is_locked
    assert not event.has_guests
    assert event.private == {"bitbylaw": "claim"}
    assert not event.is_cancelled


def test_an_events_repr_shows_no_text() -> None:
    """Title, description and place may name a client."""
    event = parse_event(an_event(description="Mustermann", location="Mustermann"))
    assert says_nothing(event)
    assert "abcde" in repr(event)


def test_what_is_left_out_is_empty() -> None:
    """Google leaves empty fields out; an empty text is the same."""
    event = parse_event(an_event(summary="", organizer=None))
    assert event.summary is None
    assert event.description is None
    assert event.location is None
    assert not event.organizer_is_self
    assert event.private == {}


def test_an_all_day_event_keeps_its_days() -> None:
    """The end is exclusive, and no zone makes another day of it."""
    event = parse_event(
        an_event(start={"date": "2026-12-24"}, end={"date": "2026-12-27", "timeZone": "Pacific/Honolulu"})
    )
    start, end = event.times()
    assert start == EventTime(date(2026, 12, 24))
    assert end.value == date(2026, 12, 27)
    assert start.is_all_day
    assert end.is_all_day


def test_the_two_half_past_twos_are_two_instants() -> None:
    """In the night in which the clocks go back the offset tells them apart (G12)."""
    first = parse_event(
        an_event(start=moment("2026-10-25T02:30:00+02:00"), end=moment("2026-10-25T02:30:00+01:00"))
    )
    start, end = (each.value for each in first.times())
    assert isinstance(start, datetime)
    assert isinstance(end, datetime)
    assert end - start == timedelta(hours=1)


@pytest.mark.parametrize(
    ("given_time", "instant"),
    [
        (moment("2026-03-20T08:00:00Z"), "2026-03-20T08:00:00+00:00"),
        (moment("2026-03-20t08:00:00z"), "2026-03-20T08:00:00+00:00"),
        (moment("2026-03-20T08:00:00.5Z", None), "2026-03-20T08:00:00.500000+00:00"),
        (moment("2026-03-20T08:00:00.123456789-10:00"), "2026-03-20T18:00:00.123456+00:00"),
        (moment("2026-07-20T08:00:00"), "2026-07-20T06:00:00+00:00"),
    ],
)
def test_moments_in_all_forms(given_time: dict[str, Any], instant: str) -> None:
    """Any offset, any fraction; without an offset the zone decides."""
    event = parse_event(an_event(start=given_time))
    start = event.times()[0].value
    assert isinstance(start, datetime)
    assert start.astimezone(UTC).isoformat() == instant


def test_of_a_cancelled_event_only_the_id_is_needed() -> None:
    """Everything else may be missing; what there is of an occurrence is kept."""
    bare = parse_event({"id": "abcde", "status": "cancelled"})
    assert bare.is_cancelled
    assert bare.etag == ""
    with pytest.raises(ValueError, match="no times"):
        bare.times()
    occurrence = parse_event(
        {
            "id": "abcde_20260101T090000Z",
            "status": "cancelled",
            "recurringEventId": "abcde",
            "originalStartTime": moment("2026-01-01T10:00:00+01:00"),
        }
    )
    assert occurrence.recurring_event_id == "abcde"
    assert occurrence.original_start is not None
    assert occurrence.original_start.value == datetime(2026, 1, 1, 9, tzinfo=UTC)


def test_a_series_and_its_occurrence() -> None:
    """The series has its rule, the occurrence its series."""
    series = parse_event(an_event(recurrence=["RRULE:FREQ=WEEKLY", "EXDATE:20260101"]))
    assert series.recurrence == ("RRULE:FREQ=WEEKLY", "EXDATE:20260101")
    assert (
        parse_event(an_event("abcde_R20260101T090000", recurringEventId="abcde")).recurring_event_id
        == "abcde"
    )


@pytest.mark.parametrize(
    ("attendees", "more", "has_guests"),
    [
        (None, {}, False),
        ([], {}, False),
        ([{"email": "a@b", "self": True}], {}, False),
        ([{"email": "a@b", "self": True}, {"email": "c@d"}], {}, True),
        ([{"resource": True}], {}, True),
        ([{"email": "a@b", "self": True}], {"attendeesOmitted": True}, True),
    ],
)
def test_guests_are_all_but_oneself(attendees: Any, more: dict[str, Any], has_guests: bool) -> None:
    """Also where Google has left some of them out of its answer."""
    assert parse_event(an_event(attendees=attendees, **more)).has_guests is has_guests


HOSTILE: list[Any] = [
    None,
    7,
    [],
    "abcde",
    {},
    {"id": 7, "status": "cancelled"},
    {"id": "", "status": "cancelled"},
    {"id": "../x", "status": "cancelled"},
    {"id": "a" * 2000, "status": "cancelled"},
    {"id": "abcde"},
    an_event(status=None),
    an_event(status="maybe"),
    an_event(status=["confirmed"]),
    an_event(etag=None),
    an_event(etag=""),
    an_event(etag='"1"\r\nX: y'),
    an_event(etag="é"),
    an_event(summary=7),
    an_event(description=["Mustermann"]),
    an_event(location={}),
    an_event(start=None),
    an_event(end=None),
    an_event(start={}),
    an_event(start="2026-03-20"),
    an_event(start={"date": "2026-03-20"}),
    an_event(start={"date": "2026-03-20", "dateTime": "2026-03-20T08:00:00Z"}),
    an_event(start={"date": "2026-13-20"}, end={"date": "2026-03-21"}),
    an_event(start={"date": "20260320"}, end={"date": "2026-03-21"}),
    an_event(start={"date": "2026-W12-5"}, end={"date": "2026-03-21"}),
    an_event(start={"date": "２０２６-03-20"}, end={"date": "2026-03-21"}),
    an_event(start=moment("2026-03-20")),
    an_event(start=moment("2026-03-20T25:00:00Z")),
    an_event(start=moment("2026-03-20T08:00:00", None)),
    an_event(start=moment("2026-03-20T08:00:00", "Mars/Olympus")),
    an_event(start=moment("2026-03-20T08:00:00", "../../etc/passwd")),
    an_event(start=moment("2026-03-20T08:00:00", "/etc/passwd")),
    an_event(start=moment("2026-03-20T08:00:00+99:99")),
    an_event(start=moment("Mustermann")),
    an_event(updated="yesterday"),
    an_event(updated=7),
    an_event(recurrence="RRULE:FREQ=WEEKLY"),
    an_event(recurrence=[7]),
    an_event(recurringEventId=7),
    an_event(originalStartTime="x"),
    an_event(visibility=7),
    an_event(eventType=[]),
    an_event(organizer="me"),
    an_event(organizer={"self": "true"}),
    an_event(attendees={}),
    an_event(attendees=["a@b"]),
    an_event(attendees=[{"self": 1}]),
    an_event(attendeesOmitted="no"),
    an_event(locked="no"),
    an_event(extendedProperties=[]),
    an_event(extendedProperties={"private": []}),
    an_event(extendedProperties={"private": {"x": 1}}),
]


@pytest.mark.parametrize("row", HOSTILE, ids=str)
def test_what_is_no_event_is_never_taken_for_one(row: Any) -> None:
    """It is refused in words without any of its values."""
    with pytest.raises(NotAnEvent) as raised:
        parse_event(row)
    assert says_nothing(raised.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.sampled_from(sorted(an_event(attendees=[], extendedProperties={}, recurrence=[]))), JSON)
def test_any_value_in_any_field_is_an_event_or_none(name: str, value: Any) -> None:
    """Never another error: one event that cannot be read must not end the list."""
    try:
        parse_event(an_event(**{name: value}))
    except NotAnEvent:
        return


def test_a_moment_needs_an_offset() -> None:
    """A naive one cannot be expressed."""
    with pytest.raises(ValueError, match="offset"):
        EventTime(datetime(2026, 3, 20, 8))  # noqa: DTZ001  # the point of the test
