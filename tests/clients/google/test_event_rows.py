"""An event that was kept is read again as it was."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from types import MappingProxyType

from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.clients.google_event_rows import event_row
from bitbylaw_pipeline.clients.google_events import EventTime, GoogleEvent, Status, parse_event

_TEXT = st.none() | st.text(min_size=1, max_size=20)
_MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001  # made aware below
    lambda moment: moment.replace(microsecond=0)
)
_ZONES = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-10, minutes=-30))])
_TIMED = st.builds(
    lambda moment, zone, name: EventTime(moment.replace(tzinfo=zone), name),
    _MOMENTS,
    _ZONES,
    st.sampled_from([None, "Europe/Berlin", "Pacific/Honolulu"]),
)
_DAYS = st.dates(date(1970, 1, 1), date(2100, 1, 1)).map(EventTime)
_SPANS = st.tuples(_TIMED, _TIMED) | st.tuples(_DAYS, _DAYS)


@st.composite
def events(draw: st.DrawFn) -> GoogleEvent:
    """Events of every kind."""
    start, end = draw(_SPANS)
    updated = draw(st.none() | _MOMENTS)
    return GoogleEvent(
        id=draw(st.from_regex(r"[a-v0-9]{5,20}(_20260101T090000Z)?", fullmatch=True)),
        etag=draw(st.from_regex(r'"[0-9]{1,10}"', fullmatch=True)),
        status=draw(st.sampled_from(Status)),
        updated=None if updated is None else updated.replace(tzinfo=UTC),
        summary=draw(_TEXT),
        description=draw(_TEXT),
        location=draw(_TEXT),
        start=start,
        end=end,
        recurrence=draw(
            st.sampled_from([(), ("RRULE:FREQ=WEEKLY",), ("RRULE:FREQ=DAILY", "EXDATE:20260101")])
        ),
        recurring_event_id=draw(st.none() | st.just("master1")),
        original_start=draw(st.none() | _TIMED | _DAYS),
        visibility=draw(st.sampled_from(["default", "private", "public"])),
        event_type=draw(st.sampled_from(["default", "outOfOffice"])),
        organizer_is_self=draw(st.booleans()),
        has_guests=draw(st.booleans()),
        is_locked=draw(st.booleans()),
        private=MappingProxyType(draw(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))),
    )


@given(events())
def test_nothing_of_an_event_is_lost(event: GoogleEvent) -> None:
    """Through JSON and back, field by field."""
    assert parse_event(json.loads(json.dumps(event_row(event)))) == event
