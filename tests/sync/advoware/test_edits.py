"""Edits of parties on either side, and on both at once."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from tests.sync.advoware.contacts import mail, phone
from tests.sync.advoware.persons import NUMBER, linked_person
from tests.sync.advoware.wire import bodies
from tests.sync.advoware.world import Firm, in_firm


def test_the_same_field_on_both_sides_is_held_and_the_rest_flows(tmp_path: Path) -> None:
    """A birth date edited on both sides stays as it is on each; the title edited beside it goes across."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.edit_party(record, geburtsdatum="1981-01-01", titel="Dr.")
        firm.edit_advoware(betnr, geburtsdatum="1982-02-02")
        await firm.sweep()
        assert firm.at_advoware(betnr)["geburtsdatum"].startswith("1982-02-02")
        assert (await firm.party(record))["geburtsdatum"] == "1981-01-01"
        assert firm.at_advoware(betnr)["titel"] == "Dr."
        assert await firm.whys() == ["conflict:geburtsdatum"]
        await firm.sweeps_quietly()
        await firm.decide("conflict:geburtsdatum", "right")
        await firm.sweep()
        assert (await firm.party(record))["geburtsdatum"] == "1982-02-02"
        assert await firm.whys() == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_plain_field_edited_on_both_sides_goes_to_espocrm_and_the_loser_is_kept(tmp_path: Path) -> None:
    """EspoCRM's salutation wins over Advoware's, whose value stands in the log of conflicts."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.edit_party(record, anrede="Frau")
        firm.edit_advoware(betnr, anrede="Firma")
        await firm.sweep()
        assert firm.at_advoware(betnr)["anrede"] == "Frau"
        (conflict,) = await firm.conflicts()
        assert (conflict.what, conflict.winner) == ("anrede", "left")
        assert conflict.right == {"anrede": "Firma"}
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_different_fields_on_both_sides_cross_without_a_conflict(tmp_path: Path) -> None:
    """Each side gets the other's edit."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.edit_party(record, titel="Prof.")
        firm.edit_advoware(betnr, anrede="Frau")
        await firm.sweep()
        assert firm.at_advoware(betnr)["titel"] == "Prof."
        assert (await firm.party(record))["anrede"] == "Frau"
        assert await firm.whys() == []
        assert await firm.conflicts() == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_an_address_travels_as_one(tmp_path: Path) -> None:
    """A street edited here and a PLZ there do not become an address that nobody lives at: one of both stands whole."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.edit_party(record, adresseStreet="Torfmühlenweg 2")
        firm.edit_row(betnr, "adressen", plz="00999", ort="Ahrensmark")
        await firm.sweep()
        (address,) = firm.rows(betnr, "adressen")
        assert [address[name] for name in ("strasse", "plz", "ort")] == [
            "Torfmühlenweg 2",
            "00120",
            "Quellrode",
        ]
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_name_is_decided_as_one_by_a_person(tmp_path: Path) -> None:
    """Surname and given name edited on different sides are one conflict, and the decision is about both."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.edit_party(record, nachname="Neugrund")
        firm.edit_advoware(betnr, vorname="Thaddea")
        await firm.sweep()
        assert await firm.whys() == ["conflict:name+vorname"]
        await firm.decide("conflict:name+vorname", "left")
        await firm.sweep()
        party = firm.at_advoware(betnr)
        assert (party["name"], party["vorname"]) == ("Neugrund", "Thaddäus")
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_decision_about_other_values_is_void(tmp_path: Path) -> None:
    """What was decided does not count once somebody has edited again."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.edit_party(record, geburtsdatum="1981-01-01")
        firm.edit_advoware(betnr, geburtsdatum="1982-02-02")
        await firm.sweep()
        await firm.decide("conflict:geburtsdatum", "left")
        await firm.edit_party(record, geburtsdatum="1983-03-03")
        await firm.sweep()
        assert firm.at_advoware(betnr)["geburtsdatum"].startswith("1982-02-02")
        assert await firm.whys() == ["conflict:geburtsdatum"]

    in_firm(tmp_path, story)


def test_numbers_added_and_removed_on_both_sides_are_merged(tmp_path: Path) -> None:
    """A number removed here stays removed, a number added there is added here; user flags of what stays are kept."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(
            firm,
            phoneNumberData=[*phone(NUMBER), {"phoneNumber": "+493023125777", "optOut": True, "type": "Fax"}],
        )
        await firm.edit_party(
            record, phoneNumberData=[{"phoneNumber": "+493023125777", "optOut": True, "type": "Fax"}]
        )
        firm.add_row(betnr, "kommunikation", tlf="0171 3920001", kommKz=3)
        await firm.sweep()
        shown = {one["phoneNumber"]: one for one in (await firm.party(record))["phoneNumberData"]}
        assert set(shown) == {"+493023125777", "+491713920001"}
        assert shown["+493023125777"]["optOut"] is True
        assert shown["+493023125777"]["type"] == "Fax"
        assert sorted(firm.numbers(betnr)) == ["+493023125777", "0171 3920001"]
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_an_empty_slot_is_used_again_and_what_a_user_types_into_it_is_not_swallowed(tmp_path: Path) -> None:
    """A new number goes into an empty row of its kind; a row that a user has just filled is left alone."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        firm.add_row(betnr, "kommunikation", tlf="", kommKz=1, bemerkung="frei")
        rows = len(firm.rows(betnr, "kommunikation"))
        await firm.edit_party(record, phoneNumberData=phone(NUMBER, "+493023125111"))
        await firm.sweep()
        assert len(firm.rows(betnr, "kommunikation")) == rows
        assert "+493023125111" in firm.numbers(betnr)
        await firm.edit_party(record, phoneNumberData=phone(NUMBER))
        await firm.sweep()
        assert len(firm.rows(betnr, "kommunikation")) == rows
        assert "+493023125111" not in firm.numbers(betnr)
        await firm.sweeps_quietly()
        # The user types into the slot while the pass is between its look and its write.
        await firm.edit_party(record, phoneNumberData=phone(NUMBER, "+493023125222"))
        slot = next(n for n, row in enumerate(firm.rows(betnr, "kommunikation")) if not row["tlf"])
        firm.before_next(
            "GET", r".*/Kommunikation", lambda: firm.edit_row(betnr, "kommunikation", slot, tlf="030 999")
        )
        await firm.sweep()
        await firm.sweep()
        assert {"030 999", "+493023125222"} <= set(firm.numbers(betnr))
        shown = [one["phoneNumber"] for one in (await firm.party(record))["phoneNumberData"]]
        assert "+4930999" in shown
        assert "+493023125222" in shown
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_mail_address_goes_no_other_way_than_a_number(tmp_path: Path) -> None:
    """A mail address never lands in an empty slot for numbers."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        firm.add_row(betnr, "kommunikation", tlf="", kommKz=1)
        await firm.edit_party(record, emailAddressData=mail("zweite@kanzlei-probe.example"))
        await firm.sweep()
        kinds = {row["tlf"]: row["kommKz"] for row in firm.rows(betnr, "kommunikation")}
        assert kinds["zweite@kanzlei-probe.example"] == 4
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_second_edit_in_the_second_of_our_own_write_is_seen(tmp_path: Path) -> None:
    """EspoCRM's times have whole seconds: what a person adds right after our write still goes across."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        firm.edit_advoware(betnr, titel="Dr.")
        await firm.sweep()
        assert (await firm.party(record))["titel"] == "Dr."
        await firm.edit_party(record, phoneNumberData=phone(NUMBER, "+493023125444"))
        await firm.sweep()
        assert "+493023125444" in firm.numbers(betnr)

    in_firm(tmp_path, story)


def test_other_spellings_are_no_edits(tmp_path: Path) -> None:
    """E8, E9: numbers in another notation and umlauts in two code points cause no write; ß against ss is an edit."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm, phoneNumberData=phone("+49301234"))
        for spelling in ("+49 (0)30 1234", "030 1234", "0049 30/1234"):
            row = next(n for n, one in enumerate(firm.rows(betnr, "kommunikation")) if "1234" in one["tlf"])
            firm.edit_row(betnr, "kommunikation", row, tlf=spelling)
            await firm.sweeps_quietly()
        firm.edit_advoware(betnr, vorname=unicodedata.normalize("NFD", "Thaddäus"))
        await firm.sweeps_quietly()
        assert await firm.whys() == []
        firm.edit_advoware(betnr, name="Grossmann")
        await firm.sweep()
        assert (await firm.party(record))["nachname"] == "Grossmann"
        firm.edit_advoware(betnr, name="Großmann")
        await firm.sweep()
        assert (await firm.party(record))["nachname"] == "Großmann"

    in_firm(tmp_path, story)


def test_a_write_is_one_call_for_each_part_and_carries_the_edit_alone(tmp_path: Path) -> None:
    """EspoCRM gets the changed field and nothing else."""

    async def story(firm: Firm) -> None:
        _, betnr = await linked_person(firm)
        firm.calls.clear()
        firm.edit_advoware(betnr, titel="Dr.")
        await firm.sweep()
        sent: list[Any] = bodies(firm.writes())
        assert sent == [{"titel": "Dr."}]

    in_firm(tmp_path, story)


def test_an_event_that_mixes_our_write_with_an_edit_carries_the_edit_alone(tmp_path: Path) -> None:
    """E1: the webhook about our own write and a person's edit: only the edit travels, however often it is told."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        firm.edit_advoware(betnr, titel="Dr.")
        await firm.sync(record)
        await firm.edit_party(record, anrede="Frau")
        firm.calls.clear()
        for _ in range(3):
            await firm.sync(record)
        (sent,) = bodies(firm.writes())
        assert sent["anrede"] == "Frau"
        assert sent["titel"] == "Dr."
        assert firm.at_advoware(betnr)["titel"] == (await firm.party(record))["titel"] == "Dr."
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)
