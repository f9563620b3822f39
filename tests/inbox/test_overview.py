"""What the overview says of flows, systems and egress, and when it calls a flow silent."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert

from bitbylaw_pipeline.domain.errors import AuthFailed, Transient
from bitbylaw_pipeline.inbox import (
    batches,
    calendar_passes,
    egress_switch,
    feed_cursors,
    outages,
    pass_times,
    reconciliations,
    work_queue,
    work_statements,
)
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.flow_views import FlowView
from bitbylaw_pipeline.inbox.overview import Overview, read_overview
from bitbylaw_pipeline.inbox.schema import work
from bitbylaw_pipeline.settings import Settings
from tests.conftest import FakeClock

ADVOWARE: dict[str, Any] = {"advoware_api_base_url": "http://advoware.example", "advoware_api_key": "app"}
CALENDAR = {"user": "ab@kanzlei.example", "calendar": "one@group.calendar.google.com"}
OTHER = {"user": "cd@kanzlei.example", "calendar": "two@group.calendar.google.com"}
CALENDARS: dict[str, Any] = {**ADVOWARE, "google_calendars": {"AB": CALENDAR, "CD": OTHER}}
HOUR = 3600.0


def see(database: Database, **given: Any) -> Overview:
    """The overview now."""
    settings = Settings.load(_env_file=None, **given)
    return database.read(lambda conn: read_overview(conn, database.now(conn), settings))


def flow(found: Overview, name: str) -> FlowView:
    """That flow of it."""
    return next(one for one in found.flows if one.name == name)


def want(database: Database, stream: str, *keys: str, **given: Any) -> None:
    database.run_sync(lambda c: work_queue.want(c, database.now(c), stream, keys, **given))


def claim(database: Database, stream: str) -> list[work_queue.Claim]:
    return database.run_sync(
        lambda c: work_queue.claim(c, database.now(c), stream, limit=10, lease_seconds=60)
    )


def complete(database: Database, stream: str) -> None:
    claims = claim(database, stream)
    database.run_sync(lambda c: work_queue.complete(c, database.now(c), claims))


def test_the_flows_are_those_of_the_settings(database: Database) -> None:
    """Documents and collections always, Advoware's three and appointments where configured, others if work is left."""
    assert [one.name for one in see(database).flows] == ["documents", "collections"]
    everything = see(database, **CALENDARS)
    assert [one.name for one in everything.flows][2:] == [
        "beteiligte",
        "bankverbindungen",
        "akten",
        "termine",
    ]
    assert [one.name for one in everything.systems] == [
        "espocrm",
        "xai-files",
        "xai-management",
        "advoware",
        "google",
    ]
    assert all("calls at once" in one.limits for one in everything.systems)
    want(database, "akten", "1")
    assert [one.name for one in see(database).flows][2:] == ["akten"]


def test_a_flow_tells_its_queue_success_and_drift(database: Database, clock: FakeClock) -> None:
    """The queue's figures, the last success, what the last reconciliation found, and why a later one failed."""
    want(database, "documents", "a", "b")
    complete(database, "documents")
    succeeded = clock.now
    want(database, "documents", "a", "b", "c")
    clock.advance(50)
    one, *others = claim(database, "documents")
    database.run_sync(lambda c: work_queue.release(c, clock.now, others))
    database.run_sync(lambda c: work_queue.park(c, clock.now, one, "too_large", "Permanent: too large"))
    counts = {"missing": 2, "orphaned": 1}
    database.run_sync(
        lambda c: reconciliations.note_ended(
            c, clock.now, "documents", begun_at=clock.now - 5, listed={}, counts=counts, wanted=2, withheld=1
        )
    )
    reconciled = clock.now
    clock.advance(50)
    failure = Transient("The list is shorter than it was.", system="xai-files")
    database.run_sync(lambda c: reconciliations.note_failed(c, clock.now, "documents", failure))
    found = flow(see(database), "documents")
    assert (found.waiting, found.in_work, found.delayed, found.parked) == (2, 0, 0, 1)
    assert found.oldest_waiting_seconds == 100
    assert found.last_success_at == succeeded
    assert (found.drift, found.withheld, found.reconciled_at) == (3, 1, reconciled)
    assert found.reconcile_failure == "The list is shorter than it was."
    assert flow(see(database), "collections").drift is None


def test_a_reconciliation_that_is_not_made_any_more_is_told(database: Database, clock: FakeClock) -> None:
    """After two nights; of a flow whose system was taken away none is due."""
    for name in ("documents", "akten"):
        facts: dict[str, Any] = {"flow": name, "listed": {}, "counts": {}, "wanted": 0, "withheld": 0}
        database.run_sync(partial(reconciliations.note_ended, now=clock.now, begun_at=clock.now, **facts))
    want(database, "akten", "1")
    clock.advance(50 * HOUR - 1)
    assert flow(see(database), "documents").reconcile_failure is None
    clock.advance(1)
    says = "not made for 2 d, although every night it is due."
    assert flow(see(database), "documents").reconcile_failure == says
    assert flow(see(database), "collections").reconcile_failure is None
    assert flow(see(database), "akten").reconcile_failure is None
    assert flow(see(database, **ADVOWARE), "akten").reconcile_failure == says


def test_waiting_for_long_without_a_success_is_silence(database: Database, clock: FakeClock) -> None:
    """A quiet night is none; work that has waited an hour while nothing succeeded is, also after failures."""
    want(database, "documents", "a")
    complete(database, "documents")
    clock.advance(8 * HOUR)
    want(database, "documents", "a")
    clock.advance(HOUR - 1)
    assert flow(see(database), "documents").silence is None
    (one,) = claim(database, "documents")
    database.run_sync(lambda c: work_queue.retry(c, clock.now, one, error="Transient: 500", delay=9 * HOUR))
    clock.advance(1)
    says = flow(see(database), "documents").silence
    assert says == "Work has been waiting for 60 min, and nothing succeeded (last success: 9 h ago)."
    assert flow(see(database, alert_flow_silent_minutes=61), "documents").silence is None
    want(database, "documents", "b")
    complete(database, "documents")
    assert flow(see(database), "documents").silence is None


def test_what_waits_for_its_own_time_is_no_silence(database: Database, clock: FakeClock) -> None:
    """A pass that is due tomorrow has not failed."""
    want(database, "documents", "a", not_before=clock.now + 24 * HOUR)
    clock.advance(2 * HOUR)
    assert flow(see(database), "documents").silence is None


def test_a_feed_that_nobody_reads_is_silence(database: Database, clock: FakeClock) -> None:
    """An empty queue says nothing where no change gets into it; while EspoCRM is down that is said of EspoCRM."""
    assert flow(see(database), "documents").silence is None
    database.run_sync(lambda c: feed_cursors.put(c, clock.now, "CDokumente", None, None))
    database.run_sync(lambda c: feed_cursors.put(c, clock.now - 5 * HOUR, "Gone", None, None))
    clock.advance(HOUR - 1)
    assert flow(see(database), "documents").silence is None
    clock.advance(1)
    says = "EspoCRM's change feed was last read 60 min ago: what changes there goes unnoticed."
    assert [one.silence for one in see(database).flows] == [says, None]
    database.run_sync(lambda c: outages.pause(c, clock.now, "espocrm", 60, "does not answer"))
    assert flow(see(database), "documents").silence is None
    database.run_sync(lambda c: outages.resume(c, "espocrm"))
    database.run_sync(lambda c: feed_cursors.put(c, clock.now, "CDokumente", None, None))
    assert flow(see(database), "documents").silence is None


def test_appointments_that_the_kill_switch_keeps_back_are_not_silent(
    database: Database, clock: FakeClock
) -> None:
    """Neither while it is on nor right after it is lifted; an hour later a missing pass is silence again."""
    database.run_sync(lambda c: calendar_passes.note_passed(c, clock.now, "AB", clock.now, {}))
    database.run_sync(lambda c: calendar_passes.note_passed(c, clock.now, "CD", clock.now, {}))
    database.run_sync(lambda c: egress_switch.stop(c, clock.now))
    clock.advance(8 * HOUR)
    assert flow(see(database, **CALENDARS), "termine").silence is None
    database.run_sync(lambda c: egress_switch.allow(c, clock.now))
    clock.advance(HOUR - 1)
    assert flow(see(database, **CALENDARS), "termine").silence is None
    clock.advance(1)
    says = flow(see(database, **CALENDARS), "termine").silence
    assert says == "No pass has gone through for over 60 min for AB, CD."


def test_a_pair_without_a_whole_pass_is_silent(database: Database, clock: FakeClock) -> None:
    """An hour after the last one; right after the installation an hour after the first one that was tried."""
    clock.advance(HOUR)
    assert flow(see(database, **ADVOWARE), "akten").silence is None
    database.run_sync(lambda c: pass_times.await_pass(c, clock.now, "akten"))
    clock.advance(HOUR - 1)
    database.run_sync(lambda c: pass_times.await_pass(c, clock.now, "akten"))
    assert flow(see(database, **ADVOWARE), "akten").silence is None
    clock.advance(1)
    says = flow(see(database, **ADVOWARE), "akten").silence
    assert says == "No whole pass has come to its end since the first was due, 60 min ago."
    database.run_sync(lambda c: pass_times.note_pass(c, clock.now, "akten"))
    found = flow(see(database, **ADVOWARE), "akten")
    assert (found.silence, found.last_success_at) == (None, clock.now)
    clock.advance(3 * HOUR)
    assert flow(see(database, **ADVOWARE), "akten").silence == "The last whole pass ended 3 h ago."
    assert flow(see(database, **ADVOWARE), "beteiligte").silence is None


def test_employees_without_a_pass_are_named(database: Database, clock: FakeClock) -> None:
    """Whoever had no pass for an hour, and whoever never had one since the first was wanted."""
    database.run_sync(lambda c: calendar_passes.note_passed(c, clock.now, "AB", clock.now - 1, {}))
    want(database, "termine", "CD")
    clock.advance(HOUR - 1)
    assert flow(see(database, **CALENDARS), "termine").silence is None
    clock.advance(1)
    assert (
        flow(see(database, **CALENDARS), "termine").silence
        == "No pass has gone through for over 60 min for AB, CD."
    )
    database.run_sync(lambda c: calendar_passes.note_passed(c, clock.now, "AB", clock.now - 1, {}))
    refused = AuthFailed("google refuses.", system="google")
    database.run_sync(lambda c: calendar_passes.note_failed(c, clock.now, "CD", clock.now, refused))
    found = flow(see(database, **CALENDARS), "termine")
    assert found.last_success_at == clock.now
    assert found.silence == "No pass has gone through for over 60 min for CD."


def test_systems_tell_what_is_down_and_what_refuses(database: Database, clock: FakeClock) -> None:
    """A refused key needs a person, an outage does not."""
    database.run_sync(lambda c: outages.pause(c, clock.now, "espocrm", 900, outages.REFUSED))
    database.run_sync(lambda c: outages.pause(c, clock.now, "xai-files", 10, "does not answer"))
    espocrm, files, management = see(database).systems
    assert (espocrm.is_paused, espocrm.is_refused, espocrm.until) == (True, True, clock.now + 900)
    assert (files.is_paused, files.is_refused, files.reason) == (True, False, "does not answer")
    assert (management.is_paused, management.since) == (False, None)


@pytest.mark.parametrize("rule", ["off", "collection", "field"])
def test_egress_is_said_in_words(database: Database, clock: FakeClock, rule: str) -> None:
    """The rule, and the kill switch above it."""
    found = see(database, xai_egress=rule).egress
    assert (found.rule, found.is_stopped) == (rule, False)
    assert found.says.startswith(f"{rule}: ")
    database.run_sync(lambda c: batches.set_flag(c, clock.now, batches.EGRESS_STOP))
    stopped = see(database, xai_egress=rule).egress
    assert stopped.is_stopped
    assert stopped.says == f"stopped by the kill switch: nothing leaves the firm (the rule would be {rule})"


def test_a_hundred_thousand_finished_rows_are_not_read(database: Database, clock: FakeClock) -> None:
    """Finished rows are in no number: what is asked reads indexes of the open and the parked ones alone."""
    finished = {"wanted": 1, "done": 1, "priority": 0, "wanted_at": 0.0, "not_before": 0.0, "attempts": 0}
    rows = [
        {**finished, "stream": "documents", "key": str(number), "updated_at": clock.now}
        for number in range(1000)
    ]
    database.run_sync(lambda c: c.execute(insert(work), rows))
    want(database, "documents", "open")
    if database.is_sqlite:
        plans = database.read(_plans)
        assert plans
        assert all("USING" in plan and "INDEX ix_work_" in plan for plan in plans), plans
    found = flow(see(database), "documents")
    assert (found.waiting, found.last_success_at) == (1, None)


def _plans(connection: Any) -> list[str]:
    asked = (work_statements.SUMMARY, work_statements.PARKED_COUNT, work_statements.OLDEST_UNFINISHED)
    texts = [str(one._statement.compile(dialect=connection.dialect)) for one in asked]
    return [
        row[3]
        for text in texts
        for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text, (0.0,) * text.count("?"))
        if " work" in row[3]
    ]
