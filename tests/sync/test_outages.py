"""A system in trouble at every call of the document flow: the work waits, finishes, and holds nobody up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.inbox import outages, work_queue
from bitbylaw_pipeline.sandbox.faults import Fault
from tests.sync.test_document_flow import assert_in_step
from tests.sync.world import KLAGE, World, open_world

FIRST, SECOND = b"Erste Fassung", b"Zweite Fassung"
SYSTEMS = ("espocrm", "xai-files", "xai-management")
OWN_PATHS = {"espocrm": "/api/v1/.*", "xai-files": "/v1/(?!collections).*", "xai-management": "/(auth|v1/collections).*"}
# As a fault's settings; the hang is longer than any of the clients' time limits here.
TROUBLES: dict[str, dict[str, Any]] = {
    "429": {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}},
    "500": {"kind": "status", "status": 500},
    "503": {"kind": "status", "status": 503, "headers": {"Retry-After": "1"}},
    "html": {"kind": "html"},
    "half a body": {"kind": "cut_body"},
    "hang": {"kind": "hang", "seconds": 30.0},
    "closed": {"kind": "close"},
}
AFTER_COMMIT = {"kind": "timeout_after_commit", "seconds": 30.0}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the flow: the how-manieth to its system."""

    system: str
    position: int


def _faults(world: World, system: str) -> Any:
    return world.espocrm_app.faults if system == "espocrm" else world.xai.faults


async def _a_day(world: World) -> tuple[str, str]:
    """A new document in a new matter, then a new version in another one: every kind of call. Returns both."""
    matter, second = await world.new_matter(), await world.new_matter()
    document = await world.new_document(FIRST, matter)
    await world.want(document)
    await world.rest()
    await world.new_version(document, SECOND)
    await world.link(second, document)
    await world.unlink(matter, document)
    await world.want(document)
    await world.rest()
    return document, second


async def _assert_day_done(world: World, document: str, matter: str) -> None:
    world.listener = None
    await assert_in_step(world, document, matter)
    assert len(world.files()) == 1
    assert len(world.xai.state()["collections"]) == 2
    assert await world.database.run(lambda conn: work_queue.parked(conn)) == []
    assert await world.database.run(lambda conn: outages.listing(conn)) == []


async def _count(folder: Path) -> dict[str, int]:
    async with open_world(folder, is_real_time=True) as world, world.batches():
        await _a_day(world)
        calls = [call.split()[0] for call in world.calls]
        return {system: calls.count(system) for system in SYSTEMS}


async def _with_trouble(folder: Path, call: Call, trouble: dict[str, Any]) -> None:
    """The day with one call in trouble; what came of it must not show."""
    async with open_world(folder, is_real_time=True) as world, world.batches():
        seen = 0

        async def listen(when: str, name: str) -> None:
            nonlocal seen
            system, method, path = name.split()
            if when != "before" or system != call.system:
                return
            if seen == call.position:
                _faults(world, system).add(Fault(path=re.escape(path), method=method, times=1, **trouble))
            seen += 1

        world.listener = listen
        try:
            await _assert_day_done(world, *await _a_day(world))
        except AssertionError as error:
            raise AssertionError(f"{call} with {trouble['kind']}: {error}") from error


async def _all(stories: list[Callable[[], Awaitable[None]]], at_once: int = 8) -> None:
    limit = asyncio.Semaphore(at_once)

    async def one(story: Callable[[], Awaitable[None]]) -> None:
        async with limit:
            await story()

    await asyncio.gather(*(one(story) for story in stories))


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [*TROUBLES, "after commit"])
def test_one_call_in_trouble_at_every_position_ends_in_step(tmp_path: Path, trouble: str) -> None:
    """Whatever happens to a single call, the next pass puts it right: no file or collection twice, nothing parked."""

    async def main() -> None:
        (tmp_path / "count").mkdir()
        counts = await _count(tmp_path / "count")
        assert all(count > 0 for count in counts.values())
        stories = []
        for system, count in counts.items():
            for position in range(count):
                folder = tmp_path / f"{system}-{position}"
                folder.mkdir()
                call = Call(system, position)
                stories.append(
                    lambda folder=folder, call=call: _with_trouble(folder, call, TROUBLES.get(trouble, AFTER_COMMIT))
                )
        await _all(stories)

    asyncio.run(main())
