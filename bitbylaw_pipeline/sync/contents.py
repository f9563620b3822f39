"""Fetching a document's file and judging whether it can go to xAI at all."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bitbylaw_pipeline.domain.errors import Permanent


@dataclass(frozen=True, slots=True)
class Contents:
    """A document's file as fetched: where it lies for the moment, its size in bytes, its hashes and its type."""

    path: Path
    size: int
    md5: str
    sha256: str
    content_type: str


def refusal(*, size: int, content_type: str, unreadable: Sequence[str]) -> Permanent | None:
    """Why these contents cannot go to xAI, or None; `unreadable` are patterns of types (image/*)."""
    if size == 0:
        return Permanent("The file is empty (0 bytes): upload it to EspoCRM again.", reason="empty_file")
    bare = content_type.partition(";")[0].strip().lower()
    if any(fnmatch.fnmatchcase(bare, pattern) for pattern in unreadable):
        return Permanent(
            f"xAI cannot read files of type {bare}: convert it to PDF with a text layer, DOCX or TXT.",
            reason="unreadable_type",
        )
    return None
