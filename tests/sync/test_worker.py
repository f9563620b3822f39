"""The worker's mechanics on both databases: claiming, recording, completing, failing, ending."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from bitbylaw_pipeline.domain.errors import Permanent, RateLimited, Transient
from bitbylaw_pipeline.domain.outcome import Outcome, Result
from bitbylaw_pipeline.inbox import outages, work_queue
from bitbylaw_pipeline.inbox.batches import DRAIN, set_flag
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.sync.feed import PollResult
from tests.conftest import migrated_url
from tests.sync.shift import STREAM, Scripted, Shift, run_shift

KEYS = [f"d{number:02}" for number in range(12)]


async def _short(key: str) -> Outcome:
    await asyncio.sleep(0.02)
    return Outcome(key, Result.SYNCED, {"n": 1})


async def _for_ever(key: str) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError(key)


def test_everything_ready_is_synced_recorded_and_done(database_url: str) -> None:
    """Up to N entities at once, each once; what is recorded is then done, and the summary counts it."""

    async def story(shift: Shift) -> None:
        shift.stream.script = _short
        await shift.want(*KEYS)
        batch = shift.start()
        await shift.done(*KEYS)
        summary = await shift.end(batch)
        assert sorted(shift.stream.begun) == KEYS
        assert shift.stream.most_at_once == 4
        assert sorted(one.key for one in shift.recorded.finished) == KEYS
        assert not shift.recorded.was_concurrent
        assert summary.counts == {"synced": 12}
        assert summary.reason == "stopped"

    run_shift(database_url, story)


def test_nothing_is_done_before_it_is_recorded(database_url: str) -> None:
    """While the recorder is at work the row is still open and leased; afterwards it is done."""

    async def story(shift: Shift) -> None:
        seen: list[tuple[int, bool]] = []

        def look(finished: Sequence[Finished]) -> None:
            row = shift.database.read(lambda conn: work_queue.get(conn, STREAM, finished[0].key))
            assert row is not None
            seen.append((row.done, row.lease_token is not None))

        shift.recorded.before = look
        await shift.want("d1")
        batch = shift.start()
        await shift.done("d1")
        await shift.end(batch)
        assert seen == [(0, True)]

    run_shift(database_url, story)


def test_a_recorder_that_fails_ends_the_batch_and_its_rows_come_back(database_url: str) -> None:
    """What could not be recorded is not done; the batch fails visibly and gives every lease back."""

    async def story(shift: Shift) -> None:
        def fail(finished: Sequence[Finished]) -> None:
            if any(one.key == "d1" for one in finished):
                raise OSError("the event log is full")

        shift.stream.scripts["d2"] = _for_ever
        shift.recorded.before = fail
        await shift.want("d1", "d2")
        with pytest.raises(OSError, match="event log"):
            await shift.start()
        for key in ("d1", "d2"):
            row = await shift.row(key)
            assert (row.done, row.lease_token, row.attempts) == (0, None, 0)
        assert shift.stream.cancelled == ["d2"]
        shift.recorded.before = lambda _: None
        shift.stream.scripts.clear()
        batch = shift.start()
        await shift.done("d1", "d2")
        await shift.end(batch)

    run_shift(database_url, story)


def test_what_has_ended_is_recorded_at_once_when_idle_and_soon_when_busy(database_url: str) -> None:
    """A single document's record does not wait for the hundred milliseconds of a chunk; nor one among many for long."""

    async def story(shift: Shift) -> None:
        batch = shift.start()
        alone = [f"alone{number}" for number in range(5)]
        for key in alone:
            await shift.want(key)
            await shift.done(key)
        # The quickest: on a busy machine any of them may be held up, but none may wait by design.
        assert min(shift.recorded.times[key] - shift.stream.ended[key] for key in alone) < 0.09
        shift.stream.scripts["long"] = _for_ever
        shift.stream.script = _short
        await shift.want("long", *KEYS)
        await shift.done(*KEYS)
        waits = [shift.recorded.times[key] - shift.stream.ended[key] for key in KEYS]
        assert max(waits) < 5.0
        assert max(shift.recorded.chunks) > 1
        await shift.end(batch)

    run_shift(database_url, story)


def test_a_slow_recorder_does_not_stop_new_passes(database_url: str) -> None:
    """The recorder has a thread of its own: while it stores one chunk, other entities are synced."""

    async def story(shift: Shift) -> None:
        may_go = threading.Event()

        def wait(finished: Sequence[Finished]) -> None:
            may_go.wait(10)

        shift.recorded.before = wait
        await shift.want("d1")
        batch = shift.start()
        await shift.until(lambda: shift.stream.ended.get("d1") is not None)
        await shift.want("d2")
        await shift.until(
            lambda: shift.stream.ended.get("d2") is not None, "The recorder held the worker up."
        )
        assert shift.recorded.finished == []
        may_go.set()
        await shift.done("d1", "d2")
        await shift.end(batch)

    run_shift(database_url, story)


def test_an_event_during_the_sync_leads_to_a_second_pass(database_url: str) -> None:
    """What came in while the entity was under way is not taken for done."""

    async def story(shift: Shift) -> None:
        went_on = asyncio.Event()

        async def waits(key: str) -> Outcome:
            await went_on.wait()
            return Outcome(key, Result.SYNCED)

        shift.stream.scripts["d1"] = waits
        await shift.want("d1")
        batch = shift.start()
        await shift.until(lambda: "d1" in shift.stream.under_way)
        for _ in range(10):
            await shift.want("d1")
        went_on.set()
        await shift.done("d1")
        assert shift.stream.begun == ["d1", "d1"]
        await shift.end(batch)

    run_shift(database_url, story)


def test_a_failing_entity_is_retried_with_growing_delays_then_parked_and_its_neighbours_go_on(
    database_url: str,
) -> None:
    """Transient: as often as the ladder has rungs, then parked; the others never notice."""

    async def story(shift: Shift) -> None:
        async def fails(key: str) -> Outcome:
            raise Transient("xAI answers 503.", system="xai-files", status=503)

        shift.stream.scripts["bad"] = fails
        await shift.want("bad", *KEYS)
        batch = shift.start()
        await shift.done(*KEYS)
        await shift.until(lambda: _is_parked(shift, "bad"), "It was not parked.")
        row = await shift.row("bad")
        assert shift.stream.begun.count("bad") == 3
        assert (row.attempts, row.park_reason) == (3, "attempts_exhausted")
        assert row.last_error == "Transient: xAI answers 503."
        assert [one.is_parked for one in shift.recorded.of("bad")] == [False, False, True]
        await shift.want("bad")
        shift.stream.scripts.clear()
        await shift.done("bad")
        assert (await shift.row("bad")).attempts == 0
        summary = await shift.end(batch)
        assert summary.counts == {"unchanged": 13, "retried": 2, "parked": 1}

    run_shift(database_url, story)


async def _is_parked(shift: Shift, key: str) -> bool:
    return (await shift.row(key)).parked_at is not None


def test_a_permanent_error_parks_at_once_with_its_reason(database_url: str) -> None:
    """Trying again cannot help: one pass, parked, with the short code of why."""

    async def story(shift: Shift) -> None:
        async def refuses(key: str) -> Outcome:
            raise Permanent("The file is empty (0 bytes).", reason="empty_file")

        shift.stream.scripts["bad"] = refuses
        await shift.want("bad")
        batch = shift.start()
        await shift.until(lambda: _is_parked(shift, "bad"))
        await shift.end(batch)
        row = await shift.row("bad")
        assert shift.stream.begun == ["bad"]
        assert row.park_reason == "empty_file"

    run_shift(database_url, story)


def test_a_fault_of_ours_is_retried_then_parked_and_says_no_name(database_url: str) -> None:
    """An exception nobody foresaw: its type and place are kept, its text (which may quote anything) is not."""

    async def story(shift: Shift) -> None:
        async def breaks(key: str) -> Outcome:
            raise ValueError("Erika Mustermann, Klage.pdf")

        shift.stream.scripts["bad"] = breaks
        await shift.want("bad", "good")
        batch = shift.start()
        await shift.done("good")
        await shift.until(lambda: _is_parked(shift, "bad"))
        await shift.end(batch)
        row = await shift.row("bad")
        assert shift.stream.begun.count("bad") == 3
        assert "ValueError at test_worker.py:" in (row.last_error or "")
        texts = [row.last_error or "", *(str(one.error) for one in shift.recorded.of("bad"))]
        assert not any("Mustermann" in text or "Klage.pdf" in text for text in texts)

    run_shift(database_url, story)


def test_a_stop_while_idle_ends_the_batch_at_once(database_url: str) -> None:
    """Nothing to give back, nothing waited for."""

    async def story(shift: Shift) -> None:
        batch = shift.start()
        await shift.until(lambda: shift.activities == ["idle"])
        began = time.monotonic()
        assert (await shift.end(batch)).reason == "stopped"
        assert time.monotonic() - began < 2.0

    run_shift(database_url, story)


def test_a_stop_in_the_middle_of_a_call_cancels_it_and_gives_every_lease_back(database_url: str) -> None:
    """What is under way is cancelled, what waited is given back, what had ended is recorded and done."""

    async def story(shift: Shift) -> None:
        shift.stream.script = _for_ever
        shift.stream.scripts["d00"] = _short
        await shift.want(*KEYS)
        batch = shift.start()
        await shift.until(lambda: len(shift.stream.under_way) == 4 and "d00" in shift.stream.ended)
        await shift.end(batch)
        assert await shift.nothing_is_leased(*KEYS)
        assert len(shift.stream.cancelled) == 4
        assert await shift.is_done(["d00"])
        assert {(await shift.row(key)).attempts for key in KEYS} == {0}

    run_shift(database_url, story)


def test_a_stop_does_not_wait_for_a_system_that_is_being_asked_whether_it_is_back(database_url: str) -> None:
    """The probe of a hanging system takes as long as its time limit; a stop takes no longer for it."""

    async def story(shift: Shift) -> None:
        is_asked = asyncio.Event()

        async def hangs() -> None:
            is_asked.set()
            await asyncio.Event().wait()

        shift.probes = {"espocrm": hangs}
        await shift.database.run(
            lambda conn: outages.pause(conn, shift.database.now(conn), "espocrm", 0.0, "is down")
        )
        await shift.want("d1")
        batch = shift.start()
        await is_asked.wait()
        began = time.monotonic()
        await shift.end(batch)
        assert time.monotonic() - began < 2.0
        assert shift.stream.begun == []

    run_shift(database_url, story)


def test_what_was_claimed_ahead_of_a_pause_is_given_back(database_url: str) -> None:
    """The first refusal stops those that have not begun; they are neither tried nor counted until the pause is over."""

    async def story(shift: Shift) -> None:
        async def refused(key: str) -> Outcome:
            await asyncio.sleep(0.02)
            raise RateLimited("429", system="espocrm", retry_after=60.0)

        shift.stream.script = refused
        await shift.want(*KEYS)
        batch = shift.start()
        await shift.until(lambda: shift.nothing_is_leased(*KEYS) if shift.recorded.finished else False)
        assert len(shift.stream.begun) == 4
        assert {(await shift.row(key)).attempts for key in KEYS} == {0}
        await shift.end(batch)
        assert len(shift.stream.begun) == 4

    run_shift(database_url, story)


def test_a_cancelled_batch_leaves_nothing_leased_whenever_it_is_cancelled(tmp_path: Any) -> None:
    """Also in the middle of the claim itself: a lease that nobody remembers would have to run out."""

    async def story(shift: Shift, ticks: int) -> None:
        shift.stream.script = _short
        await shift.want(*KEYS)
        batch = shift.start()
        for _ in range(ticks):
            await asyncio.sleep(0)
        await asyncio.sleep(ticks * 0.0007)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        assert await shift.nothing_is_leased(*KEYS)

    for ticks in range(0, 40, 2):
        folder = tmp_path / str(ticks)
        folder.mkdir()
        run_shift(migrated_url("sqlite", folder), partial(story, ticks=ticks))


def test_a_lost_lease_cancels_the_pass_and_nothing_else(database_url: str) -> None:
    """Somebody else has the entity by now: our pass ends at once, its neighbours go on, the other's lease stands."""

    async def story(shift: Shift) -> None:
        shift.stream.scripts |= {"lost": _for_ever, "kept": _for_ever}
        await shift.want("lost", "kept")
        batch = shift.start()
        await shift.until(lambda: len(shift.stream.under_way) == 2)

        def steal(conn: Any) -> None:
            conn.exec_driver_sql(
                "UPDATE work SET lease_token = 'another', lease_until = lease_until + 60 WHERE key = 'lost'"
            )

        await shift.database.run(steal)
        await shift.until(lambda: shift.stream.cancelled == ["lost"], "The pass went on without a lease.")
        assert shift.stream.under_way == {"kept"}
        await shift.end(batch)
        assert (await shift.row("lost")).lease_token == "another"
        assert (await shift.row("kept")).lease_token is None

    run_shift(database_url, story, lease_seconds=4.0)


def test_a_long_pass_keeps_its_lease(database_url: str) -> None:
    """Leases are renewed while a pass lasts longer than one."""

    async def story(shift: Shift) -> None:
        shift.stream.scripts["long"] = _for_ever
        await shift.want("long")
        batch = shift.start()
        await shift.until(lambda: "long" in shift.stream.under_way)
        first = (await shift.row("long")).lease_until or 0.0
        await shift.until(lambda: _is_renewed(shift, first + 5.0), "The lease ran out.")
        assert shift.stream.begun == ["long"]
        await shift.end(batch)

    run_shift(database_url, story, lease_seconds=4.0)


async def _is_renewed(shift: Shift, beyond: float) -> bool:
    return ((await shift.row("long")).lease_until or 0.0) > beyond


def test_the_drain_flag_ends_the_batch_when_what_is_under_way_has_ended(database_url: str) -> None:
    """Draining lets the calls under way finish, gives back what has not begun, and claims nothing more."""

    async def story(shift: Shift) -> None:
        went_on = asyncio.Event()

        async def waits(key: str) -> Outcome:
            await went_on.wait()
            return Outcome(key, Result.SYNCED)

        shift.stream.script = waits
        await shift.want(*KEYS[:2])
        batch = shift.start()
        await shift.until(lambda: len(shift.stream.under_way) == 2)
        await shift.database.run(lambda conn: set_flag(conn, shift.database.now(conn), DRAIN))
        await shift.want(*KEYS[2:])
        await asyncio.sleep(0.25)
        assert not batch.done()
        went_on.set()
        summary = await batch
        assert summary.reason == "drained"
        assert await shift.is_done(KEYS[:2])
        assert await shift.nothing_is_leased(*KEYS)
        assert shift.stream.cancelled == []
        assert len(shift.stream.begun) < len(KEYS)

    run_shift(database_url, story)


def test_a_lost_stream_ends_the_batch(database_url: str) -> None:
    """The heartbeat says that another batch holds the stream: this one ends and gives everything back."""

    async def story(shift: Shift) -> None:
        shift.is_ours = False
        shift.stream.script = _for_ever
        await shift.want("d1")
        summary = await shift.start()
        assert summary.reason == "lost"
        assert await shift.nothing_is_leased("d1")

    run_shift(database_url, story)


def test_a_quiet_batch_lingers_and_ends(database_url: str) -> None:
    """It waits for more as long as it is told to, from the last entity on, and then ends by itself."""

    async def story(shift: Shift) -> None:
        await shift.want("d1")
        batch = shift.start()
        await shift.done("d1")
        await asyncio.sleep(1.5)
        await shift.want("d2")
        assert (await batch).reason == "lingered"
        # From the second entity on, and not from the first.
        assert time.monotonic() - shift.stream.ended["d2"] > 2.9

    run_shift(database_url, story, batch_linger_seconds=3.0)


def test_an_old_batch_rotates_with_work_left_to_the_next(database_url: str) -> None:
    """After its time it finishes what is under way and leaves the rest ready, unleased and uncounted."""

    async def story(shift: Shift) -> None:
        keys = [f"r{number}" for number in range(400)]
        shift.stream.script = _short
        await shift.want(*keys)
        summary = await shift.start()
        assert summary.reason == "rotated"
        assert shift.stream.cancelled == []
        assert 0 < summary.counts["synced"] < 400
        assert await shift.nothing_is_leased(*keys)
        done = [key for key in keys if await shift.is_done([key])]
        assert len(done) == summary.counts["synced"] == len(shift.stream.begun)

    run_shift(database_url, story, batch_rotate_seconds=0.4)


def test_two_workers_on_one_stream_share_it_without_overlap(database_url: str) -> None:
    """Each entity is synced by one of them; both get some."""

    async def story(shift: Shift) -> None:
        keys = [f"s{number}" for number in range(80)]
        other = Scripted(_short)
        shift.stream.script = _short
        await shift.want(*keys)
        first, second = shift.start(), shift.start(stream=other)
        await shift.done(*keys)
        shift.stop.set()
        await asyncio.gather(first, second)
        assert sorted(shift.stream.begun + other.begun) == sorted(keys)
        assert shift.stream.begun
        assert other.begun

    run_shift(database_url, story)


@pytest.mark.parametrize("failing", ["beat", "feed", "completion"])
def test_a_companion_that_fails_ends_the_batch_visibly(tmp_path: Any, failing: str) -> None:
    """Heartbeat, feed and completion are part of the batch: none of them dies in silence."""

    class BrokenFeed:
        async def poll_quietly(self) -> PollResult:
            raise RuntimeError("feed is broken")

    async def story(shift: Shift) -> None:
        async def broken_beat(activity: str) -> bool:
            raise RuntimeError("beat is broken")

        def broken_record(finished: Sequence[Finished]) -> None:
            raise RuntimeError("completion is broken")

        shift.stream.scripts["d1"] = _for_ever
        await shift.want("d1", "d2")
        parts: dict[str, Any] = {"stop": shift.stop, "record": shift.recorded, "beat": shift.beat}
        if failing == "beat":
            parts["beat"] = broken_beat
        if failing == "completion":
            parts["record"] = broken_record
        feed: Any = BrokenFeed() if failing == "feed" else None
        with pytest.raises(RuntimeError, match=f"{failing} is broken"):
            await asyncio.wait_for(shift.worker(feed=feed).work(**parts), 10)
        assert await shift.nothing_is_leased("d1", "d2")
        assert len(asyncio.all_tasks()) == 1

    run_shift(migrated_url("sqlite", tmp_path), story, feed_interval_seconds=0.05)


def test_lingering_costs_little(tmp_path: Any) -> None:
    """A batch that waits for work at the default poll takes less than two percent of a processor."""

    async def story(shift: Shift) -> None:
        batch = shift.start()
        await shift.until(lambda: bool(shift.activities))
        before = time.process_time()
        await asyncio.sleep(3.0)
        spent = time.process_time() - before
        assert spent < 0.06
        await shift.end(batch)

    run_shift(migrated_url("sqlite", tmp_path), story, batch_poll_seconds=1.0)
