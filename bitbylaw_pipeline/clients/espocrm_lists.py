"""EspoCRM's lists: pages by key, never by offset, and a change feed by (modifiedAt, id) (`facts/espocrm.md` 3)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.clients.espocrm_paths import link_path, type_path
from bitbylaw_pipeline.clients.http import System
from bitbylaw_pipeline.domain.errors import Unexpected

PAGE_SIZE = 200
"""The most that EspoCRM gives at once unless its settings say otherwise (`recordListMaxSizeLimit`)."""

Row = dict[str, Any]
Condition = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `server_time` (UTC epoch seconds) is EspoCRM's clock as it answered."""

    rows: list[Row]
    is_last: bool
    server_time: float | None


@dataclass(frozen=True, slots=True)
class Changed:
    """A row of the change feed; `modified_at` is `YYYY-MM-DD HH:MM:SS` UTC, many rows share one."""

    id: str
    modified_at: str
    version: int | None


@dataclass(frozen=True, slots=True)
class ChangedPage:
    """Changes in the order (modifiedAt, id), and EspoCRM's clock as it answered."""

    rows: list[Changed]
    is_last: bool
    server_time: float | None


@dataclass(frozen=True, slots=True)
class _List:
    """Which list is read, and how it is called in messages."""

    path: str
    operation: str
    subject: str


class Lists:
    """Lists of any entity type and of linked records."""

    system: System

    async def list_page(
        self,
        entity_type: str,
        *,
        where: Sequence[Condition] = (),
        select: Iterable[str] = ("id",),
        order_by: str = "id",
        order: str = "asc",
        max_size: int = PAGE_SIZE,
        offset: int = 0,
    ) -> Page:
        """One page; an empty `select` is every column. Texts in it are cut at 10,000 characters: read a record by itself for its contents."""
        search = _search(where, select, order_by, order=order, max_size=max_size, offset=offset)
        return await self._page(_List(type_path(entity_type), "list", entity_type), search, max_size)

    async def iterate_records(
        self,
        entity_type: str,
        *,
        select: Iterable[str] = ("id",),
        where: Sequence[Condition] = (),
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[list[Row]]:
        """Every record that we may see, page by page in the order of ids; raises Unexpected if it does not advance."""
        source = _List(type_path(entity_type), "list", entity_type)
        async for rows in self._by_id(source, tuple(select), where, page_size):
            yield rows

    async def iterate_ids(
        self, entity_type: str, *, where: Sequence[Condition] = (), page_size: int = PAGE_SIZE
    ) -> AsyncIterator[list[str]]:
        """The ids of every record that we may see, page by page."""
        async for rows in self.iterate_records(entity_type, where=where, page_size=page_size):
            yield [row["id"] for row in rows]

    async def list_linked(
        self,
        entity_type: str,
        record_id: str,
        link: str,
        *,
        select: Iterable[str] = ("id",),
        page_size: int = PAGE_SIZE,
    ) -> list[Row]:
        """All records linked to one, every page of them; NotFound if the record itself is gone."""
        path = link_path(entity_type, record_id, link)
        source = _List(path, "list_linked", f"{entity_type} {record_id} {link}")
        return [row async for rows in self._by_id(source, tuple(select), (), page_size) for row in rows]

    async def iterate_changed(
        self,
        entity_type: str,
        after: tuple[str, str] | None,
        *,
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[ChangedPage]:
        """What was changed after the key (modified_at, id), oldest first; None is from the beginning.

        The caller keeps the last row's key and goes back by an overlap of at least 10 s of the server's time: a
        row becomes visible a little after its stamp. Rows that never got a stamp are not in the feed.
        """
        source = _List(type_path(entity_type), "list_changed", entity_type)
        while True:
            search = _search(
                _changed_after(after), ("id", "modifiedAt", "versionNumber"), "modifiedAt", max_size=page_size
            )
            page = await self._page(source, search, page_size)
            rows = [_changed(row) for row in page.rows]
            if after is not None and any(row.modified_at < after[0] for row in rows):
                # A filter that EspoCRM does not understand is ignored, and then every row comes, for ever.
                raise _stuck(self.system, source, "ignores the filter")
            last = (rows[-1].modified_at, rows[-1].id) if rows else None
            if last is not None and last == after:
                raise _stuck(self.system, source, "gives the same page again")
            yield ChangedPage(rows, page.is_last, page.server_time)
            if page.is_last or last is None:
                return
            after = last

    async def _by_id(
        self, source: _List, select: Iterable[str], where: Sequence[Condition], page_size: int
    ) -> AsyncIterator[list[Row]]:
        # By key: with offsets, rows that come and go meanwhile would shift the pages.
        after: str | None = None
        while True:
            beyond = [] if after is None else [{"type": "greaterThan", "attribute": "id", "value": after}]
            search = _search((*where, *beyond), select, "id", max_size=page_size)
            page = await self._page(source, search, page_size)
            last = page.rows[-1]["id"] if page.rows else None
            if last is not None and last == after:
                raise _stuck(self.system, source, "gives the same page again")
            yield page.rows
            if page.is_last or last is None:
                return
            after = last

    async def _page(self, source: _List, search: str, size: int) -> Page:
        answer = await self.system.call(
            "GET",
            source.path,
            # JSON in one parameter: in PHP's bracket form 200 ids are too long for nginx.
            params={"searchParams": search},
            headers={"X-No-Total": "true"},
            operation=source.operation,
            subject=source.subject,
        )
        rows = answer.rows("list")
        if not all(isinstance(row.get("id"), str) for row in rows):
            raise answer.nonsense("a record without id")
        is_last = answer.mapping().get("total") == -2 or len(rows) < size
        return Page(rows, is_last, answer.server_time())


def _search(
    where: Sequence[Condition],
    select: Iterable[str],
    order_by: str,
    *,
    order: str = "asc",
    max_size: int,
    offset: int = 0,
) -> str:
    search: dict[str, Any] = {
        "where": list(where),
        "orderBy": order_by,
        "order": order,
        "maxSize": max_size,
        "offset": offset,
    }
    if names := list(select):
        search["select"] = names
    return json.dumps(search, separators=(",", ":"))


def _changed_after(key: tuple[str, str] | None) -> list[Condition]:
    if key is None:
        return [{"type": "isNotNull", "attribute": "modifiedAt"}]
    modified_at, record_id = key
    same_second: list[Condition] = [
        {"type": "equals", "attribute": "modifiedAt", "value": modified_at},
        {"type": "greaterThan", "attribute": "id", "value": record_id},
    ]
    later = {"type": "greaterThan", "attribute": "modifiedAt", "value": modified_at}
    return [{"type": "or", "value": [later, {"type": "and", "value": same_second}]}]


def _changed(row: Row) -> Changed:
    version = row.get("versionNumber")
    return Changed(row["id"], str(row.get("modifiedAt") or ""), version if isinstance(version, int) else None)


def _stuck(system: System, source: _List, what: str) -> Unexpected:
    return Unexpected(f"{system.name} {what} ({source.operation} {source.subject}).", system=system.name)
