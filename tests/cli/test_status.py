"""What `bitbylaw status` tells."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.alert import Alert, Trouble, TroubleKind
from bitbylaw_pipeline.domain.errors import Transient
from bitbylaw_pipeline.inbox import alerts, batches, events, outages, reconciliations, work_queue
from bitbylaw_pipeline.inbox.database import Database
from tests.cli.conftest import Office, Terminal

DOCUMENT = "6a1a42a22eb2fc203"


def test_without_a_state_it_says_where_one_would_be(bare: Terminal) -> None:
    """Looking does not make one."""
    result = bare.run("status")
    assert result.exit_code == 1
    assert "There is no state at" in result.stderr
    assert "state.sqlite" in result.stderr


def fill(conn: Connection, database: Database) -> None:
    """Four documents in four states, a batch, a pause."""
    now = database.now(conn)
    work_queue.want(conn, now, "documents", ["a", "b", "c", "d"])
    work_queue.want(conn, now, "documents", ["d"], not_before=now)
    claims = work_queue.claim(conn, now, "documents", limit=2, lease_seconds=60, keys=["a", "b"])
    work_queue.park(conn, now, claims[1], "too_large", "Permanent: too large")
    retried = work_queue.claim(conn, now, "documents", limit=1, lease_seconds=60, keys=["c"])
    work_queue.retry(conn, now, retried[0], error="Transient: 500", delay=600)
    assert batches.take_over(conn, now, "documents", None, "run-1", 60) == 0
    batches.beat(conn, now, "documents", 0, "run-1", batches.WORKING, 60)
    outages.pause(conn, now, "xai-files", 120, "asks us to slow down")
    events.record(
        conn, now, "webhook", "vmh.document.update", [("CDokumente", DOCUMENT, "update")], "0" * 64, "event-1"
    )


def test_it_counts_and_names(with_state: tuple[Terminal, Database]) -> None:
    """Each stream's rows by state, the batch and what it does, the pause, the last event."""
    terminal, database = with_state
    database.run_sync(lambda conn: fill(conn, database))
    result = terminal.run("status")
    assert result.exit_code == 0
    row = next(line for line in result.output.splitlines() if line.startswith("documents"))
    assert row.split()[1:5] == ["1", "1", "1", "1"]
    assert "documents slot 0: working since" in result.output
    assert "run run-1" in result.output
    assert "paused xai-files: asks us to slow down" in result.output
    assert f"CDokumente:{DOCUMENT}" in result.output
    assert "off: nothing leaves the firm" in result.output


def test_json_is_for_programs(with_state: tuple[Terminal, Database]) -> None:
    """One object with the same facts; a batch's token stays inside."""
    terminal, database = with_state
    database.run_sync(lambda conn: fill(conn, database))
    result = terminal.run("status", "--json", XAI_EGRESS="collection")
    told = json.loads(result.stdout)
    assert told["streams"]["documents"]["parked"] == 1
    assert told["streams"]["collections"]["waiting"] == 0
    assert told["batches"][0]["activity"] == "working"
    assert "token" not in told["batches"][0]
    assert told["egress"]["leaves_the_firm"] is True
    assert told["paused"][0]["system"] == "xai-files"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("off", "off: nothing leaves the firm"),
        ("collection", "collection: documents linked"),
        ("field", "field: documents leave only where"),
    ],
)
def test_the_egress_rule_is_told_plainly(with_state: tuple[Terminal, Database], rule: str, says: str) -> None:
    """Whatever the rule is, it stands there."""
    assert f"egress  {says}" in with_state[0].run("status", XAI_EGRESS=rule).output


def test_flags_are_told(with_state: tuple[Terminal, Database]) -> None:
    """Draining, and the kill switch that stops what the rule would allow."""
    terminal, database = with_state

    def raise_both(conn: Connection) -> None:
        for name in (batches.DRAIN, batches.EGRESS_STOP):
            batches.set_flag(conn, database.now(conn), name)

    database.run_sync(raise_both)
    result = terminal.run("status", XAI_EGRESS="field")
    assert "draining: batches end" in result.output
    assert "egress  stopped by the kill switch: nothing leaves the firm" in result.output
    assert (
        json.loads(terminal.run("status", "--json", XAI_EGRESS="field").stdout)["egress"]["leaves_the_firm"]
        is False
    )


def test_flows_tell_success_drift_and_silence(with_state: tuple[Terminal, Database]) -> None:
    """What the last reconciliation found stands in the flow's line, and what is wrong with it below the table."""
    terminal, database = with_state

    def note(conn: Connection) -> None:
        now = database.now(conn)
        work_queue.want(conn, now - 7200, "collections", ["Account:6aa33b86ee6fcc0e3"])
        work_queue.want(conn, now - 300, "documents", ["a"])
        claims = work_queue.claim(conn, now - 300, "documents", limit=1, lease_seconds=60)
        work_queue.complete(conn, now - 300, claims)
        found = {"missing": 3, "orphaned": 25}
        reconciliations.note_ended(
            conn, now - 3600, "documents", begun_at=now - 3660, listed={}, counts=found, wanted=3, withheld=25
        )
        trouble = Transient("xai-files lists nothing where 40 files were.", system="xai-files")
        reconciliations.note_failed(conn, now, "documents", trouble)

    database.run_sync(note)
    output = terminal.run("status").output
    row = next(line for line in output.splitlines() if line.startswith("documents"))
    assert row.split()[-7:] == ["5", "min", "ago", "28", "60", "min", "ago"]
    assert "documents: 25 deletes wait for an approval (bitbylaw approve-deletes)." in output
    assert "documents: No good reconciliation: xai-files lists nothing where 40 files were." in output
    assert (
        "collections: Work has been waiting for 2 h, and nothing succeeded (last success: none yet)."
        in output
    )
    told = json.loads(terminal.run("status", "--json").stdout)
    documents = told["flows"]["documents"]
    assert (documents["drift"], documents["withheld"]) == (28, 25)
    assert documents["last_success_at"] == pytest.approx(told["now"] - 300, abs=30)
    assert told["flows"]["collections"]["silence"].startswith("Work has been waiting")


JSON_NAMES = {
    "now", "flows", "streams", "systems", "batches", "paused", "flags", "is_draining", "egress", "holds", "notices",
    "alerts", "pairs", "last_passes", "advoware", "termine", "events",
}  # fmt: skip


def test_json_has_stable_names(with_state: tuple[Terminal, Database]) -> None:
    """Programs of the firm read them: a name that goes is a change to be made on purpose."""
    told = json.loads(with_state[0].run("status", "--json").stdout)
    assert set(told) == JSON_NAMES
    assert set(told["flows"]) == {"documents", "collections"}
    assert set(told["flows"]["documents"]) == {
        "name", "waiting", "in_work", "delayed", "parked", "oldest_waiting_seconds", "last_success_at", "drift",
        "withheld", "reconciled_at", "reconcile_failure", "silence",
    }  # fmt: skip
    assert set(told["systems"]) == {"espocrm", "xai-files", "xai-management"}
    assert set(told["systems"]["espocrm"]) == {
        "name", "is_paused", "is_refused", "since", "until", "reason", "limits", "answered_at", "probe",
    }  # fmt: skip
    assert set(told["egress"]) == {"rule", "is_stopped", "says", "remaining", "forbidden", "leaves_the_firm"}


def test_open_alerts_are_listed(with_state: tuple[Terminal, Database]) -> None:
    """Each with what to do."""
    terminal, database = with_state
    trouble = Trouble(
        TroubleKind.DRIFT, "documents", "28 differ.", "bitbylaw reconcile --flow documents", None, 28
    )
    database.run_sync(lambda conn: alerts.put(conn, [Alert(trouble, 1.0, 2.0, None, {})]))
    output = terminal.run("status").output
    assert "Alerts (1 open)" in output
    assert "documents: 28 differ." in output
    assert "-> bitbylaw reconcile --flow documents" in output
    assert json.loads(terminal.run("status", "--json").stdout)["alerts"][0]["subject"] == "documents"


def test_probe_asks_every_system_now(calendar_office: Office) -> None:
    """With the time of its answer; what refuses our key or does not answer is said, and the exit code stays 0."""
    result = calendar_office.run("status", "--probe", "--json")
    assert result.exit_code == 0
    systems = json.loads(result.stdout)["systems"]
    assert list(systems) == ["espocrm", "xai-files", "xai-management", "advoware", "google"]
    assert all(one["probe"]["is_reached"] and one["probe"]["seconds"] > 0 for one in systems.values())
    result = calendar_office.run("status", "--probe", XAI_API_KEY="not-the-key", ADVOWARE_KANZLEI="nobody")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.output.splitlines() if line.strip()}
    assert "answers" in rows["espocrm"]
    assert " ms" in rows["espocrm"]
    assert "answers" not in rows["xai-files"].replace("answered", "")
    assert "answers" not in rows["advoware"].replace("answered", "")


def test_probe_leaves_alone_who_refuses_our_key(
    advoware_office: Office, with_state: tuple[Terminal, Database]
) -> None:
    """Every login that is refused brings the user closer to being locked out."""
    database = with_state[1]
    database.run_sync(lambda c: outages.pause(c, database.now(c), "advoware", 60.0, outages.REFUSED))
    told = json.loads(advoware_office.run("status", "--probe", "--json").stdout)
    assert told["systems"]["advoware"]["is_refused"]
    assert told["systems"]["advoware"]["probe"]["says"].startswith("not asked")
    assert advoware_office.sandbox.advoware.tokens.given == 0
