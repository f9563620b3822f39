"""Drift between Advoware's Akten and EspoCRM's matters: each class made by hand, wanted, repaired, and gone."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.domain.drift import DriftReport
from bitbylaw_pipeline.domain.errors import Unexpected
from bitbylaw_pipeline.inbox import open_work, reconciliations, work_queue
from bitbylaw_pipeline.sandbox.espocrm import seeding
from bitbylaw_pipeline.sync.reconciliation import reconcile
from tests.sync.advoware.world import Firm, in_firm

KLAGE = "CVmhRumungsklage"
AKTEN = [{"id": n, "aktennummer": 100 * n, "az": f"{100 * n}/26"} for n in range(1, 6)]


async def opened(firm: Firm) -> None:
    """Three matters with their Akten, in step; two Akten belong to nobody."""
    firm.advoware.seed({"akten": AKTEN})
    for n in range(1, 4):
        put(firm, f"k{n}", aktennummer=100 * n, xaiCollectionId=f"c{n}")
    await firm.parts.akten.run()
    assert [(await matter(firm, f"k{n}"))["advowareAkteId"] for n in range(1, 4)] == [1, 2, 3]


def put(firm: Firm, record_id: str, **values: Any) -> None:
    """A matter as people enter it, behind our back."""
    row = {"id": record_id, "name": "x", **values}
    seeding.seed(firm.espocrm_app.espo, {"records": {KLAGE: [row]}})


def edit(firm: Firm, record_id: str, **values: Any) -> None:
    """A person's change, behind our back."""
    firm.espocrm_app.espo.store.tables[KLAGE].rows[record_id].update(values)


async def matter(firm: Firm, record_id: str) -> dict[str, Any]:
    """A matter as EspoCRM shows it."""
    found: dict[str, Any] = await firm.espo("GET", f"{KLAGE}/{record_id}")
    return found


async def look(firm: Firm, **given: Any) -> DriftReport:
    """A dry run."""
    before = len(firm.writes())
    (report,) = await reconcile(firm.database, firm.runtime.reconciliations(**given)["akten"], dry_run=True)
    assert len(firm.writes()) == before
    return report


async def repair(firm: Firm) -> DriftReport:
    """A reconciliation with its repairs worked off."""
    (report,) = await reconcile(firm.database, firm.runtime.reconciliations()["akten"], dry_run=False)
    claiming = partial(work_queue.claim, now=firm.clock(), stream="akten", limit=100, lease_seconds=60.0)
    for claim in await firm.database.run(claiming):
        await firm.runtime.streams["akten"].sync(claim.key)
        await firm.database.run(partial(work_queue.complete, now=firm.clock(), claims=[claim]))
    return report


def rows(report: DriftReport) -> list[tuple[str, str]]:
    """Class and key of each; all are the queue's to repair."""
    assert {one.repair for one in report.drifts} <= {"queue"}
    return [(one.kind.value, str(one.key)) for one in report.drifts]


def test_akten_in_step_have_no_drift(tmp_path: Path) -> None:
    """Both lists are told by their lengths; Akten of nobody's differ from nothing."""

    async def story(firm: Firm) -> None:
        await opened(firm)
        report = await look(firm)
        assert (report.drifts, report.listed) == ((), {"advoware_akten": 5, "espocrm_matters": 3})
        assert report.calls > 1

    in_firm(tmp_path, story)


def test_each_class_is_found_repaired_and_gone(tmp_path: Path) -> None:
    """A matter that lost its id, one deleted, an Akte deleted, another collection, a new matter."""

    async def story(firm: Firm) -> None:
        await opened(firm)
        edit(firm, "k1", advowareAkteId=None)
        edit(firm, "k2", deleted=True)
        edit(firm, "k3", xaiCollectionId="c9")
        put(firm, "k4", aktennummer=400)
        firm.advoware.edit({"table": "akten", "id": 5, "delete": True})
        report = await repair(firm)
        assert rows(report) == [
            ("gone_in_espocrm", "2"),
            ("missing", "1"),
            ("missing", "4"),
            ("orphaned", "5"),
            ("stale_hash", "3"),
        ]
        assert report.drifts[-1].says == "remembered otherwise: collection_id"
        assert (await matter(firm, "k1"))["advowareAkteId"] == 1
        assert (await matter(firm, "k4"))["advowareAkteId"] == 4
        assert (await look(firm)).drifts == ()

    in_firm(tmp_path, story)


@pytest.mark.parametrize(("named", "keys"), [(99, {"1", "99"}), (5, {"1", "5"})])
def test_another_id_dangles_until_a_person_knows(tmp_path: Path, named: int, keys: set[str]) -> None:
    """An id that Advoware does not have, or another's: told, held by its pass, overwritten by nobody, and then known."""

    async def story(firm: Firm) -> None:
        await opened(firm)
        edit(firm, "k1", advowareAkteId=named)
        report = await repair(firm)
        assert {kind for kind, _ in rows(report)} == {"dangling_reference"}
        assert {key for _, key in rows(report)} == keys
        assert (await matter(firm, "k1"))["advowareAkteId"] == named
        again = await look(firm)
        assert (again.drifts, again.busy) == ((), 0)

    in_firm(tmp_path, story)


def test_two_matters_of_one_number_dangle(tmp_path: Path) -> None:
    """Which of them is meant, a person says; a second reconciliation does not tell it again."""

    async def story(firm: Firm) -> None:
        await opened(firm)
        put(firm, "k5", aktennummer=500)
        put(firm, "k6", aktennummer=500)
        assert rows(await repair(firm)) == [("dangling_reference", "5")]
        assert (await look(firm)).drifts == ()

    in_firm(tmp_path, story)


def test_an_akte_in_work_is_not_judged(tmp_path: Path) -> None:
    """One that waits in the queue counts as busy."""

    async def story(firm: Firm) -> None:
        await opened(firm)
        edit(firm, "k1", advowareAkteId=None)
        await firm.database.run(lambda c: work_queue.want(c, firm.clock(), "akten", ["1"]))
        report = await look(firm)
        assert (report.drifts, report.busy) == ((), 1)

    in_firm(tmp_path, story)


def test_lists_without_their_akten_are_refused(tmp_path: Path) -> None:
    """No Akte any more: an error that is noted, and nothing is wanted; a person may say that it is right."""

    async def story(firm: Firm) -> None:
        await opened(firm)
        await repair(firm)
        for n in range(1, 6):
            firm.advoware.edit({"table": "akten", "id": n, "delete": True})
        with pytest.raises(Unexpected, match="lists no Akte although 5"):
            await repair(firm)
        assert (await firm.database.run(reconciliations.load))["akten"].failed_with == "Unexpected"
        assert (
            await firm.database.run(lambda c: open_work.load(c, 0.0, "akten", float("inf")))
        ).all == frozenset()
        assert (await look(firm, accept_smaller=True)).drifts != ()

    in_firm(tmp_path, story)
