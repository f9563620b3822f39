"""Termine read through both surfaces: lists that are what was asked for, and one at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest

from bitbylaw_pipeline.clients.advoware_termin_filter import FilterIgnored
from bitbylaw_pipeline.clients.advoware_termin_forms import Surface, form_of
from bitbylaw_pipeline.clients.advoware_termin_rows import TerminPatch, same_kuerzel, termin
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.domain.errors import AuthFailed, Transient, Unexpected, Unreachable
from bitbylaw_pipeline.domain.termin_times import TerminTimes
from bitbylaw_pipeline.sandbox.faults import Fault
from tests.clients.advoware_termine.desk import SURFACES, YEAR, OpenDesk

both_surfaces = pytest.mark.parametrize("surface", SURFACES)


@both_surfaces
@pytest.mark.parametrize("switches", [{}, {"wraps_in_list": True}, {"single_day_datum_bis": "none"}])
def test_one_termin_is_read_the_same_through_both(
    desk: OpenDesk, surface: Surface, switches: dict[str, Any]
) -> None:
    """Neutral times, LF line ends, the Akte's number, the moment of the last change; whatever form it comes in."""
    with desk({}, **switches) as office:
        found = office.get(surface)
        assert found.times == TerminTimes("2026-03-09T08:30:00Z", "2026-03-09T09:15:00Z", is_all_day=False)
        assert (found.text, found.notiz, found.ort) == ("Verhandlung", "Vollmacht\nLadung", "Saal 3")
        assert (found.fr_nr, found.owners, found.akte_nr) == (500, ("PM",), 26100)
        assert found.changed_at == datetime(2026, 3, 8, 20, 0, 0, 250000, UTC)
        assert (found.is_private, found.is_synthetic, found.series, found.unmapped) == (
            False,
            False,
            None,
            None,
        )
        assert office.ask(surface, lambda termine: termine.list_for("PM", *YEAR)) == [found]


@both_surfaces
def test_an_unknown_number_is_none(desk: OpenDesk, surface: Surface) -> None:
    """Whether Advoware answers 404 or 200 with an empty list."""
    with desk({}) as office:
        assert office.ask(surface, lambda termine: termine.get(501)) is None
        office.app.switches.update({"unknown_answers_empty": True})
        assert office.ask(surface, lambda termine: termine.get(501)) is None


@both_surfaces
def test_another_row_than_the_one_asked_for_is_refused(desk: OpenDesk, surface: Surface) -> None:
    """A filter that is not looked at answers with everything, and the first row is not ours."""
    with desk({}, {"frNr": 501}, ignored_parameters=["frnr"]) as office:
        with pytest.raises(Unexpected, match="not asked for"):
            office.ask(surface, lambda termine: termine.get(501))
        office.seed({})
        with pytest.raises(Unexpected, match="not asked for"):
            office.ask(surface, lambda termine: termine.get(501))


@both_surfaces
def test_g31_a_list_of_all_employees_is_rejected(desk: OpenDesk, surface: Surface) -> None:
    """One foreign row is enough, and the error holds counts alone."""
    with desk({}, {"frNr": 501, "anwalt": "MW"}, {"frNr": 502, "anwalt": "MÜ"}) as office:
        assert office.numbers(surface) == [500]
        office.app.switches.update({"ignored_parameters": ["kuerzel"]})
        with pytest.raises(FilterIgnored, match="filter_ignored") as caught:
            office.numbers(surface)
        assert (caught.value.foreign, caught.value.outside, caught.value.total) == (2, 0, 3)
        assert not any(word in str(caught.value) for word in ("MW", "MÜ", "Verhandlung"))


@both_surfaces
@pytest.mark.parametrize("name", ["from", "to"])
def test_g31_rows_out_of_the_window_are_rejected(desk: OpenDesk, surface: Surface, name: str) -> None:
    """A row of another month shows that the window was not looked at."""
    early, late = {"frNr": 501, "datum": "2026-01-05", "datumBis": "2026-01-06"}, {"frNr": 502, "datum": "2026-12-05", "datumBis": "2026-12-05"}  # fmt: skip
    with desk({}, early, late, ignored_parameters=[name]) as office:
        with pytest.raises(FilterIgnored) as caught:
            office.ask(surface, lambda one: one.list_for("PM", date(2026, 3, 1), date(2026, 3, 31)))
        assert (caught.value.foreign, caught.value.outside) == (0, 1)


@both_surfaces
@pytest.mark.parametrize(("window", "expected"), [("overlap", [500, 501]), ("start", [500])])
def test_the_window_may_be_by_overlap_or_by_start(
    desk: OpenDesk, surface: Surface, window: str, expected: list[int]
) -> None:
    """Neither is taken for an ignored filter; a series counts until its last day."""
    series = {"frNr": 501, "datum": "2026-01-05", "datumBis": "2037-12-31", "dauertermin": 1, "turnus": 1, "turnusArt": 2}  # fmt: skip
    with desk({}, series, window=window) as office:
        found = office.ask(surface, lambda one: one.list_for("PM", date(2026, 3, 9), date(2026, 3, 9)))
        assert [one.fr_nr for one in found] == expected


@both_surfaces
def test_a_window_that_ends_before_it_begins_is_not_asked_for(desk: OpenDesk, surface: Surface) -> None:
    """It would be an empty list, which reads as if all had been deleted."""
    with desk({}) as office:
        with pytest.raises(ValueError, match="window"):
            office.ask(surface, lambda one: one.list_for("PM", date(2026, 3, 2), date(2026, 3, 1)))
        assert office.calls() == []


@both_surfaces
@pytest.mark.parametrize("shared", ["rows", "joined"])
def test_a_shared_termin_is_in_each_list_once(desk: OpenDesk, surface: Surface, shared: str) -> None:
    """Whether Advoware shows a row for each employee or one row; read alone it names them all."""
    with desk({"anwalt": "PM,MÜ"}, {"frNr": 501, "anwalt": "MW"}, shared_termine=shared) as office:
        assert office.numbers(surface, "MÜ") == [500]
        assert office.numbers(surface, "PM") == [500]
        assert office.get(surface).owners == ("PM", "MÜ")


@both_surfaces
@pytest.mark.parametrize("everybody", ["apart", "included"])
def test_termine_of_nobody_and_everybody_have_their_own_list(
    desk: OpenDesk, surface: Surface, everybody: str
) -> None:
    """Also where Advoware lists them with each employee's: there they are left out, and nothing is refused."""
    rows: list[dict[str, Any]] = [{"frNr": 500 + place, "anwalt": name} for place, name in enumerate(["PM", "", "ALLE", "Allgemein"])]  # fmt: skip
    with desk(*rows, everybody=everybody) as office:
        assert office.numbers(surface, "PM") == [500]
        for name in ("Allgemein", "ALLE"):
            assert office.numbers(surface, name) == [501, 502, 503]
        assert office.get(surface, 501).owners == office.get(surface, 502).owners == ("Allgemein",)


@both_surfaces
def test_g32_rows_that_advoware_makes_up_are_told_apart(desk: OpenDesk, surface: Surface) -> None:
    """Vortermin, journeys and Urlaub are listed as synthetic; none of them is ever asked for, changed or deleted."""
    with desk({"vortermin": 15, "hinfahrt": 45, "rueckfahrt": 30}, {"frNr": -9, "text": "Urlaub"}) as office:
        found = office.ask(surface, lambda termine: termine.list_for("PM", *YEAR))
        assert len(found) == 5
        assert [one.fr_nr for one in found if not one.is_synthetic] == [500]
        before = office.calls()
        patch = TerminPatch(text="x")
        for number in (-9, 0):
            for question in (
                partial(Termine.get, fr_nr=number),
                partial(Termine.change, fr_nr=number, patch=patch),
                partial(Termine.delete, fr_nr=number),
            ):
                with pytest.raises(ValueError, match="made up"):
                    office.ask(surface, question)
        assert office.calls() == before


@both_surfaces
def test_g33_a_private_termin_says_so(desk: OpenDesk, surface: Surface) -> None:
    """It is listed like any other, for its link has to be known; who reads it must keep it back."""
    with desk({"privat": 1}, {"frNr": 501}) as office:
        found = office.ask(surface, lambda termine: termine.list_for("PM", *YEAR))
        assert [(one.fr_nr, one.is_private) for one in found] == [(500, True), (501, False)]


@both_surfaces
def test_g30_a_token_that_runs_out_between_two_calls_is_renewed(desk: OpenDesk, surface: Surface) -> None:
    """Revoked or expired: the list comes all the same, and only the call that was refused is repeated."""
    with desk({}) as office:
        assert office.numbers(surface) == [500]
        office.app.tokens.revoke()
        assert office.numbers(surface) == [500]
        office.app.clock.advance(7200)
        assert office.numbers(surface) == [500]
        assert office.app.state()["tokens"]["given"] == 3
        assert len(office.calls("GET")) == 4


@both_surfaces
def test_an_offline_firm_is_no_empty_calendar(desk: OpenDesk, surface: Surface) -> None:
    """The connector is down for hours: Unreachable with the time to wait, for a list and for one Termin."""
    with desk({}) as office:
        office.numbers(surface)
        for form in ("text", "json"):
            office.app.switches.update({"connector": "offline", "refusal_form": form})
            for status in (0, 200, 404):
                office.app.switches.update({"refusal_status": status})
                with pytest.raises(Unreachable) as caught:
                    office.numbers(surface)
                assert (caught.value.retry_after or 0) >= 70
                with pytest.raises(Unreachable):
                    office.get(surface)
        office.app.switches.update({"connector": "online", "enabled": False, "refusal_status": 0})
        with pytest.raises(AuthFailed):
            office.numbers(surface)


@both_surfaces
@pytest.mark.parametrize("kind", ["html", "cut_body", "close", "status"])
def test_a_broken_answer_is_no_empty_calendar(desk: OpenDesk, surface: Surface, kind: str) -> None:
    """A page, half a list, a closed connection, a 500: passing errors all of them."""
    with desk({}) as office:
        office.app.faults.add(Fault(kind, "/relay/.*Termine.*", status=200 if kind == "html" else 500))
        with pytest.raises(Transient):
            office.numbers(surface)
        with pytest.raises(Transient):
            office.get(surface)


@both_surfaces
def test_a_wrong_prefix_is_not_taken_for_a_deletion(desk: OpenDesk, surface: Surface) -> None:
    """Each of its 404s would look like a Termin that is gone."""
    with desk({}, settings={"advoware_path_prefix": "api/v1/"}) as office:
        with pytest.raises(Unexpected, match="ADVOWARE_PATH_PREFIX"):
            office.ask(surface, lambda termine: termine.get(500))
        with pytest.raises(Unexpected, match="ADVOWARE_PATH_PREFIX"):
            office.numbers(surface)
        with pytest.raises(Unexpected, match="ADVOWARE_PATH_PREFIX"):
            office.ask(surface, lambda termine: termine.delete(500))


@both_surfaces
@pytest.mark.parametrize("payload", ["", "null", [{}], [{"frNr": "x", "FrNr": "x"}], [7], "text"])
def test_no_list_and_rows_without_a_number_are_nonsense(
    desk: OpenDesk, surface: Surface, payload: Any
) -> None:
    """A list that cannot be read is no empty list, and neither is an empty body."""
    with desk({}) as office:
        office.app.faults.add(Fault("status", "/relay/.*Termine.*", status=200, body=payload))
        with pytest.raises(Unexpected):
            office.numbers(surface)


@both_surfaces
def test_one_number_with_two_contents_is_nonsense(desk: OpenDesk, surface: Surface) -> None:
    """Of equal rows one is taken; of contradicting ones neither can be."""
    with desk({}) as office:
        row = dict(office.get(surface).raw)
        name = "text" if surface is Surface.GENERAL else "Text"
        office.app.faults.add(Fault("status", "/relay/.*Termine.*", status=200, body=[row, row], times=1))
        assert office.numbers(surface) == [500]
        office.app.faults.add(
            Fault("status", "/relay/.*Termine.*", status=200, body=[row, {**row, name: "B"}])
        )
        with pytest.raises(Unexpected, match="500 that contradict"):
            office.numbers(surface)


@both_surfaces
@pytest.mark.parametrize("value", [None, "", "0001-01-01T00:00:00Z", "morgen", 5, "2026-02-30T00:00:00"])
def test_a_begin_that_cannot_be_read_leaves_the_termin_there(
    desk: OpenDesk, surface: Surface, value: Any
) -> None:
    """It is listed as unreadable: one odd row neither stops the list nor looks like a deletion."""
    with desk({}) as office:
        name = "datum" if surface is Surface.GENERAL else "Datum"
        row = {**office.get(surface).raw, name: value}
        office.app.faults.add(Fault("status", "/relay/.*Termine.*", status=200, body=[row]))
        (found,) = office.ask(surface, lambda termine: termine.list_for("PM", *YEAR))
        assert (found.fr_nr, found.times, found.unmapped) == (500, None, "unreadable")


def test_empty_members_and_other_types_are_read_too() -> None:
    """null, "", a text in place of a number, a truth value: what a server in another mood may send."""
    row: dict[str, Any] = {
        "frNr": "7",
        "datum": "2026-03-09",
        "text": None,
        "notiz": "",
        "privat": "1",
        "nr": None,
    }
    found = termin(row, form_of(Surface.GENERAL))
    assert found is not None
    assert (found.fr_nr, found.text, found.notiz, found.ort) == (7, None, None, None)
    assert (found.is_private, found.akte_nr, found.changed_at, found.owners) == (
        True,
        None,
        None,
        ("Allgemein",),
    )
    assert found.times == TerminTimes("2026-03-09T08:00:00Z", "2026-03-09T08:15:00Z", is_all_day=False)
    found = termin(
        {"FrNr": 7, "Datum": "2026-03-09T08:00:00", "Privat": True, "Nr": -1}, form_of(Surface.ACTIVE_SYNC)
    )
    assert found is not None
    assert (found.is_private, found.akte_nr) == (True, None)
    assert found.times == TerminTimes("2026-03-09T08:00:00Z", "2026-03-09T08:15:00Z", is_all_day=False)


@both_surfaces
def test_nothing_personal_is_in_a_repr(desk: OpenDesk, surface: Surface) -> None:
    """A Termin in a traceback or log line shows numbers, no texts and no row."""
    with desk({}) as office:
        shown = repr(office.get(surface))
        assert "500" in shown
        assert not any(word in shown for word in ("Verhandlung", "Vollmacht", "Saal"))


def test_a_kuerzel_is_compared_by_what_it_looks_like() -> None:
    """An umlaut has two spellings in Unicode; nobody and everybody have three names."""
    assert same_kuerzel("M\u00dc", "mU\u0308")
    assert same_kuerzel("ALLE", "Allgemein")
    assert same_kuerzel("", "alle")
    assert not same_kuerzel("PM", "ALLE")
