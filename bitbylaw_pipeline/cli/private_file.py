"""A file for its owner's eyes alone that is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, TypeVar

from bitbylaw_pipeline.cli.problems import NotUsable

T = TypeVar("T")


def write_private(target: Path, write: Callable[[TextIO], T]) -> T:
    """Has the text written beside the target and put in its place once it is on disk (mode 0600); what `write` returns.

    Raises NotUsable where no file can be made there, and what `write` raises; the target is then as it was.
    """
    try:
        descriptor, draft = tempfile.mkstemp(prefix=".bitbylaw-", dir=target.parent)  # 0600 from the start
    except OSError as error:
        raise NotUsable(f"No file can be made in {target.parent}: {error.strerror}.") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            result = write(file)
            file.flush()
            os.fsync(file.fileno())
        try:
            Path(draft).replace(target)
        except OSError as error:
            raise NotUsable(f"{target} cannot be replaced: {error.strerror}.") from None
    finally:
        Path(draft).unlink(missing_ok=True)
    return result
