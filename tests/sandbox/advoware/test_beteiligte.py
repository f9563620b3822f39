"""Parties and what hangs from them on the stand-in."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_party_is_shown_with_its_rows(firm: Any) -> None:
    """Party and rows have rowIds; an empty date is .NET's MinValue; the time of change has seven digits."""
    party = firm.json("GET", "Beteiligte/7")
    assert party["geaendertAm"] == "2026-03-08T20:00:00.2500007Z"
    assert party["geburtsdatum"] == "1961-03-14T00:00:00Z"
    address = party["adressen"][0]
    assert (address["id"], address["plz"], address["gueltigBis"]) == (11, "00120", "0001-01-01T00:00:00Z")
    rows = [party, address, party["kommunikation"][0], party["bankverbindungen"][0]]
    assert len({row["rowId"] for row in rows}) == 4


def test_put_clears_what_is_not_sent(firm: Any) -> None:
    """A field missing in the body is cleared, zusatzFeld1 included; contact data and own id are not looked at."""
    before = firm.json("GET", "Beteiligte/7")
    after = firm.json("PUT", "Beteiligte/7", json={"name": "Neu", "betNr": 9, "adressen": [], "rowId": "x"})
    assert (after["betNr"], after["name"]) == (7, "Neu")
    assert [after["vorname"], after["zusatzFeld1"], after["geburtsdatum"]] == [
        None,
        None,
        "0001-01-01T00:00:00Z",
    ]
    assert after["adressen"] == before["adressen"]
    assert after["rowId"] not in ("x", before["rowId"])


def test_the_whole_object_put_back_changes_nothing_but_its_row(firm: Any) -> None:
    """GET then PUT keeps every value; the rowId moves, or stays under `same_put_new_row: false`."""
    before = firm.json("GET", "Beteiligte/7")
    after = firm.json("PUT", "Beteiligte/7", json=before)
    assert after["rowId"] != before["rowId"]
    assert {**after, "rowId": ""} == {**before, "rowId": ""}
    firm.switch(same_put_new_row=False)
    assert firm.json("PUT", "Beteiligte/7", json=after) == after
    assert firm.json("PUT", "Beteiligte/7", json={**after, "titel": "Dr."})["rowId"] != after["rowId"]


def test_a_row_of_a_party_leaves_the_partys_row_alone(firm: Any) -> None:
    """A changed address or communication has a new rowId, its party and its neighbours keep theirs."""
    before = firm.json("GET", "Beteiligte/7")
    firm.json("PUT", "Beteiligte/7/Kommunikation/12", json={"tlf": ""})
    after = firm.json("GET", "Beteiligte/7")
    assert after["kommunikation"][0]["rowId"] != before["kommunikation"][0]["rowId"]
    assert {**after, "kommunikation": 0} == {**before, "kommunikation": 0}
    assert after["kommunikation"][0]["tlf"] is None


def test_put_of_an_address_ignores_most_fields_in_silence(firm: Any) -> None:
    """Street, postcode, town and anschrift are replaced; the other fields stay, and the answer is 200 all the same."""
    sent = {
        "strasse": "Neu 1",
        "ort": "Neustadt",
        "land": "AT",
        "bemerkung": "neu",
        "standardAnschrift": True,
    }
    after = firm.json("PUT", "Beteiligte/7/Adressen/11", json=sent)
    assert (after["strasse"], after["ort"], after["plz"]) == ("Neu 1", "Neustadt", None)
    assert (after["land"], after["bemerkung"], after["standardAnschrift"]) == ("DE", "b", False)


def test_post_of_an_address_takes_every_field(firm: Any) -> None:
    """What PUT ignores can be set when the address is made."""
    sent = {
        "ort": "X",
        "land": "AT",
        "bemerkung": "k",
        "standardAnschrift": True,
        "gueltigBis": "2026-05-01T00:00:00",
    }
    number = firm.json("POST", "Beteiligte/7/Adressen", json=sent)
    made = next(row for row in firm.json("GET", "Beteiligte/7/Adressen") if row["id"] == number)
    assert {name: made[name] for name in sent} == {**sent, "gueltigBis": "2026-05-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "Beteiligte/7", 405),
        ("DELETE", "Beteiligte", 405),
        ("DELETE", "Beteiligte/7/Adressen/11", 403),
        ("DELETE", "Beteiligte/7/Kommunikation/12", 405),
        ("PUT", "Beteiligte/7/Bankverbindungen/13", 405),
        ("DELETE", "Beteiligte/7/Bankverbindungen/13", 405),
    ],
)
def test_what_advoware_cannot_do(firm: Any, method: str, path: str, status: int) -> None:
    """Nothing is deleted and no account is changed."""
    before = firm.json("GET", "Beteiligte")
    assert firm.status(method, path, json={"iban": "x"}) == status
    assert firm.json("GET", "Beteiligte") == before


@pytest.mark.parametrize(
    "path", ["Beteiligte/8", "Beteiligte/8/Adressen", "Beteiligte/7/Adressen/12", "Akten/1"]
)
def test_an_unknown_id_is_404_or_an_empty_list(firm: Any, path: str) -> None:
    """404, or 200 with `[]` under the switch."""
    method = "PUT" if path.endswith("12") else "GET"
    assert firm.status(method, path, json={}) == 404
    firm.switch(unknown_answers_empty=True)
    assert firm.json(method, path, json={}) == []


def test_post_answers_in_three_forms_and_ids_ascend(firm: Any) -> None:
    """A number, the object, or a list of it; the number is not used twice, even after a deletion."""
    first = firm.json("POST", "Beteiligte", json={"name": "A"})
    firm.control("edits", {"table": "beteiligte", "id": first, "delete": True})
    firm.switch(post_answers="object")
    second = firm.json("POST", "Beteiligte", json={"name": "B"})
    firm.switch(post_answers="list")
    third = firm.json("POST", "Beteiligte/7/Bankverbindungen", json={"iban": "DE02120300000000202051"})
    assert (second["betNr"], second["name"], third[0]["bic"]) == (first + 1, "B", None)
    assert firm.status("POST", "Beteiligte", json={"vorname": "C"}) == 400


def test_single_rows_may_come_in_a_list(firm: Any) -> None:
    """With `wraps_in_list` GET and PUT answer a list of one."""
    firm.switch(wraps_in_list=True)
    assert firm.json("GET", "Beteiligte/7")[0]["betNr"] == 7
    assert firm.json("PUT", "Beteiligte/7/Kommunikation/12", json={"tlf": "1"})[0]["tlf"] == "1"


def test_rows_may_not_be_embedded(firm: Any) -> None:
    """`embeds` decides whether list and single party carry their rows; the paths below always do."""
    kinds = {"adressen", "kommunikation", "bankverbindungen"}
    shown = []
    for embeds in (True, "single", False):
        firm.switch(embeds=embeds)
        shown += [
            kinds <= set(firm.json("GET", "Beteiligte")[0]),
            kinds <= set(firm.json("GET", "Beteiligte/7")),
        ]
    assert shown == [True, True, False, True, False, False]
    assert [row["id"] for row in firm.json("GET", "Beteiligte/7/Bankverbindungen")] == [13]


def test_the_list_may_be_missing(firm: Any) -> None:
    """With `lists_beteiligte: false` only the list is 404."""
    firm.switch(lists_beteiligte=False)
    assert firm.status("GET", "Beteiligte") == 404
    assert firm.status("GET", "Beteiligte/7") == 200
    assert firm.status("POST", "Beteiligte", json={"name": "A"}) == 200


def test_a_filter_that_is_unknown_filters_nothing(firm: Any) -> None:
    """Query parameters of the list of parties are not looked at."""
    firm.json("POST", "Beteiligte", json={"name": "A"})
    assert len(firm.json("GET", "Beteiligte", params={"name": "A"})) == 2


def test_how_values_are_shown_is_switchable(firm: Any) -> None:
    """Empty texts, kommKz, blanks in an IBAN and silent truncation."""
    firm.switch(empty_text="empty", kommkz_kept=False, iban_blanks=True, truncate_at=5)
    party = firm.json("PUT", "Beteiligte/7", json={"name": "Vorderwülbecke"})
    assert (party["name"], party["titel"]) == ("Vorde", "")
    assert party["kommunikation"][0]["kommKz"] == 0
    assert party["bankverbindungen"][0]["iban"] == "DE02 1203 0000 0000 2020 51"


def test_values_of_the_wrong_type_are_refused(firm: Any) -> None:
    """A number as a name, a date that is none and a body that is no object are 400 and change nothing."""
    before = firm.json("GET", "Beteiligte/7")
    for body in ({"name": 5}, {"name": "A", "geburtsdatum": "gestern"}, [1]):
        assert firm.status("PUT", "Beteiligte/7", json=body) == 400
    assert firm.json("GET", "Beteiligte/7") == before
    assert firm.status("GET", "Beteiligte/7/Anderes") == 404
    assert firm.status("GET", "Anderes") == 404
