"""Each class of drift of collections and their owners: found, repaired, and then gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitbylaw_pipeline.domain.drift import DriftKind
from bitbylaw_pipeline.inbox import collection_states, schema
from tests.sync.drift import assert_quiet, assert_repairs, empty, look, repaired
from tests.sync.test_collections import assert_one_each, ids_at_xai, key_of, make_collection, put_file
from tests.sync.test_document_flow import FIRST, SECOND, assert_in_step, settled_document
from tests.sync.world import KLAGE, World, in_world


def test_a_collection_deleted_at_xai_is_made_anew_with_its_documents(tmp_path: Path) -> None:
    """No document of the matter need change for it."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await settled_document(world, SECOND)
        (gone,) = ids_at_xai(world, f"espocrm:{key_of(matter)}")
        world.xai.store.drop_collection(world.xai.store.collections[gone])
        found = await repaired(world)
        assert (DriftKind.MISSING.value, key_of(matter)) in found
        await assert_quiet(world)
        await assert_one_each(world, matter)
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_a_collection_renamed_at_xai_is_replaced(tmp_path: Path) -> None:
    """Under another name nobody would find it again after a loss of our state."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        (renamed,) = ids_at_xai(world)
        world.xai.store.collections[renamed].name = "Etwas anderes"
        await assert_repairs(world, (DriftKind.MISSING, key_of(matter)))
        await assert_in_step(world, document, matter)
        assert world.xai.store.collections[renamed].members == {}

    in_world(tmp_path, story)


def test_an_owner_with_documents_that_was_never_looked_at_gets_its_collection(tmp_path: Path) -> None:
    """One without documents waits for its first."""

    async def story(world: World) -> None:
        matter, idle = await world.new_matter(), await world.new_matter()
        document = await world.new_document(FIRST, matter)
        await assert_repairs(world, (DriftKind.MISSING, key_of(matter)), (DriftKind.MISSING, document))
        await assert_in_step(world, document, matter)
        assert len(ids_at_xai(world)) == 1
        assert ids_at_xai(world, f"espocrm:{key_of(idle)}") == []

    in_world(tmp_path, story)


def test_duplicate_collections_are_found_merged_and_gone(tmp_path: Path) -> None:
    """The oldest stays; what stood in the others is in it."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        (first,) = ids_at_xai(world)
        for _ in range(2):
            put_file(world, make_collection(world, f"espocrm:{key_of(matter)}", older_by=-5.0))
        await assert_repairs(world, (DriftKind.DUPLICATE_COLLECTION, key_of(matter)))
        assert ids_at_xai(world) == [first]
        assert len(world.files_in(matter)) == 3
        assert (await world.document(document))["xaiCollections"] == [first]

    in_world(tmp_path, story)


def test_duplicates_of_an_owner_that_our_state_has_lost_are_merged_too(tmp_path: Path) -> None:
    """Known by EspoCRM's field alone, the second would stay for ever."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        (first,) = ids_at_xai(world)
        make_collection(world, f"espocrm:{key_of(matter)}", older_by=-5.0)
        await world.database.run(lambda conn: empty(conn, schema.collection_state))
        await assert_repairs(world, (DriftKind.DUPLICATE_COLLECTION, key_of(matter)))
        assert ids_at_xai(world) == [first]
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_an_owners_deletion_and_return_without_a_word_are_found(tmp_path: Path) -> None:
    """Its documents leave the collection, which is kept and used again."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await settled_document(world, SECOND)
        collections, files = ids_at_xai(world), set(world.files())
        await world.espo("DELETE", f"{KLAGE}/{matter}")
        await assert_repairs(world, (DriftKind.GONE_IN_ESPOCRM, key_of(matter)))
        assert world.files_in(matter) == set()
        await world.restore(KLAGE, matter)
        found = await repaired(world)
        assert (DriftKind.GONE_IN_ESPOCRM.value, key_of(matter)) in found
        await assert_quiet(world)
        assert ids_at_xai(world) == collections
        assert set(world.files()) == files
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


@pytest.mark.parametrize("value", [None, "collection_of-nobody"])
def test_a_collections_id_changed_in_espocrm_is_written_right(tmp_path: Path, value: str | None) -> None:
    """The owner names its own collection again."""

    async def story(world: World) -> None:
        matter, _ = await settled_document(world)
        await world.espo("PUT", f"{KLAGE}/{matter}", {"xaiCollectionId": value})
        await assert_repairs(world, (DriftKind.DANGLING_REFERENCE, key_of(matter)))
        await assert_one_each(world, matter)

    in_world(tmp_path, story)


@pytest.mark.parametrize("values", [{"kiFreigabe": False}, {"kiFreigabeReferenz": "Mandat 8"}])
def test_a_permission_changed_without_a_word_is_found(tmp_path: Path, values: dict[str, object]) -> None:
    """Withdrawn, or on another ground: our state follows."""

    async def story(world: World) -> None:
        matter, _ = await settled_document(world)
        await world.espo("PUT", f"{KLAGE}/{matter}", values)
        await assert_repairs(world, (DriftKind.STALE_HASH, key_of(matter)))
        state = await world.database.run(lambda conn: collection_states.get(conn, key_of(matter)))
        assert state is not None
        assert state.is_permitted is ("kiFreigabe" not in values)

    in_world(tmp_path, story)


def test_a_collection_of_nobody_is_known_from_then_on(tmp_path: Path) -> None:
    """Named after an owner that neither EspoCRM nor our state has: kept, and its foreign files with it."""

    async def story(world: World) -> None:
        await settled_document(world)
        key = f"{KLAGE}:6b02a0dd1a3b9b634"
        orphan = make_collection(world, f"espocrm:{key}")
        put_file(world, orphan)
        make_collection(world, "espocrm:Unbekannt:6b02a0dd1a3b9b634")
        make_collection(world, "Kanzleihandbuch")
        await assert_repairs(world, (DriftKind.ORPHANED, key))
        state = await world.database.run(lambda conn: collection_states.get(conn, key))
        assert state is not None
        assert state.collection_id == orphan
        assert state.deleted_at is not None
        assert (await look(world))[1].listed["foreign_collections"] == 1

    in_world(tmp_path, story)


def test_a_collection_that_a_withdrawn_permission_left_may_be_deleted_by_hand(tmp_path: Path) -> None:
    """Our state, and its documents', learn that it is gone."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": False})
        await world.want_owner(key_of(matter))
        await world.drain()
        (gone,) = ids_at_xai(world)
        world.xai.store.drop_collection(world.xai.store.collections[gone])
        await assert_repairs(
            world,
            (DriftKind.DANGLING_REFERENCE, key_of(matter)),
            (DriftKind.DANGLING_REFERENCE, document),
        )
        state = await world.state(document)
        assert state is not None
        assert state.collections == ()

    in_world(tmp_path, story)
