"""Sorted pages over files, collections and documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

MAX_LIMIT = 100

SortKey = Callable[[Any], Any]


def page_limit(raw: str) -> int:
    """1 to 100: nothing, zero and less mean 100, more is clamped. Raises ValueError if it is no number."""
    limit = int(raw) if raw else 0
    return min(limit, MAX_LIMIT) if limit > 0 else MAX_LIMIT


def sorted_page(
    rows: Iterable[Any], *, key: SortKey, descending: bool, after: Any | None, limit: int
) -> tuple[list[Any], bool]:
    """The first `limit` rows behind the row `after` in sort order, and whether more follow."""
    if after is not None:
        edge = key(after)
        rows = [row for row in rows if (key(row) < edge if descending else key(row) > edge)]
    ordered = sorted(rows, key=key, reverse=descending)
    return ordered[:limit], len(ordered) > limit
