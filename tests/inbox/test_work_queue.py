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


def claim(database: Database, limit: int = 10, lease: float = 20.0, keys: list[str] | None = None) -> list[Claim]:
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
