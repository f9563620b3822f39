"""Begin and end between neutral fields and Google's: there the end of a whole day is the day after (G9 to G13)."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from bitbylaw_pipeline.clients.google_connection import SYSTEM
from bitbylaw_pipeline.clients.google_events import EventTime, GoogleEvent
from bitbylaw_pipeline.domain.errors import Permanent
from bitbylaw_pipeline.domain.termin_times import BERLIN, TerminTimes, all_day, timed, to_berlin
from bitbylaw_pipeline.domain.three_way import Fields

_ZONE = "Europe/Berlin"
_DAY = timedelta(days=1)


def times_of_event(event: GoogleEvent) -> TerminTimes:
    """Begin and end of an event that is not cancelled."""
    start, end = (one.value for one in event.times())
    if isinstance(start, datetime) and isinstance(end, datetime):
        return timed(start, end)
    return all_day(_day(start), _day(end) - _DAY)


def event_times(fields: Fields) -> tuple[EventTime, EventTime]:
    """Begin and end for an insert or a patch. Raises Permanent("no_times") for an appointment without them."""
    start, end = fields.get("start"), fields.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        raise _no_times()
    try:
        if fields.get("ganztags"):
            return EventTime(date.fromisoformat(start)), EventTime(date.fromisoformat(end) + _DAY)
        # With its offset: the zone alone cannot say which of the two half past twos of a night in autumn it is.
        return EventTime(to_berlin(start), _ZONE), EventTime(to_berlin(end), _ZONE)
    except OverflowError:
        # The last day that there is (.NET's MaxValue, for "without end") has no day after it.
        raise _no_times() from None


def _no_times() -> Permanent:
    return Permanent(
        "An appointment without begin or end cannot be shown in Google.", system=SYSTEM, reason="no_times"
    )


def _day(value: date | datetime) -> date:
    return value.astimezone(BERLIN).date() if isinstance(value, datetime) else value
