"""A link that has ended, and a person who takes it up again."""

from __future__ import annotations

from pathlib import Path

from bitbylaw_pipeline.inbox import two_way_desk
from bitbylaw_pipeline.sync.two_way_pairs import Pair
from tests.sync.advoware.persons import linked_person
from tests.sync.advoware.world import PARTY, Firm, in_firm


async def relink(firm: Firm, *, forget: bool = False) -> None:
    """What `bitbylaw relink` does, to the one link there is."""
    (link,) = (await firm.parts.pairs.store(Pair.BETEILIGTE).load()).links
    database = firm.parts.pairs.database
    await database.run(
        lambda c: two_way_desk.relink(c, database.now(c), "beteiligte", link.link_id, forget=forget)
    )


def test_a_restored_party_is_linked_again_by_a_person(tmp_path: Path) -> None:
    """What changed on either side meanwhile is merged with what was agreed last, and the notice is gone."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.espo("DELETE", f"{PARTY}/{record}")
        await firm.sweep()
        await firm.restore(PARTY, record)
        firm.edit_advoware(betnr, titel="Dr.")
        await firm.edit_party(record, anrede="Frau")
        await relink(firm)
        assert await firm.whys(notices=True) == []
        await firm.sync(record)
        assert (await firm.party(record))["titel"] == "Dr."
        assert firm.at_advoware(betnr)["anrede"] == "Frau"
        assert firm.betnrs() == [betnr]
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_link_taken_up_too_early_makes_nothing_anew(tmp_path: Path) -> None:
    """The party is still in the bin: it waits for a person, and Advoware's is not copied back."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.espo("DELETE", f"{PARTY}/{record}")
        await firm.sweep()
        await relink(firm)
        await firm.sweep()
        assert await firm.whys() == ["undelete"]
        assert await firm.parties() == []
        await firm.restore(PARTY, record)
        await firm.sweep()
        assert await firm.whys() == []
        firm.edit_advoware(betnr, titel="Dr.")
        await firm.sweep()
        assert (await firm.party(record))["titel"] == "Dr."
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_party_entered_anew_is_matched_once_the_old_link_is_forgotten(tmp_path: Path) -> None:
    """The same person under another id: linked with the party at Advoware that is there, not doubled."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        former = await firm.party(record)
        await firm.espo("DELETE", f"{PARTY}/{record}")
        await firm.sweep()
        again = await firm.new_party(
            former["nachname"], former["vorname"], geburtsdatum=former["geburtsdatum"]
        )
        await firm.sweep()
        assert await firm.whys() == ["ambiguous_match"]
        await relink(firm, forget=True)
        await firm.sweep()
        assert (await firm.party(again))["betnr"] == betnr
        assert firm.betnrs() == [betnr]
        assert await firm.whys() == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)
