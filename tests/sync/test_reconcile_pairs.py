"""Drift between EspoCRM and Advoware, made behind the pipeline's back: found, repaired through the queue, and gone."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from bitbylaw_pipeline.domain.drift import DriftReport
from bitbylaw_pipeline.domain.errors import SyncError, Unexpected
from bitbylaw_pipeline.inbox import open_work, reconciliations, two_way_desk, work_queue
from bitbylaw_pipeline.inbox.schema import metadata, sync_link
from bitbylaw_pipeline.sync.pair_drift import MOST_ALONE, drifts_of
from bitbylaw_pipeline.sync.pair_lease import pair_lease
from bitbylaw_pipeline.sync.reconciliation import reconcile
from bitbylaw_pipeline.sync.two_way_pairs import Pair
from bitbylaw_pipeline.sync.two_way_stream import PASS
from tests.sync.advoware.world import PARTY, Firm, in_firm

BETEILIGTE, BANK = "beteiligte", "bankverbindungen"
IBAN = "DE89370400440532013000"
IBAN_2 = "DE02120300000000202051"
NAMES = ("Probe", "Paul", "Anders", "Anna", IBAN, "Dr.")
"""What no row of a drift table may say."""
Story = Callable[[Firm], Coroutine[Any, Any, None]]


async def look(firm: Firm, flow: str = BETEILIGTE, **given: Any) -> DriftReport:
    """A dry run, which writes nothing anywhere."""
    firm.advance(60.0)
    before = await stored(firm), len(firm.writes())
    (report,) = await reconcile(firm.database, firm.runtime.reconciliations(**given)[flow], dry_run=True)
    assert (await stored(firm), len(firm.writes())) == before
    assert not [name for name in NAMES for drift in report.drifts if name in str(drift)]
    return report


async def stored(firm: Firm) -> Any:
    """Everything in our state."""
    return await firm.database.run(
        lambda c: {
            table.name: [tuple(row) for row in c.execute(select(table))] for table in metadata.sorted_tables
        }
    )


async def repair(firm: Firm, flow: str = BETEILIGTE, **given: Any) -> DriftReport:
    """A reconciliation with its repairs worked off."""
    firm.advance(60.0)
    (report,) = await reconcile(firm.database, firm.runtime.reconciliations(**given)[flow], dry_run=False)
    await drain(firm)
    return report


async def drain(firm: Firm) -> None:
    """Works off the queue, as a batch would."""
    for stream in (BETEILIGTE, BANK, "akten"):
        claiming = partial(work_queue.claim, now=firm.clock(), stream=stream, limit=100, lease_seconds=60.0)
        while claims := await firm.database.run(claiming):
            for claim in claims:
                await firm.runtime.streams[stream].sync(claim.key)
                await firm.database.run(partial(work_queue.complete, now=firm.clock(), claims=[claim]))


def rows(report: DriftReport) -> list[tuple[str, str, str]]:
    """Class, key and repair of each."""
    return [(one.kind.value, str(one.key), one.repair) for one in report.drifts]


async def finds_nothing(firm: Firm, flow: str = BETEILIGTE) -> None:
    """A second reconciliation is clean."""
    report = await look(firm, flow)
    assert (report.drifts, report.busy) == ((), 0)


async def linked(firm: Firm, count: int = 3) -> list[tuple[str, int]]:
    """So many parties on both sides, in step: (EspoCRM's id, betNr)."""
    made = [await firm.new_party(f"Probe{n}", "Paul", geburtsdatum=f"{1920 + n}-01-01") for n in range(count)]
    await firm.sweep()
    await firm.sweep()
    return [(one, (await firm.party(one))["betnr"]) for one in made]


async def forget(firm: Firm, left_id: str) -> None:
    """The row of this link is lost."""
    await firm.database.run(lambda c: c.execute(delete(sync_link).where(sync_link.c.left_id == left_id)))


def test_what_is_in_step_has_no_drift(tmp_path: Path) -> None:
    """Each side is listed once a pair, lengths and requests are told, and nothing is found or written."""

    async def story(firm: Firm) -> None:
        (party, _), *_ = await linked(firm)
        await firm.new_account(party, IBAN)
        await firm.sweep()
        report = await look(firm)
        assert report.listed == {
            "espocrm_beteiligte": 3,
            "advoware_beteiligte": 3,
            "partly_readable_types": 0,
        }
        assert report.calls > 0
        assert sum(report.counts().values()) == 0
        await finds_nothing(firm)
        await finds_nothing(firm, BANK)
        await finds_nothing(firm, "akten")

    in_firm(tmp_path, story)


def test_a_record_without_counterpart_is_missing(tmp_path: Path) -> None:
    """One new in EspoCRM is wanted by its id, one new at Advoware by a pass over the pair; both are made."""

    async def story(firm: Firm) -> None:
        await linked(firm)
        new = await firm.new_party("Anders", "Anna", geburtsdatum="1970-01-01")
        betnr = firm.in_advoware("Neu", "Nora", geburtsdatum="1999-01-01")
        report = await repair(firm)
        assert rows(report) == [("missing", PASS, "queue"), ("missing", new, "queue")]
        assert [one.subject for one in report.drifts] == [f"Advoware {betnr}", f"EspoCRM {new}"]
        assert {row["betnr"] for row in await firm.parties()} == set(firm.betnrs())
        await finds_nothing(firm)

    in_firm(tmp_path, story)


def test_many_without_counterpart_are_one_pass(tmp_path: Path) -> None:
    """A list of everything for each of them would be a hundred lists: beyond a few, a pass over the pair is wanted."""

    async def story(firm: Firm) -> None:
        await linked(firm)
        for n in range(MOST_ALONE + 1):
            await firm.new_party(f"Anders{n}", "Anna", geburtsdatum=f"197{n}-01-01")
        report = await repair(firm)
        assert rows(report) == [("missing", PASS, "queue")] * (MOST_ALONE + 1)
        await finds_nothing(firm)

    in_firm(tmp_path, story)


def test_a_lost_link_is_missing(tmp_path: Path) -> None:
    """Two records that name each other and have no link are linked again, and nobody is made twice."""

    async def story(firm: Firm) -> None:
        (party, betnr), *_ = await linked(firm)
        await forget(firm, party)
        report = await repair(firm)
        assert rows(report) == [("missing", party, "queue")]
        assert str(betnr) in report.drifts[0].says
        assert len(firm.betnrs()) == 3
        await finds_nothing(firm)

    in_firm(tmp_path, story)


@pytest.mark.parametrize("named", [None, 99, "another"])
def test_a_reference_that_is_not_the_links_dangles(tmp_path: Path, named: Any) -> None:
    """A betNr taken away, mistyped or another party's: EspoCRM names the linked one again."""

    async def story(firm: Firm) -> None:
        (party, betnr), (_, other), _ = await linked(firm)
        await firm.edit_party(party, betnr=other if named == "another" else named)
        report = await repair(firm)
        assert rows(report) == [("dangling_reference", party, "queue")]
        assert (await firm.party(party))["betnr"] == betnr
        await finds_nothing(firm)

    in_firm(tmp_path, story)


def test_a_number_that_nobody_has_dangles_until_a_person_knows(tmp_path: Path) -> None:
    """An unlinked party with a mistyped betNr: found once, held for a person by its pass, and no drift from then on."""

    async def story(firm: Firm) -> None:
        await linked(firm)
        party = await firm.new_party("Anders", "Anna", betnr=99)
        report = await repair(firm)
        assert rows(report) == [("dangling_reference", party, "queue")]
        assert await firm.whys() == ["partner_missing"]
        await finds_nothing(firm)

    in_firm(tmp_path, story)


def test_two_records_with_one_counterpart_dangle(tmp_path: Path) -> None:
    """The second party that names a linked one's betNr is told of, and waits for a person."""

    async def story(firm: Firm) -> None:
        (_, betnr), *_ = await linked(firm)
        party = await firm.new_party("Anders", "Anna", betnr=betnr)
        assert rows(await repair(firm)) == [("dangling_reference", party, "queue")]
        assert await firm.whys() == ["ambiguous_partner"]
        await finds_nothing(firm)

    in_firm(tmp_path, story)


def test_a_deleted_record_is_gone_or_orphaned(tmp_path: Path) -> None:
    """Deleted in EspoCRM, at Advoware, or in both: each link ends, and nothing is deleted on the other side."""

    async def story(firm: Firm) -> None:
        (here, kept), (there, betnr), (both, last), *_ = await linked(firm, 5)
        for party in (here, both):
            await firm.espo("DELETE", f"{PARTY}/{party}")
        for number in (betnr, last):
            firm.advoware.edit({"table": "beteiligte", "id": number, "delete": True})
        report = await repair(firm)
        assert sorted(rows(report)) == sorted(
            [
                ("gone_in_espocrm", here, "queue"),
                ("gone_in_espocrm", both, "queue"),
                ("orphaned", there, "queue"),
            ]
        )
        assert kept in firm.betnrs()
        assert there in [row["id"] for row in await firm.parties()]
        await finds_nothing(firm)

    in_firm(tmp_path, story)


def test_other_values_are_stale(tmp_path: Path) -> None:
    """An edit on either side that nobody told us of: named by its field alone, carried over, and gone."""

    async def story(firm: Firm) -> None:
        (first, betnr), (second, number), _ = await linked(firm)
        firm.edit_advoware(betnr, titel="Dr.")
        await firm.edit_party(second, titel="Dr.")
        report = await repair(firm)
        assert rows(report) == [("stale_hash", first, "queue"), ("stale_hash", second, "queue")] or rows(
            report
        ) == [("stale_hash", second, "queue"), ("stale_hash", first, "queue")]
        assert {one.says for one in report.drifts} == {"not as agreed: titel"}
        assert (await firm.party(first))["titel"] == firm.at_advoware(number)["titel"] == "Dr."
        await finds_nothing(firm)

    in_firm(tmp_path, story)


def test_a_change_that_waits_for_a_person_is_no_drift(tmp_path: Path) -> None:
    """Held at its first pass: not before that, for nobody knows of it then; conflicts and endings alike."""

    async def story(firm: Firm) -> None:
        (party, betnr), (ended, number), _ = await linked(firm)
        await firm.edit_party(party, geburtsdatum="1971-01-01")
        firm.edit_advoware(betnr, geburtsdatum="1972-02-02")
        firm.edit_advoware(number, titel="Dr.")
        await firm.espo("DELETE", f"{PARTY}/{ended}")
        assert {kind for kind, *_ in rows(await repair(firm))} == {"stale_hash", "gone_in_espocrm"}
        assert len(await firm.whys()) == 2
        await finds_nothing(firm)

    in_firm(tmp_path, story)


def test_quarantined_and_unlinked_ones_are_no_drift(tmp_path: Path) -> None:
    """What a person has ended or what is left alone differs as it likes."""

    async def story(firm: Firm) -> None:
        (first, betnr), (_, number), _ = await linked(firm)
        links = await firm.database.run(
            lambda c: {row.left_id: row.link_id for row in c.execute(select(sync_link))}
        )
        await firm.database.run(lambda c: two_way_desk.unlink(c, firm.clock(), BETEILIGTE, links[first]))
        await firm.database.run(
            lambda c: c.execute(
                update(sync_link).where(sync_link.c.right_id == str(number)).values(state="quarantined")
            )
        )
        firm.edit_advoware(betnr, titel="Dr.")
        firm.edit_advoware(number, titel="Dr.")
        await finds_nothing(firm)

    in_firm(tmp_path, story)


def test_accounts_are_compared_alike(tmp_path: Path) -> None:
    """Missing on either side, a lost reference, a changed IBAN (for a person), one gone at Advoware."""

    async def story(firm: Firm) -> None:
        parties = await linked(firm, 4)
        accounts = [await firm.new_account(party, IBAN) for party, _ in parties[:3]]
        await firm.sweep()
        await firm.sweep()
        made = await firm.new_account(parties[3][0], IBAN)
        await firm.espo("PUT", f"CBankverbindungen/{accounts[0]}", {"advowareId": None})
        await firm.espo("PUT", f"CBankverbindungen/{accounts[1]}", {"iban": IBAN_2})
        gone = firm.rows(parties[2][1], "bankverbindungen")[0]["id"]
        firm.advoware.edit({"table": "bankverbindungen", "betNr": parties[2][1], "id": gone, "delete": True})
        report = await repair(firm, BANK)
        assert sorted(rows(report)) == sorted(
            [
                ("missing", made, "queue"),
                ("dangling_reference", accounts[0], "queue"),
                ("stale_hash", accounts[1], "queue"),
                ("orphaned", accounts[2], "queue"),
            ]
        )
        assert len(firm.rows(parties[3][1], "bankverbindungen")) == 1
        await finds_nothing(firm, BANK)

    in_firm(tmp_path, story)


def test_work_in_hand_is_not_judged(tmp_path: Path) -> None:
    """A row that waits in the queue is counted as busy; a parked one waits for a person and is not counted at all."""

    async def story(firm: Firm) -> None:
        (party, _), (parked, _), _ = await linked(firm)
        for one in (party, parked):
            await firm.edit_party(one, titel="Dr.")
        await firm.database.run(lambda c: work_queue.want(c, firm.clock(), BETEILIGTE, [parked]))
        (claim,) = await firm.database.run(
            lambda c: work_queue.claim(c, firm.clock(), BETEILIGTE, limit=1, lease_seconds=60.0)
        )
        await firm.database.run(lambda c: work_queue.park(c, firm.clock(), claim, "refused", "says"))
        await firm.database.run(lambda c: work_queue.want(c, firm.clock(), BETEILIGTE, [party]))
        report = await look(firm)
        assert (report.drifts, report.busy) == ((), 1)

    in_firm(tmp_path, story)


def test_a_link_that_moves_meanwhile_is_not_judged(tmp_path: Path) -> None:
    """A pass that puts a record right while the lists are read does not make drift of it."""

    async def story(firm: Firm) -> None:
        (party, _), *_ = await linked(firm)
        await firm.edit_party(party, titel="Dr.")
        reconciliation = firm.runtime.reconciliations()[BETEILIGTE]
        trial = await (await firm.parts.pairs.reconciler(Pair.BETEILIGTE)).trial()
        firm.advance(60.0)
        await firm.sync(party)
        known = await reconciliation._known(trial, firm.clock())  # type: ignore[attr-defined]  # between two lists
        assert drifts_of(Pair.BETEILIGTE, trial, known) == ([], 1)

    in_firm(tmp_path, story)


def test_a_list_without_its_records_is_refused(tmp_path: Path) -> None:
    """Empty on one side, or half of it gone: an error, noted, and nothing wanted; a person may say that it is right."""

    async def story(firm: Firm) -> None:
        made = await linked(firm, 12)
        for _, betnr in made:
            firm.advoware.edit({"table": "beteiligte", "id": betnr, "delete": True})
        with pytest.raises(Unexpected, match="0 entries, 12 before"):
            await repair(firm)
        noted = (await firm.database.run(reconciliations.load))[BETEILIGTE]
        assert (noted.failed_with, noted.ended_at) == ("Unexpected", None)
        keys = await firm.database.run(lambda c: open_work.load(c, 0.0, BETEILIGTE, float("inf")))
        assert keys.all == frozenset()
        told = await repair(firm, accept_smaller=True)
        assert rows(told) == [("orphaned", PASS, "queue")] * 12
        assert await firm.whys() == ["side_empty"] * 12
        assert (await look(firm, accept_smaller=True)).drifts == ()

    in_firm(tmp_path, story)


def test_a_shrunken_list_is_accepted_from_a_person_alone(tmp_path: Path) -> None:
    """Ten of twelve gone in EspoCRM: refused; with accept_smaller each is told."""

    async def story(firm: Firm) -> None:
        made = await linked(firm, 12)
        for party, _ in made[:10]:
            await firm.espo("DELETE", f"{PARTY}/{party}")
        with pytest.raises(Unexpected, match="--accept-smaller"):
            await look(firm)
        report = await repair(firm, accept_smaller=True)
        assert report.counts()["gone_in_espocrm"] == 10
        assert (await firm.database.run(reconciliations.load))[BETEILIGTE].counts["gone_in_espocrm"] == 10
        assert len(firm.betnrs()) == 12

    in_firm(tmp_path, story)


def test_a_list_that_fails_is_an_error(tmp_path: Path) -> None:
    """Advoware away: its error comes through, and the flow's failure is noted."""

    async def story(firm: Firm) -> None:
        await linked(firm)
        firm.fail("advoware", "/relay/.*", status=503)
        with pytest.raises(SyncError):
            await repair(firm)
        assert (await firm.database.run(reconciliations.load))[BETEILIGTE].failed_at is not None

    in_firm(tmp_path, story)


def test_advoware_without_a_list_is_read_party_by_party(tmp_path: Path) -> None:
    """Where Advoware lists nobody, linked parties are read one by one, and a deleted one is found all the same."""

    async def story(firm: Firm) -> None:
        made = []
        for n in range(3):
            betnr = firm.in_advoware(f"Probe{n}", "Paul")
            made.append((await firm.new_party(f"Probe{n}", "Paul", betnr=betnr), betnr))
        await firm.sweep()
        await firm.sweep()
        firm.advoware.edit({"table": "beteiligte", "id": made[0][1], "delete": True})
        firm.edit_advoware(made[1][1], titel="Dr.")
        assert sorted(rows(await repair(firm))) == sorted(
            [("orphaned", made[0][0], "queue"), ("stale_hash", made[1][0], "queue")]
        )
        await finds_nothing(firm)

    in_firm(tmp_path, story, advoware_lists_beteiligte=False)


def test_a_role_that_sees_a_part_is_told_and_nothing_is_taken_for_gone(tmp_path: Path) -> None:
    """Our role reads only its own team's parties: what it does not show is not judged, and the list's length says why."""

    async def story(firm: Firm) -> None:
        (party, _), *_ = await linked(firm)
        firm.fail(
            "espocrm",
            "/api/v1/App/user",
            body={"acl": {"table": {PARTY: {"read": "team", "edit": "all"}}}},
            status=200,
        )
        await firm.espo("DELETE", f"{PARTY}/{party}")
        report = await look(firm)
        assert (report.drifts, report.listed["partly_readable_types"]) == ((), 1)

    in_firm(tmp_path, story)


def test_a_mass_change_goes_to_the_guarded_pass(tmp_path: Path) -> None:
    """What the guard holds is never wanted one by one: each by itself would go past it."""

    async def story(firm: Firm) -> None:
        made = await linked(firm, 51)
        for party, _ in made:
            await firm.edit_party(party, titel="Dr.")
        report = await repair(firm)
        assert set(rows(report)) == {("stale_hash", PASS, "queue")}
        assert len(report.drifts) == 51
        assert {firm.at_advoware(betnr)["titel"] for _, betnr in made} == {None}
        await finds_nothing(firm)

    in_firm(tmp_path, story)


def test_a_pass_by_the_queue_tells_what_became_of_its_records(tmp_path: Path) -> None:
    """Its outcome carries theirs; while another run has the pair, it comes again."""

    async def story(firm: Firm) -> None:
        firm.in_advoware("Neu", "Nora", geburtsdatum="1999-01-01")
        async with pair_lease(firm.database, BETEILIGTE) as is_ours:
            assert is_ours
            assert (await firm.sync(PASS)).again_in
        outcome = await firm.sync(PASS)
        (row,) = await firm.parties()
        assert [(one.key, one.assets) for one in outcome.others] == [(row["id"], ("advoware/beteiligte",))]
        assert outcome.assets == ()

    in_firm(tmp_path, story)
