"""A run for certain keys beside a batch: it gets them, or says clearly why not."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.errors import Permanent, Transient
from bitbylaw_pipeline.domain.outcome import Outcome, Result
from bitbylaw_pipeline.inbox import outages, work_queue
from bitbylaw_pipeline.sync.entity_pass import Finished
from tests.sync.shift import STREAM, Recorded, Scripted, Shift, run_shift


async def _short(key: str) -> Outcome:
    await asyncio.sleep(0.02)
    return Outcome(key, Result.UNCHANGED)


async def _run_keys(shift: Shift, *keys: str, wait_seconds: float = 5.0) -> list[Finished]:
    other = Scripted(shift.stream.script, shift.stream.scripts)
    return await shift.worker(stream=other).work_keys(
        keys, stop=shift.stop, record=Recorded(), wait_seconds=wait_seconds
    )


def test_keys_are_synced_though_nobody_wanted_them(database_url: str) -> None:
    """Never wanted, done, delayed or parked: each is synced now, once, however often it is named."""

    async def story(shift: Shift) -> None:
        await shift.want("done", "delayed", "parked")

        def prepare(conn: Connection) -> None:
            now = shift.database.now(conn)
            by_key = {
                claim.key: claim for claim in work_queue.claim(conn, now, STREAM, limit=9, lease_seconds=9.0)
            }
            work_queue.complete(conn, now, [by_key["done"]])
            work_queue.retry(conn, now, by_key["delayed"], error="x", delay=3600.0)
            work_queue.park(conn, now, by_key["parked"], "invalid", "x")

        await shift.database.run(prepare)
        finished = await _run_keys(shift, "new", "done", "delayed", "parked", "new")
        assert [one.key for one in finished] == ["new", "done", "delayed", "parked"]
        assert {one.outcome.result if one.outcome else None for one in finished} == {Result.UNCHANGED}
        assert await shift.is_done(["new", "done", "delayed", "parked"])

    run_shift(database_url, story)


def test_more_keys_than_slots_are_all_synced(database_url: str) -> None:
    """A chunk of a backfill is larger than what may be under way at once."""

    async def story(shift: Shift) -> None:
        shift.stream.script = _short
        keys = [f"k{number}" for number in range(30)]
        finished = await _run_keys(shift, *keys)
        assert [one.key for one in finished] == keys
        assert all(one.outcome for one in finished)

    run_shift(database_url, story)


def test_a_key_that_a_batch_holds_is_waited_for_and_then_synced_again(database_url: str) -> None:
    """The run waits for the batch's pass and makes one of its own: the person wants to see it done now."""

    async def story(shift: Shift) -> None:
        went_on = asyncio.Event()
        passes = 0

        async def waits(key: str) -> Outcome:
            nonlocal passes
            passes += 1
            await went_on.wait()
            return Outcome(key, Result.SYNCED)

        shift.stream.scripts["held"] = waits
        shift.stream.script = _short
        await shift.want("held")
        batch = shift.start()
        await shift.until(lambda: "held" in shift.stream.under_way)
        run = asyncio.create_task(_run_keys(shift, "held", "free"))
        await asyncio.sleep(0.5)
        assert passes == 1
        assert not run.done()
        went_on.set()
        finished = await run
        assert [one.outcome.result if one.outcome else None for one in finished] == [
            Result.SYNCED,
            Result.UNCHANGED,
        ]
        assert passes == 2
        assert shift.stream.doubled == []
        await shift.end(batch)

    run_shift(database_url, story)


def test_a_key_that_stays_held_ends_in_a_clear_error_and_stays_wanted(database_url: str) -> None:
    """After the bounded wait: one sentence, nothing taken from the batch, and the batch looks once more."""

    async def story(shift: Shift) -> None:
        went_on = asyncio.Event()

        async def waits(key: str) -> Outcome:
            await went_on.wait()
            return Outcome(key, Result.SYNCED)

        shift.stream.scripts["held"] = waits
        await shift.want("held")
        batch = shift.start()
        await shift.until(lambda: "held" in shift.stream.under_way)
        held, free = await _run_keys(shift, "held", "free", wait_seconds=0.3)
        assert free.outcome is not None
        assert isinstance(held.error, Transient)
        assert "is being synced by a batch and did not become free within 0 s" in str(held.error)
        went_on.set()
        await shift.done("held")
        assert shift.stream.begun == ["held", "held"]
        await shift.end(batch)

    run_shift(database_url, story)


def test_no_batch_comes_in_between_wanting_and_claiming(database_url: str) -> None:
    """A busy batch on the same stream never gets a key that a run has just wanted, so every run gets its keys."""

    async def story(shift: Shift) -> None:
        batch = shift.start()
        for number in range(20):
            (finished,) = await _run_keys(shift, f"mine{number}")
            assert finished.outcome is not None
        assert shift.stream.begun == []
        await shift.end(batch)

    run_shift(database_url, story, batch_poll_seconds=0.02)


def test_failures_come_back_with_their_error(database_url: str) -> None:
    """A permanent error parks at once, a transient one is left to the ladder; the run reports both."""

    async def story(shift: Shift) -> None:
        async def refuses(key: str) -> Outcome:
            raise Permanent("The file is empty (0 bytes).", reason="empty_file")

        async def fails(key: str) -> Outcome:
            raise Transient("xAI answers 503.", system="xai-files")

        shift.stream.scripts |= {"empty": refuses, "shaky": fails}
        empty, shaky = await _run_keys(shift, "empty", "shaky")
        assert (str(empty.error), empty.is_parked) == ("The file is empty (0 bytes).", True)
        assert (str(shaky.error), shaky.is_parked) == ("xAI answers 503.", False)
        assert (await shift.row("shaky")).attempts == 1

    run_shift(database_url, story)


def test_while_a_system_is_down_keys_wait_for_it(database_url: str) -> None:
    """A run does not hammer a system that asked to be left alone: it waits, asks once, and goes on or says why."""

    async def story(shift: Shift) -> None:
        answers: list[Exception | None] = []

        async def probe() -> None:
            if answers and (error := answers.pop(0)):
                raise error

        async def pause(seconds: float) -> None:
            await shift.database.run(
                lambda conn: outages.pause(conn, shift.database.now(conn), "espocrm", seconds, "is down")
            )

        shift.probes = {"espocrm": probe}
        await pause(0.3)
        answers.append(Transient("still down", system="espocrm"))
        (finished,) = await _run_keys(shift, "d1")
        assert finished.outcome is not None
        assert answers == []
        await pause(60.0)
        (finished,) = await _run_keys(shift, "d1", wait_seconds=0.3)
        assert "needs a system that is down" in str(finished.error)
        assert (await shift.row("d1")).lease_token is None

    run_shift(database_url, story)


def test_a_stop_gives_the_keys_back(database_url: str) -> None:
    """A cancelled run leaves nothing leased and returns what it had finished."""

    async def story(shift: Shift) -> None:
        async def for_ever(key: str) -> Outcome:
            await asyncio.Event().wait()
            raise AssertionError

        shift.stream.scripts["long"] = for_ever
        run = asyncio.create_task(_run_keys(shift, "long", "short"))
        await shift.until(lambda: _short_is_done(shift))
        shift.stop.set()
        assert [one.key for one in await run] == ["short"]
        assert await shift.nothing_is_leased("long", "short")

    run_shift(database_url, story)


async def _short_is_done(shift: Shift) -> bool:
    row = await shift.database.run(lambda conn: work_queue.get(conn, STREAM, "short"))
    return row is not None and row.done == row.wanted and row.lease_token is None


def test_a_recorder_that_fails_fails_the_run(database_url: str) -> None:
    """A partition run is not green for nothing."""

    async def story(shift: Shift) -> None:
        def fail(finished: object) -> None:
            raise OSError("the event log is full")

        with pytest.raises(OSError, match="event log"):
            await shift.worker().work_keys(["d1"], stop=shift.stop, record=fail, wait_seconds=1.0)
        assert (await shift.row("d1")).done == 0
        assert await shift.nothing_is_leased("d1")

    run_shift(database_url, story)
