"""Permission as EspoCRM has it after a pass began: withdrawn in the middle of a burst, nothing of the owner leaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.document_plan import EXCLUDED
from bitbylaw_pipeline.domain.errors import SyncError, Transient
from bitbylaw_pipeline.domain.outcome import Result
from bitbylaw_pipeline.inbox import collection_states, egress, remaining, schema, work_queue
from tests.sync.world import KLAGE, World, in_world, kinds

WITHDRAWN = {"kiFreigabe": False}


async def settled_matter(world: World) -> str:
    """A matter with its collection."""
    matter = await world.new_matter()
    await world.want_owner(f"{KLAGE}:{matter}")
    assert await world.drain() == []
    return matter


def leaving(calls: list[str]) -> list[str]:
    """The calls that bring a file to xAI or into a collection."""
    return [call for call in calls if " POST " in call and ("/files" in call or "/documents" in call)]


async def is_permitted(world: World, matter: str) -> bool:
    """What our state says of the matter."""
    found = await world.database.run(lambda c: collection_states.get(c, f"{KLAGE}:{matter}"))
    assert found is not None
    return found.is_permitted


def test_a_withdrawal_counts_before_the_owners_own_event(tmp_path: Path) -> None:
    """The document's pass asks EspoCRM itself: nothing leaves, and the owner's flow is told."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        document = await world.new_document(b"geheim", matter)
        await world.espo("PUT", f"{KLAGE}/{matter}", WITHDRAWN)
        world.calls.clear()
        outcome = await world.sync(document)
        assert outcome.result is Result.WITHHELD
        assert outcome.facts["owners_without_permission"] == 1
        assert leaving(world.calls) == []
        assert not await is_permitted(world, matter)
        row = await world.database.run(lambda c: work_queue.get(c, "collections", f"{KLAGE}:{matter}"))
        assert row is not None
        assert row.wanted > row.done
        assert await world.drain() == []
        assert world.files() == {}

    in_world(tmp_path, story)


def test_a_permission_given_back_before_the_owners_pass_lets_the_document_go(tmp_path: Path) -> None:
    """The owner's flow finds the permission as it was, and all the same takes up what was withheld meanwhile."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        document = await world.new_document(b"geheim", matter)
        await world.espo("PUT", f"{KLAGE}/{matter}", WITHDRAWN)
        assert (await world.sync(document)).result is Result.WITHHELD
        await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": True})
        assert await world.drain() == []
        assert len(world.files_in(matter)) == 1

    in_world(tmp_path, story)


def test_a_new_version_and_a_new_link_ask_as_well(tmp_path: Path) -> None:
    """Whatever is to leave: a new content, or a file that is there already into one more collection."""

    async def story(world: World) -> None:
        first, second = await settled_matter(world), await settled_matter(world)
        document = await world.new_document(b"eins", first)
        await world.want(document)
        assert await world.drain() == []
        await world.link(second, document)
        await world.espo("PUT", f"{KLAGE}/{second}", WITHDRAWN)
        world.calls.clear()
        await world.sync(document)
        assert leaving(world.calls) == []
        await world.espo("PUT", f"{KLAGE}/{first}", WITHDRAWN)
        await world.new_version(document, b"zwei")
        world.calls.clear()
        assert (await world.sync(document)).result is Result.WITHHELD
        assert leaving(world.calls) == []
        assert (await world.document(document))["fileStatus"] != "unchanged"
        assert len(world.files_in(first)) == 1
        assert world.files_in(second) == set()

    in_world(tmp_path, story)


def test_one_owner_withheld_leaves_the_other_alone(tmp_path: Path) -> None:
    """A document of two matters goes into the collection of the one that permits it, and no further."""

    async def story(world: World) -> None:
        first, second = await settled_matter(world), await settled_matter(world)
        document = await world.new_document(b"eins", first, second)
        await world.espo("PUT", f"{KLAGE}/{second}", WITHDRAWN)
        outcome = await world.sync(document)
        assert outcome.result is Result.SYNCED
        assert len(world.files_in(first)) == 1
        assert world.files_in(second) == set()
        rows = await world.database.run(
            lambda c: [
                len(egress.rows_of(c, world.database.cipher, f"{KLAGE}:{one}")) for one in (first, second)
            ]
        )
        assert rows == [1, 0]

    in_world(tmp_path, story)


def test_only_what_is_to_leave_costs_a_call(tmp_path: Path) -> None:
    """A new document costs one read of its owner, a clean one none; under the rule collection none at all."""
    reads = {}
    for rule in ("field", "collection"):

        async def story(world: World, rule: str = rule) -> None:
            matter = await settled_matter(world)
            document = await world.new_document(b"eins", matter)
            owner = f"espocrm GET {KLAGE}/{{id}}"
            first = kinds(await world.calls_of(document)).count(owner)
            reads[rule] = (first, kinds(await world.calls_of(document)).count(owner))

        in_world(tmp_path / rule, story, xai_egress=rule)
    assert reads == {"field": (1, 0), "collection": (0, 0)}


def test_passes_side_by_side_share_one_reading_that_began_after_all_of_them(tmp_path: Path) -> None:
    """One read serves every pass that began before it, and none that began after it, finished or not."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        documents = [await world.new_document(f"Inhalt {n}".encode(), matter) for n in range(6)]
        world.calls.clear()
        await asyncio.gather(*(world.sync(document) for document in documents[:5]))
        reads = [call for call in world.calls if call == f"espocrm GET /api/v1/{KLAGE}/{matter}"]
        assert 1 <= len(reads) < 5
        world.calls.clear()
        await world.sync(documents[5])
        assert world.calls.count(f"espocrm GET /api/v1/{KLAGE}/{matter}") == 1

    in_world(tmp_path, story)


def test_a_reading_under_way_does_not_serve_a_pass_that_begins_meanwhile(tmp_path: Path) -> None:
    """The answer may have been given before the withdrawal: such a pass has the owner read once more."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        first = await world.new_document(b"eins", matter)
        second = await world.new_document(b"zwei", matter)
        is_read, may_answer = asyncio.Event(), asyncio.Event()

        async def hold_back(when: str, name: str) -> None:
            if when == "after" and name == f"espocrm GET /api/v1/{KLAGE}/{matter}" and not is_read.is_set():
                is_read.set()
                await may_answer.wait()

        world.listener = hold_back
        early = asyncio.create_task(world.sync(first))
        await is_read.wait()
        await world.espo("PUT", f"{KLAGE}/{matter}", WITHDRAWN)
        assert (await world.sync(second)).result is Result.WITHHELD
        may_answer.set()
        assert (await early).result is Result.SYNCED  # it began, and asked, before the withdrawal

    in_world(tmp_path, story)


def test_a_reading_that_fails_is_tried_anew(tmp_path: Path) -> None:
    """Nothing leaves while nobody can say whether it may, and the next pass asks again."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        document = await world.new_document(b"eins", matter)

        async def break_off(when: str, name: str) -> None:
            if when == "before" and name == f"espocrm GET /api/v1/{KLAGE}/{matter}":
                raise TimeoutError

        world.listener = break_off
        permissions = world.runtime.streams["documents"].tools.permissions  # type: ignore[attr-defined]  # a Stream
        owner, begun = OwnerKey(KLAGE, matter), permissions.begin()
        with pytest.raises(Transient):
            await world.sync(document)
        assert world.files() == {}
        world.listener = None
        found = await permissions.judge([owner], begun=begun, now=world.clock())
        assert found[owner].is_granted
        assert (await world.sync(document)).result is Result.SYNCED

    in_world(tmp_path, story)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nothing_leaves_after_a_withdrawal_in_the_middle_of_a_burst(tmp_path: Path, kind: str) -> None:
    """With real batches: no pass claimed after the withdrawal was answered sends anything of that owner's."""

    async def story(world: World) -> None:
        withdrawn, other = await world.new_matter(), await world.new_matter()
        for matter in (withdrawn, other):
            await world.want_owner(f"{KLAGE}:{matter}")
        mine: list[str] = []
        begun: dict[str, bool] = {}
        sent: list[str] = []
        is_withdrawn = asyncio.Event()

        async def listen(when: str, name: str) -> None:
            if when != "before":
                return
            record = name.rpartition("/")[2]
            if name.startswith("espocrm GET") and record in mine:
                begun.setdefault(record, is_withdrawn.is_set())
            if name.startswith("xai-files POST"):
                sent.append(name)
                if len(sent) == 10:
                    await world.espo("PUT", f"{KLAGE}/{withdrawn}", WITHDRAWN)
                    is_withdrawn.set()

        async with world.batches():
            await world.rest()
            mine += [await world.new_document(f"a {number}".encode(), withdrawn) for number in range(30)]
            others = [await world.new_document(f"b {number}".encode(), other) for number in range(30)]
            world.listener = listen
            await world.want(*(one for pair in zip(mine, others, strict=True) for one in pair))
            await world.until(is_withdrawn.is_set)
            await world.rest()
        left = {file["name"].partition("-")[0] for file in world.files().values()}
        began_after = {document for document, is_after in begun.items() if is_after}
        assert len(began_after) >= 10
        assert left.isdisjoint(began_after)
        assert set(others) <= left
        rows = await world.database.run(
            lambda c: egress.rows_of(c, world.database.cipher, f"{KLAGE}:{withdrawn}")
        )
        assert len(rows) == len(set(mine) & left)
        assert not await is_permitted(world, withdrawn)
        found = await world.database.run(lambda c: remaining.load(c, world.runtime.settings))
        assert {one.key for one in found if one.kind == "document"} == set(mine) & left

    in_world(tmp_path, story, kind=kind, is_real_time=True, sync_concurrency=4)


def test_a_hidden_permission_field_permits_nothing_and_says_so(tmp_path: Path) -> None:
    """The owner is parked with a sentence that names the field; its documents stay in the firm."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        document = await world.new_document(b"eins", matter)
        await world.seed({"entities": {KLAGE: {"removeFields": ["kiFreigabeDatum"]}}})
        assert (await world.sync(document)).result is Result.WITHHELD
        errors = await world.drain()
        assert len(errors) == 1
        assert "kiFreigabeDatum" in errors[0]
        assert world.files() == {}
        row = await world.database.run(lambda c: work_queue.get(c, "collections", f"{KLAGE}:{matter}"))
        assert row is not None
        assert row.park_reason == "field_missing"

    in_world(tmp_path, story)


def test_a_permission_dated_in_the_future_begins_on_its_day(tmp_path: Path) -> None:
    """Until then nothing leaves; on that day the owner is looked at again by itself and its documents follow."""

    async def story(world: World) -> None:
        day = datetime.fromtimestamp(world.clock(), UTC).date() + timedelta(days=3)
        matter = await world.new_matter(kiFreigabeDatum=day.isoformat())
        document = await world.new_document(b"eins", matter)
        assert (await world.sync(document)).result is Result.WAITING
        owner = world.runtime.streams["collections"]
        outcome = await owner.sync(f"{KLAGE}:{matter}")
        assert outcome.result is Result.WITHHELD
        assert outcome.again_in is not None
        assert 0 < outcome.again_in <= 24 * 3600
        assert world.files() == {}
        begun = world.clock()
        assert await world.drain() == []
        assert len(world.files_in(matter)) == 1
        assert 2 * 86400 <= world.clock() - begun <= 3 * 86400

    in_world(tmp_path, story)


def test_an_excluded_document_stays_and_what_is_there_is_reported(tmp_path: Path) -> None:
    """The box on the document counts under either rule; what was sent before is named, and taken up again without it."""

    async def story(world: World) -> None:
        await world.seed({"entities": {"CDokumente": {"fields": {"nichtFreigeben": {"type": "bool"}}}}})
        matter = await settled_matter(world)
        document = await world.new_document(b"eins", matter)
        await world.want(document)
        assert await world.drain() == []
        await world.espo("PUT", f"CDokumente/{document}", {"nichtFreigeben": True})
        await world.new_version(document, b"zwei")
        await world.want(document)
        world.calls.clear()
        assert await world.drain() == []
        assert leaving(world.calls) == []
        state = await world.state(document)
        assert state is not None
        assert state.status == EXCLUDED
        found = await world.database.run(lambda c: remaining.load(c, world.runtime.settings))
        assert [(one.key, one.why) for one in found] == [(document, remaining.Why.EXCLUDED)]
        await world.espo("PUT", f"CDokumente/{document}", {"nichtFreigeben": False})
        await world.want(document)
        assert await world.drain() == []
        assert await world.database.run(lambda c: remaining.load(c, world.runtime.settings)) == []
        assert [len(file["collections"]) for file in world.files().values()] == [1]

    in_world(tmp_path, story, xai_egress="collection", document_fields={"excluded": "nichtFreigeben"})


def test_a_link_that_was_never_settled_is_made_once_its_owner_permits_it_again(tmp_path: Path) -> None:
    """Withdrawn between the announcement of a link and the link: it is not taken for made."""

    async def story(world: World) -> None:
        first, second = await settled_matter(world), await settled_matter(world)
        document = await world.new_document(b"eins", first)
        await world.want(document)
        assert await world.drain() == []
        await world.link(second, document)

        async def break_off(when: str, name: str) -> None:
            if when == "before" and name.startswith("xai-management POST"):
                raise ConnectionResetError

        world.listener = break_off
        with contextlib.suppress(SyncError):
            await world.sync(document)
        world.listener = None
        await world.espo("PUT", f"{KLAGE}/{second}", WITHDRAWN)
        await world.want(document)
        assert await world.drain() == []
        state = await world.state(document)
        assert state is not None
        assert len(state.collections) == 1
        await world.espo("PUT", f"{KLAGE}/{second}", {"kiFreigabe": True})
        await world.want_owner(f"{KLAGE}:{second}")
        assert await world.drain() == []
        assert len(world.files_in(second)) == 1

    in_world(tmp_path, story)


def test_a_hidden_field_matters_under_its_own_rule_alone(tmp_path: Path) -> None:
    """Under `collection` nobody asks for the permission's fields; one that is not even named permits nothing."""

    async def linked_is_enough(world: World) -> None:
        await world.seed({"entities": {KLAGE: {"removeFields": ["kiFreigabeDatum"]}}})
        matter = await settled_matter(world)
        await world.new_document(b"eins", matter)
        await world.want_owner(f"{KLAGE}:{matter}")
        assert await world.drain() == []

    async def not_named(world: World) -> None:
        matter = await world.new_matter()
        await world.want_owner(f"{KLAGE}:{matter}")
        (error,) = await world.drain()
        assert "permission_reference_field" in error
        assert "COLLECTION_OWNERS" in error

    in_world(tmp_path / "one", linked_is_enough, xai_egress="collection")
    owner = {"entity_type": KLAGE, "word": "raeumungsklage", "permission_reference_field": None}
    in_world(tmp_path / "two", not_named, collection_owners=[owner])


def test_the_reference_stands_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It may name a person: not in a table, not in a line of the log, whether it is given or withdrawn."""

    async def story(world: World) -> None:
        matter = await world.new_matter(kiFreigabeReferenz="Vollmacht Erika Mustermann")
        document = await world.new_document(b"eins", matter, name="Brief Mustermann.txt")
        await world.want(document)
        assert await world.drain() == []
        await world.espo("PUT", f"{KLAGE}/{matter}", WITHDRAWN)
        await world.new_version(document, b"zwei", "Brief Mustermann.txt")
        await world.want(document)
        assert await world.drain() == []

        def everything(conn: Connection) -> str:
            return "".join(str(conn.execute(select(one)).all()) for one in schema.metadata.sorted_tables)

        stored = await world.database.run(everything)
        assert document in stored
        assert "Mustermann" not in stored

    caplog.set_level(logging.DEBUG)
    in_world(tmp_path, story)
    assert "permission_withdrawn" in caplog.text
    assert "Mustermann" not in caplog.text
