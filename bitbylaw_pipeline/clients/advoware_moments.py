"""Advoware's moments: seven digits of a second, and the year 1 for none (`facts/advoware.md` 2 and 3.1)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

_FRACTION = re.compile(r"(\.\d{6})\d+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def epoch_seconds(text: object) -> float | None:
    """A moment as UTC epoch seconds; None for none (year 1), and for what cannot be read as one.

    A moment without an offset is taken for UTC.
    """
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text.strip()))
        return (
            (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment.year > 1 else None
        )
    except (ValueError, OverflowError):
        return None


def ticks_text(epoch: float) -> str:
    """A UTC epoch second as `2021-01-29T14:04:26.7955540Z`, .NET's form with seven digits."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def date_text(text: object) -> str | None:
    """The day of a moment as YYYY-MM-DD, None for none; ValueError for what is no day."""
    if text is None or text == "":
        return None
    if not isinstance(text, str) or not _DATE.match(text):
        raise ValueError("no date")
    day = text[:10]
    return None if date.fromisoformat(day).year == 1 else day
