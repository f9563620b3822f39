"""Killed at every remote call, before it and after it: the next pass carries on, and nothing is doubled or lost."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.sync.test_document_flow import assert_in_step
from tests.sync.world import KLAGE, World, in_world

FIRST, SECOND = b"Erste Fassung", b"Zweite Fassung"

Change = Callable[[World, str, str], Awaitable[tuple[str, ...]]]
"""What a person does to a synced document and its matter; returns the matters that then hold it."""


class Killed(BaseException):
    """The process died here: nothing of ours runs any more."""


async def _nothing(world: World, document: str, matter: str) -> tuple[str, ...]:
    return (matter,)


async def _new_version(world: World, document: str, matter: str) -> tuple[str, ...]:
    await world.new_version(document, SECOND)
    return (matter,)


async def _second_matter(world: World, document: str, matter: str) -> tuple[str, ...]:
    second = await world.new_matter()
    await world.link(second, document)
    return matter, second


async def _other_matter(world: World, document: str, matter: str) -> tuple[str, ...]:
    second = await world.new_matter()
    await world.link(second, document)
    await world.unlink(matter, document)
    return (second,)


async def _version_and_matter(world: World, document: str, matter: str) -> tuple[str, ...]:
    await world.new_version(document, SECOND)
    return await _other_matter(world, document, matter)


CHANGES: dict[str, tuple[Change, bool]] = {
    "new document": (_nothing, False),
    "new version": (_new_version, True),
    "second matter": (_second_matter, True),
    "another matter": (_other_matter, True),
    "new version and another matter": (_version_and_matter, True),
}
SWITCHES = {
    "likely": {"re_add": 200, "remove_last": "keep", "remove_nonmember": 404},
    "unlikely": {"re_add": 409, "remove_last": "drop", "remove_nonmember": 200},
}


async def _prepare(world: World, change: Change, *, is_synced_before: bool) -> tuple[str, tuple[str, ...]]:
    matter = await world.new_matter()
    document = await world.new_document(FIRST, matter)
    if is_synced_before:
        await world.want(document)
        assert await world.drain() == []
    return document, await change(world, document, matter)


async def _count_calls(world: World, change: Change, *, is_synced_before: bool) -> int:
    document, _ = await _prepare(world, change, is_synced_before=is_synced_before)
    world.calls.clear()
    await world.want(document)
    assert await world.drain() == []
    return len(world.calls)


async def _kill_and_recover(
    world: World, change: Change, *, is_synced_before: bool, position: int, when: str
) -> None:
    document, matters = await _prepare(world, change, is_synced_before=is_synced_before)
    seen = 0

    async def kill(moment: str, name: str) -> None:
        nonlocal seen
        if moment != when:
            return
        if seen == position:
            world.listener = None
            raise Killed(name)
        seen += 1

    await world.want(document)
    world.listener = kill
    with pytest.raises(Killed):
        await world.drain()
    # The leases of the dead run out; the queue still knows what was wanted.
    world.clock.advance(2000.0)
    world.xai.clock.advance(2000.0)
    assert await world.drain() == []
    await assert_in_step(world, document, *matters)
    names = [collection["name"] for collection in world.xai.state()["collections"]]
    assert len(names) == len(set(names))
    content = SECOND if change in (_new_version, _version_and_matter) else FIRST
    assert [file["sha256"] for file in world.files().values()] == [hashlib.sha256(content).hexdigest()]


@pytest.mark.slow
@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("case", CHANGES)
def test_a_kill_at_any_call_is_recovered_from(tmp_path: Path, case: str, switches: str) -> None:
    """For every call of the flow: no update lost, one collection an owner, one file a document, no orphan."""
    change, is_synced_before = CHANGES[case]
    total: list[int] = []

    async def count(world: World) -> None:
        world.xai.switches.update(SWITCHES[switches])
        total.append(await _count_calls(world, change, is_synced_before=is_synced_before))

    (tmp_path / "count").mkdir()
    in_world(tmp_path / "count", count)
    assert total[0] >= 5
    for position in range(total[0]):
        for when in ("before", "after"):
            folder = tmp_path / f"{position}-{when}"
            folder.mkdir()

            async def story(world: World, position: int = position, when: str = when) -> None:
                world.xai.switches.update(SWITCHES[switches])
                await _kill_and_recover(
                    world, change, is_synced_before=is_synced_before, position=position, when=when
                )

            in_world(folder, story)


def test_after_an_unclear_upload_the_file_is_waited_for_and_adopted(tmp_path: Path) -> None:
    """The listing lags behind the upload that landed: the pass waits for it, and nothing is uploaded twice."""

    async def story(world: World) -> None:
        world.xai.switches.update({"list_lag": 20.0})
        matter = await world.new_matter()
        document = await world.new_document(FIRST, matter)

        async def kill(moment: str, name: str) -> None:
            if moment == "after" and name.startswith("xai-files POST"):
                world.listener = None
                raise Killed(name)

        world.listener = kill
        await world.want(document)
        with pytest.raises(Killed):
            await world.drain()
        assert len(world.files()) == 1
        world.clock.advance(1001.0)
        assert await world.drain() == []
        assert len(world.files()) == 1
        await assert_in_step(world, document, matter)

    in_world(tmp_path, story, xai_settle_seconds=2000.0)


def test_after_an_unclear_create_the_collection_is_waited_for_and_not_doubled(tmp_path: Path) -> None:
    """The listing does not show the collection that was created: no second one is made before it has settled."""

    async def story(world: World) -> None:
        world.xai.switches.update({"list_lag": 25.0})
        matter = await world.new_matter()

        async def kill(moment: str, name: str) -> None:
            if moment == "after" and name == "xai-management POST /v1/collections":
                world.listener = None
                raise Killed(name)

        world.listener = kill
        await world.want_owner(f"{KLAGE}:{matter}")
        with pytest.raises(Killed):
            await world.drain()
        world.clock.advance(1001.0)
        assert await world.drain() == []
        assert len(world.xai.state()["collections"]) == 1
        record = await world.espo("GET", f"{KLAGE}/{matter}")
        assert record["xaiCollectionId"] == world.collections()[f"espocrm:{KLAGE}:{matter}"]["id"]

    in_world(tmp_path, story, xai_settle_seconds=2000.0)
