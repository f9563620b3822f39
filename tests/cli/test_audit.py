"""`bitbylaw audit`: what is wrong between Advoware's Termine and Google's calendars, and its repair."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete

from bitbylaw_pipeline.cli.main import cli
from bitbylaw_pipeline.inbox import calendar_audits, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import sync_link
from tests.cli.conftest import Office, Terminal, calendar_of

NAME = "Besprechung Muster"


@pytest.fixture
def in_step(calendar_office: Office, with_state: tuple[Terminal, Database]) -> tuple[Office, Database]:
    """Two Termine of AB with their events."""
    days = ("2026-12-01", "2026-12-02")
    rows = [
        {
            "frNr": 501 + n, "datum": day, "uhrzeitVon": "09:30:00", "datumBis": day, "uhrzeitBis": "10:30:00",
            "text": NAME, "anwalt": "AB",
        }
        for n, day in enumerate(days)
    ]  # fmt: skip
    calendar_office.sandbox.advoware.seed({"termine": rows})
    for _ in range(2):
        assert calendar_office.run("pass", "termine:AB").exit_code == 0
    return calendar_office, with_state[1]


def events(office: Office) -> list[dict[str, Any]]:
    """The living events of AB's calendar."""
    state = office.sandbox.google.state()["calendars"]
    found = next(one for one in state if one["id"] == calendar_of("AB"))
    return [event for event in found["events"] if event["status"] != "cancelled"]


def double(office: Office, event_id: str = "doppelt1") -> None:
    """A second event of ours for AB's first Termin."""
    event = min(events(office), key=lambda one: str(one["start"]))
    private = {**event["extendedProperties"]["private"], "bitbylaw_event": event_id}
    office.sandbox.google.edit(
        {
            "do": "create",
            "calendar": calendar_of("AB"),
            "id": event_id,
            "set": {
                **{name: event[name] for name in ("summary", "start", "end")},
                "extendedProperties": {"private": private},
            },
        }
    )


def typed(office: Office, text: str, *arguments: str) -> Result:
    """The command's result when a person types that text at its question."""
    return CliRunner().invoke(cli, arguments, env=office.terminal.settings, input=text)


def writes(office: Office) -> list[str]:
    """What was written to Google and Advoware."""
    return [
        f"{entry.method} {entry.path}"
        for app in (office.sandbox.google, office.sandbox.advoware)
        for entry in list(app.ledger.entries)
        if entry.method != "GET" and not entry.path.startswith(("/sandbox", "/token", "/security"))
    ]


def test_nothing_found(in_step: tuple[Office, Database]) -> None:
    """Everybody's appointments are in step: one line each, exit code 0, nothing written, the result kept."""
    office, database = in_step
    before = writes(office)
    result = office.run("audit")
    assert result.exit_code == 0, result.output
    assert "AB: no findings (2 Termine, 2 events, 2 links)" in result.output
    assert "CD: no findings" in result.output
    assert writes(office) == before
    kept = database.read(lambda c: calendar_audits.load(c, ["AB", "CD", "EF", "XX"]))
    assert {name: (one.counts, one.failed_with) for name, one in kept.items()} == {
        name: ({}, None) for name in ("AB", "CD", "EF")
    }


def test_finding_with_its_plan(in_step: tuple[Office, Database]) -> None:
    """A finding stands with its planned repair, in ids and kinds alone; nothing is done, exit code 1."""
    office, database = in_step
    double(office)
    before = writes(office)
    result = office.run("audit", "ab")
    assert result.exit_code == 1
    assert (
        "two_events_of_one_termin: frNr 501, event doppelt1 -> delete event doppelt1 in Google"
        in result.output
    )
    assert NAME not in result.output
    assert writes(office) == before
    kept = database.read(lambda c: calendar_audits.load(c, ["AB"]))
    assert kept["AB"].counts == {"two_events_of_one_termin": 1}


def test_repair_asks_first(in_step: tuple[Office, Database]) -> None:
    """Anything but yes changes nothing."""
    office, _ = in_step
    double(office)
    result = typed(office, "n\n", "audit", "AB", "--repair")
    assert result.exit_code == 1
    assert "Nothing has been changed." in result.output
    assert len(events(office)) == 3


def test_repair(in_step: tuple[Office, Database]) -> None:
    """After a yes the double goes, a pass is wanted, and a second audit finds nothing."""
    office, database = in_step
    double(office)
    result = typed(office, "y\n", "audit", "AB", "--repair")
    assert result.exit_code == 0, result.output
    assert "1 events deleted in Google" in result.output
    assert len(events(office)) == 2
    row = database.read(lambda c: work_queue.get(c, "termine", "AB"))
    assert row is not None
    assert row.wanted > row.done
    assert office.run("pass", "termine:AB").exit_code == 0
    assert office.run("audit", "AB").exit_code == 0


def test_repair_of_lost_links_without_a_question(in_step: tuple[Office, Database]) -> None:
    """--yes does not ask; what is an ordinary pass's is wanted and found in order after it."""
    office, database = in_step
    database.run_sync(lambda c: c.execute(delete(sync_link)))
    result = office.run("audit", "AB", "--repair", "--yes")
    assert result.exit_code == 0, result.output
    assert "A pass over AB is wanted" in result.output
    assert office.run("pass", "termine:AB").exit_code == 0
    assert office.run("audit", "AB").exit_code == 0
    assert len(events(office)) == 2


def test_what_is_a_persons_is_left(in_step: tuple[Office, Database]) -> None:
    """A finding that only a person can settle stays, and the exit code says so."""
    office, database = in_step
    double(office)
    database.run_sync(lambda c: c.execute(delete(sync_link).where(sync_link.c.left_id == "501")))
    result = office.run("audit", "AB", "--repair", "--yes")
    assert result.exit_code == 1
    assert "1 wait for a person" in result.output
    assert len(events(office)) == 3


def test_many_deletions_need_a_number(in_step: tuple[Office, Database]) -> None:
    """More deletions than a tenth of the calendar are refused until their number is named."""
    office, _ = in_step
    for n in range(4):
        double(office, f"doppelt{n}")
    refused = office.run("audit", "AB", "--repair", "--yes")
    assert refused.exit_code == 1
    assert "--delete-limit 4" in refused.output
    assert len(events(office)) == 6
    done = office.run("audit", "AB", "--repair", "--yes", "--delete-limit", "4")
    assert done.exit_code == 0, done.output
    assert len(events(office)) == 2


def test_one_lost_calendar_holds_up_nobody(in_step: tuple[Office, Database]) -> None:
    """A refused calendar is named and remembered; everybody else is looked at."""
    office, database = in_step
    office.sandbox.google.edit({"do": "revoke_access", "calendar": calendar_of("AB"), "status": 403})
    result = office.run("audit")
    assert result.exit_code == 1
    assert "AB: could not be looked at." in result.output
    assert "EF: no findings" in result.output
    kept = database.read(lambda c: calendar_audits.load(c, ["AB", "EF"]))
    assert (kept["AB"].failed_with, kept["EF"].failed_with) == ("ScopeRefused", None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("XX",), "XX has no calendar"),
        (("--repair",), "for one employee"),
        (("AB", "CD", "--repair"), "for one employee"),
        (("AB", "--yes"), "belong to --repair"),
        (("AB", "--delete-limit", "3"), "belong to --repair"),
    ],
)
def test_not_usable(calendar_office: Office, arguments: tuple[str, ...], says: str) -> None:
    """What cannot be meant is refused with exit code 2 and one sentence."""
    result = calendar_office.run("audit", *arguments)
    assert (result.exit_code, says in result.output) == (2, True), result.output


def test_without_calendars(with_state: tuple[Terminal, Database]) -> None:
    """Without appointments there is nothing to audit."""
    result = with_state[0].run("audit")
    assert result.exit_code == 2
    assert "Appointments are not configured" in result.output
