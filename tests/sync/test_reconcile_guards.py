"""What keeps a reconciliation from doing harm: guards on listings and deletes, dry runs, failures that are noted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.drift import Drift, DriftKind, are_too_many, withhold
from bitbylaw_pipeline.domain.errors import Unexpected
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import batches, document_states, reconciliations, two_way_desk
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.sync.reconcile_guards import refuse
from tests.sync.drift import assert_quiet, drifts_of, reconcile_once, reconciled, repaired, tables
from tests.sync.test_collections import key_of, make_collection
from tests.sync.test_document_flow import FIRST, SECOND, settled_document
from tests.sync.test_reconcile_documents import STRANGER, drop_file, file_of, move, place_of, put_stray
from tests.sync.world import KLAGE, World, in_world


async def firm_of(world: World, documents: int) -> tuple[str, list[str]]:
    """One matter with so many documents, synced."""
    matter = await world.new_matter()
    made = [await world.new_document(f"Schriftsatz {number}".encode(), matter) for number in range(documents)]
    await world.want(*made)
    assert await world.drain() == []
    return matter, made


@pytest.mark.parametrize("path", ["CDokumente", KLAGE])
def test_an_empty_list_at_espocrm_is_an_error_and_no_mass_delete(tmp_path: Path, path: str) -> None:
    """Rights gone, wrong database, whatever: nothing is wanted, nothing unlinked, and the failure is noted."""

    async def story(world: World) -> None:
        for content in (FIRST, SECOND):
            await settled_document(world, content)
        world.espocrm_app.faults.add(
            Fault("status", f"/api/v1/{path}", status=200, body={"total": -2, "list": []})
        )
        with pytest.raises(Unexpected, match=f"lists no {path} although 2 are known") as failed:
            await reconcile_once(world)
        assert "bitbylaw reconcile --accept-smaller" in str(failed.value)
        world.espocrm_app.faults.clear()
        assert await world.drain() == []
        assert all(file["collections"] for file in world.files().values())
        noted = await world.database.run(reconciliations.load)
        assert {flow: one.failed_why for flow, one in noted.items()} == dict.fromkeys(
            ("documents", "collections"), str(failed.value)
        )

    in_world(tmp_path, story)


@pytest.mark.parametrize("path", ["files", "collections"])
def test_an_empty_list_at_xai_is_an_error_and_no_mass_upload(tmp_path: Path, path: str) -> None:
    """A key of another team sees nothing of ours: everything would be uploaded there once more."""

    async def story(world: World) -> None:
        for content in (FIRST, SECOND):
            await settled_document(world, content)
        body: dict[str, list[str]] = {"data": [], "collections": []}
        world.xai.faults.add(Fault("status", f"/v1/{path}", method="GET", status=200, body=body))
        with pytest.raises(Unexpected, match=f"lists no {path} although 2 are known"):
            await reconcile_once(world)
        world.xai.faults.clear()
        files = set(world.files())
        await world.drain()
        assert set(world.files()) == files

    in_world(tmp_path, story)


def test_a_list_that_is_less_than_half_of_what_is_known_is_an_error(tmp_path: Path) -> None:
    """Until a person has looked: then the deletes still wait for an approval of their own."""

    async def story(world: World) -> None:
        matter, documents = await firm_of(world, 12)
        for document in documents[:7]:
            await world.espo("DELETE", f"CDokumente/{document}")
        before = await world.database.run(tables)
        with pytest.raises(Unexpected, match="lists only 5 of the 12 CDokumente that are known"):
            await reconcile_once(world)
        after = await world.database.run(tables)
        assert {name for name in before if before[name] != after[name]} == {"reconciliation"}
        reports = await reconcile_once(world, accept_smaller=True)
        assert {(drift.kind, drift.repair) for drift in drifts_of(reports)} == {
            (DriftKind.GONE_IN_ESPOCRM, "withheld")
        }
        assert await world.drain() == []
        assert len(world.files_in(matter)) == 12

    in_world(tmp_path, story)


@pytest.mark.parametrize(
    ("listed", "known", "is_refused"),
    [(0, 1, False), (0, 2, True), (4, 9, False), (4, 10, True), (5, 10, False), (49, 100, True)],
)
def test_the_bounds_of_what_is_refused(listed: int, known: int, is_refused: bool) -> None:
    """Empty where several are known, or under half where ten are."""

    def look() -> None:
        refuse("espocrm", "CDokumente", set(range(listed)), set(range(known)))

    if is_refused:
        with pytest.raises(Unexpected):
            look()
    else:
        look()


def test_a_list_of_others_is_an_error_though_it_is_long() -> None:
    """The address of another installation: as many records, and none of ours."""
    with pytest.raises(Unexpected, match="lists only 0 of the 20 CDokumente"):
        refuse("espocrm", "CDokumente", set(range(100, 150)), set(range(20)))


def test_links_of_a_type_that_was_taken_out_of_the_settings_are_not_missed(tmp_path: Path) -> None:
    """Nothing of it is listed any more: missed, every night would end with an error, for its links stay in our state."""

    async def story(world: World) -> None:
        _, documents = await firm_of(world, 10)
        former = tuple(f"COld:{number}4f0c1d2e3b4a5968" for number in range(2))

        def note(conn: Connection) -> None:
            for document, state in document_states.get_many(conn, documents).items():
                assert state.document_id == document
                document_states.put(conn, replace(state, owners=(*former, *state.owners)))

        await world.database.run(note)
        world.clock.advance(1.0)
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_too_many_deletes_wait_and_the_other_repairs_go_on(tmp_path: Path) -> None:
    """Approved, they are made once; the approval is used up by that."""

    async def story(world: World) -> None:
        matter, documents = await firm_of(world, 12)
        for document in documents[:5]:
            await world.espo("DELETE", f"CDokumente/{document}")
        lost = documents[-1]
        move(world, await file_of(world, lost), out_of=place_of(world, matter))
        for ceiling in (0, 4):
            if ceiling:
                await approve(world, ceiling)
            reports = await reconcile_once(world)
            assert [report.withheld for report in reports] == [5, 0]
            advice = {drift.advice for drift in drifts_of(reports) if drift.is_withheld}
            assert [text for text in advice if "bitbylaw approve-deletes documents right 5," in text] == [
                *advice
            ]
            assert await world.drain() == []
            assert len(world.files_in(matter)) == 12
        noted = (await world.database.run(reconciliations.load))["documents"]
        assert (noted.withheld, noted.counts["gone_in_espocrm"]) == (5, 5)
        await approve(world, 5)
        assert len(await repaired(world)) == 5
        assert len(world.files_in(matter)) == 7
        await assert_quiet(world)
        for document in documents[5:9]:
            await world.unlink(matter, document)
        assert (
            sum(drift.deletes for drift in drifts_of(await reconcile_once(world)) if drift.is_withheld) == 4
        )

    in_world(tmp_path, story)


@pytest.mark.parametrize("is_moved", [False, True])
def test_what_is_withheld_is_not_carried_out_by_another_repair_of_the_same_document(
    tmp_path: Path, is_moved: bool
) -> None:
    """Unlinked or moved without a word, its references dangle as well: that repair's pass would unlink the files."""

    async def story(world: World) -> None:
        matter, documents = await firm_of(world, 12)
        other = await world.new_matter()
        for document in documents[:5]:
            if is_moved:
                await world.link(other, document)
            await world.unlink(matter, document)
        reports = await reconcile_once(world)
        assert {drift.repair for drift in drifts_of(reports)} == {"withheld"}
        assert await world.drain() == []
        assert len(world.files_in(matter)) == 12
        await approve(world, 5)
        await repaired(world)
        assert (len(world.files_in(matter)), len(world.files_in(other))) == (7, 5 if is_moved else 0)
        await assert_quiet(world)

    in_world(tmp_path, story)


async def approve(world: World, ceiling: int) -> None:
    """As `bitbylaw approve-deletes documents right` does it."""
    now = world.clock()
    await world.database.run(lambda conn: two_way_desk.approve(conn, now, "documents", Side.RIGHT, ceiling))


def test_an_approval_that_is_not_needed_stays(tmp_path: Path) -> None:
    """It is for the day on which it is needed."""

    async def story(world: World) -> None:
        _, documents = await firm_of(world, 12)
        await approve(world, 12)
        await world.espo("DELETE", f"CDokumente/{documents.pop()}")
        await repaired(world)
        for document in documents[:5]:
            await world.espo("DELETE", f"CDokumente/{document}")
        assert (await reconcile_once(world))[0].withheld == 0

    in_world(tmp_path, story)


@pytest.mark.parametrize(
    ("deletes", "total", "is_too_many"),
    [(3, 5, False), (4, 5, True), (10, 100, False), (11, 100, True), (20, 1000, False), (21, 1000, True)],
)
def test_how_many_deletes_are_too_many(deletes: int, total: int, is_too_many: bool) -> None:
    """More than the limit or the share; a few always go through."""
    assert are_too_many(deletes, total, limit=20, share=0.1) is is_too_many


def test_a_limit_of_nothing_withholds_the_first() -> None:
    """Whoever sets 0 wants to be asked about each."""
    drift = Drift("documents", DriftKind.ORPHANED, "a", "says", "documents", "a", deletes=1)
    other = Drift("documents", DriftKind.MISSING, "b", "says", "documents", "b")
    found = withhold([drift, other], 100, limit=0, share=0.1, approved=0)
    assert [one.repair for one in found] == ["withheld", "queue"]
    assert [one.repair for one in withhold([drift], 100, limit=0, share=0.1, approved=1)] == ["queue"]


def test_a_dry_run_finds_the_same_and_writes_nothing_anywhere(tmp_path: Path) -> None:
    """No row of the database, no call but reads."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        other, second = await settled_document(world, SECOND)
        put_stray(world, STRANGER, place_of(world, matter))
        make_collection(world, f"espocrm:{key_of(other)}")
        drop_file(world, await file_of(world, document))
        await world.unlink(other, second)
        before = await world.database.run(tables)
        world.calls.clear()
        dry = drifts_of(await reconcile_once(world, dry_run=True))
        assert await world.database.run(tables) == before
        assert [call for call in world.calls if " GET " not in call] == []
        assert {(drift.kind.value, drift.subject) for drift in dry} == await reconciled(world)
        assert len(dry) == 5

    in_world(tmp_path, story)


def test_a_failed_dry_run_is_not_noted(tmp_path: Path) -> None:
    """It writes nothing, whatever becomes of it."""

    async def story(world: World) -> None:
        for content in (FIRST, SECOND):
            await settled_document(world, content)
        world.espocrm_app.faults.add(
            Fault("status", "/api/v1/CDokumente", status=200, body={"total": -2, "list": []})
        )
        with pytest.raises(Unexpected):
            await reconcile_once(world, dry_run=True)
        assert await world.database.run(reconciliations.load) == {}

    in_world(tmp_path, story)


def test_while_egress_is_stopped_nothing_that_must_leave_is_missing(tmp_path: Path) -> None:
    """Lifted, it is found; what has to come out, comes out all the same."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        second = await world.new_document(SECOND, matter)
        stray = put_stray(world, STRANGER)
        now = world.clock()
        await world.database.run(lambda conn: batches.set_flag(conn, now, batches.EGRESS_STOP))
        assert await repaired(world) == {("orphaned", STRANGER)}
        assert stray not in world.files()
        await assert_quiet(world)
        await world.database.run(lambda conn: batches.clear_flag(conn, batches.EGRESS_STOP))
        assert await repaired(world) == {("missing", second)}
        assert await file_of(world, second) in world.files_in(matter)
        assert await file_of(world, document) in world.files_in(matter)

    in_world(tmp_path, story)
