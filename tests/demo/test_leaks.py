"""Finding a sample person's name in what was written."""

from __future__ import annotations

import json
from pathlib import Path

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
