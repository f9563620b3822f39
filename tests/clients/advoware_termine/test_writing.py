"""Termine made, changed and deleted through both surfaces: what is not changed goes back as it was."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface, form_of
from bitbylaw_pipeline.clients.advoware_termin_rows import TerminPatch, wire_values
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.domain.errors import (
    Conflict,
    NotFound,
    OutcomeUnknown,
    Permanent,
    Transient,
    Unreachable,
)
from bitbylaw_pipeline.domain.termin_times import TerminTimes
from bitbylaw_pipeline.sandbox.faults import Fault
from tests.clients.advoware_termine.desk import SURFACES, OpenDesk

both_surfaces = pytest.mark.parametrize("surface", SURFACES)
WHEN = TerminTimes("2026-07-01T21:30:00Z", "2026-07-01T22:30:00Z", is_all_day=False)
NEW = TerminPatch(times=WHEN, owners=("MÜ",), text="Neu", notiz="a\nb", ort=None, is_private=True)
SERIES: dict[str, Any] = {"dauertermin": 1, "turnus": 2, "turnusArt": 2, "datumBis": "2026-04-27"}


def change(patch: TerminPatch, expected: TerminPatch | None = None) -> partial[Any]:
    """A change of Termin 500."""
    return partial(Termine.change, fr_nr=500, patch=patch, expected=expected)


@both_surfaces
@pytest.mark.parametrize("form", ["number", "object", "list"])
def test_a_new_termin_gives_its_number(desk: OpenDesk, surface: Surface, form: str) -> None:
    """In whatever form the answer holds it; it lies there in Berlin's time, with Windows line ends."""
    with desk(post_answers=form) as office:
        number = office.ask(surface, partial(Termine.create, fields=NEW))
        stored = office.stored(number)
        assert (stored["datum"], stored["uhrzeitVon"]) == ("2026-07-01", "23:30:00")
        assert (stored["datumBis"], stored["uhrzeitBis"]) == ("2026-07-02", "00:30:00")
        assert (stored["text"], stored["notiz"], stored["ort"]) == ("Neu", "a\r\nb", "")
        assert (stored["anwalt"], stored["sb"], stored["privat"]) == ("MÜ", "SYS", 1)
        for read_by in SURFACES:
            found = office.get(read_by, number)
            assert (found.times, found.text, found.notiz, found.owners) == (WHEN, "Neu", "a\nb", ("MÜ",))


@both_surfaces
def test_a_termin_of_everybody_is_made_without_a_kuerzel(desk: OpenDesk, surface: Surface) -> None:
    """As the vendor's own client makes it."""
    with desk() as office:
        fields = TerminPatch(times=WHEN, owners=("Allgemein",))
        number = office.ask(surface, partial(Termine.create, fields=fields))
        assert office.stored(number)["anwalt"] == ""
        assert office.numbers(surface, "Allgemein") == [number]


@both_surfaces
@pytest.mark.parametrize("kind", ["timeout_after_commit", "close", "cut_body", "html", "status"])
def test_a_create_with_an_unclear_outcome_says_so(desk: OpenDesk, surface: Surface, kind: str) -> None:
    """Whether it landed is for its journal to find out, never for a second try."""
    with desk({}) as office:
        office.app.faults.add(
            Fault(kind, "/relay/.*Termine.*", "POST", status=200 if kind == "html" else 500)
        )
        with pytest.raises(OutcomeUnknown):
            office.ask(surface, partial(Termine.create, fields=NEW))
        assert len(office.calls("POST")) == 1


@both_surfaces
@pytest.mark.parametrize("body", [0, -5, [], {}, "x", [1, 2]])
def test_a_create_without_a_number_in_the_answer_is_unclear(
    desk: OpenDesk, surface: Surface, body: Any
) -> None:
    """A 200 that does not say which Termin it made."""
    with desk() as office:
        office.app.faults.add(Fault("status", "/relay/.*Termine.*", "POST", status=200, body=body))
        with pytest.raises(OutcomeUnknown):
            office.ask(surface, partial(Termine.create, fields=NEW))


@both_surfaces
def test_g30_a_create_under_a_dead_token_makes_one_termin(desk: OpenDesk, surface: Surface) -> None:
    """The refused call was not carried out, so repeating it once makes no second one."""
    with desk({}) as office:
        office.numbers(surface)
        office.app.tokens.revoke()
        office.ask(surface, partial(Termine.create, fields=NEW))
        assert len(office.app.state()["termine"]) == 2


@both_surfaces
def test_times_and_owners_are_needed(desk: OpenDesk, surface: Surface) -> None:
    """Without an owner it would be everybody's, in all calendars of the firm."""
    with desk() as office:
        for fields in (TerminPatch(times=WHEN), TerminPatch(owners=("PM",))):
            with pytest.raises(ValueError, match="needs times and owners"):
                office.ask(surface, partial(Termine.create, fields=fields))
        for owners in ((), ("",), ("PM,MW",)):
            with pytest.raises(Permanent) as caught:
                office.ask(surface, partial(Termine.create, fields=TerminPatch(times=WHEN, owners=owners)))
            assert caught.value.reason == "no_owner"
        assert office.calls() == []


@both_surfaces
@pytest.mark.parametrize(
    ("patch", "changed"),
    [
        (TerminPatch(text="Neu"), {"text": "Neu"}),
        (TerminPatch(notiz="1\n2\r\n3\r4"), {"notiz": "1\r\n2\r\n3\r\n4"}),
        (TerminPatch(notiz=None), {"notiz": ""}),
        (TerminPatch(ort=None), {"ort": ""}),
        (TerminPatch(is_private=True), {"privat": 1}),
        (TerminPatch(owners=("PM", "MÜ")), {"anwalt": "PM,MÜ"}),
        (
            TerminPatch(times=WHEN),
            {"datum": "2026-07-01", "uhrzeitVon": "23:30:00", "datumBis": "2026-07-02", "uhrzeitBis": "00:30:00"},
        ),
        (
            TerminPatch(times=TerminTimes("2026-12-24", "2026-12-26", is_all_day=True)),
            {"datum": "2026-12-24", "uhrzeitVon": "00:00:00", "datumBis": "2026-12-26", "uhrzeitBis": "23:59:00",
             "abwesenheit": 1},
        ),
    ],
)  # fmt: skip
def test_a_change_leaves_everything_else_as_it_is(
    desk: OpenDesk, surface: Surface, patch: TerminPatch, changed: dict[str, Any]
) -> None:
    """GET, PUT of the whole row, GET; the Akte, reminder, editor and what we do not know stay, and the end moves."""
    with desk({}) as office:
        before = office.stored()
        found = office.ask(surface, change(patch))
        after = office.stored()
        assert after == {**before, **changed, "zuletztGeaendertAm": after["zuletztGeaendertAm"]}
        assert found == office.get(surface)
        assert [call.split()[0] for call in office.calls()[:3]] == ["GET", "PUT", "GET"]


@both_surfaces
@pytest.mark.parametrize("notiz", ["a\nb", "a\r\nb", "a\rb"])
def test_a_body_is_sent_with_windows_line_ends(surface: Surface, notiz: str) -> None:
    """As the vendor's client sends it; that Advoware would mend others is not known."""
    form = form_of(surface)
    assert wire_values(TerminPatch(notiz=notiz), form) == {form.name("notiz"): "a\r\nb"}


@both_surfaces
def test_a_change_that_is_there_already_writes_nothing(desk: OpenDesk, surface: Surface) -> None:
    """Compared by what Advoware would store: line ends, owners in another order, empty texts."""
    with desk({"anwalt": "PM,MÜ", "ort": ""}) as office:
        patch = TerminPatch(
            times=TerminTimes("2026-03-09T08:30:00Z", "2026-03-09T09:15:00Z", is_all_day=False),
            text="Verhandlung", notiz="Vollmacht\r\nLadung", ort="", owners=("MÜ", "PM"), is_private=False,
        )  # fmt: skip
        assert office.ask(surface, change(patch)).text == "Verhandlung"
        assert office.calls("PUT") == []


@both_surfaces
def test_a_change_against_old_values_is_a_conflict(desk: OpenDesk, surface: Surface) -> None:
    """It carries the present values, says only which fields, and nothing is written."""
    with desk({}) as office:
        expected = TerminPatch(text="Alt", ort="Saal 3", times=WHEN)
        with pytest.raises(Conflict, match="text, times") as caught:
            office.ask(surface, change(TerminPatch(notiz="x"), expected))
        assert set(caught.value.current) == {"text", "ort", "times"}
        assert caught.value.current["text"] == "Verhandlung"
        assert "Verhandlung" not in str(caught.value)
        assert office.calls("PUT") == []
        held = TerminPatch(text="Verhandlung", notiz="Vollmacht\nLadung")
        assert office.ask(surface, change(TerminPatch(notiz="x"), held)).notiz == "x"


@both_surfaces
def test_one_employee_is_taken_off_a_shared_termin(desk: OpenDesk, surface: Surface) -> None:
    """The others keep it; also where a list shows a row for each employee, the change starts from the whole one."""
    with desk({"anwalt": "PM,MW,MÜ"}) as office:
        office.ask(surface, change(TerminPatch(owners=("PM", "MÜ"))))
        assert office.stored()["anwalt"] == "PM,MÜ"
        assert (office.numbers(surface, "MW"), office.numbers(surface, "MÜ")) == ([], [500])
        with pytest.raises(Permanent) as caught:
            office.ask(surface, change(TerminPatch(owners=())))
        assert caught.value.reason == "no_owner"


@both_surfaces
def test_a_series_keeps_its_end_when_a_text_is_changed(desk: OpenDesk, surface: Surface) -> None:
    """Over the change to summer time, where UhrzeitBis in UTC is an hour off; its times are not ours to change."""
    with desk(SERIES) as office:
        before = office.stored()
        office.ask(surface, change(TerminPatch(text="Neu")))
        after = office.stored()
        assert after == {**before, "text": "Neu", "zuletztGeaendertAm": after["zuletztGeaendertAm"]}
        puts = len(office.calls("PUT"))
        with pytest.raises(Permanent) as caught:
            office.ask(surface, change(TerminPatch(times=WHEN)))
        assert caught.value.reason == "series"
        times = office.get(surface).times
        assert times is not None
        office.ask(surface, change(TerminPatch(times=times)))
        assert len(office.calls("PUT")) == puts


@both_surfaces
def test_what_advoware_made_of_a_change_is_seen(desk: OpenDesk, surface: Surface) -> None:
    """A text that was cut without a word is in the answer as it is now."""
    with desk({}, truncate_at=5) as office:
        assert office.ask(surface, change(TerminPatch(text="Langer Text"))).text == "Lange"


def test_the_vendors_surface_gets_the_moment_of_our_change(desk: OpenDesk) -> None:
    """Where Advoware keeps what is sent, the old moment would hide the change from telephones."""
    with desk({}, termin_stamp="sent") as office:
        office.app.clock.advance(3600)
        changed = office.ask(Surface.ACTIVE_SYNC, change(TerminPatch(text="Neu"))).changed_at
        assert changed is not None
        assert changed.timestamp() == int(office.app.clock.now())


@both_surfaces
def test_a_deleted_termin_is_gone(desk: OpenDesk, surface: Surface) -> None:
    """The second time says that it was gone, whether Advoware answers 404 or 200 with nothing."""
    with desk({}, {"frNr": 501}) as office:
        delete = partial(Termine.delete, fr_nr=500)
        assert office.ask(surface, delete) is True
        assert office.ask(surface, delete) is False
        office.app.switches.update({"unknown_answers_empty": True})
        assert office.ask(surface, delete) is False
        assert office.numbers(surface) == [501]


@both_surfaces
@pytest.mark.parametrize("is_empty", [True, False])
def test_what_is_gone_cannot_be_changed(desk: OpenDesk, surface: Surface, is_empty: bool) -> None:
    """NotFound, also where it goes between the read and the write; nothing is made in its place."""
    with desk({"frNr": 501}, unknown_answers_empty=is_empty) as office:
        with pytest.raises(NotFound):
            office.ask(surface, change(TerminPatch(text="Neu")))
        row = {**office.get(surface, 501).raw}
        row["frNr" if surface is Surface.GENERAL else "FrNr"] = 500
        office.app.faults.add(Fault("status", "/relay/.*Termine.*", "GET", times=1, status=200, body=row))
        with pytest.raises(NotFound):
            office.ask(surface, change(TerminPatch(text="Neu")))
        assert len(office.app.state()["termine"]) == 1


@both_surfaces
@pytest.mark.parametrize(
    ("method", "kind"),
    [
        (method, kind)
        for method in ("PUT", "DELETE")
        for kind in ("timeout_after_commit", "close", "html", "status")
    ]
    + [("PUT", "cut_body")],  # the answer to DELETE has no body to cut
)
def test_a_write_that_failed_can_be_done_again(
    desk: OpenDesk, surface: Surface, method: str, kind: str
) -> None:
    """A passing error, and the second try ends where the first would have."""
    delete, text = partial(Termine.delete, fr_nr=500), TerminPatch(text="Neu")
    write: partial[Any] = delete if method == "DELETE" else change(text)
    with desk({}) as office:
        # Not once alone: the transport itself repeats such a call on a connection that was closed.
        office.app.faults.add(
            Fault(kind, "/relay/.*Termine.*", method, status=200 if kind == "html" else 500)
        )
        with pytest.raises(Transient):
            office.ask(surface, write)
        office.app.faults.clear()
        office.ask(surface, write)
        found = office.ask(surface, partial(Termine.get, fr_nr=500))
        assert (found and found.text) == (None if method == "DELETE" else "Neu")


@both_surfaces
def test_an_offline_firm_takes_no_write(desk: OpenDesk, surface: Surface) -> None:
    """A create is not unclear then: Advoware says itself that it did not reach the firm."""
    with desk({}, connector="offline") as office:
        for write in (
            partial(Termine.create, fields=NEW), change(TerminPatch(text="x")), partial(Termine.delete, fr_nr=500)
        ):  # fmt: skip
            with pytest.raises(Unreachable):
                office.ask(surface, write)
        assert [row["text"] for row in office.app.state()["termine"]] == ["Verhandlung"]
