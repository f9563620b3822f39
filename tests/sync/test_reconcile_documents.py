"""Each class of drift of documents, made behind the pipeline's back: found, repaired, and then gone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bitbylaw_pipeline.domain.document_state import IndexStatus
from bitbylaw_pipeline.domain.drift import DriftKind
from bitbylaw_pipeline.domain.outcome import Result
from bitbylaw_pipeline.inbox import remaining, schema, work_queue
from bitbylaw_pipeline.sandbox.espocrm.seed_records import SYNC_ID
from tests.sync.drift import (
    assert_quiet,
    assert_repairs,
    drifts_of,
    empty,
    look,
    reconcile_once,
    reconciled,
    repaired,
)
from tests.sync.test_collections import ids_at_xai, key_of, put_file, sync_owner
from tests.sync.test_document_flow import FIRST, SECOND, assert_in_step, settled_document
from tests.sync.world import ESPOCRM_KEY, KLAGE, World, in_world

STRANGER = "6b02a0dd1a3b9b634"


def put_stray(world: World, document: str, *collections: str, content: bytes = b"abc") -> str:
    """A file with our token, as an upload with an unclear outcome leaves it."""
    sha256 = hashlib.sha256(content).hexdigest()
    store = world.xai.store
    stored = store.add_file(
        name=f"{document}-{sha256[:12]}~Klage.txt",
        size=len(content),
        sha256=sha256,
        content_type="text/plain",
        kind="text",
        data=content,
    )
    for collection in collections:
        store.attach(store.collections[collection], stored, {})
    return stored.id


def drop_file(world: World, file_id: str) -> None:
    """Somebody tidies up in xAI's console."""
    world.xai.store.drop_file(world.xai.store.files[file_id], keep_memberships=False)


async def file_of(world: World, document: str) -> str:
    """The file that EspoCRM names."""
    found: str = (await world.document(document))["xaiId"]
    return found


def place_of(world: World, matter: str) -> str:
    """The id of the matter's collection."""
    (found,) = ids_at_xai(world, f"espocrm:{key_of(matter)}")
    return found


def move(world: World, file_id: str, *, out_of: str | None = None, into: str | None = None) -> None:
    """Somebody moves a file between collections."""
    store = world.xai.store
    if out_of is not None:
        store.detach(store.collections[out_of], file_id)
    if into is not None:
        store.attach(store.collections[into], store.files[file_id], {})


# a firm in step


def test_a_firm_in_step_is_quiet(tmp_path: Path) -> None:
    """Nothing found, not one write, and each list counted."""

    async def story(world: World) -> None:
        await settled_document(world)
        await world.new_document(SECOND)
        await assert_quiet(world)
        (documents, collections) = await look(world)
        assert documents.listed == collections.listed
        counted = {name: count for name, count in documents.listed.items() if count}
        assert counted == {
            "espocrm_documents": 2,
            "espocrm_owners": 1,
            "espocrm_links": 1,
            "xai_files": 1,
            "xai_collections": 1,
            "xai_members": 1,
            "of_documents": 1,
        }

    in_world(tmp_path, story)


def test_documents_that_may_not_leave_are_no_drift(tmp_path: Path) -> None:
    """Withheld or without an owner, they cost no pass a night."""

    async def story(world: World) -> None:
        closed = await world.new_matter(kiFreigabe=False)
        await world.new_document(FIRST, closed)
        await world.new_document(SECOND)
        await assert_quiet(world)
        await world.want_owner(key_of(closed))
        await world.drain()
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_a_kept_file_of_a_deleted_document_is_no_drift(tmp_path: Path) -> None:
    """It is listed as kept until it is erased."""

    async def story(world: World) -> None:
        _, document = await settled_document(world)
        await world.espo("DELETE", f"CDokumente/{document}")
        await world.want(document)
        await world.drain()
        await assert_quiet(world)
        assert (await look(world))[0].listed["kept_files"] == 1

    in_world(tmp_path, story)


# missing


def test_new_records_and_new_versions_that_nothing_announced_are_found(tmp_path: Path) -> None:
    """Webhook lost, feed passed over: a document never seen, and one with another file than was synced."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.new_version(document, SECOND)
        new = await world.new_document(b"Neu", matter)
        await assert_repairs(world, (DriftKind.STALE_HASH, document), (DriftKind.MISSING, new))
        assert len(world.files_in(matter)) == 2

    in_world(tmp_path, story)


def test_a_file_deleted_at_xai_is_brought_again(tmp_path: Path) -> None:
    """Somebody tidied up in the console: the document's file comes back, EspoCRM names it."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        drop_file(world, await file_of(world, document))
        put_file(world, place_of(world, matter))
        await assert_repairs(world, (DriftKind.MISSING, document))
        assert await file_of(world, document) in world.files_in(matter)

    in_world(tmp_path, story)


def test_a_file_taken_out_of_its_collection_goes_back_in(tmp_path: Path) -> None:
    """Required and permitted, and not there."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        move(world, await file_of(world, document), out_of=place_of(world, matter))
        await assert_repairs(world, (DriftKind.MISSING, document))
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_a_link_made_without_a_word_is_found(tmp_path: Path) -> None:
    """Link sends no webhook and moves no date: the linked lists tell."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        second = await world.new_matter()
        await world.want_owner(key_of(second))
        await world.drain()
        await world.link(second, document)
        await assert_repairs(world, (DriftKind.MISSING, document), (DriftKind.DANGLING_REFERENCE, document))
        await assert_in_step(world, document, matter, second)

    in_world(tmp_path, story)


def test_a_lost_state_is_found_and_nothing_is_uploaded_or_deleted(tmp_path: Path) -> None:
    """After the loss of the database every file looks unknown: what EspoCRM names with the right token is no orphan."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        other, second = await settled_document(world, SECOND)
        move(world, await file_of(world, second), into=place_of(world, matter))
        files = set(world.files())
        await world.database.run(lambda conn: empty(conn, *schema.metadata.sorted_tables))
        world.calls.clear()
        found = await repaired(world)
        missing = {
            (DriftKind.MISSING.value, key) for key in (document, second, key_of(matter), key_of(other))
        }
        assert missing <= found
        assert {kind for kind, _ in found} <= {"missing", "wrong_collection", "dangling_reference"}
        assert [call for call in world.calls if call.startswith("xai-files POST")] == []
        assert set(world.files()) == files
        await assert_quiet(world)
        await assert_in_step(world, document, matter)
        await assert_in_step(world, second, other)

    in_world(tmp_path, story)


def test_a_lost_state_and_a_new_version_leave_no_older_file_behind(tmp_path: Path) -> None:
    """The file that EspoCRM names is replaced, not forgotten."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.database.run(lambda conn: empty(conn, schema.document_state))
        await world.new_version(document, SECOND)
        await assert_repairs(world, (DriftKind.MISSING, document))
        await assert_in_step(world, document, matter)
        assert len(world.files()) == 1

    in_world(tmp_path, story)


# orphaned


def test_orphans_are_deleted_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    """With our token and of no version: of a document that is there, and of one that nobody knows."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        place = place_of(world, matter)
        strays = [
            put_stray(world, document, place),
            put_stray(world, STRANGER, place),
            put_stray(world, STRANGER),
        ]
        foreign = {
            put_file(world, place, "Notiz.txt"),
            put_file(world, place, "kein~Token.txt"),
            put_file(world, place, "rechnung-202601020304~1.txt"),
            put_file(world, place, f"{STRANGER}-0123456789ab~Klage.txt"),
        }
        (documents, _) = await look(world)
        assert documents.listed["foreign_files_in_collections"] == 4
        await assert_repairs(world, (DriftKind.ORPHANED, document), (DriftKind.ORPHANED, STRANGER))
        assert not set(strays) & set(world.files())
        assert foreign <= world.files_in(matter)
        await assert_still_there(world, document, matter)

    in_world(tmp_path, story)


async def assert_still_there(world: World, document: str, matter: str) -> None:
    """The document's own file is where it was."""
    assert await file_of(world, document) in world.files_in(matter)


def test_an_upload_under_way_is_no_orphan(tmp_path: Path) -> None:
    """A file that landed while the lists were read, or whose answer is still out, is left alone."""

    async def story(world: World) -> None:
        matter, _ = await settled_document(world)
        document = await world.new_document(SECOND, matter)
        found: list[set[tuple[str, str]]] = []

        async def look_now(moment: str, name: str) -> None:
            if moment == "after" and name.startswith("xai-files POST"):
                world.listener = None
                found.append(await reconciled(world))

        world.listener = look_now
        await world.want(document)
        await world.drain()
        assert found == [set()]
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_kept_older_versions_are_no_orphans(tmp_path: Path) -> None:
    """With the setting that keeps replaced files they are there on purpose; what nobody knows goes all the same."""

    async def story(world: World) -> None:
        _, document = await settled_document(world)
        await world.new_version(document, SECOND)
        await world.want(document)
        await world.drain()
        assert len(world.files()) == 2
        await assert_quiet(world)
        stray = put_stray(world, STRANGER)
        await assert_repairs(world, (DriftKind.ORPHANED, STRANGER))
        assert stray not in world.files()
        assert len(world.files()) == 2

    in_world(tmp_path, story, xai_delete_replaced_files=False)


# stale hash


def test_a_file_that_was_taken_away_leaves_xai(tmp_path: Path) -> None:
    """Cleared in EspoCRM without a word."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.espo("PUT", f"CDokumente/{document}", {"dokumentId": None})
        await assert_repairs(world, (DriftKind.STALE_HASH, document))
        assert world.files_in(matter) == set()
        assert await file_of(world, document) is None

    in_world(tmp_path, story)


@pytest.mark.parametrize("is_same_size", [True, False])
@pytest.mark.parametrize("keeps_older", [True, False])
def test_other_bytes_under_our_file_are_replaced(
    tmp_path: Path, is_same_size: bool, keeps_older: bool
) -> None:
    """Somebody replaced the contents at xAI under the same id: that file goes, and ours is brought anew."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        spoilt = await file_of(world, document)
        stored = world.xai.store.files[spoilt]
        stored.data = FIRST[:-1] + b"!" if is_same_size else b"other"
        stored.size, stored.sha256 = len(stored.data), hashlib.sha256(stored.data).hexdigest()
        await assert_repairs(world, (DriftKind.STALE_HASH, document))
        await assert_in_step(world, document, matter)
        assert spoilt not in world.files()

    in_world(tmp_path, story, xai_delete_replaced_files=not keeps_older)


@pytest.mark.parametrize("field", ["md5sum", "sha256", "xaiSyncedHash"])
@pytest.mark.parametrize("value", [None, "0" * 32])
def test_hashes_changed_in_espocrm_are_written_right(tmp_path: Path, field: str, value: str | None) -> None:
    """The record says what was agreed again; the file is not brought anew."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        files = set(world.files())
        await world.espo("PUT", f"CDokumente/{document}", {field: value})
        await assert_repairs(world, (DriftKind.STALE_HASH, document))
        await assert_in_step(world, document, matter)
        assert set(world.files()) == files

    in_world(tmp_path, story)


# wrong collection


def test_a_file_in_another_matters_collection_comes_out(tmp_path: Path) -> None:
    """It would answer questions of the wrong client."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        other, _ = await settled_document(world, SECOND)
        move(world, await file_of(world, document), into=place_of(world, other))
        await assert_repairs(world, (DriftKind.WRONG_COLLECTION, document))
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_an_unlink_without_a_word_is_found(tmp_path: Path) -> None:
    """The linked list no longer has it, the collection still does."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.unlink(matter, document)
        await assert_repairs(
            world, (DriftKind.WRONG_COLLECTION, document), (DriftKind.DANGLING_REFERENCE, document)
        )
        assert world.files_in(matter) == set()

    in_world(tmp_path, story)


def test_a_deleted_documents_file_in_a_collection_comes_out(tmp_path: Path) -> None:
    """Deleted in EspoCRM, found again in a collection: it must not go on answering questions."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        file_id = await file_of(world, document)
        await world.espo("DELETE", f"CDokumente/{document}")
        await repaired(world)
        move(world, file_id, into=place_of(world, matter))
        await assert_repairs(world, (DriftKind.WRONG_COLLECTION, document))
        assert world.files_in(matter) == set()

    in_world(tmp_path, story)


# dangling reference


@pytest.mark.parametrize(
    "values",
    [
        {"xaiId": None},
        {"xaiId": "file_of-nobody"},
        {"xaiCollections": []},
        {"xaiCollections": ["collection_of-nobody"]},
    ],
)
def test_references_changed_in_espocrm_are_written_right(tmp_path: Path, values: dict[str, object]) -> None:
    """The record names its own file and collections again."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.espo("PUT", f"CDokumente/{document}", values)
        await assert_repairs(world, (DriftKind.DANGLING_REFERENCE, document))
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_a_file_that_a_withdrawn_permission_left_there_may_be_taken_out_by_hand(tmp_path: Path) -> None:
    """Our state has it there still: it learns that it is not, and EspoCRM too."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": False})
        await world.want_owner(key_of(matter))
        await world.drain()
        await assert_quiet(world)
        move(world, await file_of(world, document), out_of=place_of(world, matter))
        await assert_repairs(world, (DriftKind.DANGLING_REFERENCE, document))
        assert world.files_in(matter) == set()
        state = await world.state(document)
        assert state is not None
        assert state.collections == ()

    in_world(tmp_path, story)


def test_an_exclusion_without_a_word_is_told(tmp_path: Path) -> None:
    """Excluded behind our back, what remains is reported from then on; lifted again, it no longer is."""

    async def story(world: World) -> None:
        await world.seed({"entities": {"CDokumente": {"fields": {"gesperrt": {"type": "bool"}}}}})
        _, document = await settled_document(world)

        async def remaining_now() -> list[str]:
            settings = world.runtime.settings
            return [one.key for one in await world.database.run(lambda c: remaining.load(c, settings))]

        await world.espo("PUT", f"CDokumente/{document}", {"gesperrt": True})
        await assert_repairs(world, (DriftKind.STALE_HASH, document))
        assert await remaining_now() == [document]
        await world.espo("PUT", f"CDokumente/{document}", {"gesperrt": False})
        await assert_repairs(world, (DriftKind.STALE_HASH, document))
        assert await remaining_now() == []

    in_world(tmp_path, story, document_fields={"excluded": "gesperrt"})


# unindexed


async def index_state(world: World, document: str) -> IndexStatus:
    """How our state has the indexing."""
    state = await world.state(document)
    assert state is not None
    return state.index_status


def test_a_file_that_is_no_longer_indexed_is_indexed_anew(tmp_path: Path) -> None:
    """xAI has begun again, and our state says that it was done: one PATCH, and a look afterwards."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        (member,) = world.xai.store.collections[place_of(world, matter)].members.values()
        member.file.kind = "binary"
        world.calls.clear()
        found = await reconciled(world)
        assert found == {("unindexed", document)}
        member.file.kind = "text"
        assert await world.drain() == []
        assert [call.split()[1] for call in world.calls if " GET " not in call] == ["PATCH"]
        assert await index_state(world, document) is IndexStatus.PROCESSED
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_a_file_that_fails_again_is_known_as_failed(tmp_path: Path) -> None:
    """Then it waits for a person and is no drift any more; and none once xAI could read it after all."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        (member,) = world.xai.store.collections[place_of(world, matter)].members.values()
        member.file.kind = "binary"
        await assert_repairs(world, (DriftKind.UNINDEXED, document))
        assert await index_state(world, document) is IndexStatus.FAILED
        member.file.kind = "text"
        await assert_repairs(world, (DriftKind.UNINDEXED, document))
        assert await index_state(world, document) is IndexStatus.PROCESSED

    in_world(tmp_path, story)


def test_indexing_that_does_not_end_is_begun_anew_after_an_hour(tmp_path: Path) -> None:
    """Its look is planned, so it is at rest; before the hour it is left alone."""

    async def story(world: World) -> None:
        world.clock.now = world.xai.clock.now()
        world.xai.switches.update({"stage_seconds": {"PROCESSING": 1e6}})
        matter = await world.new_matter()
        document = await world.new_document(FIRST, matter)
        await world.want_owner(key_of(matter))
        for _ in range(4):
            await world.some_passes(5)
        assert await index_state(world, document) is IndexStatus.PENDING
        assert await reconciled(world) == set()
        for clock in (world.clock, world.xai.clock):
            clock.advance(3700.0)
        await world.some_passes(5)
        assert await reconciled(world) == {("unindexed", document)}
        world.calls.clear()
        await world.some_passes(5)
        assert [call.split()[1] for call in world.calls if " GET " not in call] == ["PATCH"]

    in_world(tmp_path, story)


# gone in EspoCRM


def test_deletes_and_undeletes_without_a_word_are_found(tmp_path: Path) -> None:
    """A document that is gone leaves its collection, one that is back returns, with the same file."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await settled_document(world, SECOND)
        files = set(world.files())
        await world.espo("DELETE", f"CDokumente/{document}")
        await assert_repairs(world, (DriftKind.GONE_IN_ESPOCRM, document))
        assert world.files_in(matter) == set()
        await world.restore("CDokumente", document)
        await assert_repairs(world, (DriftKind.GONE_IN_ESPOCRM, document))
        await assert_in_step(world, document, matter)
        assert set(world.files()) == files

    in_world(tmp_path, story)


def test_a_parked_document_that_is_gone_leaves_its_collections(tmp_path: Path) -> None:
    """Parked work is left alone, but not the files of what no longer exists."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.want(document)
        (claim,) = await world._claim("documents")
        now = world.clock()
        await world.database.run(lambda conn: work_queue.park(conn, now, claim, "refused", "no"))
        await world.espo("PUT", f"CDokumente/{document}", {"xaiId": None})
        assert await reconciled(world) == set()
        await world.espo("DELETE", f"CDokumente/{document}")
        await assert_repairs(world, (DriftKind.GONE_IN_ESPOCRM, document))
        assert world.files_in(matter) == set()

    in_world(tmp_path, story)


# rights, priority, work under way


def test_reduced_rights_unlink_nothing_and_are_reported(tmp_path: Path) -> None:
    """Our role sees only its own records any more: what is missing in the lists is not taken for gone."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        ours, visible = await settled_document(world, SECOND)
        for path in (f"{KLAGE}/{ours}", f"CDokumente/{visible}"):
            await world.espo("PUT", path, {"assignedUserId": SYNC_ID})
        await assert_quiet(world)
        acl = {name: {"read": "own", "edit": "all"} for name in ("CDokumente", KLAGE)}
        await world.seed({"users": [{"userName": "sync", "type": "api", "apiKey": ESPOCRM_KEY, "acl": acl}]})
        reports = await reconcile_once(world)
        assert drifts_of(reports) == []
        assert reports[0].listed["partly_readable_types"] == 2
        assert (reports[0].listed["espocrm_documents"], reports[0].listed["espocrm_owners"]) == (1, 1)
        # Nor does an event for the document, whose linked list has lost the matter.
        acl["CDokumente"]["read"] = "all"
        await world.seed({"users": [{"userName": "sync", "type": "api", "apiKey": ESPOCRM_KEY, "acl": acl}]})
        await world.want(document)
        (error,) = await world.drain()
        assert "Nothing was unlinked" in error
        assert len(world.files_in(matter)) == 1

    in_world(tmp_path, story)


def test_what_is_wanted_waits_behind_what_people_do(tmp_path: Path) -> None:
    """A night's findings have the lower priority."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.unlink(matter, document)
        await reconciled(world)
        row = await world.database.run(lambda conn: work_queue.get(conn, "documents", document))
        assert row is not None
        assert row.priority == work_queue.SWEEP_PRIORITY
        assert (await sync_owner(world, matter)).result is Result.UNCHANGED

    in_world(tmp_path, story)


def test_what_is_in_work_is_counted_and_not_judged(tmp_path: Path) -> None:
    """Wanted already: its pass finds out by itself."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.unlink(matter, document)
        await world.want(document)
        reports = await reconcile_once(world)
        assert drifts_of(reports) == []
        assert [report.busy for report in reports] == [1, 0]

    in_world(tmp_path, story)


def test_what_was_repaired_while_the_lists_were_read_is_left_alone(tmp_path: Path) -> None:
    """A pass that comes and goes between the look and the repair: no mark is put on its result."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.unlink(matter, document)
        chosen = world.runtime.reconciliations()["documents"]
        reports = await chosen.look()
        assert len(drifts_of(reports)) == 2
        world.clock.advance(1.0)
        await world.want(document)
        await world.drain()
        assert await chosen.repair(reports) == 0
        row = await world.database.run(lambda conn: work_queue.get(conn, "documents", document))
        assert row is not None
        assert row.wanted == row.done

    in_world(tmp_path, story)


def test_lists_that_lag_are_not_believed(tmp_path: Path) -> None:
    """A file and a collection just made are in no list yet, and are asked for by their ids."""

    async def story(world: World) -> None:
        world.xai.switches.update({"list_lag": 1e6})
        await settled_document(world)
        await assert_quiet(world)

    in_world(tmp_path, story)


def test_an_owner_deleted_while_its_list_is_read_does_not_end_it(tmp_path: Path) -> None:
    """404 for one matter's linked list: the others are compared all the same."""

    async def story(world: World) -> None:
        matter, _ = await settled_document(world)
        second, document = await settled_document(world, SECOND)
        await world.unlink(second, document)

        async def delete_it(moment: str, name: str) -> None:
            if moment == "before" and name == f"espocrm GET /api/v1/{KLAGE}/{matter}/dokumentes":
                world.listener = None
                await world.espo("DELETE", f"{KLAGE}/{matter}")

        world.listener = delete_it
        assert {subject for _, subject in await repaired(world)} == {document}
        assert world.files_in(second) == set()

    in_world(tmp_path, story)
