"""What an erasure writes in EspoCRM does not come back through the change feed; what a person does afterwards does."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitbylaw_pipeline.domain.erasure import Kind
from bitbylaw_pipeline.domain.errors import Transient
from bitbylaw_pipeline.inbox import feed_cursors
from tests.sync.erasure_desk import Clerk, NotedHistory, rows_naming, tools_of
from tests.sync.test_erasure import others_naming
from tests.sync.world import KLAGE, World, in_world

DOKUMENTE = "CDokumente"
BOTH = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


def clerk(world: World, **changed: float) -> Clerk:
    """A clerk at that world."""
    return Clerk(tools_of(world.runtime, NotedHistory(), **changed))


async def poll(world: World) -> dict[str, int]:
    """One poll; returns how many changed, by entity type."""
    return (await world.runtime.feed.poll_once()).changed


def advance(world: World, seconds: float) -> None:
    """Time goes by, here and at EspoCRM."""
    world.espocrm_app.clock.advance(seconds)
    world.clock.advance(seconds)


async def erasable(world: World) -> tuple[str, str]:
    """A matter and its document, synced, read by the feed, and without permission any more; both stay in EspoCRM."""
    matter = await world.new_matter()
    document = await world.new_document(b"of the client", matter)
    await world.want(document)
    assert await world.drain() == []
    await poll(world)
    assert await world.drain() == []
    advance(world, 60.0)
    await poll(world)
    await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": False})
    return matter, document


@BOTH
@pytest.mark.parametrize("erased", [Kind.DOCUMENT, Kind.MATTER])
def test_own_writes_of_an_erasure_are_no_news(tmp_path: Path, kind: str, erased: Kind) -> None:
    """The next polls want nothing and note nothing; once the feed has gone on, nothing names the record any more."""

    async def story(world: World) -> None:
        matter, document = await erasable(world)
        subject, words = (
            (document, {document})
            if erased is Kind.DOCUMENT
            else (
                f"{KLAGE}:{matter}",
                {matter, document},
            )
        )
        assert (await clerk(world).erase(erased, subject)).proof is not None
        assert (await world.document(document))["xaiId"] is None
        seen = (await poll(world)).get(DOKUMENTE, 0)
        assert seen == 0
        assert others_naming(world, words) == []
        advance(world, 30.0)
        # The feed's place is at the record that changed last: the firm goes on working.
        await world.new_document(None, await world.new_matter())
        for _ in range(2):
            await poll(world)
            advance(world, 30.0)
        await poll(world)
        assert rows_naming(world.database, words) == []

    in_world(tmp_path, story, kind=kind)


def test_an_edit_after_the_erasure_is_news(tmp_path: Path) -> None:
    """A person who saves the record in the very second of our write, or permits it again, is heard."""

    async def story(world: World) -> None:
        matter, document = await erasable(world)
        assert (await clerk(world).erase(Kind.MATTER, f"{KLAGE}:{matter}")).proof is not None
        await world.espo("PUT", f"{DOKUMENTE}/{document}", {"name": "Replik"})
        assert await poll(world) == {DOKUMENTE: 1}
        await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": True})
        assert await poll(world) == {KLAGE: 1}
        assert await world.drain() == []
        assert len(world.files()) == 1

    in_world(tmp_path, story)


def test_a_permission_that_comes_back_during_the_erasure_is_news(tmp_path: Path) -> None:
    """What was permitted before the last step is not taken for our own write."""

    async def story(world: World) -> None:
        matter, document = await erasable(world)
        permitted: list[str] = []

        async def permit(when: str, call: str) -> None:
            if when == "after" and call.startswith("espocrm PUT") and call.endswith(document):
                world.listener = None
                permitted.append(matter)
                await world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": True})

        world.listener = permit
        assert (await clerk(world).erase(Kind.DOCUMENT, document)).proof is not None
        assert permitted == [matter]
        assert await poll(world) == {DOKUMENTE: 1, KLAGE: 1}

    in_world(tmp_path, story)


def test_a_run_that_was_broken_off_after_its_writes_leaves_no_echo_either(tmp_path: Path) -> None:
    """The second run writes nothing in EspoCRM any more, and takes the first one's writes for seen all the same."""

    class Crash(Exception):
        """The process dies here."""

    def die(step: str) -> None:
        if step == "dagster":
            raise Crash

    async def story(world: World) -> None:
        matter, document = await erasable(world)
        with pytest.raises(Crash):
            await clerk(world).erase(Kind.MATTER, f"{KLAGE}:{matter}", die)
        await poll(world)
        assert (await clerk(world).erase(Kind.MATTER, f"{KLAGE}:{matter}")).proof is not None
        assert await poll(world) == {}
        assert others_naming(world, {matter, document}) == []

    in_world(tmp_path, story)


def test_a_poll_under_way_is_waited_for(tmp_path: Path) -> None:
    """It would store the marks that it began with: the last step waits for its end, or says to run it again."""

    async def story(world: World) -> None:
        _, document = await erasable(world)
        held = await world.database.run(
            lambda conn: feed_cursors.hold(conn, world.database.now(conn), DOKUMENTE, 60.0)
        )
        assert held
        with pytest.raises(Transient, match="run it again"):
            await clerk(world, wait_seconds=0.0).erase(Kind.DOCUMENT, document)
        assert await world.state(document) is not None
        await world.database.run(lambda conn: feed_cursors.release(conn, DOKUMENTE))
        assert (await clerk(world).erase(Kind.DOCUMENT, document)).proof is not None
        assert (await poll(world)).get(DOKUMENTE, 0) == 0

    in_world(tmp_path, story)
