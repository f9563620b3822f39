"""Whether anything that the pipeline wrote holds a sample person's name or street: logs, state, Dagster's own files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from bitbylaw_pipeline.sandbox.samples.persons import SAMPLE_PERSONS

OTHER_SYSTEMS = frozenset({"sandbox.log"})
"""Written by the stand-ins, which may know their own records."""


def find_leaks(folder: Path, words: Iterable[str] = SAMPLE_PERSONS) -> Iterator[str]:
    """File names, below the folder, of whatever holds one of the words (as UTF-8, or as JSON escapes it)."""
    wanted = {form.encode() for word in words for form in (word, json.dumps(word)[1:-1])}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name not in OTHER_SYSTEMS:
            content = file.read_bytes()
            if any(word in content for word in wanted):
                yield str(file.relative_to(folder))
