"""What the last passes over each employee's appointments came to, and asking for passes."""

from __future__ import annotations

from functools import partial

from bitbylaw_pipeline.domain.errors import ScopeRefused, Transient
from bitbylaw_pipeline.inbox import calendar_passes, work_queue
from bitbylaw_pipeline.inbox.calendar_passes import STREAM, CalendarPasses, Failure
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.work_queue import EVENT_PRIORITY, SWEEP_PRIORITY, Claim
from tests.conftest import FakeClock

KEYS = ["AB", "CD", "EF"]


def passed(database: Database, begun: float, ended: float, **counts: int) -> None:
    """A pass of AB's that went through."""
    database.run_sync(lambda c: calendar_passes.note_passed(c, ended, "AB", begun, counts))


def failed(database: Database, begun: float, ended: float, why: str = "503") -> None:
    """A pass of AB's that failed."""
    error = Transient(why, system="google")
    database.run_sync(lambda c: calendar_passes.note_failed(c, ended, "AB", begun, error))


def known(database: Database, key: str = "AB") -> CalendarPasses | None:
    """What is noted."""
    return database.read(lambda c: calendar_passes.get(c, key))


def test_a_pass_is_noted_whole_and_the_next_one_replaces_it(database: Database) -> None:
    """When it began and ended, and its counts; nobody else's."""
    assert known(database) is None
    passed(database, 1.0, 2.0, writes=3)
    assert known(database) == CalendarPasses("AB", 1.0, 2.0, {"writes": 3}, None)
    passed(database, 5.0, 6.0)
    assert known(database) == CalendarPasses("AB", 5.0, 6.0, {}, None)
    assert known(database, "CD") is None


def test_a_failure_before_any_success(database: Database) -> None:
    """Nothing has gone through yet, and it says since when."""
    failed(database, 1.0, 2.0)
    assert known(database) == CalendarPasses("AB", None, None, {}, Failure(1.0, 2.0, 2.0, "Transient", "503"))


def test_failures_keep_the_success_and_the_time_of_the_first_until_one_goes_through(
    database: Database,
) -> None:
    """since is the first failure's time; a success forgets all of them; the next failure begins anew."""
    passed(database, 1.0, 2.0, writes=3)
    failed(database, 3.0, 4.0, "first")
    failed(database, 5.0, 6.0, "second")
    assert known(database) == CalendarPasses(
        "AB", 1.0, 2.0, {"writes": 3}, Failure(5.0, 6.0, 4.0, "Transient", "second")
    )
    passed(database, 7.0, 8.0)
    assert known(database) == CalendarPasses("AB", 7.0, 8.0, {}, None)
    failed(database, 9.0, 10.0)
    note = known(database)
    assert note is not None
    assert note.failure is not None
    assert note.failure.since == 10.0


def test_an_errors_class_is_kept_and_its_text_is_cut(database: Database) -> None:
    """By the class a check knows what to say; a text of any length fits."""
    error = ScopeRefused("x" * 2000, reason="user_unknown")
    database.run_sync(lambda c: calendar_passes.note_failed(c, 2.0, "AB", 1.0, error))
    note = known(database)
    assert note is not None
    assert note.failure is not None
    assert (note.failure.error, len(note.failure.why)) == ("ScopeRefused", work_queue.ERROR_LENGTH)


def test_only_those_that_were_asked_about_are_loaded(database: Database) -> None:
    """Somebody who has no pass yet is not there."""
    for key in KEYS:
        database.run_sync(partial(calendar_passes.note_passed, now=2.0, kuerzel=key, begun_at=1.0, counts={}))
    found = database.read(lambda c: calendar_passes.load(c, ["AB", "EF", "ZZ"]))
    assert sorted(found) == ["AB", "EF"]
    assert database.read(lambda c: calendar_passes.load(c, [])) == {}


def want(database: Database, keys: list[str], **more: int) -> list[str]:
    """The schedule asks for passes."""
    return database.run_sync(lambda c: calendar_passes.want_passes(c, database.now(c), keys, **more))


def claim(database: Database) -> dict[str, Claim]:
    """Whatever is ready."""
    claims = database.run_sync(
        lambda c: work_queue.claim(c, database.now(c), STREAM, limit=9, lease_seconds=60.0)
    )
    return {one.key: one for one in claims}


def put_off(database: Database, claimed: Claim) -> None:
    """Google asks to slow down for a hundred seconds."""
    database.run_sync(
        lambda c: work_queue.retry(c, database.now(c), claimed, error="429", delay=100.0, counts=False)
    )


def complete(database: Database, *claims: Claim) -> None:
    """These passes are done."""
    database.run_sync(lambda c: work_queue.complete(c, database.now(c), claims))


def priority(database: Database, key: str) -> int:
    """A row's priority."""
    row = database.read(lambda c: work_queue.get(c, STREAM, key))
    assert row is not None
    return row.priority


def test_passes_are_asked_for_behind_everything_urgent(database: Database) -> None:
    """Everybody once, at a sweep's priority, or at an event's where somebody waits for it."""
    assert want(database, KEYS) == KEYS
    assert want(database, ["AB"], priority=EVENT_PRIORITY) == ["AB"]
    priorities = {key: priority(database, key) for key in KEYS}
    assert priorities == {"AB": EVENT_PRIORITY, "CD": SWEEP_PRIORITY, "EF": SWEEP_PRIORITY}
    assert list(claim(database)) == KEYS


def test_one_that_waits_for_its_time_is_left_alone_until_then(database: Database, clock: FakeClock) -> None:
    """A want would clear the delay that Google asked for; an explicit one does."""
    want(database, KEYS)
    claims = claim(database)
    put_off(database, claims["AB"])
    complete(database, claims["CD"], claims["EF"])
    clock.advance(50.0)
    assert want(database, KEYS) == ["CD", "EF"]
    assert set(claim(database)) == {"CD", "EF"}
    clock.advance(50.0)
    assert want(database, ["AB"]) == ["AB"]
    (ready,) = claim(database).values()
    put_off(database, ready)
    assert claim(database) == {}
    database.run_sync(lambda c: work_queue.want(c, database.now(c), STREAM, ["AB"]))
    assert set(claim(database)) == {"AB"}


def test_one_that_is_parked_is_tried_again(database: Database) -> None:
    """A refused calendar may be open again a quarter of an hour later: nobody has to say so."""
    want(database, ["AB"])
    (ready,) = claim(database).values()
    database.run_sync(lambda c: work_queue.park(c, database.now(c), ready, "calendar_missing", "404"))
    assert claim(database) == {}
    assert want(database, ["AB"]) == ["AB"]
    assert set(claim(database)) == {"AB"}


def test_one_that_is_under_way_gets_another_pass(database: Database) -> None:
    """What is asked for during a pass is not answered by it."""
    want(database, ["AB"])
    (running,) = claim(database).values()
    assert want(database, ["AB"]) == ["AB"]
    complete(database, running)
    assert set(claim(database)) == {"AB"}
