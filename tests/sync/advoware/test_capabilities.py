"""What one side cannot take: a task for a person, once; and fields that one side does not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitbylaw_pipeline.domain.errors import Permanent
from tests.sync.advoware.contacts import phone
from tests.sync.advoware.persons import NUMBER, linked_person
from tests.sync.advoware.wire import bodies
from tests.sync.advoware.world import PARTY, Firm, in_firm


def test_the_country_of_an_address_becomes_one_task_that_closes_itself(tmp_path: Path) -> None:
    """Advoware's PUT ignores `land`: a person is asked once, and no longer once it stands there."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.edit_party(record, adresseCountry="AT")
        for _ in range(3):
            await firm.sweep()
            await firm.sync(record)
        (task,) = await firm.tasks()
        assert task["status"] == "Not Started"
        assert (task["parentType"], task["parentId"]) == (PARTY, record)
        assert await firm.whys() == ["task:right:update:land"]
        assert firm.writes("advoware") == []
        firm.edit_row(betnr, "adressen", land="AT")
        await firm.sweep()
        assert [one["status"] for one in await firm.tasks()] == ["Completed"]
        assert await firm.whys() == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_task_also_closes_when_the_edit_is_taken_back(tmp_path: Path) -> None:
    """And a later edit of the same field is a new task, not the old one."""

    async def story(firm: Firm) -> None:
        record, _ = await linked_person(firm)
        for n, country in enumerate(("AT", "CH"), start=1):
            await firm.edit_party(record, adresseCountry=country)
            await firm.sweep()
            await firm.edit_party(record, adresseCountry="DE")
            await firm.sweep()
            assert [one["status"] for one in await firm.tasks()] == ["Completed"] * n
        assert await firm.whys() == []

    in_firm(tmp_path, story)


def test_the_rest_of_an_address_goes_across_beside_the_task(tmp_path: Path) -> None:
    """A street edited together with the country is written; the country alone waits."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.edit_party(record, adresseCountry="AT", adresseStreet="Hopfenstieg 8")
        await firm.sweep()
        (address,) = firm.rows(betnr, "adressen")
        assert (address["strasse"], address["land"]) == ("Hopfenstieg 8", "DE")
        assert await firm.whys() == ["task:right:update:land"]

    in_firm(tmp_path, story)


def test_the_country_of_a_first_address_is_set_with_it(tmp_path: Path) -> None:
    """Where Advoware has no address yet, all of it is set at once: it could not be later."""

    async def story(firm: Firm) -> None:
        betnr = firm.in_advoware("Probe", "Paul", geburtsdatum="1980-01-02")
        values = {
            "adresseStreet": "Weg 1",
            "adressePostalCode": "00123",
            "adresseCity": "Ort",
            "adresseCountry": "AT",
        }
        await firm.new_party("Probe", "Paul", geburtsdatum="1980-01-02", **values)
        await firm.sweep()
        (address,) = firm.rows(betnr, "adressen")
        assert [address[name] for name in ("strasse", "plz", "ort", "land")] == [
            "Weg 1",
            "00123",
            "Ort",
            "AT",
        ]
        assert address["standardAnschrift"] is True
        assert await firm.whys() == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_without_tasks_in_espocrm_the_record_is_parked(tmp_path: Path) -> None:
    """Where the firm has no tasks, the pass over the record says what a person has to do."""

    async def story(firm: Firm) -> None:
        record, _ = await linked_person(firm)
        await firm.edit_party(record, adresseCountry="AT")
        with pytest.raises(Permanent) as parked:
            await firm.sync(record)
        assert parked.value.reason == "task_for_a_person"
        assert "task:right:update:land" in str(parked.value)
        assert await firm.tasks() == []

    in_firm(tmp_path, story, advoware_tasks=False)


def test_a_server_without_the_optional_fields_stays_quiet(tmp_path: Path) -> None:
    """EspoCRM as it was recorded has no address and no legal form: those of Advoware are not its business."""

    async def story(firm: Firm) -> None:
        place = {"strasse": "Weg 1", "plz": "00123", "ort": "Ort", "land": "AT", "standardAnschrift": True}
        betnr = firm.in_advoware(
            "Probe", "Paul", geburtsdatum="1980-01-02", rechtsform="Natürliche Person", titel="Dr.", anrede="Herr",
            adressen=[place], kommunikation=[{"tlf": NUMBER, "kommKz": 1}],
        )  # fmt: skip
        record = await firm.new_party("Probe", "Paul", geburtsdatum="1980-01-02")
        await firm.sweep()
        assert [one["phoneNumber"] for one in (await firm.party(record))["phoneNumberData"]] == [NUMBER]
        await firm.sweeps_quietly()
        firm.edit_advoware(betnr, titel="Prof.", rechtsform="e.K.")
        firm.edit_row(betnr, "adressen", strasse="Hopfenstieg 8", land="DE")
        await firm.sweeps_quietly()
        assert await firm.whys() == []
        assert await firm.conflicts() == []
        firm.calls.clear()
        await firm.edit_party(record, vorname="Paula")
        await firm.sweep()
        (sent,) = bodies(firm.writes())
        assert sent["vorname"] == "Paula"
        assert (sent["titel"], sent["rechtsform"]) == ("Prof.", "e.K.")

    in_firm(tmp_path, story, model="recorded")


def test_a_new_party_of_advoware_comes_without_what_espocrm_lacks(tmp_path: Path) -> None:
    """The recorded server gets the fields that it has, once, although it has no field for our key."""

    async def story(firm: Firm) -> None:
        firm.in_advoware("Probe", "Paul", geburtsdatum="1980-01-02", titel="Dr.", rechtsform="e.K.")
        await firm.sweep()
        (made,) = await firm.parties()
        assert (made["nachname"], made["vorname"]) == ("Probe", "Paul")
        assert "titel" not in made
        await firm.sweeps_quietly()

    in_firm(tmp_path, story, model="recorded")


def test_a_field_that_espocrm_lets_nobody_write_is_a_task_there(tmp_path: Path) -> None:
    """Read-only in EspoCRM: an edit at Advoware asks a person once, the other way round it travels."""

    async def story(firm: Firm) -> None:
        await firm.seed({}, entities={PARTY: {"fields": {"titel": {"type": "varchar", "readOnly": True}}}})
        record, betnr = await linked_person(firm)
        firm.edit_advoware(betnr, titel="Dr.")
        await firm.sweep()
        assert await firm.whys() == ["task:left:update:titel"]
        assert [call for call in firm.writes() if "/Task" not in call.path] == []
        firm.edit_advoware(betnr, titel="")
        await firm.sweep()
        assert await firm.whys() == []
        assert (await firm.party(record))["titel"] is None

    in_firm(tmp_path, story)


def test_texts_that_advoware_cuts_do_not_travel_back(tmp_path: Path) -> None:
    """A value that Advoware shortens in silence stays whole in EspoCRM, and nothing goes to and fro."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        firm.advoware.switches.update({"truncate_at": 20})
        await firm.edit_party(record, titel="Professor Doktor honoris causa")
        await firm.sweep()
        assert firm.at_advoware(betnr)["titel"] == "Professor Doktor hon"
        await firm.sweeps_quietly()
        assert (await firm.party(record))["titel"] == "Professor Doktor honoris causa"

    in_firm(tmp_path, story)


def test_a_number_that_espocrm_refuses_stops_neither_its_party_nor_others(tmp_path: Path) -> None:
    """Free text in Advoware's field for numbers is nothing that EspoCRM takes: all else goes across all the same."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        firm.add_row(betnr, "kommunikation", tlf="nur abends, nach Vereinbarung", kommKz=1)
        firm.edit_advoware(betnr, titel="Dr.")
        other = firm.in_advoware("Andere", "Anna", kommunikation=[{"tlf": "siehe Akte", "kommKz": 1}])
        await firm.sweep()
        assert (await firm.party(record))["titel"] == "Dr."
        assert other in [one["betnr"] for one in await firm.parties()]
        for _ in range(6):
            await firm.sweeps_quietly()
        await firm.edit_party(record, phoneNumberData=phone(NUMBER, "+493023125111"))
        await firm.sweep()
        assert set(firm.numbers(betnr)) == {NUMBER, "nur abends, nach Vereinbarung", "+493023125111"}

    in_firm(tmp_path, story)
