"""Appointments on both surfaces of the stand-in."""

from __future__ import annotations

from typing import Any

import pytest

SURFACES = ["Termine", "TermineActiveSync"]
TICKS_PER_HOUR = 36_000_000_000

VERHANDLUNG = {
    "frNr": 500,
    "datum": "2026-03-09",
    "uhrzeitVon": "09:30:00",
    "datumBis": "2026-03-09",
    "uhrzeitBis": "10:15:00",
    "text": "Verhandlung",
    "anwalt": "PM",
}


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    """frNr of each row, on either surface."""
    return [row["frNr"] if "frNr" in row else row["FrNr"] for row in rows]


def seed(firm: Any, *rows: dict[str, Any]) -> None:
    """Put Termine into the stand-in, each over the fields of VERHANDLUNG."""
    firm.control("seed", {"termine": [{**VERHANDLUNG, **row} for row in rows]})


def one(firm: Any, number: int = 500) -> Any:
    """A Termin on the ActiveSync surface."""
    return firm.json("GET", "TermineActiveSync", params={"frnr": number})


def test_the_general_surface_is_local_and_camel_case(firm: Any) -> None:
    """Dates at midnight, times apart, Berlin's wall time; a date that is not set is MinValue."""
    seed(firm, {})
    (row,) = firm.json("GET", "Termine", params={"frnr": 500})
    assert (row["datum"], row["uhrzeitVon"]) == ("2026-03-09T00:00:00", "09:30:00")
    assert (row["datumBis"], row["uhrzeitBis"]) == ("2026-03-09T00:00:00", "10:15:00")
    assert (row["text"], row["erinnerungsDatum"]) == ("Verhandlung", "0001-01-01T00:00:00Z")
    firm.switch(single_day_datum_bis="none")
    assert firm.json("GET", "Termine")[0]["datumBis"] == "0001-01-01T00:00:00Z"


def test_the_active_sync_surface_is_utc_and_pascal_case(firm: Any) -> None:
    """The same Termin an hour earlier, in one object, with ticks; the time of change has seven digits."""
    seed(firm, {"erinnerungsDatum": "2026-07-01T08:00:00", "erinnerung": 1})
    row = one(firm)
    assert (row["Datum"], row["DatumBis"]) == ("2026-03-09T08:30:00Z", "2026-03-09T09:15:00Z")
    assert (row["UhrzeitBis"], row["UhrzeitBisTicks"]) == (
        "09:15:00",
        9 * TICKS_PER_HOUR + TICKS_PER_HOUR // 4,
    )
    assert (row["ErinnerungsDatum"], row["ZuletztGeaendertAm"]) == (
        "2026-07-01T06:00:00Z",
        "2026-03-08T20:00:00.2500007Z",
    )


def test_what_one_surface_writes_the_other_reads(firm: Any) -> None:
    """A Termin past midnight made over ActiveSync lies on two local days; its PUT on the other surface comes back."""
    sent = {
        "Datum": "2026-07-01T21:30:00Z",
        "DatumBis": "2026-07-01T22:30:00Z",
        "UhrzeitBis": "22:30:00",
        "Text": "N",
    }
    number = firm.json("POST", "TermineActiveSync", json={**sent, "Notiz": "a\nb\r\nc"})
    (row,) = firm.json("GET", "Termine", params={"frnr": number})
    assert (row["datum"], row["uhrzeitVon"]) == ("2026-07-01T00:00:00", "23:30:00")
    assert (row["datumBis"], row["uhrzeitBis"], row["notiz"]) == (
        "2026-07-02T00:00:00",
        "00:30:00",
        "a\r\nb\r\nc",
    )
    firm.json("PUT", f"Termine?frnr={number}", json=row)
    after = one(firm, number)
    assert {name: after[name] for name in sent} == sent


def test_put_replaces_the_whole_termin(firm: Any) -> None:
    """What is not sent is cleared, and the time of change moves."""
    seed(firm, {"ort": "Saal 3", "privat": 1, "nr": 5})
    before = one(firm)
    firm.control("clock", {"advance": 60})
    after = firm.json("PUT", "TermineActiveSync?frnr=500", json={"Datum": before["Datum"], "Text": "Neu"})
    assert (after["Text"], after["Ort"], after["Privat"], after["Nr"], after["Anwalt"]) == (
        "Neu",
        "",
        0,
        0,
        "",
    )
    assert after["ZuletztGeaendertAm"] == "2026-03-08T20:01:00.2500007Z"
    assert firm.status("PUT", "TermineActiveSync?frnr=500", json={"Text": "ohne Datum"}) == 400


def test_ticks_sent_back_override_the_end(firm: Any) -> None:
    """A PUT with a new UhrzeitBis and the old UhrzeitBisTicks keeps the old end; without the ticks it moves."""
    seed(firm, {})
    row = {**one(firm), "UhrzeitBis": "12:00:00"}
    assert firm.json("PUT", "TermineActiveSync?frnr=500", json=row)["UhrzeitBis"] == "09:15:00"
    del row["UhrzeitBisTicks"]
    assert firm.json("PUT", "TermineActiveSync?frnr=500", json=row)["UhrzeitBis"] == "12:00:00"


@pytest.mark.parametrize("surface", SURFACES)
def test_a_misspelt_filter_returns_everything(firm: Any, surface: str) -> None:
    """`frNr` is not `frnr` and `Kuerzel` is not `kuerzel`: all rows come; a PUT or DELETE without frnr is 400."""
    seed(firm, {}, {"frNr": 501, "anwalt": "MW"})
    assert numbers(firm.json("GET", surface, params={"frNr": 500, "Kuerzel": "PM"})) == [500, 501]
    assert numbers(firm.json("GET", surface, params={"kuerzel": "MW"})) == [501]
    assert firm.status("DELETE", surface, params={"frNr": 500}) == 400
    firm.switch(ignored_parameters=["kuerzel"])
    assert numbers(firm.json("GET", surface, params={"kuerzel": "MW"})) == [500, 501]


@pytest.mark.parametrize("surface", SURFACES)
def test_the_window_is_by_overlap_or_by_start(firm: Any, surface: str) -> None:
    """Both days of the window count; a Termin that began before it is in by overlap alone."""
    seed(
        firm,
        {},
        {"frNr": 501, "datum": "2026-03-07", "datumBis": "2026-03-10"},
        {"frNr": 502, "datum": "2026-03-11"},
    )
    window = {"from": "2026-03-09", "to": "2026-03-10"}
    assert numbers(firm.json("GET", surface, params=window)) == [500, 501]
    firm.switch(window="start")
    assert numbers(firm.json("GET", surface, params=window)) == [500]
    assert firm.status("GET", surface, params={"from": "gestern"}) == 400


def test_journeys_are_rows_with_a_negative_number(firm: Any) -> None:
    """Vortermin, Hinfahrt, Rückfahrt and a seeded Urlaub are listed and refuse every change."""
    seed(firm, {"vortermin": 15, "hinfahrt": 45, "rueckfahrt": 30}, {"frNr": -9, "text": "Urlaub"})
    rows = firm.json("GET", "Termine")
    made_up = {row["text"]: (row["uhrzeitVon"], row["uhrzeitBis"]) for row in rows if row["frNr"] < 0}
    assert made_up == {
        "Vortermin: Verhandlung": ("09:15:00", "09:30:00"),
        "Hinfahrt: Verhandlung": ("08:45:00", "09:30:00"),
        "Rückfahrt: Verhandlung": ("10:15:00", "10:45:00"),
        "Urlaub": ("09:30:00", "10:15:00"),
    }
    assert len(set(numbers(rows))) == 5
    for number in (row["frNr"] for row in rows if row["frNr"] < 0):
        assert one(firm, number)["FrNr"] == number
        assert firm.status("PUT", f"TermineActiveSync?frnr={number}", json={"Datum": "2026-03-09"}) == 400
        assert firm.status("DELETE", f"Termine?frnr={number}") == 400


def test_a_termin_of_several_employees(firm: Any) -> None:
    """A list has a row for each with the same frNr, or one joined row; read alone it names all; PUT removes one."""
    seed(firm, {"anwalt": "PM,MÜ"}, {"frNr": 501, "anwalt": ""}, {"frNr": 502, "anwalt": "ALLE"})
    rows = firm.json("GET", "TermineActiveSync")
    assert [(row["FrNr"], row["Anwalt"]) for row in rows][:2] == [(500, "PM"), (500, "MÜ")]
    assert [row["anwalt"] for row in firm.json("GET", "Termine", params={"kuerzel": "MÜ"})] == ["MÜ"]
    assert numbers(firm.json("GET", "Termine", params={"kuerzel": "Allgemein"})) == [501, 502]
    assert one(firm)["Anwalt"] == "PM,MÜ"
    firm.switch(shared_termine="joined")
    assert [row["anwalt"] for row in firm.json("GET", "Termine", params={"kuerzel": "MÜ"})] == ["PM,MÜ"]
    row = {**one(firm), "Anwalt": "PM"}
    assert firm.status("PUT", "TermineActiveSync?frnr=500", json=row) == 200
    assert firm.json("GET", "Termine", params={"kuerzel": "MÜ"}) == []


def test_an_all_day_termin_ends_a_minute_short(firm: Any) -> None:
    """24 to 26 December is stored until 23:59 of the 26th; what a client sends as midnight is stored as midnight."""
    days = {
        "datum": "2026-12-24",
        "uhrzeitVon": "00:00:00",
        "datumBis": "2026-12-26",
        "uhrzeitBis": "23:59:00",
    }
    seed(firm, {**days, "abwesenheit": 1})
    row = one(firm)
    assert (row["Abwesenheit"], row["Datum"], row["DatumBis"]) == (
        1,
        "2026-12-23T23:00:00Z",
        "2026-12-26T22:59:00Z",
    )
    late = {
        "Datum": row["Datum"],
        "DatumBis": "2026-12-26T23:00:00Z",
        "UhrzeitBis": "23:00:00",
        "Abwesenheit": 1,
    }
    firm.json("PUT", "TermineActiveSync?frnr=500", json=late)
    (stored,) = firm.json("GET", "Termine", params={"frnr": 500})
    assert (stored["datumBis"], stored["uhrzeitBis"]) == ("2026-12-27T00:00:00", "00:00:00")


def test_a_series_ends_at_datum_bis_with_that_days_offset(firm: Any) -> None:
    """DatumBis is the last day; from winter into summer UhrzeitBis in UTC is an hour off against the first day."""
    seed(firm, {"dauertermin": 1, "turnus": 1, "turnusArt": 2, "datumBis": "2026-04-27"})
    row = one(firm)
    assert (row["Datum"], row["DatumBis"], row["UhrzeitBis"]) == (
        "2026-03-09T08:30:00Z",
        "2026-04-27T08:15:00Z",
        "08:15:00",
    )


@pytest.mark.parametrize(
    ("surface", "body", "end"),
    [
        ("Termine", {"datum": "2026-03-09", "uhrzeitVon": "09:00", "dauertermin": 1}, "2037-12-31T00:00:00"),
        ("TermineActiveSync", {"Datum": "2026-03-09T08:00:00Z", "Dauertermin": 1}, "2037-12-31T00:00:00"),
    ],
)
def test_an_open_series_is_stored_until_2037(firm: Any, surface: str, body: dict[str, Any], end: str) -> None:
    """A series without an end gets the year 2037; without an integer Turnus or a known TurnusArt it is refused."""
    upper = surface != "Termine"
    turnus, art = ("Turnus", "TurnusArt") if upper else ("turnus", "turnusArt")
    number = firm.json("POST", surface, json={**body, turnus: 2, art: 1})
    (row,) = firm.json("GET", "Termine", params={"frnr": number})
    assert (row["datumBis"], row["turnus"]) == (end, 2)
    for wrong in ({turnus: "2", art: 1}, {art: 1}, {turnus: 1, art: 5}):
        assert firm.status("POST", surface, json={**body, **wrong}) == 400


def test_the_caption_of_the_akte_is_made_up_by_advoware(firm: Any) -> None:
    """AzRubrum follows Nr; sent back it changes nothing."""
    firm.control(
        "seed", {"akten": [{"id": 1, "aktennummer": 26_100, "az": "100/26", "kurzrubrum": "A ./. B"}]}
    )
    seed(firm, {"nr": 26_100})
    row = one(firm)
    assert row["AzRubrum"] == "100/26 A ./. B"
    assert (
        firm.json("PUT", "TermineActiveSync?frnr=500", json={**row, "AzRubrum": "x"})["AzRubrum"]
        == "100/26 A ./. B"
    )


@pytest.mark.parametrize("surface", SURFACES)
def test_a_deleted_termin_is_gone(firm: Any, surface: str) -> None:
    """DELETE answers without a body; the second is 404, and reading it is 404 or an empty list."""
    seed(firm, {})
    assert firm.call("DELETE", f"{surface}?frnr=500").content == b""
    assert firm.status("DELETE", f"{surface}?frnr=500") == 404
    assert firm.status("GET", f"{surface}?frnr=500") == 404
    firm.switch(unknown_answers_empty=True)
    assert firm.json("GET", f"{surface}?frnr=500") == []


def test_answers_to_post(firm: Any) -> None:
    """ActiveSync answers with the number always, the general surface as the switch says."""
    firm.switch(post_answers="object")
    body = {"datum": "2026-03-09", "text": "A"}
    made = firm.json("POST", "Termine", json=body)
    assert (made["text"], made["uhrzeitVon"]) == ("A", None)
    assert firm.json("POST", "TermineActiveSync", json={"Datum": "2026-03-09T08:00:00Z"}) == made["frNr"] + 1


def test_the_two_equal_hours_of_a_night_may_be_told_apart(firm: Any) -> None:
    """The second half past two is the first again, or kept by the switch until the general surface writes it."""
    sent = {"Datum": "2026-10-25T01:30:00Z", "DatumBis": "2026-10-25T01:45:00Z", "UhrzeitBis": "01:45:00"}
    number = firm.json("POST", "TermineActiveSync", json=sent)
    assert (one(firm, number)["Datum"], one(firm, number)["UhrzeitBis"]) == (
        "2026-10-25T00:30:00Z",
        "00:45:00",
    )
    firm.switch(repeated_hour="kept")
    kept = one(firm, number)
    assert {name: kept[name] for name in sent} == sent
    (row,) = firm.json("GET", "Termine", params={"frnr": number})
    assert (row["uhrzeitVon"], row["uhrzeitBis"]) == ("02:30:00", "02:45:00")
    firm.json("PUT", f"Termine?frnr={number}", json=row)
    assert one(firm, number)["Datum"] == "2026-10-25T00:30:00Z"


def test_an_employees_list_may_hold_everybodys_termine(firm: Any) -> None:
    """Apart by default; the list of everybody never holds an employee's."""
    seed(firm, {}, {"frNr": 501, "anwalt": "ALLE"}, {"frNr": 502, "anwalt": "MW"})
    assert numbers(firm.json("GET", "Termine", params={"kuerzel": "PM"})) == [500]
    firm.switch(everybody="included")
    assert numbers(firm.json("GET", "Termine", params={"kuerzel": "PM"})) == [500, 501]
    assert numbers(firm.json("GET", "Termine", params={"kuerzel": "Allgemein"})) == [501]


@pytest.mark.parametrize("surface", SURFACES)
def test_texts_may_be_cut_and_the_stamp_be_the_clients(firm: Any, surface: str) -> None:
    """A text too long is cut without a word; ZuletztGeaendertAm is then what was sent, if anything was."""
    seed(firm, {})
    stamp = "zuletztGeaendertAm" if surface == "Termine" else "ZuletztGeaendertAm"
    (row,) = firm.json("GET", surface)
    firm.switch(truncate_at=4, termin_stamp="sent")
    firm.json("PUT", f"{surface}?frnr=500", json={**row, stamp: "2026-01-02T03:04:05Z"})
    after = one(firm)
    assert (after["Text"], after["ZuletztGeaendertAm"]) == ("Verh", "2026-01-02T03:04:05Z")
    firm.json(
        "PUT", f"{surface}?frnr=500", json={name: value for name, value in row.items() if name != stamp}
    )
    assert one(firm)["ZuletztGeaendertAm"] == "2026-03-08T20:00:00.2500007Z"
