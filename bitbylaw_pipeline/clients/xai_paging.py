"""xAI's lists to their end, and never round and round (`facts/xai.md` 2.4).

The end shows differently by endpoint and by document: no token, an empty page, a short page. And once, live, the
token was ignored: the same page for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from bitbylaw_pipeline.clients.http import System
from bitbylaw_pipeline.domain.errors import Unexpected

PAGE_SIZE = 100

_T = TypeVar("_T")


async def pages(
    system: System,
    path: str,
    *,
    key: str,
    params: Mapping[str, str],
    parse: Callable[[Mapping[str, Any]], _T],
    identity: Callable[[_T], str],
    operation: str,
    subject: str = "",
) -> AsyncIterator[list[_T]]:
    """The list's items page by page, each item once.

    Raises Unexpected if a full page comes again instead of the next: an incomplete list would be taken for files
    that are gone. A short page that comes again was the last.
    """
    seen: set[str] = set()
    token, was_full = "", False
    while True:
        query = {**params, "limit": str(PAGE_SIZE), **({"pagination_token": token} if token else {})}
        answer = await system.call("GET", path, params=query, operation=operation, subject=subject)
        rows = [parse(row) for row in answer.rows(key)] if answer.mapping().get(key) else []
        fresh = {identity(row): row for row in rows if identity(row) not in seen}
        if rows and not fresh and was_full:
            raise Unexpected(
                f"{system.name} gives the same page again ({operation} {subject}).", system=system.name
            )
        if not fresh:
            return
        yield list(fresh.values())
        seen.update(fresh)
        token = str(answer.mapping().get("pagination_token") or "")
        was_full = len(rows) >= PAGE_SIZE
        if not token:
            return


def quoted(text: str) -> str:
    """The text as a string of xAI's filter language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
