"""`bitbylaw holds` and `conflicts`: ids and field names always, values only where asked for."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from bitbylaw_pipeline.cli.field_values import print_values
from bitbylaw_pipeline.cli.hold_words import fields_of, kind_of, meaning
from bitbylaw_pipeline.cli.holds import CSV_COLUMNS, holds_table
from bitbylaw_pipeline.cli.pair_names import sides_of
from bitbylaw_pipeline.domain.akte_match import Why
from bitbylaw_pipeline.inbox.two_way_desk import HoldView
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS
from tests.cli.conftest import Desk

ROOT = Path(__file__).parents[2]


def change_both(desk: Desk, betnr: int, left: str, right: str) -> str:
    """Another surname on either side of a linked party, passed over; returns EspoCRM's id."""
    record = desk.office.party(betnr)
    desk.office.espocrm("PUT", f"CBeteiligte/{record}", {"nachname": left})
    desk.office.sandbox.advoware.edit({"table": "beteiligte", "id": betnr, "set": {"name": right}})
    assert desk.run("pass", "beteiligte").exit_code == 0
    return record


def test_what_waits_is_listed_by_ids_with_its_meaning(desk: Desk) -> None:
    """Each hold with the record and the reason; below, what each reason means and how it is answered; no name."""
    result = desk.run("holds")
    assert result.exit_code == 0
    for subject in ("right:20003", "right:20903"):
        hold = desk.hold("ambiguous_match", subject)
        assert re.search(rf"{hold.hold_id} +\d+ s +{subject} +ambiguous_match", result.output)
    assert "ambiguous_match: Several records look like this one" in result.output
    assert "--take create | link:ID" in result.output
    assert "3 wait, 0 notices" in result.output
    for person in PERSONS:
        assert person.nachname not in result.output
    assert "0 wait" in desk.run("holds", "--pair", "akten").output


def test_notices_are_listed_on_request(desk: Desk) -> None:
    """A deletion that only undid a link waits for nobody, and is counted."""
    record = desk.office.party(20008)
    desk.office.espocrm("DELETE", f"CBeteiligte/{record}")
    desk.run("pass", "beteiligte")
    short = desk.run("holds").output
    assert "unlinked" not in short
    assert "3 wait, 1 notices (--notices)" in short
    assert "unlinked:left_deleted" in desk.run("holds", "--notices").output


def test_the_csv_is_for_programs(desk: Desk) -> None:
    """One line a hold below one with the columns' names."""
    rows = list(csv.DictReader(io.StringIO(desk.run("holds", "--csv").stdout)))
    assert len(rows) == 3
    assert tuple(rows[0]) == CSV_COLUMNS
    assert {row["record"] for row in rows} >= {"right:20003", "right:20903"}
    assert {row["kind"] for row in rows} == {"hold"}


def test_a_conflict_shows_its_fields_and_its_values_only_on_request(desk: Desk) -> None:
    """Without --values neither side's; with it, all three, below a line that says what they are."""
    change_both(desk, 20004, "Linkswort", "Rechtswort")
    short = desk.run("conflicts")
    hold = desk.hold("conflict:name+vorname")
    assert f"{hold.hold_id}-{hold.digest[:6]}" in short.output
    assert "name+vorname" in short.output
    assert "1 open" in short.output
    assert "Linkswort" not in short.output
    assert "personal data" not in short.output
    whole = desk.run("conflicts", "--values").output
    assert whole.index("personal data") < whole.index("Linkswort")
    assert re.search(r"EspoCRM +Linkswort", whole)
    assert re.search(r"Advoware +Rechtswort", whole)
    assert re.search(rf"agreed +{PERSONS[4].nachname}", whole)


def test_a_decided_conflict_is_listed_with_all(desk: Desk) -> None:
    """Who won stays on record."""
    change_both(desk, 20004, "Linkswort", "Rechtswort")
    hold = desk.hold("conflict:name+vorname")
    desk.run("resolve", f"{hold.hold_id}-{hold.digest[:6]}", "--take", "right")
    desk.run("pass", "beteiligte")
    assert "0 open" in desk.run("conflicts").output
    assert "Advoware won" in desk.run("conflicts", "--all").output


def test_a_value_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters are shown as such, and markup is text."""
    print_values(["name"], {"left": {"name": "a\x1b[2Jb[red]c"}, "right": None}, sides_of("beteiligte"))
    shown = capsys.readouterr().out
    assert "\x1b[2J" not in shown
    assert "b[red]c" in shown
    assert "(no record)" in shown


def test_the_table_fits_into_80_columns() -> None:
    """The longest hold is folded in its reason alone: ids stay whole."""
    why = "task:right:update:bankname+bic+iban+kontoinhaber"
    hold = HoldView(
        "0f5d7ebaf18c", "bankverbindungen", "left:6aab4db2f85d656da", why, None, None, None,
        is_notice=False, digest="ab12cd34", first_seen=0.0, last_seen=0.0, decided_at=None, decided_by=None,
    )  # fmt: skip
    out = io.StringIO()
    Console(file=out, width=80).print(holds_table("bankverbindungen", [hold], 1e6))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("0f5d7ebaf18c-ab12cd" in line and "left:6aab4db2f85d656da" in line for line in lines)


def engine_reasons() -> set[str]:
    """Every reason that the code holds something for."""
    found: set[str] = set()
    package = ROOT / "bitbylaw_pipeline"
    for path in (*package.glob("sync/two_way*.py"), *package.glob("domain/two_way*.py")):
        text = path.read_text("utf-8")
        found |= set(re.findall(r'Held\("(\w+)"', text))
        found |= set(re.findall(r'hold\(f?"(\w+)', text))
        found |= set(re.findall(r'Hold\(link\.link_id, "(\w+)"', text))
        found |= set(re.findall(r'record_id, "([\w:]+)"\)', text))
        found |= set(re.findall(r'_TOLD = \("(\w+)", "(\w+)"\)', text)[0] if "_TOLD = " in text else ())
    return found | {"task", "ambiguous_partner", "partner_missing", *Why}


def test_every_reason_has_a_meaning_here_and_in_the_manual() -> None:
    """A person is never shown a code that nothing explains."""
    reasons = engine_reasons()
    assert {"loop", "conflict", "approval", "approval:create", "side_empty", "delete_guard"} <= reasons
    manual = (ROOT / "docs" / "operation.md").read_text("utf-8")
    for reason in reasons:
        assert "docs/operation.md" not in meaning(reason).says, reason
        assert f"`{kind_of(reason)}" in manual, reason


def test_the_fields_of_a_reason() -> None:
    """Those of its unit; none where it is about a record."""
    assert fields_of("conflict:bic+iban") == ("bic", "iban")
    assert fields_of("approval:create") == ()
    assert fields_of("ambiguous_match") == ()
