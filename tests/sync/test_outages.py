"""A system in trouble at every call of the document flow: the work waits, finishes, and holds nobody up."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bitbylaw_pipeline.inbox import outages, work_queue
from bitbylaw_pipeline.inbox.work_queue import WorkRow
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.sandbox.serving import loopback_server
from bitbylaw_pipeline.wiring import open_runtime
from tests.sync.test_document_flow import assert_in_step
from tests.sync.world import KLAGE, World, open_world

FIRST, SECOND = b"Erste Fassung", b"Zweite Fassung"
SYSTEMS = ("espocrm", "xai-files", "xai-management")
OWN_PATHS = {
    "espocrm": "/api/v1/.*",
    "xai-files": "/v1/(?!collections).*",
    "xai-management": "/(auth|v1/collections).*",
}
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
    method: str = "GET"


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
    assert await world.database.run(work_queue.parked) == []
    assert await world.database.run(outages.listing) == []


async def _calls_of_a_day(folder: Path) -> list[Call]:
    async with open_world(folder, is_real_time=True) as world, world.batches():
        await _a_day(world)
        seen: Counter[str] = Counter()
        calls = []
        for name in world.calls:
            system, method, _ = name.split()
            calls.append(Call(system, seen[system], method))
            seen[system] += 1
        return calls


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


async def _all(stories: Sequence[Coroutine[Any, Any, None]], at_once: int = 8) -> None:
    limit = asyncio.Semaphore(at_once)

    async def one(story: Coroutine[Any, Any, None]) -> None:
        async with limit:
            await story

    async with asyncio.TaskGroup() as group:
        for story in stories:
            group.create_task(one(story))


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [*TROUBLES, "after commit"])
def test_one_call_in_trouble_at_every_position_ends_in_step(tmp_path: Path, trouble: str) -> None:
    """Whatever happens to a single call, the next pass puts it right: no file or collection twice, nothing parked.

    Every write meets every trouble; the reads take turns, because they have one way to fail.
    """

    async def main() -> None:
        calls = await _calls_of_a_day(tmp_path / "count")
        assert {call.system for call in calls} == set(SYSTEMS)
        number = [*TROUBLES, "after commit"].index(trouble)
        chosen = [call for call in calls if call.method != "GET" or (call.position + number) % 2]
        await _all(
            [
                _with_trouble(
                    tmp_path / f"{call.system}-{call.position}", call, TROUBLES.get(trouble, AFTER_COMMIT)
                )
                for call in chosen
                if call.method != "GET" or trouble in TROUBLES
            ]
        )

    asyncio.run(main())


async def _outage(folder: Path, system: str, trouble: dict[str, Any], position: int) -> None:
    """From its how-manieth call on, the whole system is in trouble for a while; then it is well again."""
    async with open_world(folder, is_real_time=True) as world, world.batches():
        is_down, seen = asyncio.Event(), 0

        async def listen(when: str, name: str) -> None:
            nonlocal seen
            if when != "before" or not name.startswith(f"{system} ") or is_down.is_set():
                return
            seen += 1
            if seen > position:
                is_down.set()
                _faults(world, system).add(Fault(path=OWN_PATHS[system], **trouble))

        world.listener = listen
        matter = await world.new_matter()
        documents = [await world.new_document(b"Fassung %d" % number, matter) for number in range(6)]
        await world.want(*documents)
        async with asyncio.timeout(20):
            await is_down.wait()
            await world.until(lambda: _is_paused(world, system))
        await asyncio.sleep(0.5)
        _faults(world, system).clear()
        attempts = {(await _row(world, document)).attempts for document in documents}
        await world.rest()
        world.listener = None
        file_ids = {(await world.document(document))["xaiId"] for document in documents}
        assert world.files_in(matter) == file_ids == set(world.files()), (system, trouble)
        assert len(file_ids) == 6
        assert attempts == {0}, (system, trouble, position)
        assert await _paused(world) == {}
        assert len(world.xai.state()["collections"]) == 1


async def _paused(world: World) -> dict[str, float]:
    listed = await world.database.run(outages.listing)
    return {outage.system: outage.until for outage in listed}


async def _is_paused(world: World, system: str) -> bool:
    return system in await _paused(world)


async def _is_idle(world: World, *documents: str) -> bool:
    """Nothing is leased and the outage is known."""
    is_free = all([(await _row(world, document)).lease_token is None for document in documents])
    return is_free and bool(await _paused(world))


async def _row(world: World, document: str) -> WorkRow:
    row = await world.database.run(lambda conn: work_queue.get(conn, "documents", document))
    assert row is not None
    return row


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_whole_system_in_trouble_is_waited_for_and_counts_against_nobody(
    tmp_path: Path, system: str
) -> None:
    """Whatever kind of trouble: the stream pauses, no document's attempts are counted, a probe ends it, all is done."""

    async def main() -> None:
        await _all(
            [
                _outage(tmp_path / f"{name.replace(' ', '-')}-{position}", system, trouble, position)
                for name, trouble in TROUBLES.items()
                for position in (0, 5)
            ]
        )

    asyncio.run(main())


def test_nothing_is_asked_before_the_time_that_was_asked_for(tmp_path: Path) -> None:
    """429 with Retry-After: not one call to that system before the time is up, then one probe, then the work."""

    async def main() -> None:
        # Few at once: all that is under way has ended long before the two seconds are up.
        patience: dict[str, Any] = {
            "xai_timeout_seconds": 20.0,
            "espocrm_api_timeout_seconds": 20.0,
            "sync_concurrency": 4,
        }
        async with open_world(tmp_path, is_real_time=True, **patience) as world, world.batches():
            matter = await world.new_matter()
            first = await world.new_document(FIRST, matter)
            await world.want(first)
            await world.rest()
            busy: dict[str, Any] = {"kind": "status", "status": 429, "headers": {"Retry-After": "2"}}
            fault = world.xai.faults.add(Fault(path="/v1/files", method="POST", times=1, **busy))
            documents = [await world.new_document(b"Fassung %d" % number, matter) for number in range(40)]
            await world.want(*documents)
            await world.until(lambda: fault.applied > 0)
            # What is under way may end its calls; nothing new begins.
            await world.until(lambda: _is_idle(world, *documents))
            assert "xai-files" in await _paused(world)
            before = world.xai.ledger.total
            await world.rest()
            entries = list(world.xai.ledger.entries)
            (refused,) = [entry for entry in entries if entry.fault]
            first_call = entries[before - world.xai.ledger.total]
            assert first_call.path == "/v1/api-key"
            assert first_call.at - refused.at >= 2.0
            assert [entry.path for entry in entries].count("/v1/api-key") == 1
            assert len(world.files_in(matter)) == 41
            parked_or_counted = {(await _row(world, document)).attempts for document in documents}
            assert parked_or_counted == {0}

    asyncio.run(main())


def test_one_document_in_trouble_holds_nobody_up(tmp_path: Path) -> None:
    """Its own route fails, the system's probe answers: its attempts count, its neighbours are done meanwhile."""

    async def main() -> None:
        async with open_world(tmp_path, is_real_time=True) as world, world.batches():
            matter = await world.new_matter()
            bad = await world.new_document(FIRST, matter)
            good = [await world.new_document(b"Fassung %d" % number, matter) for number in range(6)]
            world.espocrm_app.faults.add(Fault("status", f"/api/v1/CDokumente/{bad}", status=500))
            await world.want(bad, *good)
            await world.until(lambda: len(world.files_in(matter)) == 6, "A neighbour was held up.")
            assert (await _row(world, bad)).attempts > 0
            assert await _paused(world) == {}
            world.espocrm_app.faults.clear()
            await world.rest()
            assert len(world.files_in(matter)) == 7

    asyncio.run(main())


@pytest.mark.parametrize(
    ("system", "switch", "on", "off"),
    [
        ("xai-files", "api_key_state", "invalid", "ok"),
        ("xai-management", "management_key_state", "no_permission", "ok"),
        ("xai-files", "credits_exhausted", 429, "no"),
    ],
)
def test_a_refused_key_pauses_and_does_not_hammer(
    tmp_path: Path, system: str, switch: str, on: Any, off: Any
) -> None:
    """A key that is not accepted (or a team without credits): a handful of calls a pause, nothing parked.

    Once the key is accepted again the work goes on by itself.
    """

    async def main() -> None:
        async with open_world(tmp_path, is_real_time=True, sync_concurrency=2) as world:
            world.runtime.outage_watch.auth_seconds = 0.6
            matter = await world.new_matter()
            await world.want_owner(f"{KLAGE}:{matter}")
            async with world.batches():
                await world.rest()
                world.xai.switches.update({switch: on})
                documents = [await world.new_document(b"Fassung %d" % number, matter) for number in range(20)]
                await world.want(*documents)
                await world.until(lambda: _is_paused(world, system))
                before = world.xai.ledger.total
                await asyncio.sleep(2.0)
                assert world.xai.ledger.total - before < 25
                world.xai.switches.update({switch: off})
                await world.rest()
            assert len(world.files_in(matter)) == 20
            assert {(await _row(world, document)).attempts for document in documents} == {0}

    asyncio.run(main())


def test_the_feed_leaves_a_paused_espocrm_alone(tmp_path: Path) -> None:
    """Ten refused keys within a minute would lock our whole address out: the feed asks as seldom as everybody else."""

    async def main() -> None:
        async with open_world(tmp_path, is_real_time=True) as world:
            world.espocrm_app.faults.add(Fault("status", "/api/v1/.*", status=401))
            for _ in range(20):
                await world.runtime.feed.poll_quietly()
            assert world.espocrm_app.ledger.total - 1 < 3
            assert "espocrm" in await _paused(world)

    asyncio.run(main())


def test_a_system_that_refuses_connections_is_waited_for_over_real_sockets(tmp_path: Path) -> None:
    """Nobody listens: the work waits; somebody listens again: it is done, with no attempt counted."""

    async def main() -> None:
        async with open_world(tmp_path, is_real_time=True) as world:
            matter = await world.new_matter()
            document = await world.new_document(FIRST, matter)
            await world.want(document)
            server = loopback_server(world.xai)
            address = server.url
            server.sock.close()
            settings = world.runtime.settings.model_copy(
                update={
                    "xai_api_base_url": f"{address}/api/v1",
                    "xai_management_base_url": f"{address}/management/v1",
                    "state_db_url": str(world.database.engine.url),
                }
            )
            transports = {"espocrm": httpx.ASGITransport(app=world.espocrm_app)}
            async with open_runtime(settings, database=world.database, transports=transports) as runtime:
                world.runtime = runtime
                async with world.batches():
                    await world.until(lambda: _is_paused(world, "xai-management"))
                    again = loopback_server(world.xai, int(address.rpartition(":")[2]))
                    serving = asyncio.create_task(again.run_until_stopped())
                    await world.rest()
                    again.stop()
                    await serving
                assert len(world.files_in(matter)) == 1
                assert (await _row(world, document)).attempts == 0

    asyncio.run(main())


def test_a_batch_stopped_in_the_middle_of_an_upload_leaves_nothing_leased(tmp_path: Path) -> None:
    """Cancelled while the file is on its way: the next batch finds out what became of it, and there is one file."""

    async def main() -> None:
        async with open_world(tmp_path, is_real_time=True, xai_timeout_seconds=30.0) as world:
            matter = await world.new_matter()
            document = await world.new_document(FIRST, matter)
            slow = world.xai.faults.add(
                Fault("timeout_after_commit", "/v1/files", method="POST", seconds=30.0)
            )
            await world.want(document)
            async with world.batches():
                await world.until(lambda: slow.applied > 0)
                began = time.monotonic()
            assert time.monotonic() - began < 3.0
            row = await _row(world, document)
            assert (row.lease_token, row.attempts) == (None, 0)
            world.xai.faults.clear()
            async with world.batches():
                await world.rest()
            await assert_in_step(world, document, matter)
            assert len(world.files()) == 1

    asyncio.run(main())
