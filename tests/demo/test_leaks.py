"""Finding a sample person's name in what was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bitbylaw_pipeline.demo.leaks import find_leaks
from bitbylaw_pipeline.sandbox.samples.persons import SAMPLE_PERSONS

UMLAUT = next(word for word in SAMPLE_PERSONS if not word.isascii())


def test_a_name_is_found_plain_escaped_and_in_the_middle_of_bytes(tmp_path: Path) -> None:
    """In a log, in JSON, and in a database's pages; what the stand-in writes itself does not count."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "receiver.log").write_text(f"accepted {UMLAUT}\n", "utf-8")
    (tmp_path / "logs" / "sandbox.log").write_text(f"{UMLAUT}\n", "utf-8")
    (tmp_path / "events.json").write_text(json.dumps({"says": UMLAUT}))
    (tmp_path / "state.sqlite").write_bytes(b"\x00\x01" + UMLAUT.encode() + b"\xff")
    (tmp_path / "clean.log").write_text("key=6a1a42a22eb2fc203\n")
    assert sorted(find_leaks(tmp_path)) == ["events.json", "logs/receiver.log", "state.sqlite"]


@pytest.mark.parametrize(
    "written",
    [
        "+49 30 23125004",
        "+493023125004",
        "004930 23125004".replace(" ", ""),
        "03023125004",
        "DE64001201000007300000",
        "DE64 0012 0100 0007 3000 00",
        "Hopfenstieg 8",
        "eickenrahm@kanzlei-probe.example",
    ],
)
def test_numbers_and_accounts_are_found_in_every_spelling(tmp_path: Path, written: str) -> None:
    """With blanks and without, with country code and with a zero."""
    (tmp_path / "code-server.log").write_text(f"value={written} ms=3\n", "utf-8")
    assert list(find_leaks(tmp_path)) == ["code-server.log"]


def test_secrets_are_found_everywhere_but_in_the_settings(tmp_path: Path) -> None:
    """A token in a log is a leak; the file of the settings is where keys belong."""
    for name in ("receiver.log", ".env"):
        (tmp_path / name).write_text("sandbox-proxy-key\n", "utf-8")
    assert list(find_leaks(tmp_path, ["sandbox-proxy-key"])) == ["receiver.log"]
    assert list(find_leaks(tmp_path)) == []
