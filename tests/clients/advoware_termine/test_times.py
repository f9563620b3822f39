"""When a Termin is: whole days, nights with a changed clock, odd ends, series, in any time zone of the machine."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface, form_of
from bitbylaw_pipeline.clients.advoware_termin_rows import TerminPatch, termin
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.domain.termin_times import TerminTimes
from tests.clients.advoware_termine.desk import SURFACES, Desk, OpenDesk, zone_of_process

both_surfaces = pytest.mark.parametrize("surface", SURFACES)
ZONES = ["Pacific/Honolulu", "Pacific/Kiritimati", "UTC", "Europe/Berlin"]
WHOLE_DAY = {"uhrzeitVon": "00:00:00", "uhrzeitBis": "23:59:00", "abwesenheit": 1}
SERIES = {"dauertermin": 1, "turnus": 1, "turnusArt": 2, "datumBis": "2026-04-27"}


def timed(start: str, end: str) -> TerminTimes:
    """Two instants of 2026, as MM-DDTHH:MM."""
    return TerminTimes(f"2026-{start}:00Z", f"2026-{end}:00Z", is_all_day=False)


def days(first: str, last: str) -> TerminTimes:
    """Whole days of 2026, as MM-DD."""
    return TerminTimes(f"2026-{first}", f"2026-{last}", is_all_day=True)


def at(day: str, begin: str | None, end: str | None, last: str | None = None) -> dict[str, Any]:
    """A row's times in Berlin, days as MM-DD."""
    return {"datum": f"2026-{day}", "uhrzeitVon": begin, "datumBis": f"2026-{last or day}", "uhrzeitBis": end}


CASES = {
    "G9 a whole day": ({**at("03-20", None, None), **WHOLE_DAY}, days("03-20", "03-20")),
    "G10 whole days": ({**at("12-24", None, None, "12-26"), **WHOLE_DAY}, days("12-24", "12-26")),
    "whole days over the night of spring": ({**at("03-28", None, None, "03-29"), **WHOLE_DAY}, days("03-28", "03-29")),
    "whole days over the night of autumn": ({**at("10-24", None, None, "10-25"), **WHOLE_DAY}, days("10-24", "10-25")),
    "a whole day stored until midnight": ({**at("03-20", None, None), **WHOLE_DAY, "uhrzeitBis": "00:00:00"}, days("03-20", "03-20")),
    "a whole day that ends before it begins": ({**at("03-20", None, None, "03-18"), **WHOLE_DAY}, days("03-20", "03-20")),
    "G11 in the hour that is left out": (at("03-29", "02:30:00", "03:30:00"), timed("03-29T01:30", "03-29T01:45")),
    "until the hour that is left out": (at("03-29", "01:30:00", "02:30:00"), timed("03-29T00:30", "03-29T01:30")),
    "G12 in the hour that comes twice": (at("10-25", "02:30:00", "02:45:00"), timed("10-25T00:30", "10-25T00:45")),
    "from the first to the second of an hour": (at("10-25", "02:30:00", "02:15:00"), timed("10-25T00:30", "10-25T01:15")),
    "over the night of autumn": (at("10-24", "23:00:00", "04:00:00", "10-25"), timed("10-24T21:00", "10-25T03:00")),
    "G13 an end before the begin": (at("03-09", "10:00:00", "09:00:00"), timed("03-09T09:00", "03-09T09:15")),
    "G13 an end on the day before": (at("03-09", "10:00:00", "11:00:00", "03-08"), timed("03-09T09:00", "03-09T09:15")),
    "G13 no length": (at("03-09", "10:00:00", "10:00:00"), timed("03-09T09:00", "03-09T09:15")),
    "several days with times": (at("07-01", "22:00:00", "08:00:00", "07-04"), timed("07-01T20:00", "07-04T06:00")),
    "over midnight": (at("07-01", "22:00:00", "00:30:00", "07-02"), timed("07-01T20:00", "07-01T22:30")),
    "a first occurrence": ({**at("03-09", "09:30:00", "10:15:00"), **SERIES}, timed("03-09T08:30", "03-09T09:15")),
    "a first occurrence over midnight": ({**at("03-09", "22:00:00", "01:00:00"), **SERIES}, timed("03-09T21:00", "03-10T00:00")),
    "a first occurrence without a length": (
        {**at("03-09", "09:30:00", "09:30:00"), **SERIES}, timed("03-09T08:30", "03-09T08:45"),
    ),
    "a first occurrence in the hour that is left out": (
        {**at("03-29", "02:30:00", "02:45:00"), **SERIES}, timed("03-29T01:30", "03-29T01:45"),
    ),
    "a first occurrence in the hour that comes twice": (
        {**at("10-25", "02:30:00", "02:15:00"), **SERIES, "datumBis": "2026-12-31"}, timed("10-25T00:30", "10-26T01:15"),
    ),
    "a first occurrence of whole days": ({**at("03-09", None, None), **WHOLE_DAY, **SERIES}, days("03-09", "03-09")),
}  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
def test_both_surfaces_read_the_same_times_on_any_machine(desk: OpenDesk, zone: str) -> None:
    """What lies in Advoware means one thing, wherever the process runs."""
    rows = [{"frNr": 500 + place, **row} for place, (row, _) in enumerate(CASES.values())]
    with zone_of_process(zone), desk(*rows) as office:
        for surface in SURFACES:
            found = {name: office.get(surface, 500 + place).times for place, name in enumerate(CASES)}
            assert found == {name: times for name, (_, times) in CASES.items()}


@pytest.mark.parametrize("zone", ZONES)
@both_surfaces
def test_what_was_read_is_written_back_the_same(desk: OpenDesk, surface: Surface, zone: str) -> None:
    """A Termin moved away and back lies where it was; one whose times are equal is not written at all."""
    with zone_of_process(zone), desk({}) as office:
        for times in (days("03-20", "03-20"), days("12-24", "12-26"), timed("03-29T01:30", "03-29T02:30")):
            assert write(office, surface, times) == times == office.stored_form(surface, times)
            puts = len(office.calls("PUT"))
            write(office, surface, times)
            assert len(office.calls("PUT")) == puts
        stored = office.stored()
        assert (stored["datum"], stored["uhrzeitVon"], stored["uhrzeitBis"]) == (
            "2026-03-29",
            "03:30:00",
            "04:30:00",
        )


def test_whole_days_are_stored_a_minute_short(desk: OpenDesk) -> None:
    """From midnight until 23:59 of the last day, Berlin's time, through either surface."""
    for surface in SURFACES:
        with desk({}) as office:
            write(office, surface, days("12-24", "12-26"))
            row = office.stored()
            assert (row["datum"], row["uhrzeitVon"]) == ("2026-12-24", "00:00:00")
            assert (row["datumBis"], row["uhrzeitBis"], row["abwesenheit"]) == ("2026-12-26", "23:59:00", 1)
            write(office, surface, timed("03-09T08:30", "03-09T09:15"))
            assert office.stored()["abwesenheit"] == 0


def test_g12_two_equal_hours_are_two_where_advoware_keeps_them_apart(desk: OpenDesk) -> None:
    """A move from the first half past two to the second travels then; elsewhere it is the first, said beforehand."""
    first, second = timed("10-25T00:30", "10-25T00:45"), timed("10-25T01:30", "10-25T01:45")
    with desk(at("10-25", "02:30:00", "02:45:00"), repeated_hour="kept") as office:
        vendor = Surface.ACTIVE_SYNC
        assert office.stored_form(vendor, second, keeps_fold=True) == second
        move = partial(Termine.change, fr_nr=500, patch=TerminPatch(times=second))
        assert office.get(vendor, keeps_fold=True).times == first
        assert office.ask(vendor, move, keeps_fold=True).times == second
        assert office.get(vendor).times == first
        for surface in SURFACES:
            assert office.stored_form(surface, second) == first


@both_surfaces
def test_what_cannot_be_stored_is_not_written_again_and_again(desk: OpenDesk, surface: Surface) -> None:
    """The second of two equal hours, where the first is there: Advoware holds all that it can."""
    with desk(at("10-25", "02:30:00", "02:45:00")) as office:
        assert write(office, surface, timed("10-25T01:30", "10-25T01:45")) == timed(
            "10-25T00:30", "10-25T00:45"
        )
        assert office.calls("PUT") == []


def test_a_termin_without_a_time_begins_at_nine(desk: OpenDesk) -> None:
    """As the old sync had it; the other surface cannot tell it from midnight."""
    with desk(at("03-09", None, None)) as office:
        assert office.get(Surface.GENERAL).times == timed("03-09T08:00", "03-09T08:15")
        assert office.get(Surface.ACTIVE_SYNC).times == timed("03-08T23:00", "03-08T23:15")


def test_an_end_that_is_none_is_the_begin() -> None:
    """The year 1, null and "" on either surface; the date may be missing where the time is there."""
    for end in (None, "", "0001-01-01T00:00:00Z"):
        row: dict[str, Any] = {
            "frNr": 1,
            "datum": "2026-03-09T00:00:00",
            "uhrzeitVon": "10:00",
            "datumBis": end,
        }
        found = termin({**row, "uhrzeitBis": "11:30:00.0000000"}, form_of(Surface.GENERAL))
        assert found is not None
        assert found.times == timed("03-09T09:00", "03-09T10:30")
        found = termin(row, form_of(Surface.GENERAL))
        assert found is not None
        assert found.times == timed("03-09T09:00", "03-09T09:15")
        row = {"FrNr": 1, "Datum": "2026-03-09T09:00:00.1234567Z", "DatumBis": end}
        found = termin({**row, "UhrzeitBis": "10:30:00"}, form_of(Surface.ACTIVE_SYNC))
        assert found is not None
        assert found.times == timed("03-09T09:00", "03-09T10:30")
        found = termin(row, form_of(Surface.ACTIVE_SYNC))
        assert found is not None
        assert found.times == timed("03-09T09:00", "03-09T09:15")


def test_the_end_is_the_day_of_one_member_and_the_time_of_the_other() -> None:
    """ActiveSync: DatumBis may carry an old time; UhrzeitBis counts."""
    row = {
        "FrNr": 1,
        "Datum": "2026-03-09T09:00:00Z",
        "DatumBis": "2026-03-10T00:00:00Z",
        "UhrzeitBis": "10:30:00",
    }
    found = termin(row, form_of(Surface.ACTIVE_SYNC))
    assert found is not None
    assert found.times == timed("03-09T09:00", "03-10T10:30")


def test_a_sentinel_at_the_end_of_all_time_stops_no_list(desk: OpenDesk) -> None:
    """Whole days without an end are kept; a time after which there is none is unreadable."""
    with desk({**at("03-09", None, None), **WHOLE_DAY, "datumBis": "9999-12-31"}, {"frNr": 501}) as office:
        assert office.numbers(Surface.GENERAL) == [500, 501]
        assert office.get(Surface.GENERAL).times == TerminTimes("2026-03-09", "9999-12-31", is_all_day=True)
    row = {
        "frNr": 1,
        "datum": "9999-12-31",
        "uhrzeitVon": "23:55",
        "datumBis": "9999-12-31",
        "uhrzeitBis": "23:50",
    }
    found = termin(row, form_of(Surface.GENERAL))
    assert found is not None
    assert (found.times is None) == (found.unmapped == "unreadable")


def series(**changes: Any) -> dict[str, Any]:
    """A weekly series from Monday, 9 March 2026, 09:30 to 10:15 in Berlin."""
    return {**at("03-09", "09:30:00", "10:15:00"), **SERIES, **changes}


@pytest.mark.parametrize(
    ("row", "rrule", "reason"),
    [
        # The last begin is in summer: half past nine is half past seven there.
        (series(), "RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20260427T073000Z", None),
        (series(turnus=2), "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;UNTIL=20260427T073000Z", None),
        (series(turnusArt=1), "RRULE:FREQ=DAILY;UNTIL=20260427T073000Z", None),
        (series(turnusArt=3), "RRULE:FREQ=MONTHLY;UNTIL=20260427T073000Z", None),
        (series(turnusArt=4, datumBis="2030-03-09"), "RRULE:FREQ=YEARLY;UNTIL=20300309T083000Z", None),
        (series(datumBis="2037-12-31"), "RRULE:FREQ=WEEKLY;BYDAY=MO", None),
        (series(datumBis="2037-03-09"), "RRULE:FREQ=WEEKLY;BYDAY=MO", None),
        (series(**WHOLE_DAY), "RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20260427", None),
        # Monday in Berlin, still Sunday in UTC.
        (series(uhrzeitVon="00:15:00"), "RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20260426T221500Z", None),
        # Half past two is left out on the first day, so the rule is for half past three.
        (
            series(datum="2026-03-29", uhrzeitVon="02:30:00"),
            "RRULE:FREQ=WEEKLY;BYDAY=SU;UNTIL=20260427T013000Z",
            None,
        ),
        (series(datum="2026-01-31", turnusArt=3), None, "end_of_month"),
        (series(datum="2024-02-29", turnusArt=4), None, "end_of_month"),
        (series(datum="2025-12-31", turnusArt=4), "RRULE:FREQ=YEARLY;UNTIL=20260427T073000Z", None),
        (series(datumBis="2026-03-02"), None, "ends_before_it_begins"),
    ],
)
def test_a_series_is_a_rule_or_says_why_not(
    desk: OpenDesk, row: dict[str, Any], rrule: str | None, reason: str | None
) -> None:
    """The same through both surfaces, also from winter into summer."""
    with desk(row) as office:
        for surface in SURFACES:
            found = office.get(surface)
            assert found.series is not None
            assert (found.series.rrule, found.series.reason, found.unmapped) == (rrule, reason, reason)


@pytest.mark.parametrize("changes", [{"turnus": 0}, {"turnusArt": 5}, {"turnusArt": None}, {"turnus": "x"}])
def test_a_series_of_an_unknown_kind_is_not_shown_as_a_single_termin(changes: dict[str, Any]) -> None:
    """Neither a rule nor one appointment: it says that it cannot be shown."""
    found = termin({"frNr": 1, "anwalt": "PM", **series(**changes)}, form_of(Surface.GENERAL))
    assert found is not None
    assert found.unmapped == "unknown_turnus"


def test_the_last_day_of_a_series_is_known_where_there_is_one(desk: OpenDesk) -> None:
    """The year 2037 is none."""
    with desk(series(), {**series(datumBis="2037-12-31"), "frNr": 501}) as office:
        for surface in SURFACES:
            assert (office.get(surface).last_day, office.get(surface, 501).last_day) == ("2026-04-27", None)


def write(office: Desk, surface: Surface, times: TerminTimes) -> TerminTimes | None:
    """Termin 500 moved there; gives where it is then."""
    return office.ask(surface, partial(Termine.change, fr_nr=500, patch=TerminPatch(times=times))).times
