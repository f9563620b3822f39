"""The work queue against a small model of it, in any order of events, passes, failures and time."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import work
from bitbylaw_pipeline.inbox.work_queue import Claim
from tests.conftest import FakeClock, migrated_url

STREAM = "documents"
KEYS = st.sampled_from(["a", "b", "c", "d"])
SECONDS = st.sampled_from([0.0, 1.0, 5.0, 30.0])
LEASE = 10.0


@dataclass(frozen=True)
class Row:
    """What the model knows of a row."""

    wanted: int = 0
    done: int = 0
    priority: int = 0
    not_before: float = 0.0
    attempts: int = 0
    token: str | None = None
    lease_until: float | None = None
    is_parked: bool = False

    @property
    def is_pending(self) -> bool:
        return self.wanted > self.done

    def is_ready(self, now: float) -> bool:
        is_leased = self.lease_until is not None and self.lease_until > now
        return self.is_pending and not self.is_parked and not is_leased and self.not_before <= now


def freed(row: Row) -> Row:
    return replace(row, token=None, lease_until=None)


class WorkQueueMachine(RuleBasedStateMachine):
    """Runs every operation on the database and on the model and compares."""

    claims: Bundle[Claim] = Bundle("claims")
    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="queue-"))
        self.clock = FakeClock(1000.0)
        self.database = Database.open(migrated_url(self.kind, self.folder), clock=self.clock)
        self.rows: dict[str, Row] = {}
        # A want that came in after a generation was read must be seen by a later claim: its number, per key.
        self.seen: dict[str, int] = {}

    @initialize()
    def begin(self) -> None:
        assert self.database.run_sync(lambda c: work_queue.summary(c, self.clock())) == {}

    @rule(keys=st.lists(KEYS, min_size=1), priority=st.sampled_from([0, 1]), later=st.none() | SECONDS)
    def want(self, keys: list[str], priority: int, later: float | None) -> None:
        now = self.clock()
        not_before = None if later is None else now + later
        self.database.run_sync(
            lambda c: work_queue.want(c, now, STREAM, keys, priority=priority, not_before=not_before)
        )
        due = now + (later or 0.0)
        for key in set(keys):
            old = self.rows.get(key, Row())
            is_open = old.is_pending and not old.is_parked
            self.rows[key] = replace(
                old,
                wanted=old.wanted + 1,
                priority=min(old.priority, priority) if old.is_pending else priority,
                not_before=min(old.not_before, due) if is_open else due,
                attempts=0 if old.is_parked else old.attempts,
                is_parked=False,
            )

    @rule(target=claims, limit=st.integers(1, 3), keys=st.none() | st.lists(KEYS))
    def claim(self, limit: int, keys: list[str] | None) -> MultipleResults[Claim]:
        now = self.clock()
        ready = sorted(
            (row.priority, row.not_before, key)
            for key, row in self.rows.items()
            if row.is_ready(now) and (keys is None or key in keys)
        )
        claims = self.database.run_sync(
            lambda c: work_queue.claim(c, now, STREAM, limit=limit, lease_seconds=LEASE, keys=keys)
        )
        assert [claimed.key for claimed in claims] == [key for *_, key in ready[:limit]]
        for claimed in claims:
            row = self.rows[claimed.key]
            attempts = row.attempts + (row.lease_until is not None)
            assert (claimed.generation, claimed.attempts) == (row.wanted, attempts)
            self.seen[claimed.key] = claimed.generation
            self.rows[claimed.key] = replace(
                row, token=claimed.token, lease_until=now + LEASE, attempts=attempts
            )
        return multiple(*claims)

    def _current(self, claimed: Claim) -> Row | None:
        row = self.rows[claimed.key]
        return row if row.token == claimed.token else None

    @rule(claimed=claims, again=st.none() | SECONDS)
    def complete(self, claimed: Claim, again: float | None) -> None:
        now = self.clock()
        follow_up = {} if again is None else {claimed.key: now + again}
        counted = self.database.run_sync(lambda c: work_queue.complete(c, now, [claimed], again=follow_up))
        row = self._current(claimed)
        assert counted == (row is not None)
        if row is None:
            return
        has_newer = row.wanted > claimed.generation
        due = now if has_newer else (row.not_before if again is None else now + again)
        wanted = claimed.generation + 1 if again is not None and not has_newer else row.wanted
        self.rows[claimed.key] = replace(
            freed(row), done=claimed.generation, wanted=wanted, not_before=due, attempts=0
        )

    @rule(claimed=claims, delay=SECONDS, counts=st.booleans())
    def retry(self, claimed: Claim, delay: float, counts: bool) -> None:
        now = self.clock()
        counted = self.database.run_sync(
            lambda c: work_queue.retry(c, now, claimed, error="http 503", delay=delay, counts=counts)
        )
        row = self._current(claimed)
        assert counted == (row is not None)
        if row is not None:
            due = now if row.wanted > claimed.generation else now + delay
            self.rows[claimed.key] = replace(freed(row), not_before=due, attempts=row.attempts + counts)

    @rule(claimed=claims)
    def park(self, claimed: Claim) -> None:
        now = self.clock()
        is_parked = self.database.run_sync(lambda c: work_queue.park(c, now, claimed, "refused", "http 400"))
        row = self._current(claimed)
        has_newer = row is not None and row.wanted > claimed.generation
        assert is_parked == (row is not None and not has_newer)
        if row is not None:
            self.rows[claimed.key] = replace(
                freed(row),
                is_parked=not has_newer,
                not_before=now if has_newer else row.not_before,
                attempts=0 if has_newer else row.attempts + 1,
            )

    @rule(claimed=consumes(claims))
    def release(self, claimed: Claim) -> None:
        counted = self.database.run_sync(lambda c: work_queue.release(c, self.clock(), [claimed]))
        row = self._current(claimed)
        assert counted == (row is not None)
        if row is not None:
            self.rows[claimed.key] = freed(row)

    @rule(claimed=claims)
    def renew(self, claimed: Claim) -> None:
        now = self.clock()
        kept = self.database.run_sync(lambda c: work_queue.renew(c, now, [claimed], LEASE))
        row = self._current(claimed)
        assert kept == ({claimed.key} if row is not None else set())
        if row is not None:
            self.rows[claimed.key] = replace(row, lease_until=now + LEASE)

    @rule()
    def replay(self) -> None:
        now = self.clock()
        count = self.database.run_sync(lambda c: work_queue.replay(c, now, stream=STREAM))
        parked = [key for key, row in self.rows.items() if row.is_parked]
        assert count == len(parked)
        for key in parked:
            self.rows[key] = replace(self.rows[key], is_parked=False, attempts=0, not_before=now)

    @rule(seconds=st.sampled_from([0.5, 4.0, LEASE, 40.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def database_is_as_the_model(self) -> None:
        """Same rows; done never beyond wanted; no want lost: what was not claimed yet is still open."""
        stored = self.database.run_sync(lambda c: c.execute(work.select()).all())
        found = {
            row.key: Row(
                row.wanted, row.done, row.priority, row.not_before, row.attempts, row.lease_token, row.lease_until,
                row.parked_at is not None,
            )
            for row in stored
        }  # fmt: skip
        assert found == self.rows
        for key, row in found.items():
            assert row.done <= row.wanted
            assert row.done <= self.seen.get(key, 0)
            assert (row.token is None) == (row.lease_until is None)

    @invariant()
    def next_due_is_the_models(self) -> None:
        """Waiting until `next_due` never sleeps through work."""
        open_rows = [row for row in self.rows.values() if row.is_pending and not row.is_parked]
        due = min((max(row.not_before, row.lease_until or 0.0) for row in open_rows), default=None)
        assert self.database.run_sync(lambda c: work_queue.next_due(c, self.clock(), STREAM)) == due

    def teardown(self) -> None:
        """Whatever happened, everything wanted can still be brought to done."""
        self.clock.advance(1000.0)
        self.database.run_sync(lambda c: work_queue.replay(c, self.clock()))
        claims = self.database.run_sync(
            lambda c: work_queue.claim(c, self.clock(), STREAM, limit=100, lease_seconds=LEASE)
        )
        assert {claimed.key for claimed in claims} == {
            key for key, row in self.rows.items() if row.is_pending
        }
        self.database.run_sync(lambda c: work_queue.complete(c, self.clock(), claims))
        assert self.database.run_sync(lambda c: work_queue.summary(c, self.clock())) == {}
        self.database.close()
        shutil.rmtree(self.folder)


class PostgresMachine(WorkQueueMachine):
    """The same on PostgreSQL."""

    kind = "postgresql"


@pytest.mark.parametrize(("machine", "examples"), [(WorkQueueMachine, 40), (PostgresMachine, 10)])
def test_queue_behaves_as_its_model(machine: type[WorkQueueMachine], examples: int) -> None:
    """In any order of operations: no want is lost, done never passes wanted, no row has two live leases."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )
