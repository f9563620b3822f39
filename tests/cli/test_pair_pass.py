"""`bitbylaw pass`, `plan` and `sync` over parties, accounts and Akten, and what `status` says of them."""

from __future__ import annotations

import json

import pytest

from bitbylaw_pipeline.inbox import outages, run_leases, work_queue
from bitbylaw_pipeline.inbox.database import Database
from tests.cli.conftest import Desk, Office, Terminal


def writes(office: Office) -> list[str]:
    """Every call by which one of the two systems was changed."""
    calls = [*office.sandbox.espocrm.ledger.entries, *office.sandbox.advoware.ledger.entries]
    return [
        f"{call.method} {call.path}"
        for call in calls
        if call.method != "GET" and "Token" not in call.path and "/sandbox/" not in call.path
    ]


def row(output: str, name: str) -> list[str]:
    """The cells of the line that begins with that name, in the last table that has one."""
    return [line.split() for line in output.splitlines() if line.startswith(name)][-1]


def test_a_plan_says_what_a_pass_would_do_and_does_nothing(advoware_office: Office) -> None:
    """Links, creates and holds as lines of ids; neither system is written to, and nothing is remembered."""
    result = advoware_office.run("plan")
    assert result.exit_code == 0, result.output
    assert "left is EspoCRM, right is Advoware" in result.output
    assert "right:21001: create on the left" in result.output
    assert "right:20003: held, ambiguous_match" in result.output
    assert writes(advoware_office) == []
    assert "0 wait" in advoware_office.run("holds").output
    assert row(advoware_office.run("status").output, "beteiligte")[1:] == ["0", "0", "0", "0", "0", "never"]


def test_a_pass_puts_everything_right_once(advoware_office: Office) -> None:
    """The first links, makes and holds; the second writes nothing; status has both in numbers."""
    first = advoware_office.run("pass")
    assert first.exit_code == 0, first.output
    assert row(first.output, "beteiligte")[1:6] == ["0", "7", "0", "3", "0"]
    assert row(first.output, "akten")[1] == "10"
    assert "bitbylaw holds" in first.output
    before = len(writes(advoware_office))
    assert row(advoware_office.run("pass").output, "beteiligte")[1:6] == ["18", "0", "0", "3", "0"]
    assert len(writes(advoware_office)) == before
    told = advoware_office.run("status").output
    assert row(told, "beteiligte")[1:6] == ["18", "3", "0", "0", "0"]
    assert row(told, "bankverbindungen")[1:6] == ["8", "0", "0", "0", "0"]
    assert row(told, "akten")[1] == "10"
    assert "Advoware answered" in told
    assert "Nothing to do." in advoware_office.run("plan", "bankverbindungen").output


def test_an_offline_connector_is_told_by_pass_and_status(desk: Desk) -> None:
    """One sentence and exit code 1; status says since when; the pass after it lifts the pause."""
    switches = desk.office.sandbox.advoware.switches
    switches.update({"connector": "offline"})
    desk.office.sandbox.advoware.tokens.revoke()
    failed = desk.run("pass")
    assert failed.exit_code == 1
    assert "the firm is not connected" in failed.stderr
    assert "Advoware does not answer since" in desk.run("status").output
    assert "does not answer since" in json.loads(desk.run("status", "--json").stdout)["advoware"]["says"]
    switches.update({"connector": "online"})
    assert desk.run("pass").exit_code == 0
    assert desk.database.read(outages.listing) == []


def test_one_pass_at_a_time_over_a_pair(desk: Desk) -> None:
    """While another run has the pair in hand it is left alone, and the exit code says so."""
    database = desk.database
    database.run_sync(lambda c: run_leases.take(c, database.now(c), "beteiligte", 60.0))
    result = desk.run("pass", "beteiligte")
    assert result.exit_code == 1
    assert "another run has it in hand" in result.output


def test_one_record_can_be_synced_by_itself(desk: Desk) -> None:
    """The trial names the fields and changes nothing; --here carries it out."""
    record = desk.office.party(20004)
    desk.office.espocrm("PUT", f"CBeteiligte/{record}", {"titel": "Prof."})
    before = len(writes(desk.office))
    trial = desk.run("sync", "beteiligte", record, "--dry-run")
    assert "update on the right: titel" in trial.output
    assert len(writes(desk.office)) == before
    done = desk.run("sync", "beteiligte", record, "--here")
    assert f"{record}: synced" in done.output
    assert "update_right: titel" in done.output
    assert "Nothing to do." in desk.run("sync", "beteiligte", record, "--dry-run").output


@pytest.mark.parametrize(
    "arguments", [("pass",), ("plan",), ("sync", "beteiligte", "6a1a42a22eb2fc203"), ("sync", "akten", "7")]
)
def test_without_advoware_it_is_said_at_once(
    with_state: tuple[Terminal, Database], arguments: tuple[str, ...]
) -> None:
    """Exit code 2 and which settings are missing; nothing reaches the queue."""
    terminal, database = with_state
    result = terminal.run(*arguments)
    assert result.exit_code == 2
    assert "Advoware is not configured" in result.stderr
    assert database.read(lambda c: work_queue.summary(c, database.now(c))) == {}


def test_status_leaves_advoware_out_where_there_is_none(with_state: tuple[Terminal, Database]) -> None:
    """Neither its streams nor its pairs."""
    assert "beteiligte" not in with_state[0].run("status").output


@pytest.mark.parametrize(
    ("stream", "key"), [("beteiligte", "a/b"), ("bankverbindungen", "a b"), ("akten", "seven")]
)
def test_a_key_that_cannot_be_one_is_bad_usage(
    with_state: tuple[Terminal, Database], stream: str, key: str
) -> None:
    """One sentence, exit code 2."""
    result = with_state[0].run("sync", stream, key)
    assert result.exit_code == 2
    assert "key" in result.stderr
