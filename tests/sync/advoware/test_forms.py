"""What Advoware may turn out to be like: without a list, without embedded rows, with answers in other forms."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.sync.two_way_pairs import Pair
from tests.sync.advoware.accounts import IBAN
from tests.sync.advoware.persons import linked_person
from tests.sync.advoware.world import PREFIX, Firm, in_firm

PAUL = {"geburtsdatum": "1980-01-02"}


def lists(firm: Firm) -> Counter[str]:
    """How often each list was asked for, pages of one list counted as one."""
    found = {
        (call.system, call.path.rpartition("/")[2])
        for call in firm.calls
        if call.path in ("/api/v1/CBeteiligte", "/api/v1/CBankverbindungen", f"{PREFIX}Beteiligte")
    }
    return Counter(name for _, name in found)


def test_a_quiet_pass_costs_one_list_for_each_scope(tmp_path: Path) -> None:
    """Steady state: EspoCRM's parties and accounts and Advoware's parties are each listed once, and nothing else is read."""

    async def story(firm: Firm) -> None:
        for n in range(4):
            party = await firm.new_party(f"Probe{n}", "Paul", **PAUL)
            await firm.new_account(party, IBAN)
        await firm.sweep()
        await firm.sweep()
        firm.calls.clear()
        await firm.sweeps_quietly()
        asked = Counter(call.path for call in firm.calls)
        assert asked.pop("/api/v1/App/user", 0) <= 2
        assert asked.pop("/api/v1/Metadata", 0) <= 2
        assert asked == {"/api/v1/CBeteiligte": 1, "/api/v1/CBankverbindungen": 1, f"{PREFIX}Beteiligte": 1}

    in_firm(tmp_path, story)


def test_pages_of_one_list_are_one_list(tmp_path: Path) -> None:
    """More parties than fit a page of EspoCRM's are all seen, and nothing is read twice."""

    async def story(firm: Firm) -> None:
        records = [
            {"id": f"6b03f44a{n:09x}", "name": f"Probe{n}", "nachname": f"Probe{n}", "betnr": 20_000 + n}
            for n in range(205)
        ]
        await firm.seed({"CBeteiligte": records})
        parties = [{"betNr": one["betnr"], "name": one["nachname"]} for one in records]
        firm.advoware.seed({"beteiligte": parties})
        await firm.sweep()
        assert len(firm.betnrs()) == 205
        assert firm.writes() == []
        await firm.sweep()
        firm.calls.clear()
        await firm.sweeps_quietly()
        pages = [call for call in firm.calls if call.path == "/api/v1/CBeteiligte"]
        assert 1 < len(pages) <= 4
        assert [c for c in firm.calls if c.path.startswith("/api/v1/CBeteiligte/")] == []

    in_firm(tmp_path, story)


@pytest.mark.parametrize(
    "switches",
    [
        {"embeds": False},
        {"embeds": "single"},
        {"post_answers": "object"},
        {"post_answers": "list"},
        {"wraps_in_list": True},
        {"unknown_answers_empty": True},
        {"empty_text": "empty"},
        {"same_put_new_row": False},
        {"kommkz_kept": False},
        {"fraction_digits": 0},
        {"direct_connector": True},
    ],
    ids=lambda value: "-".join(f"{name}-{of}" for name, of in value.items()),
)
def test_the_same_comes_of_it_in_whatever_form_advoware_answers(
    tmp_path: Path, switches: dict[str, Any]
) -> None:
    """A party and an account made, edited and emptied on both sides; then quiet."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        await firm.new_account(record, IBAN)
        other = firm.in_advoware("Probe", "Paul", **PAUL)
        await firm.sweep()
        assert [row["iban"] for row in firm.rows(betnr, "bankverbindungen")] == [IBAN]
        assert other in [one["betnr"] for one in await firm.parties()]
        await firm.edit_party(record, adresseStreet="Hopfenstieg 8", phoneNumberData=[], titel="Dr.")
        firm.edit_advoware(betnr, anrede="")
        await firm.sweep()
        party = firm.at_advoware(betnr)
        assert (party["titel"], party["adressen"][0]["strasse"], firm.numbers(betnr)) == (
            "Dr.",
            "Hopfenstieg 8",
            [],
        )
        assert (await firm.party(record))["anrede"] is None
        await firm.sweeps_quietly()
        firm.advoware.edit({"table": "beteiligte", "id": other, "delete": True})
        await firm.sweep()
        assert await firm.whys(notices=True) == ["unlinked:right_deleted"]
        assert len(firm.betnrs()) == 1
        assert await firm.whys() == []

    in_firm(tmp_path, story, switches=switches)


def test_without_a_list_parties_that_name_their_number_are_linked(tmp_path: Path) -> None:
    """ADVOWARE_LISTS_BETEILIGTE=false: a betNr in EspoCRM is looked up by itself, and kept in step from then on."""

    async def story(firm: Firm) -> None:
        betnr = firm.in_advoware("Probe", "Paul", titel="Dr.", **PAUL)
        record = await firm.new_party("Probe", "Paul", betnr=betnr, **PAUL)
        await firm.sweep()
        assert (await firm.party(record))["titel"] == "Dr."
        assert await firm.whys() == []
        await firm.edit_party(record, titel="Prof.")
        await firm.sync(record)
        assert firm.at_advoware(betnr)["titel"] == "Prof."
        await firm.sweeps_quietly()
        assert firm.betnrs() == [betnr]

    in_firm(tmp_path, story, switches={"lists_beteiligte": False}, advoware_lists_beteiligte=False)


def test_without_a_list_a_new_party_is_held_and_not_doubled(tmp_path: Path) -> None:
    """Nobody can look whether Advoware has it: a person links it by number, or has it made."""

    async def story(firm: Firm) -> None:
        betnr = firm.in_advoware("Probe", "Paul", **PAUL)
        record = await firm.new_party("Probe", "Paul", titel="Dr.", **PAUL)
        other = await firm.new_party("Andere", "Anna")
        await firm.sweep()
        await firm.sync(record)
        assert await firm.whys() == ["partner_not_searchable"] * 2
        assert firm.writes() == []
        await firm.decide("partner_not_searchable", f"link:{betnr}", subject=f"left:{record}")
        await firm.decide("partner_not_searchable", "create", subject=f"left:{other}")
        await firm.sweep()
        assert firm.at_advoware(betnr)["titel"] == "Dr."
        assert (await firm.party(record))["betnr"] == betnr
        assert len(firm.betnrs()) == 2
        assert await firm.whys() == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story, switches={"lists_beteiligte": False}, advoware_lists_beteiligte=False)


def test_without_a_list_a_dry_run_looks_at_the_linked_party(tmp_path: Path) -> None:
    """What the next pass over one party would do is said, though no list shows it; and it is not done."""

    async def story(firm: Firm) -> None:
        betnr = firm.in_advoware("Probe", "Paul", **PAUL)
        record = await firm.new_party("Probe", "Paul", betnr=betnr, **PAUL)
        await firm.sweep()
        await firm.edit_party(record, titel="Prof.")
        firm.advance(60.0)
        said = await firm.runtime.streams["beteiligte"].describe(record)
        assert len(said) == 1
        assert "titel" in said[0]
        assert firm.at_advoware(betnr)["titel"] != "Prof."

    in_firm(tmp_path, story, switches={"lists_beteiligte": False}, advoware_lists_beteiligte=False)


async def _a_day_of_passes(firm: Firm) -> None:
    # Every second quarter of an hour has a pass for as long as its turn lasts; three parties have 32 turns each.
    for _ in range(12):
        firm.advance(7140.0)
        await firm.sweep()


def test_without_a_list_every_linked_party_is_read_once_a_day(tmp_path: Path) -> None:
    """An edit at Advoware is found within a day of passes, and a party that is gone is not taken for an empty list."""

    async def story(firm: Firm) -> None:
        records = {}
        for n in range(3):
            betnr = firm.in_advoware(f"Probe{n}", "Paul", **PAUL)
            records[betnr] = await firm.new_party(f"Probe{n}", "Paul", betnr=betnr, **PAUL)
        await firm.sweep()
        for betnr in records:
            firm.edit_advoware(betnr, titel="Dr.")
        await _a_day_of_passes(firm)
        assert [(await firm.party(one))["titel"] for one in records.values()] == ["Dr."] * 3
        gone = next(iter(records))
        firm.advoware.edit({"table": "beteiligte", "id": gone, "delete": True})
        await _a_day_of_passes(firm)
        assert await firm.whys(notices=True) == ["unlinked:right_deleted"]
        assert len(await firm.parties()) == 3

    in_firm(tmp_path, story, switches={"lists_beteiligte": False}, advoware_lists_beteiligte=False)


def test_a_list_that_was_promised_and_is_not_there_says_so(tmp_path: Path) -> None:
    """With the setting on and Advoware without a list, the pass fails with what to do, and changes nothing."""

    async def story(firm: Firm) -> None:
        await firm.new_party("Probe", "Paul", **PAUL)
        with pytest.raises(Exception, match="ADVOWARE_LISTS_BETEILIGTE=false"):
            await firm.sweep()
        assert firm.writes() == []
        assert await firm.whys(Pair.BETEILIGTE) == []

    in_firm(tmp_path, story, switches={"lists_beteiligte": False})
