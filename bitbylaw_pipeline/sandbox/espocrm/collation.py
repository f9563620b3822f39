"""Comparing text as MariaDB does with utf8mb4_unicode_ci: case, accents and trailing blanks do not count."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


def fold(text: str) -> str:
    """A key under which texts that MariaDB takes for equal are equal (`facts/espocrm.md` 3)."""
    if text.isascii():
        return text.lower().rstrip(" ")
    return _fold_unicode(text) if len(text) < 1000 else _fold_unicode.__wrapped__(text)


@lru_cache(maxsize=20_000)
def _fold_unicode(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in plain if not unicodedata.combining(char)).rstrip(" ")
