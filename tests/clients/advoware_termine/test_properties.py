"""The laws of an adapter (`two_way_sync.md` 1.2), for any Termin and any change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface, TerminForm, form_of
from bitbylaw_pipeline.clients.advoware_termin_rows import TerminPatch, stored_text, termin, wire_values
from bitbylaw_pipeline.clients.advoware_termin_times import stored_form
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.domain.termin_times import TerminTimes, all_day
from tests.clients.advoware_termine.desk import SURFACES, Desk, OpenDesk, zone_of_process

both_surfaces = pytest.mark.parametrize("surface", SURFACES)
TIMES = ("datum", "uhrzeitVon", "datumBis", "uhrzeitBis", "abwesenheit")
WIRE_NAMES = {"times": TIMES, "owners": ("anwalt",), "is_private": ("privat",)}
ALWAYS_NEW = ("uhrzeitBisTicks", "zuletztGeaendertAm")

# Days around both nights with a changed clock, a turn of the year, and plain ones in summer and winter.
DAYS = st.sampled_from(
    [date(2026, *day) for day in [(3, 28), (3, 29), (3, 30), (10, 24), (10, 25), (10, 26), (7, 1), (12, 31)]]
)
MINUTES = st.one_of(st.integers(0, 1439), st.integers(0, 240))
SECONDS = st.sampled_from([0, 0, 0, 1, 59])


@st.composite
def neutral_times(draw: st.DrawFn) -> TerminTimes:
    """Whole days, or instants of which the second may come first."""
    day = draw(DAYS)
    if draw(st.booleans()):
        return all_day(day, day + timedelta(days=draw(st.integers(0, 4))))
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    begin = midnight + timedelta(minutes=draw(MINUTES), seconds=draw(SECONDS))
    end = begin + timedelta(minutes=draw(st.one_of(st.integers(-90, 180), st.integers(0, 6000))))
    return TerminTimes(f"{begin:%Y-%m-%dT%H:%M:%S}Z", f"{end:%Y-%m-%dT%H:%M:%S}Z", is_all_day=False)


@st.composite
def stored_rows(draw: st.DrawFn, *, with_series: bool = True) -> dict[str, Any]:
    """What people may have put into Advoware itself: any wall times, degenerate ones too."""
    day = draw(DAYS)
    row: dict[str, Any] = {
        "datum": day.isoformat(),
        "uhrzeitVon": draw(clocks()),
        "datumBis": (day + timedelta(days=draw(st.integers(-1, 3)))).isoformat(),
        "uhrzeitBis": draw(clocks()),
        "abwesenheit": draw(st.sampled_from([0, 0, 1])),
        "text": draw(st.text(max_size=12)),
        "notiz": draw(st.text("ab\r\n", max_size=8)),
        "ort": draw(st.text(max_size=5)),
        "anwalt": draw(st.sampled_from(["PM", "PM,MÜ", "", "ALLE", "PM,MW,MÜ"])),
        "privat": draw(st.integers(0, 1)),
        "erinnerung": draw(st.integers(0, 1)),
    }
    if with_series and draw(st.booleans()):
        # Not a night with a changed clock as the last day: an hour that is not there is another in UTC.
        last = draw(st.sampled_from(["2026-12-31", "2027-07-01", "2037-12-31", "2026-11-15"]))
        row |= {"dauertermin": 1, "turnus": draw(st.integers(1, 3)), "turnusArt": draw(st.integers(1, 4)), "datumBis": last}  # fmt: skip
    return row


@st.composite
def clocks(draw: st.DrawFn) -> str:
    """A time of day, often in the small hours."""
    minute = draw(MINUTES)
    return f"{minute // 60:02}:{minute % 60:02}:{draw(SECONDS):02}"


PATCHES: dict[str, st.SearchStrategy[Any]] = {
    "times": neutral_times(),
    "text": st.one_of(st.none(), st.text(max_size=12)),
    "notiz": st.one_of(st.none(), st.text("xy\r\n", max_size=8)),
    "ort": st.one_of(st.none(), st.text(max_size=5)),
    "owners": st.sampled_from([("PM",), ("MÜ", "PM"), ("Allgemein",)]),
    "is_private": st.booleans(),
}


@both_surfaces
@pytest.mark.parametrize("repeated_hour", ["first", "kept"])
def test_what_is_written_is_read_as_the_client_says(
    desk: OpenDesk, surface: Surface, repeated_hour: str
) -> None:
    """read(write(x)) = stored_form(x), and what is stored once is stored unchanged a second time."""
    keeps_fold = repeated_hour == "kept" and surface is Surface.ACTIVE_SYNC

    @settings(max_examples=200)
    @given(neutral_times(), PATCHES["text"], PATCHES["notiz"])
    def check(times: TerminTimes, text: str | None, notiz: str | None) -> None:
        fields = TerminPatch(times=times, text=text, notiz=notiz, owners=("PM",))
        expected = office.stored_form(surface, times, keeps_fold=keeps_fold)
        number = office.ask(surface, partial(Termine.create, fields=fields), keeps_fold=keeps_fold)
        found = office.get(surface, number, keeps_fold=keeps_fold)
        assert (found.times, found.text, found.notiz) == (expected, text or None, stored_text(notiz))
        assert office.stored_form(surface, expected, keeps_fold=keeps_fold) == expected
        assert found.times is not None
        assert found.times.start < found.times.end or found.times.is_all_day
        if keeps_fold and times.start < times.end:
            assert expected == times

    with desk(way="asgi", repeated_hour=repeated_hour) as office:
        check()


def test_one_stored_termin_is_the_same_through_both_surfaces(desk: OpenDesk) -> None:
    """Everything neutral is equal: times in both nights, odd ends, whole days, series, owners, line ends."""

    @settings(max_examples=300)
    @given(stored_rows())
    def check(row: dict[str, Any]) -> None:
        office.seed(row)
        general, active_sync = (office.get(surface) for surface in SURFACES)
        assert general == active_sync
        assert general.times is not None

    with desk(way="asgi") as office:
        check()


@both_surfaces
@pytest.mark.parametrize("field", sorted(PATCHES))
def test_a_change_of_one_field_leaves_all_others_as_they_were_sent(
    desk: OpenDesk, surface: Surface, field: str
) -> None:
    """Byte for byte as the surface sends them, but what it derives; and in meaning through the other one as well."""
    form = form_of(surface)
    touched = {form.name(name) for name in (*WIRE_NAMES.get(field, (field,)), *ALWAYS_NEW)}
    neutral = ("times", "text", "notiz", "ort", "owners", "is_private", "series", "akte_nr", "last_day")

    @settings(max_examples=100)
    @given(stored_rows(with_series=field != "times"), PATCHES[field])
    def check(row: dict[str, Any], value: Any) -> None:
        office.seed(row)
        before = {one: office.get(one) for one in SURFACES}
        patch: Any = {field: value}
        office.ask(surface, partial(Termine.change, fr_nr=500, patch=patch))
        after = {one: office.get(one) for one in SURFACES}
        assert _without(after[surface].raw, touched) == _without(before[surface].raw, touched)
        for one in SURFACES:
            for name in neutral:
                if name != field:
                    assert getattr(after[one], name) == getattr(before[one], name), name
        assert stored(office, surface, field, getattr(after[surface], field)) == stored(
            office, surface, field, value
        )

    with desk(way="asgi") as office:
        check()


def test_the_time_zone_of_the_machine_changes_nothing() -> None:
    """Reading, writing and foretelling, in Honolulu, Kiritimati and UTC."""

    def seen(form: TerminForm, times: TerminTimes) -> Any:
        row = {form.name("frNr"): 1, **wire_values(TerminPatch(times=times), form)}
        return row, termin(row, form), stored_form(times, keeps_fold=form.keeps_fold)

    @settings(max_examples=60)
    @given(neutral_times())
    def check(times: TerminTimes) -> None:
        for form in (form_of(Surface.GENERAL), form_of(Surface.ACTIVE_SYNC), form_of(Surface.ACTIVE_SYNC, keeps_fold=True)):  # fmt: skip
            found = []
            for zone in ("Pacific/Honolulu", "Pacific/Kiritimati", "UTC"):
                with zone_of_process(zone):
                    found.append(seen(form, times))
            assert found[0] == found[1] == found[2]
            assert found[0][1].times == found[0][2]

    check()


def stored(office: Desk, surface: Surface, field: str, value: Any) -> Any:
    """A field's value as it is compared after a write."""
    match field:
        case "times":
            return office.stored_form(surface, value)
        case "owners":
            return sorted(value)
        case "is_private":
            return value
        case "notiz":
            return stored_text(value)
    return value or None


def _without(row: Any, names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}
