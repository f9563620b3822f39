"""A bank account changes nowhere before a person has said so: the way by which a firm loses its clients' money."""

from __future__ import annotations

from pathlib import Path

from tests.sync.advoware.accounts import BANK, IBAN, OTHER, THIRD, linked_account
from tests.sync.advoware.persons import linked_person
from tests.sync.advoware.world import ACCOUNT, Firm, in_firm


def test_a_changed_iban_in_advoware_waits_and_then_goes_to_espocrm(tmp_path: Path) -> None:
    """EspoCRM can be written: after the approval the new IBAN stands there, not before."""

    async def story(firm: Firm) -> None:
        _, betnr, account = await linked_account(firm)
        firm.edit_row(betnr, "bankverbindungen", iban=OTHER)
        await firm.sweep()
        outcome = await firm.sync(account, "bankverbindungen")
        assert outcome.warning is not None
        assert firm.writes() == []
        assert await firm.whys(BANK) == ["approval:bic+iban"]
        assert await firm.tasks() == []
        await firm.decide("approval:bic+iban", "right", pair=BANK)
        await firm.sweep()
        assert (await firm.accounts())[0]["iban"] == OTHER
        assert await firm.whys(BANK) == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_changed_iban_in_espocrm_becomes_a_task_after_approval(tmp_path: Path) -> None:
    """E7: Advoware has no PUT for accounts. Nobody is asked to type it in before it is approved, and then once."""

    async def story(firm: Firm) -> None:
        _, betnr, account = await linked_account(firm)
        await firm.espo("PUT", f"{ACCOUNT}/{account}", {"iban": OTHER})
        await firm.sweep()
        assert await firm.whys(BANK) == ["approval:bic+iban"]
        assert await firm.tasks() == []
        await firm.decide("approval:bic+iban", "left", pair=BANK)
        for _ in range(3):
            await firm.sweep()
            assert "task:right:update:iban" in await firm.whys(BANK)
            (task,) = await firm.tasks()
            assert task["status"] == "Not Started"
            assert (task["parentType"], task["parentId"]) == (ACCOUNT, account)
        assert [call for call in firm.writes() if "/Task" not in call.path] == []
        firm.edit_row(betnr, "bankverbindungen", iban=OTHER)
        await firm.sweep()
        (task,) = await firm.tasks()
        assert task["status"] == "Completed"
        assert await firm.whys(BANK) == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_an_approval_does_not_cover_what_comes_after_it(tmp_path: Path) -> None:
    """Changed once more after the approval: the task ends, and the new value needs a new approval."""

    async def story(firm: Firm) -> None:
        _, _, account = await linked_account(firm)
        await firm.espo("PUT", f"{ACCOUNT}/{account}", {"iban": OTHER})
        await firm.sweep()
        await firm.decide("approval:bic+iban", "left", pair=BANK)
        await firm.sweep()
        await firm.espo("PUT", f"{ACCOUNT}/{account}", {"iban": THIRD})
        await firm.sweep()
        assert await firm.whys(BANK) == ["approval:bic+iban"]
        (task,) = await firm.tasks()
        assert task["status"] == "Completed"

    in_firm(tmp_path, story)


def test_a_refused_change_is_taken_back(tmp_path: Path) -> None:
    """Approving the other side's value puts the changed one back."""

    async def story(firm: Firm) -> None:
        _, betnr, account = await linked_account(firm)
        await firm.espo("PUT", f"{ACCOUNT}/{account}", {"iban": OTHER})
        await firm.sweep()
        await firm.decide("approval:bic+iban", "right", pair=BANK)
        await firm.sweep()
        assert (await firm.accounts())[0]["iban"] == IBAN
        assert [row["iban"] for row in firm.rows(betnr, "bankverbindungen")] == [IBAN]
        assert await firm.whys(BANK) == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_changed_on_both_sides_is_held_and_neither_is_overwritten(tmp_path: Path) -> None:
    """E5: two new IBANs for one account are a conflict for a person."""

    async def story(firm: Firm) -> None:
        _, betnr, account = await linked_account(firm)
        await firm.espo("PUT", f"{ACCOUNT}/{account}", {"iban": OTHER})
        firm.edit_row(betnr, "bankverbindungen", iban=THIRD)
        await firm.sweep()
        assert await firm.whys(BANK) == ["conflict:bic+iban"]
        assert firm.writes() == []
        await firm.sweeps_quietly()
        await firm.decide("conflict:bic+iban", "right", pair=BANK)
        await firm.sweep()
        assert (await firm.accounts())[0]["iban"] == THIRD
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_blanks_in_an_iban_are_no_change(tmp_path: Path) -> None:
    """DE38 0012 0100 … and DE380012… are one account, linked and quiet, in whatever way either side shows it."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        firm.add_row(betnr, "bankverbindungen", iban="de38 0012 0100 0007 3002 74", bic="prbede00xxx")
        await firm.new_account(record, IBAN, bic="PRBEDE00XXX")
        await firm.sweep()
        assert [c for c in firm.writes() if c.system == "advoware"] == []
        assert await firm.whys(BANK) == []
        await firm.sweeps_quietly()
        firm.advoware.switches.update({"iban_blanks": True})
        await firm.sweeps_quietly()
        assert await firm.whys(BANK) == []

    in_firm(tmp_path, story)


def test_a_deleted_and_newly_entered_account_is_no_way_round_the_approval(tmp_path: Path) -> None:
    """The old account removed, one with another IBAN added, in one go or two: the other side keeps its own."""

    async def story(firm: Firm) -> None:
        record, betnr, account = await linked_account(firm)
        await firm.espo("DELETE", f"{ACCOUNT}/{account}")
        await firm.new_account(record, OTHER)
        await firm.sweep()
        assert await firm.whys(BANK) == ["approval:create"]
        assert firm.writes() == []
        assert [row["iban"] for row in firm.rows(betnr, "bankverbindungen")] == [IBAN]

    in_firm(tmp_path, story)


def test_an_account_moved_to_another_party_is_not_followed_in_silence(tmp_path: Path) -> None:
    """The account of one party given to another one in EspoCRM changes whose money it is: a person has to see it."""

    async def story(firm: Firm) -> None:
        _, betnr, account = await linked_account(firm)
        other = await firm.new_party("Probe", "Paul")
        await firm.sweep()
        firm.calls.clear()
        await firm.espo("PUT", f"{ACCOUNT}/{account}", {"beteiligteId": other})
        await firm.sweep()
        assert firm.writes() == []
        assert await firm.whys(BANK) != []
        assert [row["iban"] for row in firm.rows(betnr, "bankverbindungen")] == [IBAN]
        assert [firm.rows(one, "bankverbindungen") for one in firm.betnrs() if one != betnr] == [[]]

    in_firm(tmp_path, story)
