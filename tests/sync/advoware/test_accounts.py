"""Bank accounts that are new, gone, or wait for their party."""

from __future__ import annotations

from pathlib import Path

from tests.sync.advoware.accounts import BANK, IBAN, OTHER, THIRD, linked_account
from tests.sync.advoware.persons import linked_person
from tests.sync.advoware.world import ACCOUNT, Firm, in_firm


def test_a_new_account_goes_to_a_party_that_has_none_there(tmp_path: Path) -> None:
    """In either direction, and EspoCRM's account learns Advoware's number."""

    async def story(firm: Firm) -> None:
        _, betnr, account = await linked_account(firm)
        shown = await firm.espo("GET", f"{ACCOUNT}/{account}")
        assert shown["advowareId"] == firm.rows(betnr, "bankverbindungen")[0]["id"]
        other, number = await firm.new_party("Probe", "Paul"), set(firm.betnrs())
        await firm.sweep()
        (second,) = set(firm.betnrs()) - number
        firm.add_row(
            second, "bankverbindungen", iban="DE89 3704 0044 0532 0130 00", kontoinhaber="Paul Probe"
        )
        await firm.sweep()
        (made,) = [one for one in await firm.accounts() if one["beteiligteId"] == other]
        assert (made["iban"], made["kontoinhaber"]) == (OTHER, "Paul Probe")
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_a_second_account_waits_for_a_person(tmp_path: Path) -> None:
    """A party that has an account on the other side gets another one there by approval alone."""

    async def story(firm: Firm) -> None:
        record, betnr, _ = await linked_account(firm)
        added = await firm.new_account(record, OTHER)
        await firm.sweep()
        assert await firm.whys(BANK) == ["approval:create"]
        assert firm.writes() == []
        await firm.sweeps_quietly()
        await firm.sync(added, "bankverbindungen")
        assert firm.writes() == []
        await firm.decide("approval:create", "create", pair=BANK)
        await firm.sweep()
        assert [row["iban"] for row in firm.rows(betnr, "bankverbindungen")] == [IBAN, OTHER]
        assert await firm.whys(BANK) == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_an_iban_that_cannot_be_one_waits_for_a_person(tmp_path: Path) -> None:
    """The account is left alone and named, until somebody has put the number right."""

    async def story(firm: Firm) -> None:
        *_, account = await linked_account(firm)
        await firm.espo("PUT", f"{ACCOUNT}/{account}", {"iban": "DE00001201000007300274"})
        await firm.sweep()
        assert await firm.whys(BANK) == ["iban_invalid"]
        assert firm.writes() == []
        await firm.espo("PUT", f"{ACCOUNT}/{account}", {"iban": IBAN})
        await firm.sweep()
        assert await firm.whys(BANK) == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_without_a_list_the_accounts_of_a_few_parties_are_read_at_a_time(tmp_path: Path) -> None:
    """One party's turn costs one call, and an account of each party has crossed within a day."""

    async def story(firm: Firm) -> None:
        made = []
        for n in range(3):
            betnr = firm.in_advoware(f"Probe{n}", "Paul")
            record = await firm.new_party(f"Probe{n}", "Paul", betnr=betnr)
            made.append((betnr, record))
        await firm.sweep()
        for iban, (_, record) in zip((IBAN, OTHER, THIRD), made, strict=True):
            await firm.new_account(record, iban)
        most = 0
        for _ in range(12):
            firm.advance(7140.0)
            firm.calls.clear()
            await firm.sweep()
            read = [
                one for one in firm.calls if one.method == "GET" and one.path.endswith("/Bankverbindungen")
            ]
            most = max(most, len({one.path for one in read}))
        assert most == 1
        assert [len(firm.rows(betnr, "bankverbindungen")) for betnr, _ in made] == [1, 1, 1]
        assert await firm.whys(BANK) == []

    in_firm(tmp_path, story, switches={"lists_beteiligte": False}, advoware_lists_beteiligte=False)


def test_another_answer_than_create_makes_no_account(tmp_path: Path) -> None:
    """`left` or a link that cannot be is no approval of a new account."""

    async def story(firm: Firm) -> None:
        record, betnr, _ = await linked_account(firm)
        await firm.new_account(record, OTHER)
        await firm.sweep()
        taken = firm.rows(betnr, "bankverbindungen")[0]["id"]
        for answer in ("left", f"link:{betnr}/{taken}"):
            await firm.decide("approval:create", answer, pair=BANK)
            await firm.sweep()
            assert firm.writes() == []
            assert await firm.whys(BANK) == ["approval:create"]

    in_firm(tmp_path, story)


def test_accounts_that_differ_are_one_if_a_person_says_so(tmp_path: Path) -> None:
    """Two unlinked accounts of a party can be linked by hand; their IBANs are then decided by hand, too."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        firm.add_row(betnr, "bankverbindungen", iban=OTHER)
        account = await firm.new_account(record, IBAN)
        await firm.sweep()
        assert await firm.whys(BANK) == ["bootstrap_unmatched"] * 2
        assert firm.writes() == []
        row = firm.rows(betnr, "bankverbindungen")[0]["id"]
        await firm.decide("bootstrap_unmatched", f"link:{betnr}/{row}", subject=f"left:{account}", pair=BANK)
        await firm.sweep()
        assert await firm.whys(BANK) == ["conflict:bic+iban"]
        await firm.decide("conflict:bic+iban", "right", pair=BANK)
        await firm.sweep()
        assert (await firm.accounts())[0]["iban"] == OTHER
        assert await firm.whys(BANK) == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_an_account_that_cannot_be_read_counts_too(tmp_path: Path) -> None:
    """A party whose only account at Advoware has a mistyped IBAN does have one: a new one waits for approval."""

    async def story(firm: Firm) -> None:
        record, betnr = await linked_person(firm)
        firm.add_row(betnr, "bankverbindungen", iban="DE00 1234")
        await firm.new_account(record, IBAN)
        await firm.sweep()
        assert await firm.whys(BANK) == ["approval:create", "iban_invalid"]
        assert firm.writes() == []

    in_firm(tmp_path, story)


def test_an_account_waits_for_its_party(tmp_path: Path) -> None:
    """E6: an account whose party is not linked yet is left alone, and follows as soon as it is."""

    async def story(firm: Firm) -> None:
        twins = [firm.in_advoware("Probe", "Paul", geburtsdatum="1980-01-02") for _ in range(2)]
        record = await firm.new_party("Probe", "Paul", geburtsdatum="1980-01-02")
        account = await firm.new_account(record, IBAN)
        _, bank = await firm.sweep()
        assert firm.writes() == []
        assert bank.counts["withheld"] == 1
        outcome = await firm.sync(account, "bankverbindungen")
        assert outcome.result.value == "waiting"
        assert firm.writes() == []
        await firm.decide("ambiguous_match", f"link:{twins[0]}", subject=f"left:{record}")
        await firm.sweep()
        assert [row["iban"] for row in firm.rows(twins[0], "bankverbindungen")] == [IBAN]
        assert firm.rows(twins[1], "bankverbindungen") == []
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_an_account_that_arrives_first_is_made_after_its_party(tmp_path: Path) -> None:
    """E6: party and account are new; the event about the account alone makes neither."""

    async def story(firm: Firm) -> None:
        record = await firm.new_party("Probe", "Paul")
        account = await firm.new_account(record, IBAN)
        await firm.sync(account, "bankverbindungen")
        assert firm.writes() == []
        await firm.sweep()
        (betnr,) = firm.betnrs()
        assert [row["iban"] for row in firm.rows(betnr, "bankverbindungen")] == [IBAN]

    in_firm(tmp_path, story)


def test_a_deleted_account_stays_on_the_other_side(tmp_path: Path) -> None:
    """Advoware cannot delete an account and EspoCRM does not: the link ends, and somebody is told."""

    async def story(firm: Firm) -> None:
        _, betnr, account = await linked_account(firm)
        await firm.espo("DELETE", f"{ACCOUNT}/{account}")
        await firm.sweep()
        assert len(firm.rows(betnr, "bankverbindungen")) == 1
        assert firm.writes() == []
        assert await firm.whys(BANK, notices=True) == ["unlinked:left_deleted"]
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)


def test_the_accounts_of_a_party_that_is_gone_are_left_alone(tmp_path: Path) -> None:
    """A party that vanished from Advoware takes its accounts along: no failure, no delete, pass after pass."""

    async def story(firm: Firm) -> None:
        _, betnr, _ = await linked_account(firm)
        firm.in_advoware("Andere", "Anna")
        await firm.sweep()
        firm.calls.clear()
        firm.advoware.edit({"table": "beteiligte", "id": betnr, "delete": True})
        await firm.sweep()
        assert firm.writes() == []
        assert len(await firm.accounts()) == 1
        await firm.sweeps_quietly()

    in_firm(tmp_path, story)
