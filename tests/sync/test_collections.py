"""The collection flow: exactly one collection an owner, whatever crashes and whatever others do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import httpx
import pytest

from bitbylaw_pipeline.domain.akte_match import AkteState, AkteStatus
from bitbylaw_pipeline.domain.outcome import Outcome, Result
from bitbylaw_pipeline.inbox import akte_states, collection_states
from tests.sync.drift import assert_quiet, reconciled
from tests.sync.test_crashes import Killed
from tests.sync.test_document_flow import FIRST, SECOND, assert_in_step, settled_document
from tests.sync.world import KLAGE, World, in_world


def key_of(matter: str) -> str:
    return f"{KLAGE}:{matter}"


async def sync_owner(world: World, matter: str) -> Outcome:
    """One pass over the owner."""
    return await world.runtime.streams["collections"].sync(key_of(matter))


async def named(world: World, matter: str) -> str | None:
    """The collection that EspoCRM names."""
    record = await world.espo("GET", f"{KLAGE}/{matter}")
    found: str | None = record["xaiCollectionId"]
    return found


def ids_at_xai(world: World, name: str | None = None) -> list[str]:
    """The ids of the collections of that name (or all), oldest first."""
    return [row["id"] for row in world.xai.state()["collections"] if name is None or row["name"] == name]


async def assert_one_each(world: World, *matters: str) -> None:
    """Each matter has one collection, named in EspoCRM and in our state, and no two share one."""
    for matter in matters:
        (collection_id,) = ids_at_xai(world, f"espocrm:{key_of(matter)}")
        assert await named(world, matter) == collection_id
        states = await world.database.run(lambda conn: list(collection_states.iterate(conn)))
        state = next((state for state in states if state.owner_key == key_of(matter)), None)
        assert state is not None
        assert state.collection_id == collection_id
        assert (await sync_owner(world, matter)).result is Result.UNCHANGED


def make_collection(world: World, name: str, *, older_by: float = 0.0, fields: bool = True) -> str:
    """A collection that somebody made at xAI."""
    collection = world.xai.store.add_collection(name, None)
    collection.created_at -= older_by
    if fields:
        definition = {"description": "", "required": False, "unique": False, "inject_into_chunk": False}
        for key in ("espocrm_entity_type", "espocrm_entity_id", "espocrm_document_id", "sha256"):
            collection.field_definitions[key] = {"key": key, **definition}
    return collection.id


def put_file(world: World, collection_id: str, name: str = "Notiz.txt") -> str:
    """A file that somebody put into a collection by hand."""
    store = world.xai.store
    stored = store.add_file(
        name=name, size=3, sha256="0" * 64, content_type="text/plain", kind="text", data=b"abc"
    )
    store.attach(store.collections[collection_id], stored, {})
    return stored.id


def test_a_collection_tells_the_akte_of_its_matter(tmp_path: Path) -> None:
    """From xAI back to Advoware: the collection is made with the Akte's id in its metadata, and keeps it there."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        akte = AkteState("17", AkteStatus.LINKED, 100, key_of(matter))
        await world.database.run(lambda conn: akte_states.put_many(conn, 1.0, [akte]))
        made, again = await sync_owner(world, matter), await sync_owner(world, matter)
        assert (made.result, again.result) == (Result.SYNCED, Result.UNCHANGED)
        assert (made.facts["akte"], again.facts["akte"]) == ("17", "17")

    in_world(tmp_path, story)


def test_an_akte_that_is_tied_later_is_told_once(tmp_path: Path) -> None:
    """A collection that was there first is materialized anew for it; after that its passes are quiet again."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        made = await sync_owner(world, matter)
        assert "akte" not in made.facts
        world.clock.advance(60.0)
        akte = AkteState("17", AkteStatus.LINKED, 100, key_of(matter), str(made.facts["collection_id"]))
        now = world.clock()
        await world.database.run(lambda conn: akte_states.put_many(conn, now, [akte]))
        world.clock.advance(60.0)
        told, again = await sync_owner(world, matter), await sync_owner(world, matter)
        assert (told.result, told.assets, told.facts["akte"]) == (
            Result.UNCHANGED,
            ("xai/collections",),
            "17",
        )
        assert (again.result, again.assets) == (Result.UNCHANGED, ())

    in_world(tmp_path, story)


Scenario = Callable[[World, str], Awaitable[None]]


async def _nothing(world: World, matter: str) -> None:
    return


async def _gone(world: World, matter: str) -> None:
    await world.drain()
    world.xai.store.drop_collection(world.xai.store.collections[ids_at_xai(world)[0]])
    await world.database.run(
        lambda conn: conn.exec_driver_sql("UPDATE collection_state SET collection_id = NULL")
    )
    await world.want_owner(key_of(matter))


async def _doubled(world: World, matter: str) -> None:
    for older_by in (10.0, 20.0):
        put_file(world, make_collection(world, f"espocrm:{key_of(matter)}", older_by=older_by))


async def _from_the_old_system(world: World, matter: str) -> None:
    old = make_collection(world, f"{KLAGE} - Muster ./. Beispiel", fields=False)
    await world.espo("PUT", f"{KLAGE}/{matter}", {"xaiCollectionId": old})


@pytest.mark.parametrize("scenario", [_nothing, _gone, _doubled, _from_the_old_system])
def test_a_kill_at_any_call_leaves_one_collection(tmp_path: Path, scenario: Scenario) -> None:
    """Killed before and after each call of the flow: one collection in the end, its id with the owner, no file lost."""

    async def prepare(world: World) -> tuple[str, str]:
        matter = await world.new_matter()
        document = await world.new_document(FIRST, matter)
        await world.want_owner(key_of(matter))
        await scenario(world, matter)
        world.calls.clear()
        return matter, document

    totals: list[int] = []

    async def count(world: World) -> None:
        matter, _ = await prepare(world)
        await sync_owner(world, matter)
        totals.append(len(world.calls))

    async def story(world: World, position: int, when: str) -> None:
        matter, document = await prepare(world)
        seen = 0

        async def kill(moment: str, name: str) -> None:
            nonlocal seen
            if moment == when:
                seen += 1
                if seen == position + 1:
                    world.listener = None
                    raise Killed(name)

        world.listener = kill
        with pytest.raises(Killed):
            await sync_owner(world, matter)
        world.clock.advance(2000.0)
        world.xai.clock.advance(2000.0)
        assert await world.drain() == []
        assert len(ids_at_xai(world)) == 1
        await assert_one_each(world, matter)
        foreign = {file["id"] for file in world.files().values() if file["name"] == "Notiz.txt"}
        assert len(foreign) == (2 if scenario is _doubled else 0)
        assert foreign < world.files_in(matter)
        assert len(world.files_in(matter) - foreign) == 1
        assert (await world.document(document))["xaiCollections"] == ids_at_xai(world)

    in_world(tmp_path / "count", count)
    assert totals[0] >= 5
    for position in range(totals[0]):
        for when in ("before", "after"):
            in_world(tmp_path / f"{position}-{when}", partial(story, position=position, when=when))


async def _lose_the_answer(world: World, name: str) -> None:
    async def lose(moment: str, called: str) -> None:
        if moment == "after" and called == name:
            world.listener = None
            raise httpx.ReadTimeout("no answer")

    world.listener = lose


def test_a_create_whose_answer_was_lost_is_looked_for_until_the_list_shows_it(tmp_path: Path) -> None:
    """The POST landed, no answer came, the list lags: the flow waits and adopts; there is never a second one."""

    async def story(world: World) -> None:
        world.xai.switches.update({"list_lag": 20.0})
        matter = await world.new_matter()
        await _lose_the_answer(world, "xai-management POST /v1/collections")
        await world.want_owner(key_of(matter))
        errors = await world.drain()
        assert [error.split(":")[0] for error in errors] == ["OutcomeUnknown"]
        assert len(ids_at_xai(world)) == 1
        await assert_one_each(world, matter)

    in_world(tmp_path, story)


def test_a_duplicate_that_comes_about_all_the_same_is_found_merged_and_reported(tmp_path: Path) -> None:
    """The list lags longer than we wait: the sweep finds the second one, the files end in the oldest alone."""

    async def story(world: World) -> None:
        world.xai.switches.update({"list_lag": 300.0})
        matter = await world.new_matter()
        document = await world.new_document(FIRST, matter)
        await _lose_the_answer(world, "xai-management POST /v1/collections")
        await world.want_owner(key_of(matter))
        await world.drain()
        oldest, younger = ids_at_xai(world)
        assert await named(world, matter) == younger
        await assert_document_in(world, document, younger)
        world.xai.clock.advance(600.0)
        world.clock.advance(600.0)
        assert ("duplicate_collection", key_of(matter)) in await reconciled(world)
        await world.drain()
        merged = [outcome for outcome in world.outcomes if outcome.facts.get("duplicates_merged")]
        assert [outcome.warning for outcome in merged] == [
            "1 duplicate collections were merged into this one."
        ]
        assert ids_at_xai(world) == [oldest]
        await assert_one_each(world, matter)
        await assert_document_in(world, document, oldest)
        await assert_in_step(world, document, matter)
        await assert_quiet(world)

    in_world(tmp_path, story)


async def assert_document_in(world: World, document: str, *collections: str) -> None:
    """The document's file is in exactly these collections, by all three accounts."""
    record, state = await world.document(document), await world.state(document)
    assert state is not None
    assert sorted(record["xaiCollections"] or []) == sorted(state.collections) == sorted(collections)
    assert sorted(world.files()[record["xaiId"]]["collections"]) == sorted(collections)


def test_a_document_unlinked_while_its_collections_are_merged_is_in_none_of_them(tmp_path: Path) -> None:
    """Moved with the duplicate, its file must leave the oldest too, where no pass of its own has put it."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        older = make_collection(world, f"espocrm:{key_of(matter)}", older_by=100.0)
        await reconciled(world)
        await sync_owner(world, matter)
        assert ids_at_xai(world) == [older]
        await world.unlink(matter, document)
        await world.want(document)
        assert await world.drain() == []
        assert world.files_in(matter) == set()
        await assert_document_in(world, document)

    in_world(tmp_path, story)


def test_a_stray_upload_in_a_duplicate_is_left_to_its_document(tmp_path: Path) -> None:
    """A file with our token that no state knows is not carried into the oldest, where nobody would take it out."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        younger = make_collection(world, f"espocrm:{key_of(matter)}", older_by=-100.0)
        put_file(world, younger, "6b02a0dd1a3b9b634-0123456789ab~Klage.txt")
        by_hand = put_file(world, younger)
        await reconciled(world)
        assert await world.drain() == []
        record = await world.document(document)
        assert world.files_in(matter) == {record["xaiId"], by_hand}

    in_world(tmp_path, story)


def test_a_collection_deleted_behind_our_back_is_made_anew_when_a_document_needs_it(tmp_path: Path) -> None:
    """The next change of any document finds out; every document of the matter is in the new one then."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        other = await world.new_document(SECOND, matter)
        await world.want(other)
        await world.drain()
        world.xai.store.drop_collection(world.xai.store.collections[ids_at_xai(world)[0]])
        await world.new_version(document, b"Dritte Fassung")
        await world.want(document)
        assert await world.drain() == []
        await assert_one_each(world, matter)
        for each in (document, other):
            await assert_document_in(world, each, *ids_at_xai(world))
        assert len(world.files_in(matter)) == 2

    in_world(tmp_path, story)


def test_an_owner_edited_meanwhile_is_written_all_the_same_and_keeps_the_edit(tmp_path: Path) -> None:
    """A person saves the matter between our read and our write: 409, read again, written; nothing of theirs lost."""

    async def story(world: World) -> None:
        await world.seed({"entities": {KLAGE: {"optimisticConcurrencyControl": True}}})
        matter = await world.new_matter()

        async def edit(moment: str, name: str) -> None:
            if moment == "before" and name.startswith("espocrm PUT"):
                world.listener = None
                await world.espo("PUT", f"{KLAGE}/{matter}", {"name": "Renamed"})

        world.listener = edit
        assert (await sync_owner(world, matter)).result is Result.SYNCED
        await assert_one_each(world, matter)
        assert (await world.espo("GET", f"{KLAGE}/{matter}"))["name"] == "Renamed"

    in_world(tmp_path, story)


@pytest.mark.parametrize("value", ["collection_of-nobody", None, "ein Vermerk, keine Kennung"])
def test_what_a_person_writes_into_the_field_is_put_right(tmp_path: Path, value: str | None) -> None:
    """Overwritten or cleared: the owner gets the id of its own collection back, and no second collection."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.espo("PUT", f"{KLAGE}/{matter}", {"xaiCollectionId": value})
        await world.want_owner(key_of(matter))
        assert await world.drain() == []
        await assert_one_each(world, matter)
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_a_copied_owner_gets_a_collection_of_its_own(tmp_path: Path) -> None:
    """Copied in EspoCRM, a matter brings the original's id along: both end with one each, each with its documents."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        copy = await world.new_matter(xaiCollectionId=await named(world, matter))
        of_copy = await world.new_document(SECOND, copy)
        await world.want_owner(key_of(copy), key_of(matter))
        assert await world.drain() == []
        await assert_one_each(world, matter, copy)
        await assert_in_step(world, document, matter)
        await assert_in_step(world, of_copy, copy)

    in_world(tmp_path, story)


def test_a_copied_owner_without_permission_holds_nothing_of_the_original(tmp_path: Path) -> None:
    """A document moved from the original to a copy without permission leaves the original's collection."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        copy = await world.new_matter(xaiCollectionId=await named(world, matter), kiFreigabe=False)
        await world.want_owner(key_of(copy))
        await world.drain()
        await world.link(copy, document)
        await world.unlink(matter, document)
        await world.want(document)
        assert await world.drain() == []
        assert world.files_in(matter) == set()

    in_world(tmp_path, story)


def test_a_document_moved_to_a_matter_without_permission_leaves_the_former_one(tmp_path: Path) -> None:
    """While the new matter is unknown nothing is unlinked; once it is known to be closed, the document must go."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        closed = await world.new_matter(kiFreigabe=False)
        await world.link(closed, document)
        await world.unlink(matter, document)
        await world.want(document)
        assert await world.drain() == []
        assert world.files_in(matter) == set()

    in_world(tmp_path, story)


def test_permission_given_withdrawn_and_given_again_keeps_one_collection(tmp_path: Path) -> None:
    """Nothing is made before permission; withdrawn, what is there stays; given again, nothing is uploaded twice."""

    async def story(world: World) -> None:
        matter = await world.new_matter(kiFreigabe=False)
        document = await world.new_document(FIRST, matter)
        for permitted, uploads in ((False, 0), (True, 1), (False, 1), (True, 1)):
            await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": permitted})
            await world.want_owner(key_of(matter))
            await world.want(document)
            assert await world.drain() == []
            assert len(world.files()) == uploads
            assert len(ids_at_xai(world)) == uploads
        await assert_one_each(world, matter)
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_a_deleted_owner_that_is_restored_gets_its_documents_back(tmp_path: Path) -> None:
    """Undelete sends nothing and moves no date: the sweep finds it, and the kept collection and file are used again."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        collections, files = ids_at_xai(world), set(world.files())
        await world.espo("DELETE", f"{KLAGE}/{matter}")
        await world.want_owner(key_of(matter))
        await world.drain()
        assert world.files_in(matter) == set()
        await world.restore(KLAGE, matter)
        assert ("gone_in_espocrm", key_of(matter)) in await reconciled(world)
        assert await world.drain() == []
        assert ids_at_xai(world) == collections
        assert set(world.files()) == files
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_the_old_systems_collection_is_taken_over_under_our_name(tmp_path: Path) -> None:
    """Its id stays, the person's name in it goes, our fields are defined, and it says what is in it already."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        document = await world.new_document(FIRST, matter)
        old = make_collection(world, f"{KLAGE} - Erika Mustermann", fields=False)
        put_file(world, old)
        await world.espo("PUT", f"{KLAGE}/{matter}", {"xaiCollectionId": old})
        outcome = await sync_owner(world, matter)
        assert outcome.facts["adopted"] is True
        assert "with 1 files in it" in (outcome.warning or "")
        await world.drain()
        assert ids_at_xai(world) == [old]
        await assert_one_each(world, matter)
        await assert_document_in(world, document, old)
        assert "Mustermann" not in str(world.xai.state()["collections"])

    in_world(tmp_path, story)


def test_an_old_collection_named_by_two_owners_is_taken_over_by_neither_blindly(tmp_path: Path) -> None:
    """Whose it is nobody knows while two name it: each ends with one of its own, and no two share one."""

    async def story(world: World) -> None:
        old = make_collection(world, f"{KLAGE} - Erika Mustermann", fields=False)
        first = await world.new_matter(xaiCollectionId=old)
        second = await world.new_matter(xaiCollectionId=old)
        outcome = await sync_owner(world, first)
        assert outcome.facts["adopted"] is False
        assert "left alone" in (outcome.warning or "")
        await world.want_owner(key_of(first), key_of(second))
        assert await world.drain() == []
        await assert_one_each(world, first, second)

    in_world(tmp_path, story)


@pytest.mark.parametrize(
    "name", ["Wissensdatenbank", "Account - Erika Mustermann", "espocrm:Account:64f0c1d2e3b4a5968"]
)
def test_somebody_elses_collection_is_left_alone(tmp_path: Path, name: str) -> None:
    """An id that a person put into the field by mistake must not lead a matter's files into a shared collection."""

    async def story(world: World) -> None:
        foreign = make_collection(world, name)
        matter = await world.new_matter(xaiCollectionId=foreign)
        document = await world.new_document(FIRST, matter)
        await world.want_owner(key_of(matter))
        assert await world.drain() == []
        await assert_one_each(world, matter)
        await assert_in_step(world, document, matter)
        kept = world.collections()[name]
        assert (kept["id"], kept["members"]) == (foreign, [])

    in_world(tmp_path, story)


def test_describe_says_what_would_be_done_and_writes_nothing(tmp_path: Path) -> None:
    """The dry run names search, merge, create and write-back."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        stream = world.runtime.streams["collections"]
        assert "create its collection" in await stream.describe(key_of(matter))
        for _ in range(2):
            make_collection(world, f"espocrm:{key_of(matter)}")
        assert "merge 1 duplicates into the oldest" in await stream.describe(key_of(matter))
        assert [call for call in world.calls if " GET " not in call] == []
        await sync_owner(world, matter)
        assert await stream.describe(key_of(matter)) == ["nothing to do"]

    in_world(tmp_path, story)


def test_permission_flipped_while_the_list_lags_makes_no_second_collection(tmp_path: Path) -> None:
    """Withdrawn and given again within seconds of the create: the collection is known by its id, listed or not."""

    async def story(world: World) -> None:
        world.xai.switches.update({"list_lag": 20.0})
        matter = await world.new_matter()
        await sync_owner(world, matter)
        for permitted in (False, True):
            await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": permitted})
            await sync_owner(world, matter)
        await assert_one_each(world, matter)

    in_world(tmp_path, story)


def test_a_search_for_duplicates_while_the_list_lags_makes_no_second_collection(tmp_path: Path) -> None:
    """Told to look for duplicates, the flow finds not even its own in the list, and keeps it."""

    async def story(world: World) -> None:
        world.xai.switches.update({"list_lag": 20.0})
        matter = await world.new_matter()
        await sync_owner(world, matter)
        await world.database.run(
            lambda conn: conn.exec_driver_sql("UPDATE collection_state SET status = 'must_search'")
        )
        assert (await sync_owner(world, matter)).result is Result.SYNCED
        await assert_one_each(world, matter)

    in_world(tmp_path, story)
