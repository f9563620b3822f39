"""`bitbylaw egress`: the register, the kill switch, and what is at xAI without permission."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from sqlalchemy import text

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document_plan import CLEAN, STOPPED
from bitbylaw_pipeline.domain.document_state import DocumentState
from bitbylaw_pipeline.inbox import collection_states, document_states, egress, egress_switch, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.egress import EgressEntry
from tests.cli.conftest import Terminal

MATTER, OTHER = "CVmhRumungsklage:6a1a42a22eb2fc201", "Account:6a1a42a22eb2fc202"
DOCUMENT = "6a1a42a22eb2fc203"


@pytest.fixture
def filled(with_state: tuple[Terminal, Database]) -> tuple[Terminal, Database]:
    """Three rows: one document in two matters, another in one."""
    _, database = with_state
    rows = [
        EgressEntry(DOCUMENT, MATTER, "ab" * 32, "xai", "collection_1", "field:0123"),
        EgressEntry(DOCUMENT, OTHER, "ab" * 32, "xai", "collection_2", "field:4567"),
        EgressEntry("another", MATTER, "cd" * 32, "xai", "collection_1", "field:0123"),
    ]
    database.run_sync(lambda c: egress.append(c, database.now(c), database.cipher, rows))
    return with_state


def head_of(output: str) -> str:
    """The head that verify and export print."""
    return next(line for line in output.splitlines() if line.startswith("head ")).removeprefix("head ")


def test_a_whole_register_is_said_to_be_whole(filled: tuple[Terminal, Database]) -> None:
    """With its head, which a person keeps elsewhere; against that head it is checked, too."""
    terminal, _ = filled
    first = terminal.run("egress", "verify")
    assert first.exit_code == 0
    assert "whole: 3 rows" in first.output
    assert terminal.run("egress", "verify", "--head", head_of(first.output)).exit_code == 0


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE egress SET ground = 'collection' WHERE seq = 2", 2),
        ("DELETE FROM egress WHERE seq = 1", 1),
        ("DELETE FROM egress WHERE seq = 3", 3),
        ("UPDATE egress_head SET seq = 9", 4),
        ("DELETE FROM egress_head", 4),
    ],
)
def test_a_broken_register_names_its_first_bad_row(
    filled: tuple[Terminal, Database], statement: str, row: int
) -> None:
    """Exit code 1 and one sentence."""
    terminal, database = filled
    database.run_sync(lambda c: c.execute(text(statement)))
    result = terminal.run("egress", "verify")
    assert result.exit_code == 1
    assert f"broken at row {row}:" in result.stderr


def test_a_register_that_does_not_fit_an_earlier_head_is_broken(filled: tuple[Terminal, Database]) -> None:
    """Also where the chain itself is whole; a head that is none is refused."""
    terminal, _ = filled
    assert terminal.run("egress", "verify", "--head", f"2:{'0' * 64}").exit_code == 1
    assert terminal.run("egress", "verify", "--head", f"4:{'0' * 64}").exit_code == 1
    refused = terminal.run("egress", "verify", "--head", "2:xyz")
    assert refused.exit_code == 2
    assert "SEQ:HASH" in refused.stderr


def test_rows_are_listed_without_saying_whose_they_are(filled: tuple[Terminal, Database]) -> None:
    """Unless one asks by a matter's or a document's id, whose key then resolves them."""
    terminal, database = filled
    everything = terminal.run("egress", "list")
    assert everything.exit_code == 0
    assert "3 rows" in everything.output
    for secret in (DOCUMENT, MATTER, OTHER, "collection_1", "ab" * 32, "0123"):
        assert secret not in everything.output
    assert "2 rows" in terminal.run("egress", "list", "--limit", "2").output
    assert "0 rows" in terminal.run("egress", "list", "--since", "2099-01-01").output
    of_matter = terminal.run("egress", "list", "--matter", MATTER)
    assert "2 rows" in of_matter.output
    assert of_matter.output.count(MATTER) == 2
    both = terminal.run("egress", "list", "--matter", MATTER, "--document", DOCUMENT)
    assert "1 rows" in both.output
    of_document = terminal.run("egress", "list", "--document", DOCUMENT)
    assert "2 rows" in of_document.output
    assert of_document.output.count(DOCUMENT) == 2
    database.run_sync(lambda c: egress.destroy_key(c, MATTER))
    assert "its key was destroyed" in terminal.run("egress", "list", "--matter", MATTER).output
    assert terminal.run("egress", "list", "--matter", "nonsense").exit_code == 2
    assert terminal.run("egress", "list", "--document", "a/b").exit_code == 2


def test_an_export_can_be_checked_without_us(filled: tuple[Terminal, Database], folder: Path) -> None:
    """Each line a row whose hash covers it and the one before, the last line the head; for its owner's eyes alone."""
    terminal, _ = filled
    file = folder / "register.jsonl"
    result = terminal.run("egress", "export", str(file))
    assert result.exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    *rows, end = [json.loads(line) for line in file.read_text().splitlines()]
    previous = "0" * 64
    for row in rows:
        found = row.pop("row_hash")
        assert row["previous_hash"] == previous
        said = json.dumps(row, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(said.encode()).hexdigest() == found
        previous = found
    assert end == {"head": {"seq": 3, "hash": previous}}
    assert head_of(result.output) == f"3:{previous}"
    piped = terminal.run("egress", "export", "-")
    assert piped.stdout == file.read_text()
    assert [one.name for one in folder.iterdir() if one.name.startswith(".bitbylaw-")] == []


def test_an_export_that_cannot_be_written_leaves_nothing_behind(
    filled: tuple[Terminal, Database], folder: Path
) -> None:
    """One sentence, and what stood there stands there still."""
    result = filled[0].run("egress", "export", str(folder / "missing" / "register.jsonl"))
    assert result.exit_code == 2
    assert "No file can be made" in result.stderr
    (folder / "taken").mkdir()
    result = filled[0].run("egress", "export", str(folder / "taken"))
    assert result.exit_code == 2
    assert [one.name for one in folder.iterdir() if one.name.startswith(".bitbylaw-")] == []


def test_stop_and_allow(with_state: tuple[Terminal, Database]) -> None:
    """The switch is on until it is lifted; lifting it takes up what was kept back, and says how much."""
    terminal, database = with_state
    assert "bitbylaw egress allow" in terminal.run("egress", "stop").output
    assert database.read(egress_switch.is_stopped)
    since = database.read(egress_switch.stopped_since)
    assert "is stopped since" in terminal.run("egress", "stop").output
    assert database.read(egress_switch.stopped_since) == since
    kept_back = DocumentState(DOCUMENT, 1.0, status=STOPPED)
    database.run_sync(lambda c: document_states.put(c, kept_back))
    database.run_sync(lambda c: document_states.put(c, DocumentState("clean", 1.0, status=CLEAN)))
    result = terminal.run("egress", "allow", XAI_EGRESS="field")
    assert "1 documents and 0 owners" in result.output
    assert not database.read(egress_switch.is_stopped)
    assert database.read(lambda c: work_queue.get(c, "documents", DOCUMENT)) is not None
    assert database.read(lambda c: work_queue.get(c, "documents", "clean")) is None
    assert "was not stopped" in terminal.run("egress", "allow", XAI_EGRESS="field").output
    assert "XAI_EGRESS is off" in terminal.run("egress", "allow").output


def test_what_remains_is_named_with_the_command_that_erases_it(
    with_state: tuple[Terminal, Database],
) -> None:
    """Exit code 0: it is a list, not a judgement."""
    terminal, database = with_state
    assert "0 at xAI" in terminal.run("egress", "remaining", XAI_EGRESS="field").output
    owner = CollectionState(MATTER, "collection_1", False, "field", 1.0)
    document = DocumentState(
        DOCUMENT, 1.0, status=CLEAN, file_id="file_1", owners=(MATTER,), collections=("collection_1",)
    )
    database.run_sync(lambda c: collection_states.put(c, owner))
    database.run_sync(lambda c: document_states.put(c, document))
    result = terminal.run("egress", "remaining", XAI_EGRESS="field")
    assert result.exit_code == 0
    assert f"bitbylaw erase document {DOCUMENT}" in result.output
    assert f"bitbylaw erase matter {MATTER}" in result.output
    assert "2 at xAI without permission" in result.output
    lines = terminal.run("egress", "remaining", "--json", XAI_EGRESS="field").output.splitlines()
    assert [json.loads(line)["why"] for line in lines] == ["withdrawn", "withdrawn"]


@pytest.mark.parametrize("command", ["verify", "list", "stop", "allow", "remaining"])
def test_without_a_state_nothing_is_made(bare: Terminal, command: str) -> None:
    """Looking, and stopping what does not run, does not make one."""
    result = bare.run("egress", command)
    assert result.exit_code == 1
    assert "There is no state at" in result.stderr
