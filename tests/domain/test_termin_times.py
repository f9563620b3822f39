"""Instants and days of appointments, in every zone a reader may be in (G9 to G13)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.termin_times import (
    BERLIN,
    TerminTimes,
    all_day,
    days_touched,
    first_of_two,
    from_berlin,
    instant,
    moment_of,
    timed,
    to_berlin,
)

INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2036, 12, 31)).map(  # noqa: DTZ001  # made aware here
    lambda moment: instant(moment.replace(tzinfo=UTC, microsecond=0))
)


@pytest.mark.parametrize(
    ("day", "clock", "meant"),
    [
        ("2026-03-20", "09:30", "2026-03-20T08:30:00Z"),
        ("2026-07-20", "09:30", "2026-07-20T07:30:00Z"),
        ("2026-03-29", "02:30", "2026-03-29T01:30:00Z"),  # does not exist: half past three of summer
        ("2026-10-25", "02:30", "2026-10-25T00:30:00Z"),  # twice: the first
        ("2026-10-25", "03:00", "2026-10-25T02:00:00Z"),
    ],
)
def test_a_wall_time_of_berlin_is_one_instant(day: str, clock: str, meant: str) -> None:
    """Also in the nights in which an hour is missing, or comes twice."""
    assert instant(from_berlin(date.fromisoformat(day), time.fromisoformat(clock))) == meant


def test_the_second_of_two_equal_hours_becomes_the_first() -> None:
    """A wall time without a zone cannot tell them apart; an hour that comes once stays."""
    assert first_of_two("2026-10-25T01:30:00Z") == "2026-10-25T00:30:00Z"
    assert first_of_two("2026-10-25T00:30:00Z") == "2026-10-25T00:30:00Z"
    assert first_of_two("2026-10-25T02:30:00Z") == "2026-10-25T02:30:00Z"


@given(INSTANTS)
def test_every_other_instant_survives_the_wall_time(text: str) -> None:
    """Only the repeated hour of an autumn night is folded, and that but once."""
    folded = first_of_two(text)
    assert first_of_two(folded) == folded
    assert moment_of(text) - moment_of(folded) in (timedelta(0), timedelta(hours=1))
    assert to_berlin(text).replace(tzinfo=None, fold=0) == to_berlin(folded).replace(tzinfo=None, fold=0)


@pytest.mark.parametrize("minutes", [0, -1, -600])
def test_an_end_that_is_none_is_a_quarter_of_an_hour_later(minutes: int) -> None:
    """Counted in real minutes, also where the wall time jumps."""
    begin = datetime(2026, 3, 29, 1, 50, tzinfo=BERLIN)
    times = timed(begin, begin + timedelta(minutes=minutes))
    assert times == TerminTimes("2026-03-29T00:50:00Z", "2026-03-29T01:05:00Z", is_all_day=False)
    assert f"{to_berlin(times.end):%H:%M}" == "03:05"


def test_from_the_first_half_past_to_the_second_quarter_past_is_half_an_hour() -> None:
    """The clock shows less at the end than at the begin, and yet it is later."""
    begin = datetime(2026, 10, 25, 2, 45, tzinfo=BERLIN)
    end = datetime(2026, 10, 25, 2, 15, fold=1, tzinfo=BERLIN)
    assert timed(begin, end) == TerminTimes("2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z", is_all_day=False)


def test_whole_days_include_the_last() -> None:
    """A last day before the first is the first."""
    assert all_day(date(2026, 12, 24), date(2026, 12, 26)) == TerminTimes("2026-12-24", "2026-12-26", True)
    assert all_day(date(2026, 12, 24), date(2026, 12, 20)).end == "2026-12-24"


def test_the_days_are_berlins() -> None:
    """Half past eleven in the evening, UTC, is the next day in Berlin."""
    times = TerminTimes("2026-03-20T23:30:00Z", "2026-03-21T23:30:00Z", is_all_day=False)
    assert days_touched(times) == (date(2026, 3, 21), date(2026, 3, 22))
    assert days_touched(all_day(date(2026, 3, 20), date(2026, 3, 22))) == (
        date(2026, 3, 20),
        date(2026, 3, 22),
    )
