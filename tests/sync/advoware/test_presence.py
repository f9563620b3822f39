"""Parties that are new, gone, back again, or look like another one."""

from __future__ import annotations

from pathlib import Path

from tests.sync.advoware.persons import linked_person
from tests.sync.advoware.world import PARTY, Firm, in_firm

PAUL = {"geburtsdatum": "1980-01-02"}


def test_a_party_deleted_in_espocrm_stays_in_advoware(tmp_path: Path) -> None:
    """Nothing is deleted: the link ends, and somebody is told."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.espo("DELETE", f"{PARTY}/{record}")
        await firm.sweep()
        assert firm.betnrs() == [betnr]
        assert firm.writes() == []
        assert await firm.whys(notices=True) == ["unlinked:left_deleted"]
        firm.edit_advoware(betnr, titel="Dr.")
        await firm.sweeps_quietly()
        assert await firm.parties() == []

    in_firm(tmp_path, story)


def test_a_party_gone_from_advoware_stays_in_espocrm(tmp_path: Path) -> None:
    """E4: two parties are merged in Advoware and one number vanishes; EspoCRM loses nothing, and somebody is told."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        other = firm.in_advoware("Andere", "Anna", geburtsdatum="1970-01-01")
        await firm.sweep()
        firm.calls.clear()
        firm.advoware.edit({"table": "beteiligte", "id": betnr, "delete": True})
        await firm.sweep()
        assert firm.writes() == []
        assert len(await firm.parties()) == 2
        assert await firm.whys(notices=True) == ["unlinked:right_deleted"]
        await firm.edit_party(record, titel="Dr.")
        await firm.sweeps_quietly()
        assert firm.betnrs() == [other]

    in_firm(tmp_path, story)


def test_an_event_about_a_deleted_party_ends_its_link(tmp_path: Path) -> None:
    """The delete webhook of one party does what the scheduled pass would do, and says so."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.espo("DELETE", f"{PARTY}/{record}")
        outcome = await firm.sync(record)
        assert outcome.result.value == "deleted"
        assert firm.betnrs() == [betnr]
        assert firm.writes() == []
        assert await firm.whys(notices=True) == ["unlinked:left_deleted"]

    in_firm(tmp_path, story)


def test_gone_here_and_edited_there_waits_for_a_person(tmp_path: Path) -> None:
    """Deleted in EspoCRM, edited in Advoware since: nothing happens before somebody decides, and the edit is kept."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.espo("DELETE", f"{PARTY}/{record}")
        firm.edit_advoware(betnr, titel="Dr.")
        await firm.sweep()
        assert await firm.whys() == ["edit_vs_delete"]
        assert firm.writes() == []
        await firm.sweeps_quietly()
        await firm.decide("edit_vs_delete", "right")
        await firm.sweep()
        (made,) = await firm.parties()
        assert made["id"] != record
        assert made["titel"] == "Dr."
        assert made["betnr"] == betnr
        assert firm.betnrs() == [betnr]
        assert await firm.whys() == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_restored_party_gets_no_second_counterpart(tmp_path: Path) -> None:
    """E10: deleted in EspoCRM and restored later, it is neither doubled there nor at Advoware."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.espo("DELETE", f"{PARTY}/{record}")
        await firm.sweep()
        await firm.restore(PARTY, record)
        await firm.sweeps_quietly()
        await firm.sync(record)
        assert firm.betnrs() == [betnr]
        assert [one["id"] for one in await firm.parties()] == [record]

    in_firm(tmp_path, story)


def test_a_party_deleted_and_restored_between_two_passes_is_as_before(tmp_path: Path) -> None:
    """What no pass has seen has not happened."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.espo("DELETE", f"{PARTY}/{record}")
        await firm.restore(PARTY, record)
        await firm.sweeps_quietly()
        firm.edit_advoware(betnr, titel="Dr.")
        await firm.sweep()
        assert (await firm.party(record))["titel"] == "Dr."

    in_firm(tmp_path, story)


def test_two_parties_with_one_number_are_both_held(tmp_path: Path) -> None:
    """E3: which of two EspoCRM parties with the same betNr is meant, a person says."""

    async def story(firm: Firm) -> None:
        betnr = firm.in_advoware("Probe", "Paul", **PAUL)
        first = await firm.new_party("Probe", "Paul", betnr=betnr, **PAUL)
        second = await firm.new_party("Probe-Alt", "Paula", betnr=betnr)
        await firm.sweep()
        assert {(hold.why, hold.subject) for hold in await firm.holds()} == {
            ("ambiguous_partner", subject)
            for subject in (f"left:{first}", f"left:{second}", f"right:{betnr}")
        }
        assert firm.writes() == []
        await firm.decide("ambiguous_partner", f"link:{betnr}", subject=f"left:{second}")
        await firm.sweep()
        assert f"left:{first}" in [hold.subject for hold in await firm.holds()]
        assert firm.betnrs() == [betnr]
        assert len(await firm.parties()) == 2

    in_firm(tmp_path, story)


def test_a_number_that_advoware_lacks_is_held(tmp_path: Path) -> None:
    """A mistyped betNr makes no new party."""

    async def story(firm: Firm) -> None:
        record = await firm.new_party("Probe", "Paul", betnr=99, **PAUL)
        firm.in_advoware("Andere", "Anna")
        await firm.sweep()
        assert "partner_missing" in [h.why for h in await firm.holds() if h.subject == f"left:{record}"]
        assert len(firm.betnrs()) == 1

    in_firm(tmp_path, story)


def test_look_alikes_wait_and_a_link_is_what_a_person_says(tmp_path: Path) -> None:
    """One person here, two of that name and birth there: nothing is written until one of them is named."""

    async def story(firm: Firm) -> None:
        twins = [firm.in_advoware("Probe", "Paul", **PAUL) for _ in range(2)]
        record = await firm.new_party("Probe", "Paul", titel="Dr.", **PAUL)
        await firm.sweep()
        assert await firm.whys() == ["ambiguous_match"] * 3
        assert firm.writes() == []
        await firm.sweeps_quietly()
        await firm.decide("ambiguous_match", f"link:{twins[1]}", subject=f"left:{record}")
        await firm.sweep()
        assert (await firm.party(record))["betnr"] == twins[1]
        assert firm.at_advoware(twins[1])["titel"] == "Dr."
        assert firm.at_advoware(twins[0])["titel"] is None

    in_firm(tmp_path, story)


def test_the_other_look_alike_is_not_made_a_second_time(tmp_path: Path) -> None:
    """Once one of two look-alikes is linked, the other one still waits: it is not copied to EspoCRM unasked."""

    async def story(firm: Firm) -> None:
        twins = [firm.in_advoware("Probe", "Paul", **PAUL) for _ in range(2)]
        record = await firm.new_party("Probe", "Paul", **PAUL)
        await firm.sweep()
        await firm.decide("ambiguous_match", f"link:{twins[1]}", subject=f"left:{record}")
        await firm.sweep()
        await firm.sweep()
        assert len(await firm.parties()) == 1
        assert [hold.subject for hold in await firm.holds()] == [f"right:{twins[0]}"]

    in_firm(tmp_path, story)


def test_look_alikes_wait_and_a_new_one_is_made_if_a_person_says_so(tmp_path: Path) -> None:
    """`create` for the EspoCRM party makes a third one at Advoware, and the two there stay as they are."""

    async def story(firm: Firm) -> None:
        for _ in range(2):
            firm.in_advoware("Probe", "Paul", **PAUL)
        record = await firm.new_party("Probe", "Paul", **PAUL)
        await firm.sweep()
        await firm.decide("ambiguous_match", "create", subject=f"left:{record}")
        await firm.sweep()
        assert len(firm.betnrs()) == 3
        assert (await firm.party(record))["betnr"] == max(firm.betnrs())
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_husband_and_wife_are_two_parties(tmp_path: Path) -> None:
    """The same surname and PLZ do not make two natural persons one."""

    async def story(firm: Firm) -> None:
        place = {"strasse": "Weg 1", "plz": "00123", "ort": "Ort", "land": "DE", "standardAnschrift": True}
        anna = firm.in_advoware(
            "Probe", "Anna", rechtsform="Natürliche Person", geburtsdatum="1981-01-01", adressen=[place]
        )
        record = await firm.new_party(
            "Probe", "Paul", rechtsform="Natürliche Person", adressePostalCode="00123", **PAUL
        )
        await firm.sweep()
        assert (await firm.party(record))["betnr"] != anna

    in_firm(tmp_path, story)


def test_a_firm_is_known_by_its_name_form_and_plz(tmp_path: Path) -> None:
    """A GmbH without an entry in the register is linked with the one of that name and PLZ."""

    async def story(firm: Firm) -> None:
        place = {"strasse": "Weg 1", "plz": "00123", "ort": "Ort", "land": "DE", "standardAnschrift": True}
        betnr = firm.in_advoware("Probe Wohnbau", rechtsform="GmbH", adressen=[place])
        record = await firm.new_party("probe  wohnbau", rechtsform="gmbh", adressePostalCode="00123")
        await firm.sweep()
        assert (await firm.party(record))["betnr"] == betnr
        assert firm.betnrs() == [betnr]

    in_firm(tmp_path, story)


def test_two_full_systems_that_share_nothing_are_not_poured_into_each_other(tmp_path: Path) -> None:
    """With both sides full, no link and no match at all, every party waits for a person."""

    async def story(firm: Firm) -> None:
        firm.in_advoware("Andere", "Anna", geburtsdatum="1970-01-01")
        await firm.new_party("Probe", "Paul", **PAUL)
        await firm.sweep()
        assert await firm.whys() == ["bootstrap_unmatched"] * 2
        assert firm.writes() == []

    in_firm(tmp_path, story)


def test_espocrms_own_check_for_duplicates_is_not_overridden(tmp_path: Path) -> None:
    """E2: where EspoCRM answers 409 to a new party, the party waits for a person."""

    async def story(firm: Firm) -> None:
        await linked_person(firm)
        firm.in_advoware("Neu", "Nora", geburtsdatum="1999-01-01")
        firm.fail(
            "espocrm", "/api/v1/CBeteiligte", method="POST", status=409, body=[],
            headers={"X-Status-Reason": "duplicate"},
        )  # fmt: skip
        await firm.sweep()
        assert await firm.whys() == ["duplicate_refused"]
        assert len(await firm.parties()) == 1
        firm.mend()
        await firm.sweep()
        assert await firm.whys() == []
        assert len(await firm.parties()) == 2

    in_firm(tmp_path, story)


def test_an_empty_list_ends_no_link(tmp_path: Path) -> None:
    """A side that suddenly shows nothing is not taken at its word."""

    async def story(firm: Firm) -> None:
        await linked_person(firm)
        firm.in_advoware("Andere", "Anna", geburtsdatum="1970-01-01")
        await firm.sweep()
        firm.calls.clear()
        for betnr in firm.betnrs():
            firm.advoware.edit({"table": "beteiligte", "id": betnr, "delete": True})
        await firm.sweep()
        assert await firm.whys() == ["side_empty"] * 2
        assert firm.writes() == []
        assert await firm.whys(notices=True) == []

    in_firm(tmp_path, story)
