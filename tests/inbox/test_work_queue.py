"""The work queue's operations, on both databases."""

from __future__ import annotations

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.work_queue import Claim, WorkRow
from tests.conftest import FakeClock

STREAM = "documents"


def want(database: Database, *keys: str, priority: int = 0, not_before: float | None = None) -> int:
    return database.run_sync(
        lambda c: work_queue.want(c, database.now(c), STREAM, keys, priority=priority, not_before=not_before)
    )


def claim(
    database: Database, limit: int = 10, lease: float = 20.0, keys: list[str] | None = None
) -> list[Claim]:
    return database.run_sync(
        lambda c: work_queue.claim(c, database.now(c), STREAM, limit=limit, lease_seconds=lease, keys=keys)
    )


def complete(database: Database, claims: list[Claim], again: dict[str, float] | None = None) -> int:
    return database.run_sync(lambda c: work_queue.complete(c, database.now(c), claims, again=again))


def retry(database: Database, claimed: Claim, delay: float = 60.0, *, counts: bool = True) -> bool:
    return database.run_sync(
        lambda c: work_queue.retry(c, database.now(c), claimed, error="http 503", delay=delay, counts=counts)
    )


def park(database: Database, claimed: Claim, reason: str = "refused") -> bool:
    return database.run_sync(lambda c: work_queue.park(c, database.now(c), claimed, reason, "http 400"))


def row(database: Database, key: str) -> WorkRow:
    found = database.run_sync(lambda c: work_queue.get(c, STREAM, key))
    assert found is not None
    return found


def test_wanted_key_is_claimed_once_and_done_after_completion(database: Database) -> None:
    """A wanted key is claimed by one caller, and after its completion there is nothing left to claim."""
    assert want(database, "b", "a", "a") == 2
    claims = claim(database)
    assert [c.key for c in claims] == ["a", "b"]
    assert claim(database) == []
    assert complete(database, claims) == 2
    assert claim(database) == []
    assert row(database, "a").done == row(database, "a").wanted == 1


def test_event_during_a_sync_leaves_the_row_ready(database: Database) -> None:
    """An event that comes in while its entity is being synced makes a further pass due at once."""
    want(database, "a")
    first = claim(database)
    want(database, "a")
    want(database, "a")
    assert complete(database, first) == 1
    (second,) = claim(database)
    assert second.generation == 3
    assert complete(database, [second]) == 1
    assert claim(database) == []


def test_stale_token_changes_nothing(database: Database, clock: FakeClock) -> None:
    """Whoever lost the lease can neither complete, retry, park, renew nor release."""
    want(database, "a")
    (old,) = claim(database, lease=20.0)
    clock.advance(21.0)
    (new,) = claim(database, lease=20.0)
    before = row(database, "a")
    assert complete(database, [old]) == 0
    assert not retry(database, old)
    assert not park(database, old)
    assert database.run_sync(lambda c: work_queue.renew(c, database.now(c), [old], 20.0)) == set()
    assert database.run_sync(lambda c: work_queue.release(c, database.now(c), [old])) == 0
    assert row(database, "a") == before
    assert complete(database, [new]) == 1


def test_claims_come_by_priority_and_then_by_time(database: Database, clock: FakeClock) -> None:
    """Events go before sweeps, and among equals the longest ready goes first."""
    want(database, "sweep-1", priority=1)
    clock.advance(1)
    want(database, "event-1")
    clock.advance(1)
    want(database, "event-0", "sweep-0")
    want(database, "sweep-0", priority=1)
    clock.advance(1)
    assert [c.key for c in claim(database, limit=2)] == ["event-1", "event-0"]
    assert [c.key for c in claim(database)] == ["sweep-0", "sweep-1"]


def test_event_lifts_a_swept_row(database: Database) -> None:
    """An event for a row that waits in the sweep's line moves it into the events' line, and a sweep never lowers it."""
    want(database, "a", "b", priority=1)
    want(database, "b", priority=0)
    want(database, "b", priority=1)
    assert row(database, "b").priority == 0
    assert [c.key for c in claim(database)] == ["b", "a"]
    complete(database, claim(database, keys=["a", "b"]))
    assert claim(database) == []


def test_finished_row_takes_the_priority_of_its_next_want(database: Database) -> None:
    """What was urgent once is not urgent for ever."""
    want(database, "a", priority=0)
    complete(database, claim(database))
    want(database, "a", priority=1)
    assert row(database, "a").priority == 1


def test_lease_that_runs_out_is_free_again_and_counts_as_a_failure(
    database: Database, clock: FakeClock
) -> None:
    """The row of a process that died is claimed by the next one, which learns of the failure."""
    want(database, "a")
    (first,) = claim(database, lease=20.0)
    clock.advance(19.9)
    assert claim(database) == []
    clock.advance(0.2)
    (second,) = claim(database)
    assert (first.attempts, second.attempts) == (0, 1)
    assert first.token != second.token
    complete(database, [second])
    want(database, "a")
    assert claim(database)[0].attempts == 0


def test_renewed_lease_lasts_on(database: Database, clock: FakeClock) -> None:
    """Renewing extends the lease from now on and names the keys that are still held."""
    want(database, "a", "b")
    claims = claim(database, lease=20.0)
    clock.advance(15)
    complete(database, [c for c in claims if c.key == "b"])
    assert database.run_sync(lambda c: work_queue.renew(c, database.now(c), claims, 20.0)) == {"a"}
    assert database.run_sync(lambda c: work_queue.renew(c, database.now(c), [], 20.0)) == set()
    clock.advance(15)
    assert claim(database) == []
    clock.advance(6)
    assert [c.key for c in claim(database)] == ["a"]


def test_released_row_is_ready_at_once(database: Database) -> None:
    """A lease given back counts nothing and can be claimed again."""
    want(database, "a")
    claims = claim(database)
    assert database.run_sync(lambda c: work_queue.release(c, database.now(c), claims)) == 1
    assert database.run_sync(lambda c: work_queue.release(c, database.now(c), [])) == 0
    (again,) = claim(database)
    assert again.attempts == 0


def test_retry_waits_and_counts(database: Database, clock: FakeClock) -> None:
    """A failed row waits its delay, remembers the error, and counts unless told not to."""
    want(database, "a")
    assert retry(database, claim(database)[0], delay=60)
    assert claim(database) == []
    assert row(database, "a").last_error == "http 503"
    clock.advance(60)
    (second,) = claim(database)
    assert second.attempts == 1
    assert retry(database, second, delay=60, counts=False)
    clock.advance(60)
    (third,) = claim(database)
    assert third.attempts == 1
    complete(database, [third])
    assert (row(database, "a").attempts, row(database, "a").last_error) == (0, None)


def test_event_clears_a_retry_delay_but_not_the_count(database: Database) -> None:
    """A new event makes a delayed row ready at once; a row that fails at every event still gets parked some day."""
    want(database, "a")
    retry(database, claim(database)[0], delay=3600)
    want(database, "a")
    (again,) = claim(database)
    assert (again.attempts, again.generation) == (1, 2)


def test_event_during_a_failed_pass_is_tried_at_once(database: Database) -> None:
    """An event that came in while the pass failed is not made to wait for the failure's delay."""
    want(database, "a")
    (failed,) = claim(database)
    want(database, "a")
    retry(database, failed, delay=3600)
    (again,) = claim(database)
    assert again.attempts == 1


def test_parked_row_rests_until_its_next_event(database: Database) -> None:
    """A parked row is not claimed, is listed with its reason, and the next event unparks it with fresh attempts."""
    want(database, "a")
    retry(database, claim(database)[0], delay=0)
    assert park(database, claim(database)[0], "no_access")
    assert claim(database) == []
    (listed,) = database.run_sync(lambda c: work_queue.parked(c, STREAM))
    assert (listed.key, listed.park_reason, listed.attempts) == ("a", "no_access", 2)
    want(database, "a")
    (again,) = claim(database)
    assert again.attempts == 0
    assert database.run_sync(work_queue.parked) == []


def test_event_during_a_pass_that_parks_is_not_lost(database: Database) -> None:
    """A row with an unread event is not parked: it is ready, with fresh attempts."""
    want(database, "a")
    (failed,) = claim(database)
    want(database, "a")
    assert not park(database, failed)
    (again,) = claim(database)
    assert (again.generation, again.attempts) == (2, 0)


def test_replay_by_filter(database: Database) -> None:
    """Parked rows are replayed all, by stream, by reason or by key; a second replay finds nothing."""
    want(database, "a", "b", "c")
    for claimed in claim(database):
        park(database, claimed, "invalid" if claimed.key == "a" else "no_access")
    assert len(database.run_sync(lambda c: work_queue.parked(c, reason="no_access"))) == 2
    assert len(database.run_sync(lambda c: work_queue.parked(c, limit=1, offset=2))) == 1

    def replay(**given: str) -> int:
        return database.run_sync(lambda c: work_queue.replay(c, database.now(c), **given))

    assert replay(stream="other") == 0
    assert replay(reason="invalid") == 1
    assert replay(key="b", stream=STREAM) == 1
    assert [c.key for c in claim(database)] == ["a", "b"]
    assert replay() == 1
    assert replay() == 0


def test_follow_up_pass_is_due_at_its_time(database: Database, clock: FakeClock) -> None:
    """Completing with `again` makes the row ready at that time, once."""
    want(database, "a", "b")
    assert complete(database, claim(database), again={"a": clock() + 30}) == 2
    assert claim(database) == []
    assert database.run_sync(lambda c: work_queue.next_due(c, database.now(c), STREAM)) == clock() + 30
    clock.advance(30)
    (again,) = claim(database)
    assert again.key == "a"
    complete(database, [again])
    clock.advance(100)
    assert claim(database) == []


def test_event_overtakes_a_follow_up_pass(database: Database, clock: FakeClock) -> None:
    """An event during or after the pass makes the row ready at once, whatever follow-up was asked for."""
    want(database, "a", "b")
    claims = claim(database)
    want(database, "a")
    complete(database, claims, again={"a": clock() + 30, "b": clock() + 30})
    want(database, "b")
    assert [c.key for c in claim(database)] == ["a", "b"]


def test_want_with_a_later_time(database: Database, clock: FakeClock) -> None:
    """A want for later waits, never delays what is due sooner, and is overtaken by an event."""
    later = clock() + 100
    want(database, "a", "c", not_before=later)
    want(database, "b")
    want(database, "b", not_before=later)
    want(database, "c")
    assert [c.key for c in claim(database)] == ["b", "c"]
    clock.advance(100)
    assert "a" in [c.key for c in claim(database)]


def test_only_named_keys_are_claimed_and_only_if_ready(database: Database) -> None:
    """A claim by key takes those of them that are ready and nothing else."""
    want(database, "a", "b", "c")
    claim(database, keys=["b"])
    assert [c.key for c in claim(database, keys=["a", "b", "never wanted"])] == ["a"]
    assert claim(database, keys=[]) == []


def test_busy_row_queues_up_behind_the_others(database: Database, clock: FakeClock) -> None:
    """A row with an event in every pass does not keep a waiting one from its turn."""
    want(database, "a")
    claims = claim(database)
    clock.advance(1)
    want(database, "b")
    clock.advance(1)
    want(database, "a")
    complete(database, claims)
    assert [c.key for c in claim(database, limit=1)] == ["b"]


def test_counts_and_next_due(database: Database, clock: FakeClock) -> None:
    """Ready rows are counted up to the limit; the next due time takes delays and leases into account."""

    def next_due() -> float | None:
        return database.run_sync(lambda c: work_queue.next_due(c, database.now(c), STREAM))

    def ready_count(limit: int) -> int:
        return database.run_sync(lambda c: work_queue.ready_count(c, database.now(c), STREAM, limit))

    assert next_due() is None
    want(database, *(f"k{number}" for number in range(7)))
    assert (ready_count(5), ready_count(100)) == (5, 7)
    claims = claim(database, limit=7, lease=20)
    assert (ready_count(100), next_due()) == (0, clock() + 20)
    retry(database, claims[0], delay=5)
    assert next_due() == clock() + 5
    park(database, claims[1])
    complete(database, claims[2:])
    clock.advance(5)
    assert ready_count(100) == 1


def test_summary_per_stream(database: Database, clock: FakeClock) -> None:
    """The summary tells waiting, leased, delayed and parked rows apart and how long the oldest has waited."""
    want(database, "waiting-long")
    clock.advance(40)
    want(database, "parked", "delayed", "leased", "done", "expired")
    retry(database, claim(database, keys=["delayed"])[0], delay=60)
    park(database, claim(database, keys=["parked"])[0])
    complete(database, claim(database, keys=["done"]))
    claim(database, keys=["expired"], lease=1)
    clock.advance(2)
    claim(database, keys=["leased"])
    found = database.run_sync(lambda c: work_queue.summary(c, database.now(c)))
    assert found == {STREAM: work_queue.StreamSummary(2, 1, 1, 1, 42.0)}


def test_no_keys_and_unknown_rows(database: Database) -> None:
    """Nothing wanted is nothing done, and an entity never wanted has no row."""
    assert want(database) == 0
    assert complete(database, []) == 0
    assert database.run_sync(lambda c: work_queue.get(c, STREAM, "a")) is None
    assert database.run_sync(lambda c: work_queue.summary(c, database.now(c))) == {}


def test_ten_thousand_keys_in_one_call(database: Database) -> None:
    """A sweep wants, claims and completes thousands of keys in one statement each."""
    keys = [f"Räumung-{number}'\"\\" for number in range(10_000)]
    assert want(database, *keys, priority=1) == 10_000
    claims = claim(database, limit=20_000)
    assert len(claims) == 10_000
    assert complete(database, claims) == 10_000
    assert claim(database) == []


def test_long_errors_are_cut(database: Database) -> None:
    """An error text is stored shortened, and without what PostgreSQL cannot store."""
    want(database, "a")
    (claimed,) = claim(database)
    database.run_sync(lambda c: work_queue.retry(c, 0.0, claimed, error="\0" + "x" * 2000, delay=0))
    assert row(database, "a").last_error == "x" * 500
