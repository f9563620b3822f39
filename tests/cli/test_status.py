"""What `bitbylaw status` tells."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import batches, events, outages, work_queue
from bitbylaw_pipeline.inbox.database import Database
from tests.cli.conftest import Terminal

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
