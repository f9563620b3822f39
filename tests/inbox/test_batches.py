"""Who is at work on a stream: slots, heartbeats, flags, outages and feed holds."""

from __future__ import annotations

from functools import partial

from bitbylaw_pipeline.inbox import batches, feed_cursors, outages
from bitbylaw_pipeline.inbox.batches import DRAIN, IDLE, RUNNING, WORKING
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.feed_cursors import FeedCursor
from tests.conftest import FakeClock

STREAM = "documents"


def request(database: Database, slots: int = 1) -> tuple[int, str] | None:
    return database.run_sync(lambda c: batches.request(c, database.now(c), STREAM, slots))


def take_over(database: Database, token: str | None, run_id: str, slots: int = 1) -> int | None:
    return database.run_sync(
        lambda c: batches.take_over(c, database.now(c), STREAM, token, run_id, 15.0, slots=slots)
    )


def beat(database: Database, slot: int, token: str, activity: str = WORKING) -> bool:
    return database.run_sync(lambda c: batches.beat(c, database.now(c), STREAM, slot, token, activity, 15.0))


def live(database: Database) -> list[batches.Batch]:
    return database.run_sync(lambda c: batches.live(c, database.now(c), STREAM))


def test_requested_slot_is_taken_over_by_its_run(database: Database, clock: FakeClock) -> None:
    """A second tick starts nothing while a run is on its way; the run becomes the holder and beats."""
    requested = request(database)
    assert requested is not None
    slot, token = requested
    assert request(database) is None
    assert take_over(database, token, "run-1") == slot
    assert beat(database, slot, token)
    (held,) = live(database)
    assert (held.state, held.run_id, held.activity, held.until) == (RUNNING, "run-1", WORKING, clock() + 15)
    assert beat(database, slot, token, IDLE)
    assert live(database)[0].activity == IDLE
    assert request(database) is None


def test_request_that_nobody_took_runs_out(database: Database, clock: FakeClock) -> None:
    """If the run never starts, a later tick may request again, and the late run finds the slot taken."""
    first = request(database)
    assert first is not None
    clock.advance(61)
    second = request(database)
    assert second is not None
    assert take_over(database, first[1], "late") is None
    assert take_over(database, second[1], "run-2") == 0
    assert take_over(database, second[1], "run-3") is None


def test_run_whose_heartbeat_stopped_loses_its_slot(database: Database, clock: FakeClock) -> None:
    """After the heartbeat's time another run holds the slot, and the first learns of it at its next beat."""
    requested = request(database)
    assert requested is not None
    slot, token = requested
    take_over(database, token, "run-1")
    clock.advance(16)
    assert live(database) == []
    assert take_over(database, None, "run-2") == slot
    assert not beat(database, slot, token)
    assert not database.run_sync(lambda c: batches.end(c, STREAM, slot, token))
    assert beat(database, slot, "run-2")


def test_run_that_nobody_requested_takes_a_free_slot_only(database: Database) -> None:
    """A run started by a person takes a free slot under its run id, and ends at once if there is none."""
    assert take_over(database, None, "run-1") == 0
    assert take_over(database, None, "run-2") is None
    assert database.run_sync(lambda c: batches.end(c, STREAM, 0, "run-1"))
    assert take_over(database, None, "run-2") == 0


def test_several_slots_per_stream(database: Database) -> None:
    """With two slots two runs are at work, and another stream has its own."""
    assert request(database, slots=2) is not None
    second = request(database, slots=2)
    assert second is not None
    assert second[0] == 1
    assert request(database, slots=2) is None
    assert database.run_sync(lambda c: batches.request(c, database.now(c), "collections", 1)) is not None


def test_flags_are_raised_and_taken_down(database: Database) -> None:
    """A flag keeps its latest value until it is taken down."""

    def flag() -> str | None:
        return database.run_sync(lambda c: batches.get_flag(c, DRAIN))

    assert flag() is None
    database.run_sync(lambda c: batches.set_flag(c, 0.0, DRAIN))
    database.run_sync(lambda c: batches.set_flag(c, 0.0, DRAIN, "upgrade"))
    assert flag() == "upgrade"
    assert database.run_sync(lambda c: batches.clear_flag(c, DRAIN))
    assert not database.run_sync(lambda c: batches.clear_flag(c, DRAIN))
    assert flag() is None


def test_outage_keeps_its_beginning_and_its_longest_pause(database: Database, clock: FakeClock) -> None:
    """A system is left alone until its pause is over; a shorter pause does not shorten it; resuming ends it."""
    began = clock()

    def pause(seconds: float) -> None:
        database.run_sync(lambda c: outages.pause(c, database.now(c), "espocrm", seconds, "http 503"))

    def paused() -> dict[str, float]:
        return database.run_sync(lambda c: outages.paused(c, database.now(c)))

    assert paused() == {}
    pause(60)
    clock.advance(5)
    pause(10)
    assert paused() == {"espocrm": began + 60}
    clock.advance(56)
    assert paused() == {}
    pause(10)
    (listed,) = database.run_sync(outages.listing)
    assert (listed.since, listed.until, listed.reason) == (began, clock() + 10, "http 503")
    assert database.run_sync(lambda c: outages.resume(c, "espocrm"))
    assert not database.run_sync(lambda c: outages.resume(c, "espocrm"))
    assert paused() == {}


def test_feed_is_read_by_one_at_a_time(database: Database, clock: FakeClock) -> None:
    """Whoever holds the feed keeps the others off until the time is over or it is given back."""

    def hold() -> bool:
        return database.run_sync(lambda c: feed_cursors.hold(c, database.now(c), "CDokumente", 30.0))

    assert hold()
    assert not hold()
    clock.advance(31)
    assert hold()
    database.run_sync(lambda c: feed_cursors.release(c, "CDokumente"))
    assert hold()


def test_feed_cursor_is_kept(database: Database, clock: FakeClock) -> None:
    """A feed never read has an empty cursor; a stored one comes back with its time, held or not."""

    def cursor() -> FeedCursor:
        return database.run_sync(lambda c: feed_cursors.get(c, "CDokumente"))

    assert cursor() == FeedCursor("CDokumente")
    database.run_sync(lambda c: feed_cursors.hold(c, database.now(c), "CDokumente", 30.0))
    assert cursor() == FeedCursor("CDokumente")
    for record_id in ("d1", "d2"):
        put = partial(feed_cursors.put, now=clock(), entity_type="CDokumente", record_id=record_id)
        database.run_sync(partial(put, modified_at="2026-05-01 10:00:00"))
    assert cursor() == FeedCursor("CDokumente", "2026-05-01 10:00:00", "d2", clock())
    assert not database.run_sync(lambda c: feed_cursors.hold(c, database.now(c), "CDokumente", 30.0))
