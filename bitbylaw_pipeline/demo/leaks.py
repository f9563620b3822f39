"""Whether anything that the pipeline wrote holds what is a person's, or a secret: logs, state, Dagster's own files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from bitbylaw_pipeline.sandbox.samples.matters import person_konto
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS, SAMPLE_PERSONS

KEY_FILE = "google-service-account.json"
NOT_LOOKED_AT = frozenset({"sandbox.log", ".env", KEY_FILE})
"""Written by the stand-ins, which may know their own records; and the settings, which are where the keys belong."""


def spellings(text: str) -> frozenset[str]:
    """A German number or IBAN as people and programs write it; anything else comes back alone."""
    compact = "".join(text.split())
    if re.fullmatch(r"\+49\d+", compact):
        # Without zero or country code it is part of every way of writing it without blanks.
        return frozenset({text, compact.removeprefix("+49")})
    if re.fullmatch(r"DE\d{20}", compact):
        return frozenset({compact, " ".join(compact[start : start + 4] for start in range(0, 22, 4))})
    return frozenset({text})


def persons_words() -> frozenset[str]:
    """What is a sample person's: name, street, mail address; number and IBAN in every spelling."""
    accounts = [konto.iban for person in PERSONS if (konto := person_konto(person)) is not None]
    return frozenset(form for word in (*SAMPLE_PERSONS, *accounts) for form in spellings(word))


def find_leaks(folder: Path, more: Iterable[str] = ()) -> Iterator[str]:
    """File names, below the folder, of whatever holds a person's words or one of `more`, as UTF-8 or as JSON escapes
    it.
    """
    words = persons_words() | {form for word in more for form in spellings(word)}
    wanted = {form.encode() for word in words for form in (word, json.dumps(word)[1:-1])}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name not in NOT_LOOKED_AT:
            content = file.read_bytes()
            if any(word in content for word in wanted):
                yield str(file.relative_to(folder))
