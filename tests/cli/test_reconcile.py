"""`bitbylaw reconcile`: what differs is shown, written as CSV and put into the work queue."""

from __future__ import annotations

import asyncio
import csv
import io
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bitbylaw_pipeline.cli.drift_table import CSV_COLUMNS, approvals, with_commands
from bitbylaw_pipeline.domain.drift import Drift, DriftKind, DriftReport
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import outages, reconciliations, termine_repairs, two_way_holds, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import metadata
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.wiring import open_runtime
from tests.cli.conftest import Desk, Office, Terminal
from tests.cli.test_audit import double, in_step

__all__ = ["in_step"]  # a fixture
FLOWS = ("--flow", "beteiligte", "--flow", "bankverbindungen", "--flow", "akten")


def state(database: Database) -> Any:
    """Everything in our state, without what a read costs it."""
    return database.read(
        lambda c: {
            table.name: [tuple(row) for row in c.execute(select(table))] for table in metadata.sorted_tables
        }
    )


def drift_apart(desk: Desk) -> tuple[str, str]:
    """A title changed at Advoware and one betNr taken away in EspoCRM; EspoCRM's ids of both."""
    first, second = (desk.office.party(betnr) for betnr in (20001, 20002))
    desk.office.sandbox.advoware.edit({"table": "beteiligte", "id": 20001, "set": {"titel": "Prof."}})
    desk.office.espocrm("PUT", f"CBeteiligte/{second}", {"betnr": None})
    return first, second


def work_off(desk: Desk) -> None:
    """What a running pipeline does with the queue."""

    async def main() -> None:
        async with open_runtime(settings) as runtime:
            for name, stream in runtime.streams.items():
                claiming = partial(work_queue.claim, now=now(), stream=name, limit=100, lease_seconds=60.0)
                claims = await runtime.database.run(claiming)
                for claim in claims:
                    await stream.sync(claim.key)
                await runtime.database.run(partial(work_queue.complete, now=now(), claims=claims))

    def now() -> float:
        return desk.database.read(desk.database.now)

    given = {name.lower(): value for name, value in desk.office.terminal.settings.items()}
    settings = Settings.load(_env_file=None, **given)
    asyncio.run(main())


def rows(text: str) -> list[dict[str, str]]:
    """A CSV's rows."""
    return list(csv.DictReader(io.StringIO(text)))


def test_what_is_in_step_ends_with_zero(desk: Desk) -> None:
    """One line a flow with lengths and requests; nothing found, nothing wanted; the result is noted."""
    result = desk.run("reconcile", *FLOWS)
    assert result.exit_code == 0, result.output
    for flow in ("beteiligte", "bankverbindungen", "akten"):
        assert [line for line in result.output.splitlines() if line.startswith(flow)]
    assert "Nothing differs." in result.output
    noted = desk.database.read(reconciliations.load)
    assert sorted(noted) == ["akten", "bankverbindungen", "beteiligte"]
    assert noted["beteiligte"].drift == 0
    assert noted["beteiligte"].ended_at is not None


def test_a_dry_run_writes_nothing(desk: Desk, folder: Path) -> None:
    """Found, shown and put into the table; neither system nor our state has changed."""
    first, second = drift_apart(desk)
    before = state(desk.database)
    calls = len(desk.office.sandbox.espocrm.ledger.entries)
    result = desk.run("reconcile", "--dry-run", *FLOWS, "--csv", str(folder / "drift.csv"))
    assert result.exit_code == 1, result.output
    assert state(desk.database) == before
    assert {call.method for call in list(desk.office.sandbox.espocrm.ledger.entries)[calls:]} == {"GET"}
    assert "2 would be put into the work queue" in result.output
    found = rows((folder / "drift.csv").read_text("utf-8"))
    assert tuple(found[0]) == CSV_COLUMNS
    assert [(one["flow"], one["class"], one["key"], one["repair"]) for one in found] == [
        ("beteiligte", "dangling_reference", second, "queue"),
        ("beteiligte", "stale_hash", first, "queue"),
    ]
    assert "Prof." not in result.output + (folder / "drift.csv").read_text("utf-8")


def test_repairs_go_through_the_queue_and_a_second_run_finds_nothing(desk: Desk) -> None:
    """Wanted, worked off by the pipeline, and then nothing differs any more."""
    first, second = drift_apart(desk)
    result = desk.run("reconcile", *FLOWS)
    assert result.exit_code == 1
    assert "2 repairs are in the work queue: a running bitbylaw up carries them out" in result.output
    for key in (first, second):
        row = desk.database.read(partial(work_queue.get, stream="beteiligte", key=key))
        assert row is not None
        assert row.wanted > row.done
    work_off(desk)
    assert desk.office.espocrm("GET", f"CBeteiligte/{second}")["betnr"] == 20002
    again = desk.run("reconcile", *FLOWS)
    assert again.exit_code == 0, again.output


def test_the_table_on_standard_output_stands_alone(desk: Desk) -> None:
    """`--csv -` can be piped: all that is for people goes to standard error."""
    drift_apart(desk)
    result = desk.run("reconcile", "--dry-run", "--flow", "beteiligte", "--csv", "-")
    assert result.exit_code == 1
    assert len(rows(result.stdout)) == 2
    assert result.stdout.startswith(",".join(CSV_COLUMNS))
    assert "would be put into the work queue" in result.stderr


def test_one_flow_that_fails_does_not_stop_the_others(desk: Desk) -> None:
    """Advoware's list of Akten fails: one sentence, exit code 1, noted; the parties are compared all the same."""
    assert desk.run("reconcile", *FLOWS).exit_code == 0
    desk.office.sandbox.advoware.faults.add(Fault("status", ".*/Akten.*", status=503))
    result = desk.run("reconcile", *FLOWS)
    assert result.exit_code == 1
    assert "akten could not be compared." in result.stderr
    assert [line for line in result.stdout.splitlines() if line.startswith("beteiligte")]
    noted = desk.database.read(reconciliations.load)
    assert noted["akten"].failed_with is not None
    assert noted["beteiligte"].failed_with is None


@pytest.mark.parametrize(
    "arguments",
    [("--flow", "nobody"), ("--flow", "termine"), ("--csv", "no-such-folder/drift.csv"), ("--csv",)],
)
def test_bad_usage_ends_with_two(desk: Desk, arguments: tuple[str, ...]) -> None:
    """An unknown flow, one that is not configured, a folder that is not there: nothing is compared."""
    assert desk.run("reconcile", *arguments).exit_code == 2
    assert desk.database.read(reconciliations.load) == {}


def test_all_that_is_configured_is_compared(office: Office) -> None:
    """Without Advoware: documents and collections alone; Advoware's flows are bad usage then."""
    result = office.run("reconcile", "--dry-run")
    assert result.exit_code in (0, 1), result.output
    firsts = [line.split()[0] for line in result.output.splitlines() if line and not line.startswith(" ")]
    assert {"documents", "collections"} <= set(firsts)
    assert "beteiligte" not in firsts
    assert office.run("reconcile", "--flow", "akten").exit_code == 2


def test_appointments_are_repaired_by_their_employees_pass(in_step: tuple[Office, Database]) -> None:
    """Withheld deletes name the command that allows them; allowed, they are wanted with the employee's pass."""
    office, database = in_step
    for n in range(4):
        double(office, f"doppelt{n}")
    result = office.run("reconcile", "--flow", "termine")
    assert result.exit_code == 1
    assert "bitbylaw approve-deletes termine:AB right 4" in result.output
    assert "6 events, 2 termine" in result.output
    assert not database.read(lambda c: termine_repairs.is_asked(c, "AB"))
    assert office.run("approve-deletes", "termine:AB", "right", "4").exit_code == 0
    assert "4 repairs are in the work queue" in office.run("reconcile", "--flow", "termine").output
    assert database.read(lambda c: termine_repairs.is_asked(c, "AB"))


def test_an_unusable_key_file_fails_termine_alone(calendar_office: Office, folder: Path) -> None:
    """One sentence, and everything else is compared."""
    file = folder / "key.json"
    file.write_text("{}", "utf-8")
    result = calendar_office.run("reconcile", "--dry-run", GOOGLE_SERVICE_ACCOUNT_FILE=str(file))
    assert result.exit_code == 1
    assert "termine could not be compared. Google's key file is not usable" in result.stderr
    assert [line for line in result.stdout.splitlines() if line.startswith("akten")]


def test_a_system_that_is_away_is_noted_but_not_by_a_dry_run(desk: Desk) -> None:
    """Offline, the reconciliation tells everybody else; a dry run leaves no trace of it."""
    desk.office.sandbox.advoware.switches.update({"connector": "offline"})
    desk.office.sandbox.advoware.tokens.revoke()
    assert desk.run("reconcile", "--dry-run", *FLOWS).exit_code == 1
    assert desk.database.read(outages.listing) == []
    assert desk.run("reconcile", *FLOWS).exit_code == 1
    assert [one.system for one in desk.database.read(outages.listing)] == ["advoware"]


def test_deletes_of_documents_are_approved_at_xai_alone(with_state: tuple[Terminal, Database]) -> None:
    """`approve-deletes documents right N` is kept for the next reconciliation; left is refused with a sentence."""
    terminal, database = with_state
    result = terminal.run("approve-deletes", "documents", "right", "40")
    assert result.exit_code == 0, result.output
    assert "may delete up to 40 at xAI" in result.output
    assert database.read(lambda c: two_way_holds.approved(c, "documents", "delete")) == {Side.RIGHT: 40}
    refused = terminal.run("approve-deletes", "documents", "left", "1")
    assert refused.exit_code == 2
    assert "say right, for xAI" in refused.stderr
    assert terminal.run("approve-updates", "documents", "right", "1").exit_code == 2


def test_one_command_allows_the_deletes_of_documents_and_collections() -> None:
    """Withheld rows of both flows name the same command, with the number of all that would go."""
    kept = Drift("documents", DriftKind.MISSING, "d1", "says", "documents", "d1")
    held = [
        Drift(flow, DriftKind.ORPHANED, "x", "says", flow, "x", deletes=deletes, is_withheld=True)
        for flow, deletes in (("documents", 30), ("collections", 12))
    ]
    reports = with_commands(
        [DriftReport("documents", 0.0, (kept, held[0])), DriftReport("collections", 0.0, (held[1],))]
    )
    drifts = [drift for report in reports for drift in report.drifts]
    assert approvals(drifts) == ["bitbylaw approve-deletes documents right 42"]
    assert drifts[0] == kept
