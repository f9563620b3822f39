"""Asset checks: what they say, and that they are reported when that changes, without runs."""

import json
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Connection, event

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document_state import DocumentState, IndexStatus
from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.inbox import batches, collection_states, document_states, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.orchestration.document_checks import (
    egress_check,
    failed_indexing_check,
    permission_check,
)
from bitbylaw_pipeline.orchestration.queue_checks import (
    OLDEST_WAITING_SECONDS,
    oldest_waiting_check,
    parked_check,
)
from bitbylaw_pipeline.orchestration.standing_checks import (
    MATERIALIZED_AGAIN_AFTER,
    REPORTED_AGAIN_AFTER,
    Finding,
    Moment,
    StandingCheck,
    build_asset_checks,
    build_check_sensor,
)
from bitbylaw_pipeline.settings import Settings
from tests.conftest import FakeClock
from tests.orchestration.toy import FILES, MEMBERSHIPS, TOYS, ToyBackend
from tests.orchestration.workbench import Workbench


def look(database: Database, check: StandingCheck, **given: Any) -> Finding:
    """What the check finds now."""
    settings = Settings.load(_env_file=None, **given)
    return database.read(lambda conn: check.look(Moment(conn, database.now(conn), settings)))


def test_parked_entities_are_counted_with_a_sample(database: Database) -> None:
    """Parked entities warn with their number and a sample of keys and reasons; none parked passes."""
    check = parked_check(FILES, TOYS.name)
    assert look(database, check).passed
    keys = [f"k{number:03}" for number in range(30)]
    database.run_sync(lambda conn: work_queue.want(conn, database.now(conn), TOYS.name, keys))
    claims = database.run_sync(
        lambda conn: work_queue.claim(conn, database.now(conn), TOYS.name, limit=30, lease_seconds=9)
    )

    def park_all(conn: Connection) -> None:
        for claim in claims:
            work_queue.park(conn, database.now(conn), claim, "too_large", "no")

    database.run_sync(park_all)
    found = look(database, check)
    assert not found.passed
    assert found.facts == {"parked": 30}
    assert len(found.ids) == 20
    assert found.ids[0] == "k000 (too_large)"


def test_oldest_waiting_warns_after_a_quarter_of_an_hour(database: Database, clock: FakeClock) -> None:
    """What has waited too long warns; meanwhile growing older is no news, so that nothing is reported every minute."""
    check = oldest_waiting_check(FILES, TOYS.name)
    database.run_sync(lambda conn: work_queue.want(conn, database.now(conn), TOYS.name, ["k1"]))
    assert look(database, check).passed
    clock.advance(OLDEST_WAITING_SECONDS + 60)
    first = look(database, check)
    assert not first.passed
    clock.advance(120)
    assert look(database, check).digest == first.digest
    clock.advance(OLDEST_WAITING_SECONDS)
    assert look(database, check).digest != first.digest


def test_failed_indexing_names_the_documents(database: Database) -> None:
    """Documents that xAI could not read warn with their ids, those it is still reading do not."""
    check = failed_indexing_check(MEMBERSHIPS)
    state = DocumentState(document_id="d1", updated_at=1.0, index_status=IndexStatus.PENDING)
    database.run_sync(lambda conn: document_states.put(conn, state))
    assert look(database, check).passed
    failed = replace(state, document_id="d2", index_status=IndexStatus.FAILED)
    database.run_sync(lambda conn: document_states.put(conn, failed))
    found = look(database, check)
    assert (found.passed, list(found.ids)) == (False, ["d2"])


def test_egress_off_is_said_plainly(database: Database) -> None:
    """Without a rule the check says that nothing leaves the firm and which setting changes that; so does the kill switch."""
    check = egress_check(FILES)
    off = look(database, check)
    assert not off.passed
    assert "XAI_EGRESS is off" in off.says
    assert look(database, check, xai_egress=EgressRule.FIELD).passed
    database.run_sync(lambda conn: batches.set_flag(conn, database.now(conn), batches.EGRESS_STOP))
    stopped = look(database, check, xai_egress=EgressRule.FIELD)
    assert not stopped.passed
    assert "kill switch" in stopped.says
    assert "bitbylaw egress allow" in stopped.says


def test_what_is_at_xai_without_permission_is_counted_by_reason(database: Database) -> None:
    """By id, with the command that lists it; what is permitted is not there."""
    check = permission_check(FILES)
    given = CollectionState("Account:a", "collection_a", True, "field:01", 1.0)
    gone = replace(given, owner_key="Account:b", collection_id="collection_b", is_permitted=False)
    state = DocumentState("d1", 1.0, file_id="file_1", owners=("Account:a",))

    def put(conn: Connection) -> None:
        collection_states.put(conn, given)
        document_states.put(conn, state)

    database.run_sync(put)
    assert look(database, check, xai_egress=EgressRule.FIELD).passed
    database.run_sync(lambda conn: collection_states.put(conn, gone))
    lost = replace(state, document_id="d2", owners=("Account:b",))
    database.run_sync(lambda conn: document_states.put(conn, lost))
    found = look(database, check, xai_egress=EgressRule.FIELD)
    assert (found.passed, list(found.ids)) == (False, ["d2", "Account:b"])
    assert found.facts == {"withdrawn": 2, "excluded": 0, "kept": 0}
    assert "bitbylaw egress remaining" in found.says


def test_what_is_kept_of_deleted_records_is_told_and_is_no_warning(database: Database) -> None:
    """There is always some of it, so it is counted and not read: the table of documents is no place for a look a minute."""
    check = permission_check(FILES)
    state = DocumentState("d1", 1.0, file_id="file_1", owners=("Account:a",), deleted_at=2.0)
    gone = CollectionState("Account:a", "collection_a", False, "gone", 1.0, deleted_at=2.0)

    def put(conn: Connection) -> None:
        collection_states.put(conn, gone)
        document_states.put(conn, state)

    database.run_sync(put)
    read: list[str] = []

    def see(conn: Connection) -> Finding:
        @event.listens_for(conn, "before_cursor_execute")
        def _(*given: Any) -> None:
            read.append(given[2])

        settings = Settings.load(_env_file=None, xai_egress=EgressRule.FIELD)
        return check.look(Moment(conn, database.now(conn), settings))

    found = database.read(see)
    assert (found.passed, found.facts) == (True, {"withdrawn": 0, "excluded": 0, "kept": 2})
    assert "2 more are kept" in found.says
    assert read
    assert not [statement for statement in read if "document_state.doomed," in statement]


CHECKS = (parked_check(FILES, TOYS.name), egress_check(FILES))


def tick(bench: Workbench, cursor: str | None) -> Any:
    """One tick of the sensor."""
    backend: ToyBackend = bench.backend
    context = dg.build_sensor_context(instance=bench.instance, resources={"backend": backend}, cursor=cursor)
    with context:
        return build_check_sensor(CHECKS).evaluate_tick(context)


def test_sensor_reports_what_has_changed(bench: Workbench) -> None:
    """The first tick reports every check, the next none, and a later one just the check whose answer has changed."""
    first = tick(bench, None)
    assert {event.check_name for event in first.asset_events} == {"nothing_parked", "egress_is_on"}
    quiet = tick(bench, first.cursor)
    assert quiet.asset_events == []
    assert quiet.skip_message == "Nothing new: 1 checks pass, 1 warn."
    bench.want("bad-1")
    bench.run_batch()
    (event,) = tick(bench, first.cursor).asset_events
    assert (event.check_name, event.passed) == ("nothing_parked", False)
    assert event.severity is dg.AssetCheckSeverity.WARN
    bench.instance.report_runless_asset_event(event)
    key = dg.AssetCheckKey(FILES, "nothing_parked")
    summary = bench.instance.event_log_storage.get_asset_check_summary_records([key])[key]
    latest = summary.last_check_execution_record
    assert latest is not None
    assert latest.status.value == "FAILED"


@pytest.mark.parametrize("cursor", ["", "not json", "[1, 2]", '{"a": 1}'])
def test_strange_cursor_is_survived(bench: Workbench, cursor: str) -> None:
    """A cursor that makes no sense costs one more report and no failing tick."""
    assert len(tick(bench, cursor).asset_events) == 2


def test_unchanged_answer_is_reported_once_a_day(bench: Workbench) -> None:
    """A check that keeps its answer is still reported once a day: an old check looks like a dead one."""
    first = tick(bench, None)
    aged = json.dumps(
        {
            label: (digest, at - REPORTED_AGAIN_AFTER)
            for label, (digest, at) in json.loads(first.cursor).items()
        }
    )
    assert len(tick(bench, aged).asset_events) == 2


def test_a_check_is_told_again_after_its_asset_was_made_anew(bench: Workbench) -> None:
    """Dagster shows an older answer as not evaluated: it is repeated a quarter of an hour later, and only then."""
    first = tick(bench, None)
    bench.instance.report_runless_asset_event(dg.AssetMaterialization(FILES, partition="a"))
    assert tick(bench, first.cursor).asset_events == []
    aged = json.dumps(
        {
            label: (digest, at - MATERIALIZED_AGAIN_AFTER)
            for label, (digest, at) in json.loads(first.cursor).items()
        }
    )
    assert len(tick(bench, aged).asset_events) == 2


def test_execute_button_works(bench: Workbench) -> None:
    """Each check can also be run by a person, and its result is stored."""
    checks = build_asset_checks("toy_checks", CHECKS)
    definitions = dg.Definitions(
        assets=[dg.AssetSpec(FILES)], asset_checks=[checks], resources={"backend": bench.backend}
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=bench.instance)
    assert result.success
    evaluations = {
        evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()
    }
    assert evaluations == {"nothing_parked": True, "egress_is_on": False}
