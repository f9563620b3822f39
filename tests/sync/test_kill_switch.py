"""The kill switch: thrown in the middle of a burst nothing leaves within seconds; lifted, everything goes its way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from bitbylaw_pipeline.domain.collection_state import MUST_SEARCH
from bitbylaw_pipeline.domain.document_plan import CLEAN, PARTIAL, STOPPED
from bitbylaw_pipeline.domain.outcome import Result
from bitbylaw_pipeline.inbox import collection_states, egress, egress_switch, intents, work_queue
from bitbylaw_pipeline.inbox.egress_switch import Resumed
from bitbylaw_pipeline.inbox.remaining import UPLOAD
from bitbylaw_pipeline.sync.egress_watch import EgressStopped, EgressWatch
from tests.sync.test_permission import leaving, settled_matter
from tests.sync.world import KLAGE, World, in_world


async def stop(world: World) -> bool:
    """What `bitbylaw egress stop` does."""
    return await world.database.run(lambda c: egress_switch.stop(c, world.database.now(c)))


async def allow(world: World) -> Resumed:
    """What `bitbylaw egress allow` does."""
    return await world.database.run(lambda c: egress_switch.allow(c, world.database.now(c)))


async def rows(world: World) -> int:
    """How many rows the register has."""
    return await world.database.run(lambda c: egress.head(c)[0])


async def status(world: World, document: str) -> str:
    """What our state says of the document."""
    state = await world.state(document)
    assert state is not None
    return state.status


def test_stopped_before_the_pass_nothing_is_fetched_and_lifted_it_resumes(tmp_path: Path) -> None:
    """Whatever was kept back is wanted by lifting the switch: nobody has to remember it."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        document = await world.new_document(b"eins", matter)
        assert await stop(world)
        assert not await stop(world)
        world.calls.clear()
        await world.want(document)
        assert await world.drain() == []
        assert world.outcomes[-1].result is Result.WITHHELD
        assert world.outcomes[-1].facts["reason"] == "egress is stopped"
        assert leaving(world.calls) == []
        assert not any("Attachment" in call for call in world.calls)
        assert await status(world, document) == STOPPED
        assert await rows(world) == 0
        assert await allow(world) == Resumed(True, 1, 0)
        assert await world.drain() == []
        assert len(world.files_in(matter)) == 1
        assert await status(world, document) == CLEAN
        assert await allow(world) == Resumed(False)

    in_world(tmp_path, story)


def test_a_clean_document_is_looked_at_as_ever(tmp_path: Path) -> None:
    """Nothing of it is to leave, so nothing is kept back; what is to be taken away is taken away."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        document = await world.new_document(b"eins", matter)
        await world.want(document)
        assert await world.drain() == []
        await stop(world)
        assert (await world.sync(document)).result is Result.UNCHANGED
        assert await status(world, document) == CLEAN
        await world.unlink(matter, document)
        await world.sync(document)
        assert world.files_in(matter) == set()
        assert await allow(world) == Resumed(True, 0, 0)

    in_world(tmp_path, story)


def test_no_collection_is_made_and_later_it_is(tmp_path: Path) -> None:
    """A new owner waits with its documents; one whose collection stands is not troubled."""

    async def story(world: World) -> None:
        settled = await settled_matter(world)
        await stop(world)
        matter = await world.new_matter()
        document = await world.new_document(b"eins", matter)
        await world.want(document)
        await world.want_owner(f"{KLAGE}:{matter}", f"{KLAGE}:{settled}")
        assert await world.drain() == []
        results = {one.key: one.result for one in world.outcomes}
        assert results[f"{KLAGE}:{matter}"] is Result.WITHHELD
        assert results[f"{KLAGE}:{settled}"] is Result.UNCHANGED
        assert len(world.collections()) == 1
        assert "keep back" in (await world.runtime.streams["collections"].describe(f"{KLAGE}:{matter}"))[0]
        assert (await allow(world)).collections == 1
        assert await world.drain() == []
        assert len(world.files_in(matter)) == 1

    in_world(tmp_path, story)


def before_call(world: World, part: str) -> asyncio.Event:
    """Throws the switch right before the first call whose name holds that; the event is set once it is thrown."""
    thrown = asyncio.Event()

    async def listen(when: str, name: str) -> None:
        if when == "before" and part in name and not thrown.is_set():
            await stop(world)
            thrown.set()

    world.listener = listen
    return thrown


@pytest.mark.parametrize("part", ["espocrm GET /api/v1/Attachment", f"espocrm GET /api/v1/{KLAGE}/"])
def test_thrown_between_plan_and_upload_nothing_is_registered(tmp_path: Path, part: str) -> None:
    """The switch is looked at in the transaction that writes the register."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        document = await world.new_document(b"eins", matter)
        thrown = before_call(world, part)
        assert (await world.sync(document)).result is Result.WITHHELD
        assert thrown.is_set()
        assert await rows(world) == 0
        assert leaving(world.calls) == []
        assert world.files() == {}
        await allow(world)
        assert await world.drain() == []
        assert len(world.files_in(matter)) == 1

    in_world(tmp_path, story)


def test_a_link_into_a_further_collection_is_kept_back(tmp_path: Path) -> None:
    """The file is at xAI already, and still does not go into one more collection."""

    async def story(world: World) -> None:
        first, second = await settled_matter(world), await settled_matter(world)
        document = await world.new_document(b"eins", first)
        await world.want(document)
        assert await world.drain() == []
        before = await rows(world)
        await world.link(second, document)
        before_call(world, f"espocrm GET /api/v1/{KLAGE}/{second}")
        assert (await world.sync(document)).result is Result.WITHHELD
        assert await rows(world) == before
        assert world.files_in(second) == set()
        await allow(world)
        assert await world.drain() == []
        assert len(world.files_in(second)) == 1
        assert await rows(world) == before + 1

    in_world(tmp_path, story)


def test_a_link_that_is_in_the_register_already_is_kept_back(tmp_path: Path) -> None:
    """Uploaded, not yet linked, then stopped: the link is not made, not by this pass and not by the next."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        document = await world.new_document(b"eins", matter)
        before_call(world, "xai-files POST")
        assert (await world.sync(document)).result is Result.WITHHELD
        assert len(world.files()) == 1
        assert world.files_in(matter) == set()
        assert await status(world, document) == PARTIAL
        assert (await world.sync(document)).result is Result.WITHHELD
        assert world.files_in(matter) == set()
        assert await status(world, document) == PARTIAL
        await allow(world)
        assert await world.drain() == []
        assert len(world.files_in(matter)) == 1
        assert len(world.files()) == 1

    in_world(tmp_path, story)


def test_thrown_right_before_a_link_is_settled_again_it_is_kept_back(tmp_path: Path) -> None:
    """A link of a pass that broke off registers nothing new, and looks at the switch all the same."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        document = await world.new_document(b"eins", matter)
        before_call(world, "xai-files POST")
        await world.sync(document)
        await allow(world)
        world.calls.clear()
        before_call(world, f"espocrm GET /api/v1/{KLAGE}/{matter}")
        assert (await world.sync(document)).result is Result.WITHHELD
        assert leaving(world.calls) == []
        assert world.files_in(matter) == set()

    in_world(tmp_path, story)


def test_an_upload_on_its_way_is_broken_off(tmp_path: Path) -> None:
    """Cancelled within seconds, journaled as unclear; lifted, the file is there once."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        document = await world.new_document(b"eins", matter)
        is_on_its_way = asyncio.Event()
        never = asyncio.Event()

        async def hold(when: str, name: str) -> None:
            if when == "before" and name.startswith("xai-files POST"):
                is_on_its_way.set()
                await never.wait()

        world.listener = hold
        under_way = asyncio.create_task(world.sync(document))
        await is_on_its_way.wait()
        await stop(world)
        assert (await asyncio.wait_for(under_way, 15)).result is Result.WITHHELD
        world.listener = None
        assert world.files() == {}
        assert len(await world.database.run(lambda c: intents.unsettled(c, UPLOAD, document))) == 1
        assert await status(world, document) == PARTIAL
        assert await rows(world) == 1
        await allow(world)
        assert await world.drain() == []
        assert len(world.files_in(matter)) == 1
        assert len(world.files()) == 1

    in_world(tmp_path, story)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_thrown_in_the_middle_of_a_burst_nothing_leaves_any_more(tmp_path: Path, kind: str) -> None:
    """With real batches: the register does not grow, no call that brings anything to xAI begins, and all of it resumes."""

    async def story(world: World) -> None:
        matter = await world.new_matter()
        await world.want_owner(f"{KLAGE}:{matter}")
        sent: list[str] = []
        registered: list[int] = []
        never = asyncio.Event()
        is_stopped = asyncio.Event()

        async def listen(when: str, name: str) -> None:
            if when != "before" or not leaving([name]):
                return
            sent.append(name)
            if len(sent) == 20:
                await stop(world)
                registered.append(await rows(world))
                is_stopped.set()
            if 18 <= len(sent) <= 22:
                await never.wait()  # on its way for ever: broken off

        async with world.batches():
            await world.rest()
            documents = [await world.new_document(f"Nr. {number}".encode(), matter) for number in range(40)]
            world.listener = listen
            await world.want(*documents)
            await world.until(is_stopped.is_set)
            await world.rest()
            assert await rows(world) == registered[0]
            # What had been registered before may have begun within the second.
            begun = len(sent)
            await world.want(*documents)
            await world.rest()
            assert len(sent) == begun
            assert len(world.files()) < 40
            world.listener = None
            assert (await allow(world)).documents >= 40 - len(world.files())
            await world.rest()
            assert len(world.files_in(matter)) == 40
            assert len(world.files()) == 40
        assert await world.database.run(egress.verify) is None

    in_world(tmp_path, story, kind=kind, is_real_time=True, sync_concurrency=4, xai_timeout_seconds=60.0)


def test_a_pass_that_is_overtaken_by_the_lifting_wants_itself_again(tmp_path: Path) -> None:
    """It planned while the switch was on and notes it after it was lifted: nobody else would know of it."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        other = await settled_matter(world)
        document = await world.new_document(b"eins", other)
        await world.want(document)
        assert await world.drain() == []
        await world.unlink(other, document)
        await world.link(matter, document)
        await stop(world)

        async def lift(when: str, name: str) -> None:
            # Between the reading of our side and the note: the file is taken out of the former collection.
            if when == "before" and name.startswith("xai-management DELETE"):
                assert await allow(world) == Resumed(True, 0, 0)

        world.listener = lift
        assert (await world.sync(document)).result is Result.WITHHELD
        world.listener = None
        row = await world.database.run(lambda c: work_queue.get(c, "documents", document))
        assert row is not None
        assert row.wanted > row.done
        assert await world.drain() == []
        assert len(world.files_in(matter)) == 1

    in_world(tmp_path, story)


def test_what_is_watched_ends_as_it_would_by_itself(tmp_path: Path) -> None:
    """Results and errors pass through; a pass that is cancelled takes what it sends along."""

    async def story(world: World) -> None:
        watch = EgressWatch(world.database, look_every=0.01)

        async def fail() -> None:
            raise ValueError("of its own")

        async def answer() -> int:
            return 7

        assert await watch.unless_stopped(answer()) == 7
        with pytest.raises(ValueError, match="of its own"):
            await watch.unless_stopped(fail())
        begun, ended = asyncio.Event(), asyncio.Event()

        async def for_ever() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        watching = asyncio.create_task(watch.unless_stopped(for_ever()))
        await begun.wait()
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
        assert ended.is_set()
        both = [asyncio.create_task(watch.unless_stopped(for_ever())) for _ in range(2)]
        await stop(world)
        assert [type(one) for one in await asyncio.gather(*both, return_exceptions=True)] == [
            EgressStopped
        ] * 2

    in_world(tmp_path, story)


def test_a_look_that_fails_is_not_the_last(tmp_path: Path) -> None:
    """Whatever the state database answers once, what is on its way is broken off at the next look."""

    async def story(world: World) -> None:
        watch = EgressWatch(world.database, look_every=0.01)
        await world.database.run(lambda c: c.execute(text("ALTER TABLE flag RENAME TO flag_away")))

        async def for_ever() -> None:
            await asyncio.Event().wait()

        watching = asyncio.create_task(watch.unless_stopped(for_ever()))
        with capture_logs() as lines:
            await world.until(lambda: any(line["event"] == "egress_watch_failed" for line in lines))
            await world.database.run(lambda c: c.execute(text("ALTER TABLE flag_away RENAME TO flag")))
            await stop(world)
            with pytest.raises(EgressStopped):
                await watching

    in_world(tmp_path, story)


def test_an_owner_whose_collections_must_be_searched_for_is_taken_up_as_well(tmp_path: Path) -> None:
    """The mark of a doubtful collection outlives the switch."""

    async def story(world: World) -> None:
        matter = await settled_matter(world)
        key = f"{KLAGE}:{matter}"
        state = await world.database.run(lambda c: collection_states.get(c, key))
        assert state is not None
        doubtful = replace(state, status=MUST_SEARCH)
        await world.database.run(lambda c: collection_states.put(c, doubtful))
        await stop(world)
        await world.want_owner(key)
        assert await world.drain() == []
        state = await world.database.run(lambda c: collection_states.get(c, key))
        assert state is not None
        assert state.status == MUST_SEARCH
        assert (await allow(world)).collections == 1

    in_world(tmp_path, story)
