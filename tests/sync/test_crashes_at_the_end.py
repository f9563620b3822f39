"""Killed while a file is taken away: whatever was begun is ended, and EspoCRM does not go on naming what is gone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.sync.test_crashes import Killed
from tests.sync.test_document_flow import SECOND, settled_document
from tests.sync.world import World, in_world


async def _clear(world: World, document: str) -> None:
    await world.espo("PUT", f"CDokumente/{document}", {"dokumentId": None})


async def _delete(world: World, document: str) -> None:
    await world.espo("DELETE", f"CDokumente/{document}")


async def _replace_by_an_empty_one(world: World, document: str) -> None:
    await world.new_version(document, b"", "Leer.txt")


@pytest.mark.parametrize("end", [_clear, _delete, _replace_by_an_empty_one])
def test_a_kill_while_a_file_is_taken_away_is_recovered_from(tmp_path: Path, end: object) -> None:
    """Before and after every call: out of its collections, deleted or kept as the rule says, and named nowhere."""
    assert callable(end)

    async def prepare(world: World) -> tuple[str, str]:
        matter, document = await settled_document(world)
        await end(world, document)
        await world.want(document)
        world.calls.clear()
        return matter, document

    totals: list[int] = []

    async def count(world: World) -> None:
        await prepare(world)
        await world.drain()
        totals.append(len(world.calls))

    async def story(world: World, position: int, when: str) -> None:
        matter, document = await prepare(world)
        left = position + 1

        async def kill(moment: str, name: str) -> None:
            nonlocal left
            left -= moment == when
            if left == 0:
                world.listener = None
                raise Killed(name)

        world.listener = kill
        with pytest.raises(Killed):
            await world.drain()
        world.clock.advance(2000.0)
        await world.drain()
        assert world.files_in(matter) == set()
        assert len(world.files()) == (1 if end is _delete else 0)
        if end is _clear:
            record, state = await world.document(document), await world.state(document)
            assert state is not None
            names = ("xaiId", "xaiSyncedHash", "md5sum", "sha256")
            assert [record[name] for name in names] == [None] * 4
            assert (record["xaiCollections"], state.file_id, state.doomed) == ([], None, ())
        if end is not _delete:
            await world.new_version(document, SECOND)
            await world.want(document)
            assert await world.drain() == []
            assert world.files_in(matter) == set(world.files())
            assert len(world.files()) == 1

    in_world(tmp_path / "count", count)
    assert totals[0] >= 2
    for position in range(totals[0]):
        for when in ("before", "after"):
            in_world(tmp_path / f"{position}-{when}", partial(story, position=position, when=when))
