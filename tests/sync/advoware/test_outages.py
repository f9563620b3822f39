"""Systems that are away, tokens that end, answers that get lost after the write was carried out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitbylaw_pipeline.domain.errors import SyncError, Unreachable
from bitbylaw_pipeline.inbox import two_way_desk
from bitbylaw_pipeline.sync.two_way_pairs import Pair
from tests.sync.advoware.persons import linked_person
from tests.sync.advoware.picture import picture
from tests.sync.advoware.stories import STORIES, edits_of_several_parts, new_in_advoware, new_in_espocrm
from tests.sync.advoware.world import PREFIX, Firm, in_firm

ROW = rf"{PREFIX}Beteiligte/\d+"


def test_two_hours_without_the_connector_lose_nothing(tmp_path: Path) -> None:
    """No pass plans or writes anything meanwhile, nothing is taken for deleted, and all edits arrive afterwards."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        firm.advoware.switches.update({"offline_until": firm.clock() + 7200.0})
        await firm.edit_party(record, titel="Dr.")
        firm.edit_advoware(betnr, anrede="Frau")
        for _ in range(7):
            firm.advance(900.0)
            with pytest.raises(Unreachable) as away:
                await firm.sweep()
            assert (away.value.retry_after or 0) >= 70
            with pytest.raises(Unreachable):
                await firm.sync(record)
        assert firm.writes() == []
        assert await firm.whys() == []
        assert await firm.whys(notices=True) == []
        firm.advance(7200.0)
        await firm.sweep()
        assert firm.at_advoware(betnr)["titel"] == "Dr."
        assert (await firm.party(record))["anrede"] == "Frau"
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_connector_that_goes_off_in_the_middle_leaves_whole_records(tmp_path: Path) -> None:
    """Off after the first write of a pass: what was begun is settled later, what was not is done later."""

    async def story(firm: Firm) -> None:
        for n in range(6):
            await firm.new_party(f"Probe{n}", "Paul", titel="Dr.")
        seen: list[int] = []

        def off() -> None:
            seen.append(len(firm.betnrs()))
            firm.advoware.switches.update({"connector": "offline"})

        firm.before_next("GET", ROW, off)
        (parties, *_) = await firm.sweep()
        assert seen
        assert parties.stopped_by is not None
        firm.advance(7200.0)
        firm.advoware.switches.update({"connector": "online"})
        await firm.sweep()
        assert len(firm.betnrs()) == 6 == len({row["name"] for row in firm.advoware.state()["beteiligte"]})
        await firm.sweep()
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_token_that_ends_in_the_middle_of_a_pass_is_renewed(tmp_path: Path) -> None:
    """Right before a create, between the parts of an update: one more login, and nothing twice."""

    async def story(firm: Firm) -> None:
        await edits_of_several_parts(firm)
        await firm.new_party("Probe", "Paul")
        given = firm.advoware.state()["tokens"]["given"]
        for method, path in (("POST", f"{PREFIX}Beteiligte"), ("PUT", ROW), ("POST", f"{ROW}/Kommunikation")):
            firm.before_next(method, path, lambda: firm.advance(4000.0))
        await firm.sweep()
        assert firm.meetings == []
        assert given < firm.advoware.state()["tokens"]["given"] <= given + 3
        assert len(firm.betnrs()) == 2
        assert await firm.whys() == []
        await firm.sweep()
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_refused_password_is_not_tried_again_for_every_party(tmp_path: Path) -> None:
    """One wrong login for a pass, however many records there are: an account can be locked."""

    async def story(firm: Firm) -> None:
        for n in range(3):
            await firm.new_party(f"Probe{n}", "Paul")
        for _ in range(3):
            with pytest.raises(SyncError):
                await firm.sweep()
        assert sum(firm.advoware.state()["tokens"]["wrong_passwords"].values()) == 1

    in_firm(tmp_path, story, advoware_password="wrong")


WRITES = {
    "new_in_espocrm": [
        ("advoware", "POST", f"{PREFIX}Beteiligte"),
        ("advoware", "POST", f"{ROW}/Adressen"),
        ("advoware", "POST", f"{ROW}/Kommunikation"),
        ("advoware", "POST", f"{ROW}/Bankverbindungen"),
        ("espocrm", "PUT", "/api/v1/CBeteiligte/.*"),
        ("espocrm", "PUT", "/api/v1/CBankverbindungen/.*"),
    ],
    "new_in_advoware": [
        ("espocrm", "POST", "/api/v1/CBeteiligte"),
        ("espocrm", "POST", "/api/v1/CBankverbindungen"),
    ],
    "edits_of_several_parts": [
        ("advoware", "PUT", ROW),
        ("advoware", "PUT", rf"{ROW}/Adressen/\d+"),
        ("advoware", "PUT", rf"{ROW}/Kommunikation/\d+"),
        ("espocrm", "PUT", "/api/v1/CBeteiligte/.*"),
    ],
    "for_a_person": [("espocrm", "POST", "/api/v1/Task")],
}


@pytest.mark.parametrize("status", [502, 0], ids=["502", "lost"])
@pytest.mark.parametrize("name", WRITES)
def test_a_write_whose_answer_is_lost_is_made_once(tmp_path: Path, name: str, status: int) -> None:
    """5xx or silence after the write was carried out, for each kind of write on either side: the end is the same."""
    ends: list[object] = []

    async def undisturbed(firm: Firm) -> None:
        await STORIES[name](firm)
        await firm.sweep()
        await firm.sweep()
        ends.append(await picture(firm))

    in_firm(tmp_path / "whole", undisturbed)
    for n, (system, method, path) in enumerate(WRITES[name]):

        async def disturbed(firm: Firm, spoil: tuple[str, str, str] = (system, method, path)) -> None:
            await STORIES[name](firm)
            firm.spoil_next(*spoil, status=status)
            await firm.sweep()
            assert firm.spoils == []
            await firm.sweep()
            await firm.sweep()
            await firm.sweeps_quietly()
            assert await picture(firm) == ends[0], spoil

        in_firm(tmp_path / str(n), disturbed)


def test_a_lost_create_that_an_event_comes_upon_is_not_repeated(tmp_path: Path) -> None:
    """An event about the record before the next scheduled pass makes no second party."""

    async def story(firm: Firm) -> None:
        await new_in_espocrm(firm)
        firm.spoil_next("advoware", "POST", f"{PREFIX}Beteiligte")
        await firm.sweep()
        (record,) = await firm.parties()
        await firm.sync(record["id"])
        assert len(firm.betnrs()) == 1
        await firm.sweep()
        await firm.sweep()
        assert len(firm.betnrs()) == 1
        assert (await firm.party(record["id"]))["betnr"] == firm.betnrs()[0]
        assert await firm.whys() == []

    in_firm(tmp_path, story)


def test_a_person_who_edits_what_a_lost_write_has_changed_is_not_overwritten(tmp_path: Path) -> None:
    """The create landed, its answer was lost, a clerk edits the new record in EspoCRM: that edit wins through."""

    async def story(firm: Firm) -> None:
        await new_in_advoware(firm)
        (betnr,) = firm.betnrs()
        firm.spoil_next("espocrm", "POST", "/api/v1/CBeteiligte")
        await firm.sweep()
        (made,) = await firm.parties()
        await firm.edit_party(made["id"], titel="Dr.", adresseStreet="Hopfenstieg 8")
        await firm.sweep()
        await firm.sweep()
        assert firm.at_advoware(betnr)["titel"] == "Dr."
        assert firm.rows(betnr, "adressen")[0]["strasse"] == "Hopfenstieg 8"
        assert len(await firm.parties()) == 1

    in_firm(tmp_path, story)


def test_one_party_that_cannot_be_written_stops_no_other(tmp_path: Path) -> None:
    """A record that Advoware answers with an error again and again is left out, and all others go on."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        other = await firm.new_party("Probe", "Paul")
        await firm.sweep()
        firm.fail("advoware", f"{PREFIX}Beteiligte/{betnr}", method="PUT", status=500)
        await firm.edit_party(record, titel="Dr.")
        await firm.edit_party(other, titel="Prof.")
        await firm.sweep()
        await firm.sweep()
        assert [row["titel"] for row in firm.advoware.state()["beteiligte"]] == [None, "Prof."]
        firm.mend()
        await firm.sweep()
        await firm.sweep()
        assert firm.at_advoware(betnr)["titel"] == "Dr."

    in_firm(tmp_path, story)


def test_a_record_that_is_refused_again_and_again_is_set_aside_and_told(tmp_path: Path) -> None:
    """After five refusals nothing more is sent for it, a person sees that, and a release lets it go on."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        firm.fail("advoware", ROW, method="PUT", status=400)
        await firm.edit_party(record, titel="Dr.")
        for _ in range(8):
            await firm.sweep()
        assert len(firm.writes("advoware")) == 5
        assert await firm.whys() == ["quarantined"]
        firm.mend()
        link = (await firm.holds())[0].subject
        await firm.database.run(
            lambda c: two_way_desk.release_quarantine(c, firm.clock(), Pair.BETEILIGTE.value, link)
        )
        await firm.sweep()
        assert firm.at_advoware(betnr)["titel"] == "Dr."
        assert await firm.whys() == []

    in_firm(tmp_path, story)
