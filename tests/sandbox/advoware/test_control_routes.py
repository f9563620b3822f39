"""Seed, edits, switches, faults, ledger and reset of the stand-in of Advoware, and its sample firm."""

from __future__ import annotations

from typing import Any

import pytest

from bitbylaw_pipeline.sandbox.advoware import create_app
from bitbylaw_pipeline.sandbox.samples.advoware import (
    ONLY_IN_ESPOCRM,
    TWICE_IN_ADVOWARE,
    advoware_seed_document,
    espocrm_betnr,
)
from bitbylaw_pipeline.sandbox.samples.matters import sample_firm
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS
from bitbylaw_pipeline.sandbox.samples.seed import seed_document


def test_a_users_edit_changes_row_and_time(firm: Any) -> None:
    """A user changes one field of one row: it gets a new rowId, the rest stays as it was."""
    before = firm.json("GET", "Beteiligte/7")
    firm.control("clock", {"advance": 60})
    (row,) = firm.control("edits", {"table": "beteiligte", "id": 7, "set": {"titel": "Dr."}})
    after = firm.json("GET", "Beteiligte/7")
    assert (row["titel"], row["rowId"], row["geaendertAm"]) == (
        "Dr.",
        after["rowId"],
        "2026-03-08T20:01:00.2500007Z",
    )
    assert after["rowId"] != before["rowId"]
    assert after["vorname"] == before["vorname"]


def test_a_user_can_do_what_the_api_cannot(firm: Any) -> None:
    """Users delete addresses, change accounts, add rows and delete parties."""
    edits = [
        {"table": "adressen", "betNr": 7, "id": 11, "delete": True},
        {"table": "bankverbindungen", "betNr": 7, "id": 13, "set": {"iban": "AT611904300234573201"}},
        {"table": "kommunikation", "betNr": 7, "set": {"tlf": "+49 30 23125001"}},
        {"table": "mitarbeiter", "set": {"kuerzel": "MÜ"}},
    ]
    done = firm.control("edits", edits)
    assert done[0] is None
    party = firm.json("GET", "Beteiligte/7")
    assert (party["adressen"], party["bankverbindungen"][0]["iban"]) == ([], "AT611904300234573201")
    assert party["kommunikation"][1]["tlf"] == "+49 30 23125001"
    assert firm.json("GET", "Mitarbeiter") == [{"kuerzel": "MÜ", "name": "", "aktiv": True}]
    firm.control("edits", {"table": "beteiligte", "id": 7, "delete": True})
    assert firm.json("GET", "Beteiligte") == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("switches", {"connector": "away"}),
        ("switches", {"offline_until": True}),
        ("switches", {"other": 1}),
        ("seed", {"others": []}),
        ("seed", {"beteiligte": [{"vorname": "ohne Namen"}]}),
        ("seed", {"beteiligte": [{"name": "A", "adressen": [{"id": 11}]}]}),
        ("seed", {"akten": [{"az": "1/26"}]}),
        ("edits", {"table": "other", "id": 1}),
        ("edits", {"table": "beteiligte", "id": 8, "set": {}}),
        ("edits", {"table": "adressen", "betNr": 8, "id": 11, "set": {}}),
        ("edits", {"table": "beteiligte", "id": 7, "set": {"nachname": "A"}}),
    ],
)
def test_a_wrong_control_request_is_refused(firm: Any, path: str, body: Any) -> None:
    """400 with one sentence."""
    answer = firm.send("POST", f"/sandbox/{path}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_fault_may_come_after_the_commit(firm: Any) -> None:
    """The party is made although the caller only sees the connection close."""
    rule = {"kind": "timeout_after_commit", "method": "POST", "path": ".*/Beteiligte", "times": 1}
    firm.sandbox.seed({"reset": True})
    assert firm.json("GET", "Beteiligte") == []
    firm.control("faults", rule)
    with pytest.raises(ConnectionResetError):
        firm.call("POST", "Beteiligte", json={"name": "A"})
    assert [row["name"] for row in firm.json("GET", "Beteiligte")] == ["A"]


def test_requests_are_counted_per_route_without_their_bodies(firm: Any) -> None:
    """Counts name routes with `{id}`; the ledger holds neither password nor token."""
    firm.json("GET", "Beteiligte/7")
    counts = firm.send("GET", "/sandbox/counts").json()
    assert counts == {"GET /relay/api/v1/advonet/Beteiligte/{id}": 1, "POST /security/api/v1/Token": 1}
    ledger = firm.send("GET", "/sandbox/ledger").text
    assert firm.token not in ledger
    assert firm.sandbox.credentials.password not in ledger


def test_reset_goes_back_to_the_beginning(firm: Any) -> None:
    """Rows, tokens, faults, ledger and clock are as after creation, and so are the switches given then."""
    firm.sandbox = create_app({"wraps_in_list": True})
    firm.token = ""
    firm.control("seed", {"beteiligte": [{"name": "A"}]})
    firm.switch(wraps_in_list=False, embeds=False)
    firm.control("clock", {"pin": 5})
    assert firm.json("GET", "Beteiligte") != []
    firm.control("reset", None)
    assert firm.sandbox.state() == create_app().state()
    assert (firm.sandbox.switches.wraps_in_list, firm.sandbox.switches.embeds) == (True, True)
    assert (firm.sandbox.ledger.total, firm.sandbox.clock.pinned) == (0, False)
    assert firm.status("GET", "Beteiligte") == 401


def test_akten_are_read_and_nothing_else(firm: Any) -> None:
    """List, one by id, and 405 for writing."""
    firm.control("seed", {"akten": [{"id": 40_100, "aktennummer": 26_100, "az": "100/26"}]})
    (akte,) = firm.json("GET", "Akten")
    assert (akte["id"], akte["aktennummer"], akte["az"]) == (40_100, 26_100, "100/26")
    assert firm.json("GET", "Akten/40100") == akte
    assert firm.status("GET", "Akten/26100") == 404
    assert {firm.status(method, path) for method in ("POST", "PUT") for path in ("Akten", "Mitarbeiter")} == {
        405
    }


def test_the_sample_firm_matches_espocrms_side() -> None:
    """By name and date of birth each of EspoCRM's parties is in Advoware once, but for two missing and one twice."""
    sandbox = create_app()
    sandbox.seed(advoware_seed_document())
    state = sandbox.state()
    here = [(row["name"], row["vorname"], row["geburtsdatum"][:10]) for row in state["beteiligte"]]
    records = seed_document()["records"]
    there = [(row["nachname"], row["vorname"], row["geburtsdatum"]) for row in records["CBeteiligte"]]
    found = {key: here.count(key) for key in there}
    assert [key[0] for key, count in found.items() if count == 0] == [
        person.nachname for person in ONLY_IN_ESPOCRM
    ]
    assert [key[0] for key, count in found.items() if count == 2] == [TWICE_IN_ADVOWARE.nachname]
    assert len(here) - sum(found.values()) == 3
    numbers = {row["betNr"] for row in state["beteiligte"]}
    known = [row["betnr"] for row in records["CBeteiligte"] if row["betnr"] is not None]
    assert known
    assert set(known) < numbers
    assert espocrm_betnr(TWICE_IN_ADVOWARE) is None


def test_the_sample_firm_is_valid_and_the_same_each_time() -> None:
    """IBANs have right check digits, matters carry EspoCRM's numbers, and two seeds are equal."""
    firm = sample_firm()
    seed = advoware_seed_document(firm)
    assert seed == advoware_seed_document(sample_firm())
    accounts = [row for party in seed["beteiligte"] for row in party.get("bankverbindungen", [])]
    assert len(accounts) >= len(PERSONS) // 3
    for account in accounts:
        iban = "".join(account["iban"].split())
        assert int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 == 1
    numbers = {row["aktennummer"] for row in seed["akten"]}
    matters = [*firm.of_type("CVmhRumungsklage"), *firm.of_type("CMietinkasso")]
    assert {matter.aktennummer for matter in matters} < numbers
    assert len(numbers) == len(seed["akten"])
