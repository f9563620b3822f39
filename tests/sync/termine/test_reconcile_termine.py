"""Drift between Advoware's Termine and Google's calendars: told once for all, repaired by the employee's own pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bitbylaw_pipeline.domain.drift import DriftReport
from bitbylaw_pipeline.domain.errors import ScopeRefused, Unexpected
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import (
    calendar_audits,
    open_work,
    reconciliations,
    termine_repairs,
    two_way_desk,
    work_queue,
)
from bitbylaw_pipeline.inbox.schema import metadata
from bitbylaw_pipeline.sync.reconcile_termine import KINDS, TermineReconciliation
from bitbylaw_pipeline.sync.reconciliation import reconcile
from bitbylaw_pipeline.sync.termine_findings import Kind
from bitbylaw_pipeline.sync.termine_stream import TermineStream
from tests.sync.termine.office import EMPLOYEES, Office, calendar_of, in_office
from tests.sync.termine.test_audit import NAMES, double, forget_links, linked


async def look(office: Office, **given: Any) -> DriftReport:
    """A dry run, which writes nothing anywhere."""
    before = office.writes("advoware"), office.writes("google"), await state(office)
    (report,) = await reconcile(office.database, TermineReconciliation(office.pairs, **given), dry_run=True)
    assert (office.writes("advoware"), office.writes("google"), await state(office)) == before
    assert not [name for name in NAMES for drift in report.drifts if name in str(drift)]
    return report


async def state(office: Office) -> Any:
    """Everything in our state."""
    return await office.database.run(
        lambda c: [tuple(row) for table in metadata.sorted_tables for row in c.execute(select(table))]
    )


async def repair(office: Office) -> DriftReport:
    """A reconciliation with its repairs worked off, and a pass of everybody after it."""
    (report,) = await reconcile(office.database, TermineReconciliation(office.pairs), dry_run=False)
    await drain(office)
    for _ in range(2):
        await office.run()
    return report


async def drain(office: Office) -> None:
    """Works off the queue, as a batch would."""
    office.advance(900.0)
    claims = await office.database.run(
        lambda c: work_queue.claim(c, office.clock(), "termine", limit=10, lease_seconds=60.0)
    )
    for claim in claims:
        await TermineStream(office.pairs).sync(claim.key)
    await office.database.run(lambda c: work_queue.complete(c, office.clock(), claims))


def rows(report: DriftReport) -> list[tuple[str, str]]:
    """Class and repair of each."""
    return [(one.kind.value, one.repair) for one in report.drifts]


def test_every_kind_of_finding_has_its_class() -> None:
    """No finding of the audit falls through the table."""
    assert set(KINDS) == set(Kind)


def test_what_is_in_step_has_no_drift(tmp_path: Path) -> None:
    """Lengths by employee, and nothing found."""

    async def story(office: Office) -> None:
        await linked(office)
        report = await look(office)
        assert (report.drifts, report.busy) == ((), 0)
        assert (report.listed["AB_events"], report.listed["AB_termine"], report.listed["CD_events"]) == (
            3,
            3,
            0,
        )

    in_office(tmp_path, story)


def test_drift_is_repaired_by_the_employees_pass(tmp_path: Path) -> None:
    """A second event, a lost link, an edit that both sides had agreed away: one want, and then nothing is left."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        double(office, first)
        await forget_links(office, 502)
        office.termin(504, "2026-03-25")
        report = await repair(office)
        assert sorted(rows(report)) == [("missing", "queue"), ("missing", "queue"), ("orphaned", "queue")]
        assert {(one.stream, one.key) for one in report.drifts} == {("termine", "AB")}
        assert sum(one.deletes for one in report.drifts) == 1
        assert all(one.subject.startswith("AB ") for one in report.drifts)
        assert len(office.events()) == len(office.termine()) == 4
        assert not await office.database.run(lambda c: termine_repairs.is_asked(c, "AB"))
        assert (await look(office)).drifts == ()

    in_office(tmp_path, story)


def test_a_pass_without_a_reconciliation_repairs_nothing(tmp_path: Path) -> None:
    """Only what was asked for is carried out: an ordinary pass leaves the second event."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        double(office, first)
        await TermineStream(office.pairs).sync("AB")
        assert len(office.events()) == 4

    in_office(tmp_path, story)


def test_many_deletions_wait_for_an_approval(tmp_path: Path) -> None:
    """Above the guard nothing is deleted, and all else is repaired; the approval is for once and says how many."""

    async def story(office: Office) -> None:
        events = await linked(office, 6)
        for n, event in enumerate(events[:4]):
            double(office, event, f"doppelt{n}")
        await forget_links(office, 506)
        report = await repair(office)
        assert (report.withheld, rows(report).count(("missing", "queue"))) == (4, 1)
        assert {one.advice for one in report.drifts if one.is_withheld} == {
            "bitbylaw approve-deletes termine:AB right 4"
        }
        assert len(office.events()) == 10
        assert not await office.database.run(lambda c: termine_repairs.is_asked(c, "AB"))
        again = await repair(office)
        assert rows(again) == [("orphaned", "withheld")] * 4
        pair = office.pairs.pair("AB")
        await office.database.run(
            lambda c: two_way_desk.approve(c, office.clock(), pair, Side.RIGHT, 4, "delete")
        )
        assert rows(await repair(office)) == [("orphaned", "queue")] * 4
        assert len(office.events()) == 6
        assert (await office.pairs.store("AB").load()).approved_deletes == {}
        assert (await look(office)).drifts == ()

    in_office(tmp_path, story)


def test_what_only_a_person_can_tell_stays_in_the_table(tmp_path: Path) -> None:
    """Twins in Advoware: no stream, the advice is the finding's, and no pass is wanted."""

    async def story(office: Office) -> None:
        await linked(office)
        for number in (601, 602):
            office.termin(number, "2026-03-27", text="Besprechung doppelt")
        for _ in range(2):
            await office.run()
        for report in (await repair(office), await repair(office)):
            assert rows(report) == [("orphaned", "person")]
            assert "a person deletes it in Advoware" in report.drifts[0].advice
        assert (
            await office.database.run(lambda c: open_work.load(c, 0.0, "termine", float("inf")))
        ).all == frozenset()

    in_office(tmp_path, story)


def test_one_refused_calendar_holds_up_nobody(tmp_path: Path) -> None:
    """AB's is told as a person's matter, the others are judged; with nobody left the error comes through."""

    async def story(office: Office) -> None:
        await linked(office)
        office.google.edit({"do": "revoke_access", "calendar": calendar_of("AB"), "status": 403})
        report = await repair_of(office)
        assert [(one.subject, one.repair) for one in report.drifts] == [("AB", "person")]
        audits = await office.database.run(lambda c: calendar_audits.load(c, EMPLOYEES))
        assert audits["AB"].failed_with == "ScopeRefused"
        assert audits["CD"].failed_with is None
        for kuerzel in ("CD", "EF"):
            office.google.edit({"do": "revoke_access", "calendar": calendar_of(kuerzel), "status": 403})
        with pytest.raises(ScopeRefused):
            await repair_of(office)
        assert (await office.database.run(reconciliations.load))["termine"].failed_with == "ScopeRefused"

    in_office(tmp_path, story)


async def repair_of(office: Office) -> DriftReport:
    """A reconciliation without passes."""
    (report,) = await reconcile(office.database, TermineReconciliation(office.pairs), dry_run=False)
    return report


def test_an_employee_in_work_is_not_judged(tmp_path: Path) -> None:
    """While a pass is still to come, what differs may be about to be put right."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        double(office, first)
        await office.database.run(lambda c: work_queue.want(c, office.clock(), "termine", ["AB"]))
        report = await look(office)
        assert (report.drifts, report.busy) == ((), 1)

    in_office(tmp_path, story)


def test_an_emptied_calendar_is_refused(tmp_path: Path) -> None:
    """All events gone that the last reconciliation saw: an error, unless a person says that it is right."""

    async def story(office: Office) -> None:
        events = await linked(office, 4)
        await repair_of(office)
        for event in events:
            office.edit_google("delete", event)
        with pytest.raises(Unexpected, match="AB_events has 0 entries, 4 before"):
            await repair_of(office)
        assert len((await look(office, accepts_smaller=True)).drifts) == 4

    in_office(tmp_path, story)


def test_a_repair_that_fails_does_not_keep_the_pass_away(tmp_path: Path) -> None:
    """Google refuses the deletion for the moment: the pass comes all the same, and the repair with the next one."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        double(office, first)
        office.termin(504, "2026-03-25")
        await repair_of(office)
        office.fail("google", ".*/events/.*", method="DELETE", status=503)
        await drain(office)
        assert len(office.events()) == 5
        office.mend()
        await TermineStream(office.pairs).sync("AB")
        assert len(office.events()) == 4
        assert not await office.database.run(lambda c: termine_repairs.is_asked(c, "AB"))

    in_office(tmp_path, story)
