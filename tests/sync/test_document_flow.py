"""The document flow against both stand-ins: after each thing a person does, both sides and our state agree."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete

from bitbylaw_pipeline.domain.errors import Permanent
from bitbylaw_pipeline.domain.outcome import Result
from bitbylaw_pipeline.inbox import egress, schema
from tests.sync.world import KLAGE, World, in_world, kinds

FIRST = b"Klage, erste Fassung"
SECOND = b"Klage, zweite Fassung"


async def settled_document(world: World, content: bytes = FIRST) -> tuple[str, str]:
    """A matter and a document in it, synced."""
    matter = await world.new_matter()
    document = await world.new_document(content, matter)
    await world.want(document)
    assert await world.drain() == []
    return matter, document


async def assert_in_step(world: World, document: str, *matters: str) -> None:
    """EspoCRM, xAI and the state tell the same story, and one more pass only reads."""
    record, state = await world.document(document), await world.state(document)
    assert state is not None
    assert record["xaiId"] == state.file_id
    assert sorted(record["xaiCollections"] or []) == sorted(state.collections)
    file = world.files()[record["xaiId"]]
    assert record["sha256"] == file["sha256"]
    assert record["fileStatus"] == "synced"
    assert record["xaiSyncedHash"] == record["md5sum"]
    for matter in matters:
        assert world.files_in(matter) == {file["id"]}
    assert len(file["collections"]) == len(matters)
    calls = await world.calls_of(document)
    assert [call for call in calls if " GET " not in call] == []
    assert [call for call in calls if not call.startswith("espocrm ")] == []


def test_a_new_document_is_uploaded_once_and_linked_into_its_matters_collection(tmp_path: Path) -> None:
    """A new file ends in one xAI file, in the collection of its matter, with the ids written back."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await assert_in_step(world, document, matter)
        assert [file["sha256"] for file in world.files().values()] == [hashlib.sha256(FIRST).hexdigest()]
        state = await world.state(document)
        assert state is not None
        assert state.index_status == "processed"

    in_world(tmp_path, story)


def test_a_second_pass_costs_the_read_of_the_document_and_its_owners(tmp_path: Path) -> None:
    """Nothing changed: one read, plus one list of owners a link type without a link-multiple field; no write."""

    async def story(world: World) -> None:
        _, document = await settled_document(world)
        await world.calls_of(document)
        calls = await world.calls_of(document)
        assert calls[0] == f"espocrm GET /api/v1/CDokumente/{document}"
        assert all(call.startswith(f"espocrm GET /api/v1/CDokumente/{document}") for call in calls)

    in_world(tmp_path, story)


def test_a_new_version_replaces_the_file_everywhere(tmp_path: Path) -> None:
    """The new file is linked, the older one unlinked and deleted."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        older = (await world.document(document))["xaiId"]
        await world.new_version(document, SECOND)
        await world.want(document)
        assert await world.drain() == []
        await assert_in_step(world, document, matter)
        assert (await world.document(document))["xaiId"] != older
        assert older not in world.files()

    in_world(tmp_path, story)


def test_the_same_bytes_under_a_new_attachment_are_not_uploaded(tmp_path: Path) -> None:
    """Known content costs the download and nothing at xAI."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        before = set(world.files())
        await world.new_version(document, FIRST)
        world.calls.clear()
        await world.want(document)
        assert await world.drain() == []
        assert set(world.files()) == before
        assert [call for call in world.calls if call.startswith("xai")] == []
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_a_rename_makes_no_call_to_xai(tmp_path: Path) -> None:
    """REST cannot change a name at xAI, so none is tried."""

    async def story(world: World) -> None:
        _, document = await settled_document(world)
        await world.espo("PUT", f"CDokumente/{document}", {"name": "Anders.txt"})
        calls = kinds(await world.calls_of(document))
        assert [call for call in calls if not call.startswith("espocrm GET")] == []

    in_world(tmp_path, story)


def test_a_link_to_a_second_matter_uses_the_same_file(tmp_path: Path) -> None:
    """One file, two collections."""

    async def story(world: World) -> None:
        first, document = await settled_document(world)
        second = await world.new_matter()
        await world.link(second, document)
        await world.want(document)
        await world.want_owner(f"{KLAGE}:{second}")
        assert await world.drain() == []
        assert len(world.files()) == 1
        await assert_in_step(world, document, first, second)

    in_world(tmp_path, story)


def test_an_unlinked_matter_loses_the_file_and_the_other_keeps_it(tmp_path: Path) -> None:
    """Unlinking in EspoCRM unlinks at xAI."""

    async def story(world: World) -> None:
        first, document = await settled_document(world)
        second = await world.new_matter()
        await world.link(second, document)
        await world.want(document)
        await world.drain()
        await world.unlink(first, document)
        await world.want(document)
        assert await world.drain() == []
        assert world.files_in(first) == set()
        await assert_in_step(world, document, second)

    in_world(tmp_path, story)


def test_a_deleted_document_leaves_its_collections_and_its_file_is_kept(tmp_path: Path) -> None:
    """The firm's rule: unlink everywhere, keep the file; a second pass does nothing more."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.espo("DELETE", f"CDokumente/{document}")
        assert (await world.sync(document)).result is Result.DELETED
        assert world.files_in(matter) == set()
        assert len(world.files()) == 1
        assert kinds(await world.calls_of(document)) == ["espocrm GET CDokumente/{id}"]

    in_world(tmp_path, story)


def test_nothing_leaves_without_permission_and_all_of_it_once_it_is_given(tmp_path: Path) -> None:
    """Under the rule `field` the tick, its reference and its date are needed; given later, the documents follow."""

    async def story(world: World) -> None:
        matter = await world.new_matter(kiFreigabe=True, kiFreigabeReferenz=None)
        document = await world.new_document(FIRST, matter)
        await world.want(document)
        assert await world.drain() == []
        assert world.files() == {}
        assert world.collections() == {}
        await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabeReferenz": "Vollmacht vom 3. Mai"})
        await world.want_owner(f"{KLAGE}:{matter}")
        assert await world.drain() == []
        await assert_in_step(world, document, matter)
        assert (await world.espo("GET", f"{KLAGE}/{matter}"))["xaiCollectionId"]

    in_world(tmp_path, story)


def test_withdrawn_permission_stops_what_is_new_and_keeps_what_is_there(tmp_path: Path) -> None:
    """After the tick is gone no new version leaves; the older copy stays until somebody erases it."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": False})
        await world.want_owner(f"{KLAGE}:{matter}")
        await world.drain()
        await world.new_version(document, SECOND)
        outcome = await world.sync(document)
        assert outcome.result is Result.WITHHELD
        assert [file["sha256"] for file in world.files().values()] == [hashlib.sha256(FIRST).hexdigest()]
        assert len(world.files_in(matter)) == 1

    in_world(tmp_path, story)


def test_egress_off_lets_nothing_out(tmp_path: Path) -> None:
    """Without a decision of the firm no call but reads of EspoCRM is made."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        document = await world.new_document(FIRST, matter)
        await world.want(document)
        assert await world.drain() == []
        assert [call for call in world.calls if " GET " not in call] == []
        assert [call for call in world.calls if not call.startswith("espocrm")] == []

    in_world(tmp_path, story, xai_egress="off")


def test_every_upload_stands_in_the_register_before_it_leaves(tmp_path: Path) -> None:
    """When the first byte arrives at xAI its egress row is committed already."""

    async def story(world: World) -> None:
        counted: list[int] = []

        async def listen(when: str, name: str) -> None:
            if when == "before" and name.startswith("xai-files POST"):
                rows = await world.database.run(lambda conn: egress.head(conn)[0])
                counted.append(rows)

        world.listener = listen
        await settled_document(world)
        assert counted == [1]
        assert await world.database.run(egress.verify) is None

    in_world(tmp_path, story)


def test_an_update_during_a_sync_ends_with_the_newest_version(tmp_path: Path) -> None:
    """Whatever call the new version arrives at, the newest file is the one that stays, and no other."""

    async def count(world: World) -> None:
        await settled_document(world)
        world.calls.clear()
        await settled_document(world, b"another")
        total.append(len(world.calls))

    total: list[int] = []
    (tmp_path / "count").mkdir()
    in_world(tmp_path / "count", count)
    assert total[0] > 8
    for position in range(total[0]):

        async def story(world: World, position: int = position) -> None:
            matter = await world.new_matter()
            document = await world.new_document(FIRST, matter)
            seen = 0

            async def listen(when: str, name: str) -> None:
                nonlocal seen
                if when != "before":
                    return
                if seen == position:
                    world.listener = None
                    await world.new_version(document, SECOND)
                    await world.want(document)
                seen += 1

            await world.want(document)
            world.listener = listen
            await world.drain()
            await world.drain()
            await assert_in_step(world, document, matter)
            assert [file["sha256"] for file in world.files().values()] == [hashlib.sha256(SECOND).hexdigest()]

        folder = tmp_path / str(position)
        folder.mkdir()
        in_world(folder, story)


def test_a_document_waits_for_its_owners_collection_and_keeps_what_is_there(tmp_path: Path) -> None:
    """A document synced before its owner's collection exists asks for it and is finished by the owner's flow."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        document = await world.new_document(FIRST, matter)
        assert (await world.sync(document)).result is Result.WAITING
        assert world.files() == {}
        assert await world.drain() == []
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_an_owner_created_after_its_documents_collects_them(tmp_path: Path) -> None:
    """Documents without an owner stay here; linked to a new matter they follow it."""

    async def story(world: World) -> None:
        document = await world.new_document(FIRST)
        await world.want(document)
        assert await world.drain() == []
        assert world.files() == {}
        matter = await world.new_matter()
        await world.link(matter, document)
        await world.want_owner(f"{KLAGE}:{matter}")
        assert await world.drain() == []
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_a_deleted_owner_releases_its_documents(tmp_path: Path) -> None:
    """The owner is gone: its documents leave the collection; file and empty collection are kept."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.espo("DELETE", f"{KLAGE}/{matter}")
        await world.want_owner(f"{KLAGE}:{matter}")
        assert await world.drain() == []
        assert world.files_in(matter) == set()
        assert len(world.files()) == 1
        assert (await world.document(document))["xaiCollections"] == []

    in_world(tmp_path, story)


def test_a_cleared_file_field_takes_the_file_away(tmp_path: Path) -> None:
    """A document whose file was removed keeps nothing at xAI."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.espo("PUT", f"CDokumente/{document}", {"dokumentId": None})
        await world.want(document)
        assert await world.drain() == []
        assert world.files() == {}
        assert world.files_in(matter) == set()
        assert (await world.document(document))["xaiId"] is None

    in_world(tmp_path, story)


def test_contents_that_xai_cannot_take_give_a_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Empty, too large, unreadable: each is parked with its reason, none leaves, the neighbour is synced."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        empty = await world.new_document(b"", matter)
        large = await world.new_document(b"x" * 5000, matter)
        image = await world.new_document(b"\x89PNG", matter, name="Foto.png", content_type="image/png")
        good = await world.new_document(FIRST, matter, name='Kla"ge;\u202e 1\\.txt')
        await world.want(empty, large, image, good)
        errors = await world.drain()
        assert sorted(text.split(":")[0] for text in errors) == ["Permanent"] * 3
        assert len(world.files()) == 1
        await assert_in_step(world, good, matter)
        for document, reason in ((empty, "empty_file"), (large, "too_large"), (image, "unreadable_type")):
            with pytest.raises(Permanent) as again:
                await world.sync(document)
            assert again.value.reason == reason

    in_world(tmp_path, story, xai_max_file_bytes=4000)


def test_an_unreadable_new_version_takes_the_older_one_along(tmp_path: Path) -> None:
    """A version the firm has replaced must not go on answering questions about the matter."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.new_version(document, b"", "Leer.txt")
        await world.want(document)
        assert len(await world.drain()) == 1
        assert world.files() == {}
        await world.new_version(document, SECOND)
        await world.want(document)
        assert await world.drain() == []
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_a_failed_indexing_is_a_warning_on_the_document(tmp_path: Path) -> None:
    """A scan without text is linked, and says that it cannot be found."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        scan = await world.new_document(
            b"%PDF-1.4\n%sandbox:scan\n%%EOF", matter, name="Scan.pdf", content_type="application/pdf"
        )
        await world.want(scan)
        assert await world.drain() == []
        state = await world.state(scan)
        assert state is not None
        assert state.index_status == "failed"
        await assert_in_step(world, scan, matter)

    in_world(tmp_path, story)


def test_a_file_that_xai_dropped_with_its_last_collection_is_uploaded_again(tmp_path: Path) -> None:
    """Both answers to the open question end right: kept it is linked again, dropped it is uploaded again."""
    for answer in ("keep", "drop"):

        async def story(world: World, answer: str = answer) -> None:
            world.xai.switches.update({"remove_last": answer})
            matter, document = await settled_document(world)
            await world.unlink(matter, document)
            await world.want(document)
            assert await world.drain() == []
            await world.link(matter, document)
            await world.want(document)
            assert await world.drain() == []
            await assert_in_step(world, document, matter)

        folder = tmp_path / answer
        folder.mkdir()
        in_world(folder, story)


def test_a_lost_state_adopts_what_espocrm_still_names(tmp_path: Path) -> None:
    """With an empty state database the file is found by the id and hash in EspoCRM; nothing is uploaded twice."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        files = set(world.files())

        def lose(conn: Connection) -> None:
            for table in (schema.document_state, schema.document_owner, schema.collection_state, schema.work):
                conn.execute(delete(table))

        await world.database.run(lose)
        await world.want(document)
        assert await world.drain() == []
        assert set(world.files()) == files
        assert len(world.collections()) == 1
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story)


def test_the_plan_is_printed_without_writing(tmp_path: Path) -> None:
    """describe() says what a pass would do and makes no write."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        await world.new_version(document, SECOND)
        world.calls.clear()
        lines = await world.runtime.streams["documents"].describe(document)
        assert "because: file changed" in lines
        assert [call for call in world.calls if " GET " not in call] == []
        assert await world.runtime.streams["collections"].describe(f"{KLAGE}:{matter}") == ["nothing to do"]

    in_world(tmp_path, story)


def test_an_owner_type_out_of_sight_unlinks_nothing(tmp_path: Path) -> None:
    """A role that may not read an owner type any more hides its link: the documents stay where they are, parked."""

    async def story(world: World) -> None:
        matter, document = await settled_document(world)
        hidden = {"type": "hasMany", "entity": KLAGE, "foreign": "andere", "relationName": "andereDokumente"}
        await world.seed({"entities": {"CDokumente": {"links": {"rumungsklages": hidden}}}})
        await world.runtime.espocrm.metadata("entityDefs.CDokumente", fresh=True)
        await world.want(document)
        errors = await world.drain()
        assert len(errors) == 1
        assert "COLLECTION_OWNERS" in errors[0]
        assert len(world.files_in(matter)) == 1

    in_world(tmp_path, story)
