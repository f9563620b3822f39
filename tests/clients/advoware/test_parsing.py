"""Advoware's answers in all the forms that it may give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bitbylaw_pipeline.clients import advoware_parsing as parsing
from bitbylaw_pipeline.clients import advoware_surface as surface
from bitbylaw_pipeline.clients.advoware_moments import date_text, epoch_seconds, ticks_text
from bitbylaw_pipeline.clients.advoware_rows import Partei, Value
from bitbylaw_pipeline.clients.answer import Answer, Call
from bitbylaw_pipeline.domain.errors import OutcomeUnknown, Permanent, Unexpected

READ, CREATE = Call("advoware", "beteiligter", "1"), Call("advoware", "create_beteiligter", creates=True)


def answer(data: Any, call: Call = READ) -> Answer:
    """A success with that JSON."""
    return Answer(call, 200, {}, data)


def partei(row: Mapping[str, Any]) -> Partei:
    """The party in a row."""
    return parsing.partei(answer(row), row)


@pytest.mark.parametrize(
    "text",
    ["2026-03-08T19:00:00.1234567Z", "2026-03-08T19:00:00.123456Z", "2026-03-08T20:00:00.1234569+01:00",
     "2026-03-08T19:00:00.1234567"],
)  # fmt: skip
def test_a_moment_may_have_seven_digits(text: str) -> None:
    """With seven digits, six, an offset, or none (UTC) it is the same microsecond."""
    assert epoch_seconds(text) == pytest.approx(1772996400.123456, abs=2e-6)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "", None, "gestern", 5, "2026-13-01T00:00:00Z"])
def test_no_moment_is_none(text: object) -> None:
    """The year 1 and what cannot be read are no moment."""
    assert epoch_seconds(text) is None


def test_our_own_stamp_has_ticks() -> None:
    """.NET's seven digits, which Advoware's own documents show."""
    assert ticks_text(1772996400.123456) == "2026-03-08T19:00:00.1234560Z"
    assert epoch_seconds(ticks_text(1772996400.123456)) == pytest.approx(1772996400.123456)


@pytest.mark.parametrize(
    ("text", "day"),
    [("1980-05-17T00:00:00Z", "1980-05-17"), ("1980-05-17", "1980-05-17"), ("0001-01-01T00:00:00Z", None), ("", None)],
)  # fmt: skip
def test_a_date_is_a_day_or_none(text: str, day: str | None) -> None:
    """The day alone; the year 1 is none."""
    assert date_text(text) == day


@pytest.mark.parametrize("given", ["1980-02-30T00:00:00Z", "17.05.1980", 5, {}])
def test_a_date_that_is_none_is_not_known(given: Any) -> None:
    """A value that cannot be read is not there, instead of looking cleared or stopping the whole list."""
    found = partei({"betNr": 1, "geburtsdatum": given, "name": "A"})
    assert found.geburtsdatum is None
    assert "geburtsdatum" not in found.known
    assert found.known == {"name": "A"}


def test_what_is_empty_is_known_to_be_none() -> None:
    """null, "" and the year 1 are one empty value; a member that is not there is not known."""
    found = partei({"betNr": 1, "name": "", "vorname": None, "geburtsdatum": surface.NO_DATE})
    assert found.known == {"name": None, "vorname": None, "geburtsdatum": None}


def test_unknown_members_are_kept() -> None:
    """They stay in `raw`, for a PUT that leaves them out would clear them."""
    row = {
        "betNr": 1,
        "rowId": "R1",
        "geaendertAm": "2026-03-08T19:00:00.1234567Z",
        "zusatzFeld1": {"a": [1]},
    }
    found = partei(row)
    assert found.raw["zusatzFeld1"] == {"a": [1]}
    assert found.row_id == "R1"
    assert found.changed_at == pytest.approx(1772996400.123456)


def test_rows_that_are_not_embedded_are_none() -> None:
    """None says "read them at their own path"; an empty list says that there are none."""
    found = partei({"betNr": 1, "adressen": [], "kommunikation": "?", "bankverbindungen": [{"iban": "x"}]})
    assert (found.adressen, found.kommunikation, found.bankverbindungen) == ((), None, None)


@pytest.mark.parametrize("data", [{"betNr": 5}, [{"betNr": 5}], {"betNr": "5"}])
def test_one_row_may_come_as_a_list_of_one(data: Any) -> None:
    """An object and a list of one are the same."""
    assert parsing.one_of(answer(data), surface.PARTEI, 5) is not None


@pytest.mark.parametrize("data", [[], None])
def test_an_empty_answer_has_no_row(data: Any) -> None:
    """200 with nothing says that there is no such record."""
    assert parsing.one_of(answer(data), surface.PARTEI, 5) is None


@pytest.mark.parametrize(
    "data", [{"betNr": 6}, [{"betNr": 5}, {"betNr": 6}], [{"betNr": 5}] * 2, {"id": 5}, "x", 5]
)
def test_rows_that_were_not_asked_for_are_refused(data: Any) -> None:
    """Another record, or all of them, is never taken for the one that was asked for."""
    with pytest.raises(Unexpected):
        parsing.one_of(answer(data), surface.PARTEI, 5)


def test_rows_of_another_party_are_refused() -> None:
    """Where a row names its party it must be the right one."""
    assert parsing.rows_below(answer([{"id": 1}, {"id": 2, "betNr": 5}]), surface.ADRESSE, 5)
    with pytest.raises(Unexpected):
        parsing.rows_below(answer([{"id": 1, "betNr": 6}]), surface.ADRESSE, 5)


@pytest.mark.parametrize(
    "data", [104860, "104860", [104860], {"betNr": 104860}, [{"betNr": 104860, "name": "A"}]]
)
def test_a_create_may_answer_in_many_forms(data: Any) -> None:
    """A number, an object, and lists of one of either tell the new id."""
    assert parsing.new_id(answer(data, CREATE), surface.PARTEI) == 104860


@pytest.mark.parametrize("data", [None, "", [], 0, -1, True, {"id": 3}, [1, 2], {"betNr": None}, "x"])
def test_a_create_without_an_id_is_unclear(data: Any) -> None:
    """It may have landed: it must be looked for, never repeated."""
    with pytest.raises(OutcomeUnknown):
        parsing.new_id(answer(data, CREATE), surface.PARTEI)


def test_fields_are_sent_in_advowares_form() -> None:
    """Our names become Advoware's, dates moments, an empty date the year 1."""
    values: dict[str, Value] = {
        "register_nummer": "HRB 1",
        "geburtsdatum": "1980-05-17",
        "name": None,
    }
    sent = parsing.wire_fields(surface.PARTEI, values, surface.PARTEI.fields)
    assert sent == {"handelsRegisterNummer": "HRB 1", "geburtsdatum": "1980-05-17T00:00:00Z", "name": ""}
    assert parsing.wire_fields(surface.PARTEI, {"geburtsdatum": None}, surface.PARTEI.fields) == {
        "geburtsdatum": surface.NO_DATE
    }


def test_a_field_that_advoware_ignores_is_never_sent() -> None:
    """A change that would silently be lost is refused before anything is sent, naming the fields."""
    patch: dict[str, Value] = {"standard_anschrift": True, "land": "AT", "ort": "X"}
    with pytest.raises(Permanent, match="land, standard_anschrift") as caught:
        parsing.wire_fields(surface.ADRESSE, patch, surface.ADRESSE.changeable)
    assert caught.value.reason == "read_only"


def test_a_matter_has_its_parties_in_either_form() -> None:
    """Numbers, or objects with a betNr; None where the answer holds none of it."""
    row: dict[str, Any] = {"id": 7, "aktennummer": 123, "az": "123/26"}
    assert parsing.akte(answer(row), row).beteiligte is None
    for parties in ([1, 2], [{"betNr": 1, "rolle": "Mandant"}, {"betNr": 2}]):
        found = parsing.akte(answer(row), {**row, "beteiligte": parties})
        assert (found.aktennummer, found.beteiligte) == (123, (1, 2))
