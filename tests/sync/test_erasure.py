"""Erasing a document and a matter: gone from xAI, EspoCRM's fields and our state; neighbours and the register stay."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.clients.xai_wire import SpooledUpload
from bitbylaw_pipeline.domain.akte_match import AkteState, AkteStatus
from bitbylaw_pipeline.domain.erasure import Kind
from bitbylaw_pipeline.domain.errors import Transient
from bitbylaw_pipeline.inbox import (
    akte_states,
    document_states,
    egress,
    erasures,
    events,
    feed_cursors,
    intents,
    schema,
    work_queue,
)
from bitbylaw_pipeline.sandbox.espocrm.seed_records import SYNC_ID
from bitbylaw_pipeline.settings import UploadRoute
from bitbylaw_pipeline.sync.erasure_plan import ErasureRefused, NotErased
from tests.sync.erasure_desk import (
    Clerk,
    NotedHistory,
    as_text,
    bytes_naming,
    journal_bytes,
    neighbours_of,
    rows_naming,
    tools_of,
    whole,
)
from tests.sync.termine.world import open_ground
from tests.sync.termine.world import open_world as open_office
from tests.sync.world import ESPOCRM_KEY, KLAGE, World, in_world

BOTH = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


class Crash(Exception):
    """The process dies here."""


async def settle(world: World, *documents: str) -> None:
    """Everything wanted is done."""
    await world.want(*documents)
    assert await world.drain() == []


async def note_events(world: World, entity_type: str, record_id: str) -> None:
    """A webhook of the record that came in, and one that named it beside another."""

    def note(conn: Any) -> None:
        items = [(entity_type, record_id, "update"), (entity_type, "someone-else", "update")]
        came = events.Received(f"event-{record_id[-4:]}", "webhook", "vmh.document.update", items)
        events.receive(conn, world.clock(), [came], [])

    await world.database.run(note)


async def upload_by_hand(world: World, name: str) -> str:
    """A file that somebody else put into xAI's store; returns its id."""
    file = world.folder / "by-hand"
    file.write_bytes(b"by hand")
    upload = SpooledUpload(path=file, size=7, content_type="text/plain", name=name)
    stored = await world.runtime.xai.upload(upload, UploadRoute.FILES)
    file.unlink()
    return stored.file_id


async def delete_in_espocrm(world: World, entity_type: str, *ids: str) -> None:
    """As a person does it."""
    for record_id in ids:
        await world.espo("DELETE", f"{entity_type}/{record_id}")


def others_naming(world: World, words: set[str]) -> list[tuple[str, str]]:
    """Rows that name them, but for the marks by which the change feed knows our own writes for some seconds."""
    return [found for found in rows_naming(world.database, words) if found[0] != "feed_cursor"]


def clerk(world: World, history: NotedHistory | None = None, **changed: Any) -> Clerk:
    """A clerk at that world."""
    return Clerk(tools_of(world.runtime, history or NotedHistory(), **changed))


@BOTH
def test_document_deleted_in_espocrm_is_gone_everywhere(tmp_path: Path, kind: str) -> None:
    """Its versions, its journal, its events and its state go; the neighbour's rows and files are as they were."""

    async def story(world: World) -> None:
        matter, other = await world.new_matter(), await world.new_matter()
        gone = await world.new_document(b"of the client", matter, other, name="Klage Lindqvist.txt")
        stays = await world.new_document(b"of a neighbour", matter)
        await settle(world, gone, stays)
        await world.new_version(gone, b"of the client, again")
        await settle(world, gone)
        await note_events(world, "CDokumente", gone)
        state, file = await world.state(gone), await world.state(stays)
        assert state is not None
        assert file is not None
        await delete_in_espocrm(world, "CDokumente", gone)
        words = {gone, str(state.file_id), str(state.sha256), str(state.attachment_id)}
        before = neighbours_of(world.database, words)
        history = NotedHistory()
        plan = await clerk(world, history).plan(Kind.DOCUMENT, gone)
        assert plan.counts()["xai_files"] == 1
        assert rows_naming(world.database, {gone})

        erased = await clerk(world, history).erase(Kind.DOCUMENT, gone)
        assert erased.proof is not None
        assert erased.is_compact
        assert rows_naming(world.database, words) == []
        assert gone not in as_text(world.xai.state())
        assert str(state.file_id) not in as_text(world.xai.state())
        assert set(world.files()) == {file.file_id}
        after = neighbours_of(world.database, words)
        # Of the register's keys the document's own is gone, and no other.
        assert len(set(before["matter_key"]) - set(after["matter_key"])) == 1
        assert {**after, "matter_key": []} == {**before, "matter_key": []}
        assert not await world.database.run(lambda c: egress.rows_of_document(c, world.database.cipher, gone))
        assert await world.database.run(lambda c: egress.rows_of_document(c, world.database.cipher, stays))
        assert [one.key for one in history.erased[0].partitions] == [gone]
        assert await world.database.run(egress.verify) is None
        assert "Lindqvist" not in as_text(erased.proof.document)
        assert gone not in as_text(erased.proof.document)
        if kind == "sqlite":
            assert bytes_naming(tmp_path, words) == []
            assert journal_bytes(world.database) == 0
        again = await clerk(world, history).erase(Kind.DOCUMENT, gone)
        assert again.proof is None
        assert len(await world.database.run(erasures.load)) == 1

    in_world(tmp_path, story, kind=kind)


def test_plan_changes_nothing(tmp_path: Path) -> None:
    """Planning writes nowhere: not to the state, not to any system."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        document = await world.new_document(b"x", matter)
        await settle(world, document)
        await delete_in_espocrm(world, "CDokumente", document)
        before, xai = neighbours_of(world.database, set()), as_text(world.xai.state()["files"])
        world.calls.clear()
        plan = await clerk(world).plan(Kind.DOCUMENT, document)
        assert plan.documents == {document}
        assert neighbours_of(world.database, set()) == before
        assert as_text(world.xai.state()["files"]) == xai
        assert [call for call in world.calls if " GET " not in call] == []

    in_world(tmp_path, story)


def test_document_that_would_be_uploaded_again_is_refused(tmp_path: Path) -> None:
    """One permitted owner is enough; without permission, or excluded, it goes, and EspoCRM's fields are emptied."""

    async def story(world: World) -> None:
        matter, other = await world.new_matter(), await world.new_matter(kiFreigabe=False)
        document = await world.new_document(b"x", matter, other)
        await settle(world, document)
        with pytest.raises(ErasureRefused, match="withdraw the permission, exclude it, unlink it or delete"):
            await clerk(world).erase(Kind.DOCUMENT, document)
        assert world.files()
        await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": False})
        erased = await clerk(world).erase(Kind.DOCUMENT, document)
        assert erased.proof is not None
        assert erased.proof.document["counts"]["espocrm_documents_cleared"] == 1
        record = await world.document(document)
        fields = ("xaiId", "xaiSyncedHash", "md5sum", "sha256", "xaiCollections")
        assert [record[name] or None for name in fields] == [None] * 5
        assert record["fileStatus"] == "neu"
        assert world.files() == {}
        # Its next pass finds nothing that may leave.
        await settle(world, document)
        assert world.files() == {}
        assert (await world.document(document))["xaiId"] is None

    in_world(tmp_path, story)


def test_excluded_document_is_erased_though_its_owner_permits(tmp_path: Path) -> None:
    """Being excluded is enough for it not to come back."""

    async def story(world: World) -> None:
        await world.seed({"entities": {"CDokumente": {"fields": {"gesperrt": {"type": "bool"}}}}})
        document = await world.new_document(b"x", await world.new_matter())
        await settle(world, document)
        await world.espo("PUT", f"CDokumente/{document}", {"gesperrt": True})
        assert (await clerk(world).erase(Kind.DOCUMENT, document)).proof is not None
        assert world.files() == {}

    in_world(tmp_path, story, document_fields={"excluded": "gesperrt"})


def test_a_file_that_only_its_name_betrays_is_found(tmp_path: Path) -> None:
    """With the state lost, the token in the name finds the file; a document whose id begins alike keeps its own."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        document = await world.new_document(b"x", matter)
        await settle(world, document)
        await delete_in_espocrm(world, "CDokumente", document)
        await world.database.run(lambda c: document_states.delete(c, document))
        name = f"{document}0-{'a' * 12}~alike.txt"
        alike = await upload_by_hand(world, name)
        erased = await clerk(world, NotedHistory(0)).erase(Kind.DOCUMENT, document)
        assert erased.proof is not None
        assert erased.proof.document["counts"]["xai_files"] == 1
        assert set(world.files()) == {alike}

    in_world(tmp_path, story)


def test_an_upload_that_may_not_be_listed_yet_is_waited_for(tmp_path: Path) -> None:
    """Right after an unclear upload nobody can say that there is no file: one sentence says when to try again."""

    async def story(world: World) -> None:
        def open_intent(conn: Any) -> None:
            intents.open_intent(
                conn, world.clock(), kind="xai_file", subject="64f0c1d2e3b4a5968", token="64f0c1d2e3b4a5968-x"
            )

        await world.database.run(open_intent)
        with pytest.raises(ErasureRefused, match="may not be listed by xAI yet"):
            await clerk(world).erase(Kind.DOCUMENT, "64f0c1d2e3b4a5968")
        world.clock.advance(60.0)
        assert (await clerk(world).erase(Kind.DOCUMENT, "64f0c1d2e3b4a5968")).proof is not None

    in_world(tmp_path, story)


def test_a_new_version_that_may_not_be_listed_yet_is_waited_for(tmp_path: Path) -> None:
    """The older version's file is there, and says nothing of the one that may have landed: no proof without that."""

    async def story(world: World) -> None:
        document = await world.new_document(b"x", await world.new_matter())
        await settle(world, document)
        await delete_in_espocrm(world, "CDokumente", document)

        def open_intent(conn: Any) -> None:
            token = f"{document}-{'a' * 12}"
            intents.open_intent(conn, world.clock(), kind="xai_file", subject=document, token=token)

        await world.database.run(open_intent)
        with pytest.raises(ErasureRefused, match="may not be listed by xAI yet"):
            await clerk(world).erase(Kind.DOCUMENT, document)
        assert len(world.files()) == 1
        await upload_by_hand(world, f"{document}-{'a' * 12}~x.txt")
        world.clock.advance(60.0)
        assert (await clerk(world).erase(Kind.DOCUMENT, document)).proof is not None
        assert world.files() == {}

    in_world(tmp_path, story)


async def firm_with_a_matter(world: World) -> tuple[str, str, dict[str, str]]:
    """A matter with documents of its own, one that is also in another, one deleted before, an Akte and a foreign file."""
    matter, other = await world.new_matter(), await world.new_matter()
    documents = {
        "own": await world.new_document(b"own", matter),
        "shared": await world.new_document(b"shared", matter, other),
        "kept": await world.new_document(b"deleted long ago", matter),
        "stranger": await world.new_document(b"of the other", other),
    }
    await settle(world, *documents.values())
    await delete_in_espocrm(world, "CDokumente", documents["kept"])
    await settle(world, documents["kept"])
    place = world.collections()[f"espocrm:{KLAGE}:{matter}"]["id"]
    documents["foreign file"] = await upload_by_hand(world, "by-hand.txt")
    await world.runtime.xai.attach(place, documents["foreign file"], {})
    akte = AkteState("4711", AkteStatus.LINKED, 4711, f"{KLAGE}:{matter}", place)
    neighbour = AkteState("4712", AkteStatus.LINKED, 4712, f"{KLAGE}:{other}", None)
    await world.database.run(lambda c: akte_states.put_many(c, world.clock(), [akte, neighbour]))
    await note_events(world, KLAGE, matter)
    return matter, other, documents


@BOTH
def test_matter_deleted_in_espocrm_is_gone_everywhere(tmp_path: Path, kind: str) -> None:
    """Its collection and its own documents go, what is shared stays where it else belongs, foreign files stay in the store."""

    async def story(world: World) -> None:
        matter, other, documents = await firm_with_a_matter(world)
        places = {name: row["id"] for name, row in world.collections().items()}
        place = places[f"espocrm:{KLAGE}:{matter}"]
        own, shared = await world.state(documents["own"]), await world.state(documents["shared"])
        kept, stranger = await world.state(documents["kept"]), await world.state(documents["stranger"])
        assert own and shared and kept and stranger  # noqa: PT018  # none of them is None
        await delete_in_espocrm(world, "CDokumente", documents["own"])
        await delete_in_espocrm(world, KLAGE, matter)
        history = NotedHistory()
        plan = await clerk(world, history).plan(Kind.MATTER, f"{KLAGE}:{matter}")
        assert plan.documents == {documents["own"], documents["kept"]}
        assert plan.neighbours == {documents["shared"]}
        assert plan.foreign == {documents["foreign file"]}
        assert plan.collections == {place}
        erased = await clerk(world, history).erase(Kind.MATTER, f"{KLAGE}:{matter}")
        assert erased.proof is not None

        words = {matter, documents["own"], documents["kept"], place, str(own.file_id), str(kept.file_id)}
        assert rows_naming(world.database, words) == []
        assert {row["id"] for row in world.collections().values()} == {places[f"espocrm:{KLAGE}:{other}"]}
        assert set(world.files()) == {shared.file_id, stranger.file_id, documents["foreign file"]}
        assert await world.database.run(lambda c: set(akte_states.load(c))) == {"4712"}
        assert await world.database.run(egress.verify) is None
        cipher = world.database.cipher
        assert await world.database.run(lambda c: egress.rows_of(c, cipher, f"{KLAGE}:{matter}")) == []
        assert await world.database.run(lambda c: egress.rows_of(c, cipher, f"{KLAGE}:{other}"))
        keys = {(one.key, one.stream) for one in history.erased[0].partitions}
        assert keys == {
            (f"{KLAGE}:{matter}", None), ("4711", "akten"), (documents["own"], None), (documents["kept"], None),
        }  # fmt: skip
        # The shared one gets a pass, and EspoCRM forgets the collection there.
        assert await world.drain() == []
        assert world.files_in(other) == {shared.file_id, stranger.file_id}
        assert (await world.document(documents["shared"]))["xaiCollections"] == [
            places[f"espocrm:{KLAGE}:{other}"]
        ]
        if kind == "sqlite":
            assert bytes_naming(tmp_path, words) == []
        assert (await clerk(world, history).erase(Kind.MATTER, f"{KLAGE}:{matter}")).proof is None

    in_world(tmp_path, story, kind=kind)


def test_matter_that_permits_is_refused_and_one_that_does_not_is_emptied(tmp_path: Path) -> None:
    """With the permission withdrawn the owner's field is emptied, and its documents' fields."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        document = await world.new_document(b"x", matter)
        await settle(world, document)
        with pytest.raises(ErasureRefused, match="withdraw the permission or delete it"):
            await clerk(world).erase(Kind.MATTER, f"{KLAGE}:{matter}")
        await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": False})
        assert (await clerk(world).erase(Kind.MATTER, f"{KLAGE}:{matter}")).proof is not None
        assert (await world.espo("GET", f"{KLAGE}/{matter}"))["xaiCollectionId"] is None
        assert (await world.document(document))["xaiId"] is None
        assert world.files() == {}
        assert world.collections() == {}

    in_world(tmp_path, story)


def test_duplicates_of_the_collection_go_with_it(tmp_path: Path) -> None:
    """A second collection of that name is deleted as well; a record's copied id of another's collection is left alone."""

    async def story(world: World) -> None:
        matter, other = await world.new_matter(), await world.new_matter()
        await settle(world, await world.new_document(b"x", matter), await world.new_document(b"y", other))
        place = world.collections()[f"espocrm:{KLAGE}:{other}"]["id"]
        await world.runtime.xai.create_collection(f"espocrm:{KLAGE}:{matter}", "", {})
        await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": False, "xaiCollectionId": place})
        await clerk(world).erase(Kind.MATTER, f"{KLAGE}:{matter}")
        assert {row["id"] for row in world.xai.state()["collections"]} == {place}
        assert (await world.espo("GET", f"{KLAGE}/{matter}"))["xaiCollectionId"] == place

    in_world(tmp_path, story)


STEPS = ("detach", "file", "collection", "record", "owner", "dagster", "verify", "state", "compact")


@pytest.mark.parametrize("fatal", STEPS)
def test_whatever_step_it_dies_at_the_next_run_completes_it(tmp_path: Path, fatal: str) -> None:
    """Killed before that step, in the middle of it where there are several: the end is the same as without a crash."""

    async def story(world: World) -> None:
        matter, other, documents = await firm_with_a_matter(world)
        own = await world.state(documents["own"])
        place = world.collections()[f"espocrm:{KLAGE}:{matter}"]["id"]
        assert own is not None
        await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": False})
        history, met = NotedHistory(), []

        def die(name: str) -> None:
            met.append(name)
            if name == fatal and met.count(name) == (2 if name in ("detach", "file") else 1):
                raise Crash(name)

        with pytest.raises(Crash):
            await clerk(world, history).erase(Kind.MATTER, f"{KLAGE}:{matter}", die)
        world.clock.advance(100.0)
        erased = await clerk(world, history).erase(Kind.MATTER, f"{KLAGE}:{matter}")
        assert (erased.proof is None) == (fatal == "compact")
        assert len(await world.database.run(erasures.load)) == 1
        # `own` and the matter are still in EspoCRM: what came of emptying its fields names their ids, and no file.
        words = {documents["kept"], str(own.file_id), place}
        assert rows_naming(world.database, words) == []
        assert bytes_naming(tmp_path, words) == []
        assert set(world.collections()) == {f"espocrm:{KLAGE}:{other}"}
        assert str(own.file_id) not in world.files()
        assert (await world.document(documents["own"]))["xaiId"] is None
        assert history.names == 0
        assert await world.database.run(egress.verify) is None

    in_world(tmp_path, story)


def test_a_document_of_a_matter_that_our_role_does_not_see_is_left_alone(tmp_path: Path) -> None:
    """EspoCRM leaves out the other client's matter without a word: nothing is taken from its collection on that."""

    async def story(world: World) -> None:
        matter, other = await world.new_matter(), await world.new_matter()
        shared, own = (
            await world.new_document(b"both", matter, other),
            await world.new_document(b"one", matter),
        )
        await settle(world, shared, own)
        await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": False, "assignedUserId": SYNC_ID})
        acl = {"CDokumente": {"read": "all", "edit": "all"}, KLAGE: {"read": "own", "edit": "all"}}
        user = {"userName": "sync", "type": "api", "apiKey": ESPOCRM_KEY, "acl": acl}
        await world.seed({"users": [user]})
        for forgets in (False, True):
            if forgets:
                # Also where only xAI says in whose collection the file is.
                await world.database.run(lambda c: document_states.delete(c, shared))
            with pytest.raises(ErasureRefused, match=f"{KLAGE}:{other} is not to be seen by us"):
                await clerk(world).erase(Kind.MATTER, f"{KLAGE}:{matter}")
            assert len(world.files_in(other)) == 1
        acl[KLAGE]["read"] = "all"
        await world.seed({"users": [user]})
        assert (await clerk(world).erase(Kind.MATTER, f"{KLAGE}:{matter}")).proof is not None
        assert len(world.files_in(other)) == len(world.files()) == 1

    in_world(tmp_path, story)


def test_a_document_that_was_unlinked_from_its_last_matter_goes_with_it(tmp_path: Path) -> None:
    """Its file is kept and in no collection: only the register knows that it left on account of this matter."""

    async def story(world: World) -> None:
        matter, other = await world.new_matter(), await world.new_matter()
        mine, moved, theirs = [await world.new_document(one, matter) for one in (b"1", b"2", b"3")]
        await settle(world, mine, moved, theirs)
        await world.link(other, moved)
        for document in (mine, moved):
            await world.unlink(matter, document)
        await settle(world, mine, moved)
        assert len(world.files()) == 3
        await delete_in_espocrm(world, KLAGE, matter)
        await world.want_owner(f"{KLAGE}:{matter}")
        assert await world.drain() == []
        assert (await clerk(world).erase(Kind.MATTER, f"{KLAGE}:{matter}")).proof is not None
        assert set(world.files()) == world.files_in(other)
        assert len(world.files()) == 1
        # `mine` and `theirs` are still in EspoCRM.
        assert others_naming(world, {matter, mine, theirs}) == []

    in_world(tmp_path, story)


def test_what_others_are_at_work_on_is_not_touched(tmp_path: Path) -> None:
    """While a batch has the document, the erasure waits for its time and says so; afterwards it goes."""

    async def story(world: World) -> None:
        document = await world.new_document(b"x", await world.new_matter())
        await settle(world, document)
        await delete_in_espocrm(world, "CDokumente", document)
        await world.want(document)
        held = await world.database.run(
            lambda c: work_queue.claim(c, world.clock(), "documents", limit=1, lease_seconds=50.0)
        )
        assert held
        with pytest.raises(Transient, match="Somebody else was at work on it"):
            await clerk(world).erase(Kind.DOCUMENT, document)
        assert world.files()
        world.clock.advance(60.0)
        assert (await clerk(world).erase(Kind.DOCUMENT, document)).proof is not None

    in_world(tmp_path, story)


def test_two_erasures_of_one_matter_leave_nothing_of_it(tmp_path: Path) -> None:
    """The second waits for the first, and what it held in the work queue meanwhile goes with it."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        documents = [await world.new_document(one, matter) for one in (b"1", b"2")]
        await settle(world, *documents)
        await delete_in_espocrm(world, KLAGE, matter)
        clerks = [clerk(world, wait_seconds=20.0) for _ in range(2)]
        await asyncio.gather(*(one.erase(Kind.MATTER, f"{KLAGE}:{matter}") for one in clerks))
        assert world.files() == {}
        assert others_naming(world, {matter, *documents}) == []

    in_world(tmp_path, story)


def test_without_verification_there_is_no_proof(tmp_path: Path) -> None:
    """Where something is still there, it is said what and where, and our own state is kept for the next run."""

    class Stubborn(NotedHistory):
        async def erase(self, mention: Any) -> int:
            del mention
            return 1

    async def story(world: World) -> None:
        document = await world.new_document(b"x", await world.new_matter())
        await settle(world, document)
        await delete_in_espocrm(world, "CDokumente", document)
        with pytest.raises(NotErased, match="1 in Dagster's history"):
            await clerk(world, Stubborn()).erase(Kind.DOCUMENT, document)
        assert await world.state(document) is not None
        assert await world.database.run(erasures.load) == []
        assert (await clerk(world).erase(Kind.DOCUMENT, document)).proof is not None

    in_world(tmp_path, story)


def test_leftovers_of_killed_processes_go_with_it(tmp_path: Path) -> None:
    """A fetched file that nobody has touched for an hour is deleted; one on its way now is not."""

    async def story(world: World) -> None:
        document = await world.new_document(b"x", await world.new_matter())
        await settle(world, document)
        await delete_in_espocrm(world, "CDokumente", document)
        spool = tmp_path / "spool"
        spool.mkdir(exist_ok=True)
        old, fresh = spool / "spool-old", spool / "spool-fresh"
        for file in (old, fresh):
            file.write_bytes(b"of the client")
        now = fresh.stat().st_mtime
        os.utime(old, (now - 7200.0, now - 7200.0))
        await clerk(world, clock=lambda: now).erase(Kind.DOCUMENT, document)
        assert not old.exists()
        assert fresh.exists()

    in_world(tmp_path, story)


def test_sentences_that_name_it_are_crossed_out(tmp_path: Path) -> None:
    """A neighbour's error, an outage's reason and a feed's place that name it keep all else; alerts about it go."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        gone, stays = await world.new_document(b"x", matter), await world.new_document(b"y", matter)
        await settle(world, gone, stays)
        await delete_in_espocrm(world, "CDokumente", gone)

        def say(conn: Any) -> None:
            work_queue.want(conn, world.clock(), "documents", [stays])
            (claim,) = work_queue.claim(
                conn, world.clock(), "documents", limit=9, lease_seconds=5.0, keys=[stays]
            )
            work_queue.retry(conn, world.clock(), claim, error=f"409 for {gone} and {stays}", delay=9.0)
            marks = [f"{gone}@2026-01-01 10:00:00@1", f"{stays}@2026-01-01 10:00:00@1"]
            feed_cursors.put(conn, world.clock(), "CDokumente", "2026-01-01 10:00:00", gone, marks)
            for subject in (f"documents:{gone}", f"documents:{stays}"):
                row = {
                    "kind": "parked",
                    "subject": subject,
                    "says": f"{gone} waits",
                    "advice": "",
                    "told": "{}",
                }
                conn.execute(schema.alert.insert().values(**row, first_at=1.0, last_at=1.0))

        await world.database.run(say)
        assert (await clerk(world).erase(Kind.DOCUMENT, gone)).proof is not None
        assert rows_naming(world.database, {gone}) == []
        row = await world.database.run(lambda c: work_queue.get(c, "documents", stays))
        assert row is not None
        assert row.last_error == f"409 for {'x' * len(gone)} and {stays}"
        cursor = await world.database.run(lambda c: feed_cursors.get(c, "CDokumente"))
        assert (cursor.modified_at, cursor.record_id) == ("2026-01-01 10:00:00", "")
        assert cursor.seen == (f"{stays}@2026-01-01 10:00:00@1",)
        assert [name for name, _ in rows_naming(world.database, {f"documents:{stays}"})] == ["alert"]

    in_world(tmp_path, story)


def test_what_was_deleted_long_before_is_gone_from_the_file_too(tmp_path: Path) -> None:
    """SQLite leaves what was deleted in its free pages; after an erasure no byte of it is left, and the file is in order."""

    async def story(world: World) -> None:
        document = await world.new_document(b"x", await world.new_matter())
        await settle(world, document)
        await delete_in_espocrm(world, "CDokumente", document)
        file = tmp_path / "state.sqlite"
        with closing(sqlite3.connect(file, isolation_level=None)) as careless:
            careless.execute("PRAGMA secure_delete = OFF")
            for number in range(200):
                values = (f"note-{number}", f"deleted long ago: {document} " * 20)
                careless.execute("INSERT INTO flag (name, value, set_at) VALUES (?, ?, 1.0)", values)
            careless.execute("DELETE FROM flag WHERE name LIKE 'note-%'")
        assert bytes_naming(tmp_path, {f"deleted long ago: {document}"})
        assert (await clerk(world).erase(Kind.DOCUMENT, document)).is_compact
        assert bytes_naming(tmp_path, {document, "deleted long ago"}) == []
        assert whole(file)

    in_world(tmp_path, story)


def test_a_proof_does_not_say_more_of_google_than_was_looked_for(tmp_path: Path) -> None:
    """Without a known Akte only Termine that were named can be looked for: plan and proof say so; a document has none."""

    async def story(world: World) -> None:
        matter, _, documents = await firm_with_a_matter(world)
        stateless = await world.new_matter()
        await settle(world, await world.new_document(b"x", stateless))
        await delete_in_espocrm(world, "CDokumente", documents["own"])
        for one in (matter, stateless):
            await delete_in_espocrm(world, KLAGE, one)
        folder = tmp_path / "office"
        folder.mkdir()
        async with open_ground() as ground, open_office(ground, folder, in_process=True) as office:
            google = {}
            for kind, subject in (
                (Kind.DOCUMENT, documents["own"]),
                (Kind.MATTER, f"{KLAGE}:{matter}"),
                (Kind.MATTER, f"{KLAGE}:{stateless}"),
            ):
                at_work = clerk(world, termine=office.pairs)
                plan = await at_work.plan(kind, subject)
                erased = await at_work.erase(kind, subject)
                assert erased.proof is not None
                assert erased.remaining == ()
                google[subject] = (len(plan.remaining), erased.proof.document["checks"]["google"])
        assert list(google.values()) == [
            (0, "not looked at: a document has no events"),
            (0, "nothing found"),
            (1, "no Akte known: looked only for Termine named by --termin, nothing found"),
        ]

    in_world(tmp_path, story)
