"""The nightly sweep: what no webhook and no feed shows is found, wanted and put right; nothing is deleted in error."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitbylaw_pipeline.domain.errors import Unexpected
from bitbylaw_pipeline.domain.outcome import Result
from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.sandbox.espocrm.seed_records import SYNC_ID
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.sync.sweep import SweepReport
from tests.sync.test_collections import (
    assert_one_each,
    ids_at_xai,
    key_of,
    make_collection,
    put_file,
    sync_owner,
)
from tests.sync.test_document_flow import FIRST, SECOND, assert_in_step, settled_document
from tests.sync.world import ESPOCRM_KEY, KLAGE, World, in_world

OURS = "6b02a0dd1a3b9b634-0123456789ab~Klage.txt"


async def swept(world: World) -> SweepReport:
    """One sweep and everything that it wants."""
    report = await world.runtime.sweep().run()
    assert await world.drain() == []
    return report


async def assert_quiet(world: World) -> None:
    """A further sweep finds nothing."""
    report = await world.runtime.sweep().run()
    assert (report.documents_wanted, report.owners_wanted) == (0, 0), report
    for found in (
        report.orphan_files,
        report.missing_files,
        report.duplicate_collections,
        report.missing_collections,
        report.drifted_collections,
    ):
        assert found == []


def test_a_firm_in_step_gives_a_quiet_sweep_that_writes_nothing(tmp_path: Path) -> None:
    """Counts of what was listed, nothing wanted, not one write."""

    async def story(world: World) -> None:
        await settled_document(world)
        await world.new_document(SECOND)
        await swept(world)
        world.calls.clear()
        await assert_quiet(world)
        assert [call for call in world.calls if " GET " not in call] == []
        report = await swept(world)
        assert (report.documents_listed, report.owners_listed, report.files_listed) == (2, 1, 1)

    in_world(tmp_path, story)


def test_links_made_and_removed_without_a_word_are_found(tmp_path: Path) -> None:
    """Link and unlink send no webhook and move no date: the linked lists tell."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        second = await world.new_matter()
        await world.want_owner(key_of(second))
        await world.drain()
        await world.link(second, document)
        assert (await swept(world)).documents_wanted == 1
        await assert_in_step(world, document, matter, second)
        await world.unlink(matter, document)
        assert (await swept(world)).documents_wanted == 1
        await assert_in_step(world, document, second)
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_deletes_and_undeletes_without_a_word_are_found(tmp_path: Path) -> None:
    """A document that is gone leaves its collection, one that is back returns, with the same file."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        _, other = await settled_document(world, SECOND)
        files = set(world.files())
        await world.espo("DELETE", f"CDokumente/{document}")
        # EspoCRM keeps the link's row, and its linked list leaves the deleted out.
        assert (await swept(world)).documents_wanted >= 1
        assert world.files_in(matter) == set()
        await assert_quiet(world)
        await world.restore("CDokumente", document)
        assert (await swept(world)).documents_wanted >= 1
        await assert_in_step(world, document, matter)
        assert set(world.files()) == files
        await assert_quiet(world)
        assert (await world.state(other)) is not None

    in_world(tmp_path, story)


def test_new_records_and_new_versions_that_nothing_announced_are_found(tmp_path: Path) -> None:
    """Webhook lost, feed passed over: the night brings them in."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.new_version(document, SECOND)
        new = await world.new_document(b"Neu", matter)
        assert (await swept(world)).documents_wanted >= 2
        assert len(world.files()) == 2
        for each in (document, new):
            record, state = await world.document(each), await world.state(each)
            assert state is not None
            assert record["dokumentId"] == state.attachment_id
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_documents_that_may_not_leave_are_not_looked_at_every_night(tmp_path: Path) -> None:
    """Withheld or without an owner, they cost no pass a night."""

    async def story(world: World) -> None:
        closed = await world.new_matter(kiFreigabe=False)
        await world.new_document(FIRST, closed)
        await world.new_document(SECOND)
        await swept(world)
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_orphans_are_reported_and_neither_deleted_nor_mixed_up_with_foreign_files(tmp_path: Path) -> None:
    """A file with our token that no state knows is named; what others put there is none of our business."""

    async def story(world: World) -> None:
        matter, _ = await settled_document(world)
        (collection,) = ids_at_xai(world)
        orphan = put_file(world, collection, OURS)
        put_file(world, collection, "Notiz.txt")
        put_file(world, collection, "kein~Token.txt")
        files = set(world.files())
        assert (await swept(world)).orphan_files == [orphan]
        assert set(world.files()) == files
        assert len(world.files_in(matter)) == 4

    in_world(tmp_path, story)


def test_an_upload_under_way_is_no_orphan(tmp_path: Path) -> None:
    """A file that landed while the lists were read, or whose answer is still out, is not reported."""

    async def story(world: World) -> None:
        matter, _ = await settled_document(world)
        document = await world.new_document(SECOND, matter)
        reports: list[SweepReport] = []

        async def sweep_now(moment: str, name: str) -> None:
            if moment == "after" and name.startswith("xai-files POST"):
                world.listener = None
                reports.append(await world.runtime.sweep().run())

        world.listener = sweep_now
        await world.want(document)
        await world.drain()
        assert reports[0].orphan_files == []
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_kept_older_versions_are_no_orphans(tmp_path: Path) -> None:
    """With the setting that keeps replaced files they are there on purpose."""

    async def story(world: World) -> None:
        _, document = await settled_document(world)
        await world.new_version(document, SECOND)
        await world.want(document)
        await world.drain()
        assert len(world.files()) == 2
        await assert_quiet(world)
        (collection,) = ids_at_xai(world)
        orphan = put_file(world, collection, OURS)
        assert (await swept(world)).orphan_files == [orphan]

    in_world(tmp_path, story, xai_delete_replaced_files=False)


def test_a_file_deleted_at_xai_is_uploaded_again(tmp_path: Path) -> None:
    """Somebody tidied up in the console: the document's file comes back."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        (file_id,) = world.files()
        world.xai.store.drop_file(world.xai.store.files[file_id], keep_memberships=False)
        put_file(world, ids_at_xai(world)[0])
        report = await swept(world)
        assert report.missing_files == [file_id]
        assert len(world.files_in(matter)) == 2
        record = await world.document(document)
        assert record["xaiId"] in world.files()
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_a_file_taken_out_of_its_collection_at_xai_goes_back_in(tmp_path: Path) -> None:
    """And one that somebody put into another matter's collection comes out again."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        other, _ = await settled_document(world, SECOND)
        store = world.xai.store
        file_id = (await world.document(document))["xaiId"]
        at_home = store.collections[world.collections()[f"espocrm:{key_of(matter)}"]["id"]]
        elsewhere = store.collections[world.collections()[f"espocrm:{key_of(other)}"]["id"]]
        store.detach(at_home, file_id)
        store.attach(elsewhere, store.files[file_id], {})
        report = await swept(world)
        assert report.drifted_collections == sorted([key_of(matter), key_of(other)])
        await assert_in_step(world, document, matter)
        assert file_id not in world.files_in(other)
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_a_deleted_documents_file_in_a_collection_comes_out(tmp_path: Path) -> None:
    """Deleted in EspoCRM, found again in a collection: it must not go on answering questions."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        file_id = (await world.document(document))["xaiId"]
        await world.espo("DELETE", f"CDokumente/{document}")
        await swept(world)
        store = world.xai.store
        store.attach(store.collections[ids_at_xai(world)[0]], store.files[file_id], {})
        assert (await swept(world)).drifted_collections == [key_of(matter)]
        assert world.files_in(matter) == set()
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_a_collection_deleted_at_xai_is_made_anew_with_its_documents(tmp_path: Path) -> None:
    """No document of the matter need change for it."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await settled_document(world, SECOND)
        gone = world.collections()[f"espocrm:{key_of(matter)}"]["id"]
        world.xai.store.drop_collection(world.xai.store.collections[gone])
        report = await swept(world)
        assert report.missing_collections == [key_of(matter)]
        await assert_one_each(world, matter)
        await assert_in_step(world, document, matter)
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_duplicate_collections_are_found_merged_and_gone(tmp_path: Path) -> None:
    """The oldest stays; what stood in the others is in it."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        (first,) = ids_at_xai(world)
        for _ in range(2):
            put_file(world, make_collection(world, f"espocrm:{key_of(matter)}", older_by=-5.0))
        assert (await swept(world)).duplicate_collections == [key_of(matter)]
        assert ids_at_xai(world) == [first]
        assert len(world.files_in(matter)) == 3
        assert (await world.document(document))["xaiCollections"] == [first]
        await assert_quiet(world)

    in_world(tmp_path, story)


@pytest.mark.parametrize("path", ["CDokumente", KLAGE])
def test_an_empty_list_at_espocrm_is_an_error_and_no_mass_delete(tmp_path: Path, path: str) -> None:
    """Rights gone, wrong database, whatever: nothing is wanted, nothing unlinked."""

    async def story(world: World) -> None:
        for content in (FIRST, SECOND):
            await settled_document(world, content)

        world.espocrm_app.faults.add(
            Fault("status", f"/api/v1/{path}", status=200, body={"total": -2, "list": []})
        )
        with pytest.raises(Unexpected, match=f"lists no {path} although 2 are known"):
            await world.runtime.sweep().run()
        world.espocrm_app.faults.clear()
        assert await world.drain() == []
        assert all(file["collections"] for file in world.files().values())

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
            await world.runtime.sweep().run()
        world.xai.faults.clear()
        files = set(world.files())
        await world.drain()
        assert set(world.files()) == files

    in_world(tmp_path, story)


def test_reduced_rights_unlink_nothing_and_are_reported(tmp_path: Path) -> None:
    """Our role sees only its own records any more: what is missing in the lists is not taken for gone."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        ours, visible = await settled_document(world, SECOND)
        for path in (f"{KLAGE}/{ours}", f"CDokumente/{visible}"):
            await world.espo("PUT", path, {"assignedUserId": SYNC_ID})
        await swept(world)
        acl = {name: {"read": "own", "edit": "all"} for name in ("CDokumente", KLAGE)}
        await world.seed({"users": [{"userName": "sync", "type": "api", "apiKey": ESPOCRM_KEY, "acl": acl}]})
        report = await world.runtime.sweep().run()
        assert sorted(report.not_readable_whole) == sorted(["CDokumente", KLAGE])
        assert (report.documents_wanted, report.owners_wanted) == (0, 0)
        assert (await world.state(document)) is not None
        assert (report.documents_listed, report.owners_listed) == (1, 1)
        # Nor does an event for the document, whose linked list has lost the matter.
        acl["CDokumente"]["read"] = "all"
        await world.seed({"users": [{"userName": "sync", "type": "api", "apiKey": ESPOCRM_KEY, "acl": acl}]})
        await world.want(document)
        (error,) = await world.drain()
        assert "Nothing was unlinked" in error
        assert len(world.files_in(matter)) == 1

    in_world(tmp_path, story)


def test_an_owner_deleted_while_its_list_is_read_does_not_end_the_sweep(tmp_path: Path) -> None:
    """404 for one matter's linked list: the others are compared all the same."""

    async def story(world: World) -> None:
        matter, _ = await settled_document(world)
        second, document = await settled_document(world, SECOND)
        await world.unlink(second, document)

        async def delete(moment: str, name: str) -> None:
            if moment == "before" and name == f"espocrm GET /api/v1/{KLAGE}/{matter}/dokumentes":
                world.listener = None
                await world.espo("DELETE", f"{KLAGE}/{matter}")

        world.listener = delete
        assert (await swept(world)).documents_wanted == 1
        assert world.files_in(second) == set()

    in_world(tmp_path, story)


def test_what_the_sweep_wants_waits_behind_what_people_do(tmp_path: Path) -> None:
    """A night's findings have the lower priority."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.unlink(matter, document)
        await world.runtime.sweep().run()
        row = await world.database.run(lambda conn: work_queue.get(conn, "documents", document))
        assert row is not None
        assert row.priority == work_queue.SWEEP_PRIORITY
        assert (await sync_owner(world, matter)).result is Result.UNCHANGED

    in_world(tmp_path, story)
