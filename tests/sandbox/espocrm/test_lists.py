"""Lists beyond the recordings: filters, NULLs, orders, pages, cuts."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.sandbox.espocrm.driving import Server, server
from tests.sandbox.espocrm.recorded import DOCUMENT, KLAGE, SYNC, document, klage

ROWS: list[dict[str, Any]] = [
    {"id": "d1", "name": "Ärger", "fileStatus": "neu", "createdAt": "2026-01-01 10:00:00", "modifiedAt": "2026-01-02 10:00:00",
     "xaiCollections": ["a", "b"], "md5sum": "1", "versionNumber": 3},
    {"id": "d2", "name": "aerger", "fileStatus": "synced", "createdAt": "2026-01-02 10:00:00",
     "modifiedAt": "2026-01-02 10:00:00", "modifiedById": SYNC, "xaiCollections": ["b"], "versionNumber": 20},
    {"id": "d3", "name": "Brief", "fileStatus": "geändert", "createdAt": "2026-01-03 10:00:00",
     "modifiedAt": "2026-01-03 23:30:00", "modifiedById": "other", "xaiCollections": [], "md5sum": "X_y%z"},
    {"id": "d4", "name": "Zettel", "fileStatus": "neu", "createdAt": "2026-01-03 10:00:00", "modifiedAt": "2026-01-05 00:00:00"},
]  # fmt: skip


def by(params: dict[str, Any]) -> str:
    """A list request with one JSON parameter."""
    return f"CDokumente?searchParams={quote(json.dumps(params))}"


def where(*items: dict[str, Any]) -> str:
    """A list request by these conditions, in the order of ids."""
    return by({"where": list(items), "orderBy": "id", "select": ["id"]})


async def ids(running: Server, path: str) -> list[str]:
    """The ids of a list."""
    return [row["id"] for row in (await running.get(path))["list"]]


CONDITIONS: list[tuple[dict[str, Any], list[str]]] = [
    ({"type": "equals", "attribute": "name", "value": "ARGER"}, ["d1"]),
    ({"type": "equals", "attribute": "md5sum", "value": "1 "}, ["d1"]),
    ({"type": "notEquals", "attribute": "modifiedById", "value": SYNC}, ["d3"]),
    ({"type": "in", "attribute": "fileStatus", "value": ["NEU", "geandert"]}, ["d1", "d3", "d4"]),
    ({"type": "in", "attribute": "fileStatus", "value": []}, []),
    ({"type": "notIn", "attribute": "md5sum", "value": ["1"]}, ["d3"]),
    ({"type": "isNull", "attribute": "md5sum"}, ["d2", "d4"]),
    ({"type": "isNotNull", "attribute": "md5sum"}, ["d1", "d3"]),
    ({"type": "greaterThan", "attribute": "versionNumber", "value": "3"}, ["d2"]),
    ({"type": "lessThanOrEquals", "attribute": "versionNumber", "value": 3}, ["d1", "d3", "d4"]),
    ({"type": "between", "attribute": "createdAt", "value": ["2026-01-02", "2026-01-03 10:00:00"]}, ["d2", "d3", "d4"]),
    ({"type": "contains", "attribute": "name", "value": "RIE"}, ["d3"]),
    ({"type": "contains", "attribute": "md5sum", "value": "x_Y%"}, ["d3"]),
    ({"type": "notContains", "attribute": "md5sum", "value": "1"}, ["d3"]),
    ({"type": "startsWith", "attribute": "name", "value": "a"}, ["d1", "d2"]),
    ({"type": "endsWith", "attribute": "name", "value": "L"}, ["d4"]),
    ({"type": "like", "attribute": "name", "value": "%R_EF"}, ["d3"]),
    ({"type": "arrayAnyOf", "attribute": "xaiCollections", "value": ["a"]}, ["d1"]),
    ({"type": "arrayAllOf", "attribute": "xaiCollections", "value": ["a", "b"]}, ["d1"]),
    ({"type": "arrayNoneOf", "attribute": "xaiCollections", "value": ["a"]}, ["d2", "d3", "d4"]),
    ({"type": "arrayIsEmpty", "attribute": "xaiCollections"}, ["d3", "d4"]),
    ({"type": "arrayIsNotEmpty", "attribute": "xaiCollections"}, ["d1", "d2"]),
    ({"type": "after", "attribute": "modifiedAt", "value": "2026-01-03", "dateTime": True}, ["d4"]),
    ({"type": "on", "attribute": "modifiedAt", "value": "2026-01-04", "dateTime": True, "timeZone": "Europe/Berlin"}, ["d3"]),
    ({"type": "before", "attribute": "modifiedAt", "value": "2026-01-02 10:00:01", "dateTime": True}, ["d1", "d2"]),
    ({"type": "linkedWith", "attribute": "rumungsklages", "value": [KLAGE]}, ["d1"]),
    ({"type": "isNotLinked", "attribute": "rumungsklages"}, ["d2", "d3", "d4"]),
    ({"type": "isLinked", "attribute": "rumungsklages"}, ["d1"]),
    ({"type": "equals", "attribute": "rumungsklages.aktenzeichen", "value": "12/26"}, ["d1"]),
    ({"type": "equals", "attribute": "modifiedByName", "value": "SYNC"}, ["d2"]),
    ({"type": "or", "value": [{"type": "equals", "attribute": "id", "value": "d1"},
                              {"type": "and", "value": [{"type": "equals", "attribute": "fileStatus", "value": "neu"},
                                                        {"type": "isNull", "attribute": "md5sum"}]}]}, ["d1", "d4"]),
    ({"type": "lastXDays", "attribute": "modifiedAt", "value": 3, "dateTime": True}, ["d3", "d4"]),
    ({"type": "olderThanXDays", "attribute": "modifiedAt", "value": 3, "dateTime": True}, ["d1", "d2"]),
    ({"type": "currentMonth", "attribute": "createdAt", "dateTime": True}, ["d1", "d2", "d3", "d4"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("item", "expected"),
    CONDITIONS,
    ids=lambda value: str(value.get("type")) if isinstance(value, dict) else "",
)
def test_conditions(item: dict[str, Any], expected: list[str]) -> None:
    """Each where type finds what MariaDB would find: NULL never matches, text ignores case and accents."""

    async def main() -> None:
        async with server(at=1_767_657_600) as running:
            parts = {"CDokumente": ROWS, "CVmhRumungsklage": [klage(dokumentesIds=["d1"])]}
            await running.seed({"records": parts})
            assert await ids(running, where(item)) == expected

    asyncio.run(main())


REFUSED = [
    ({"type": "gibtsNicht", "attribute": "name", "value": 1}, "Unknown where item type 'gibtsNicht'."),
    (
        {"type": "linkedWith", "attribute": "gibtsNicht", "value": ["x"]},
        "Not existing relation 'gibtsNicht' in where.",
    ),
    ({"type": "in", "attribute": "name", "value": "x"}, "Bad where item 'in'."),
    ({"type": "not", "value": []}, "Sub-queries are forbidden in where. Sub-queries are forbidden in where."),
    ({"type": "isNull", "attribute": "LOWER:(name)"}, "Complex expressions are forbidden in where. " * 2),
]


@pytest.mark.parametrize(
    ("item", "reason"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_conditions_that_are_refused(item: dict[str, Any], reason: str) -> None:
    """What EspoCRM does not understand inside a well-formed where is a 400 with its own text."""

    async def main() -> None:
        async with server() as running:
            answer = await running.ask("GET", where(item))
            assert (answer.status_code, answer.headers["x-status-reason"]) == (400, reason.strip())

    asyncio.run(main())


@pytest.mark.parametrize(
    "item", [{"type": "equals", "value": 1}, {"attribute": "name"}, {"type": "or", "value": "x"}, "x"]
)
def test_ill_formed_conditions_crash(item: Any) -> None:
    """An item without type or attribute, or that is no object, is a 500 without a reason."""

    async def main() -> None:
        async with server() as running:
            answer = await running.ask("GET", where(item))
            assert answer.status_code == 500
            assert "x-status-reason" not in answer.headers

    asyncio.run(main())


def test_orders_and_ties() -> None:
    """Ties fall to the id in the same direction; enums go by their options; the default is newest first."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"records": {"CDokumente": ROWS}})
            assert await ids(running, "CDokumente") == ["d4", "d3", "d2", "d1"]
            assert await ids(running, "CDokumente?orderBy=modifiedAt") == ["d1", "d2", "d3", "d4"]
            assert await ids(running, "CDokumente?orderBy=modifiedAt&order=DESC") == ["d4", "d3", "d2", "d1"]
            assert await ids(running, "CDokumente?orderBy=fileStatus&order=asc") == ["d1", "d4", "d3", "d2"]
            assert await ids(running, "CDokumente?orderBy=modifiedBy") == ["d1", "d3", "d4", "d2"]
            assert await ids(running, "CDokumente?orderBy=id&order=asc&offset=1&maxSize=2") == ["d2", "d3"]

    asyncio.run(main())


def test_a_negative_page_is_a_database_error() -> None:
    """maxSize=-1 reaches the database and comes back as an empty 500."""

    async def main() -> None:
        async with server() as running:
            answer = await running.ask("GET", "CDokumente?maxSize=-1")
            assert (answer.status_code, answer.content) == (500, b"")

    asyncio.run(main())


def test_texts_are_cut_in_lists_only() -> None:
    """A text of 10,001 characters loses one in a list and none in a single read."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"records": {"CDokumente": [document(anmerkung="ä" * 10_001)]}})
            [row] = (await running.get("CDokumente"))["list"]
            assert len(row["anmerkung"]) == 10_000
            assert len((await running.get(f"CDokumente/{DOCUMENT}"))["anmerkung"]) == 10_001

    asyncio.run(main())


def test_a_list_row_leaves_out_links_unless_there_is_a_field_and_it_is_selected() -> None:
    """Ids of a link come in a list when it has a link-multiple field and they are asked for; a bare link never."""

    async def main() -> None:
        async with server() as running:
            parts = {"CDokumente": [document()], "CVmhRumungsklage": [klage(dokumentesIds=[DOCUMENT])]}
            await running.seed({"records": parts})
            [row] = (await running.get("CVmhRumungsklage"))["list"]
            assert "beteiligtesIds" not in row
            assert {"versionNumber", "createdByName", "streamUpdatedAt"} <= set(row)
            [row] = (await running.get("CVmhRumungsklage?select=id,beteiligtesIds,dokumentesIds"))["list"]
            assert row["beteiligtesIds"] == []
            assert "dokumentesIds" not in row
            await running.seed({"entities": {"CDokumente": {"linkMultipleFields": ["rumungsklages"]}}})
            [row] = (await running.get("CDokumente?select=id,rumungsklagesIds"))["list"]
            assert row["rumungsklagesIds"] == [KLAGE]
            assert (await running.get(f"CDokumente/{DOCUMENT}"))["rumungsklagesNames"] == {
                KLAGE: klage()["name"]
            }

    asyncio.run(main())


def test_keyset_pages_cover_everything_once() -> None:
    """Paging by (modifiedAt, id) through ties finds each record exactly once, in order."""

    async def main() -> None:
        async with server() as running:
            rows = [
                {"id": f"k{n:03}", "name": "x", "modifiedAt": f"2026-01-01 00:00:{n // 7:02}"}
                for n in range(100)
            ]
            await running.seed({"records": {"CDokumente": list(reversed(rows))}})
            seen: list[str] = []
            last: dict[str, Any] = {"modifiedAt": "2025-01-01 00:00:00", "id": ""}
            while True:
                after = {"type": "greaterThan", "attribute": "modifiedAt", "value": last["modifiedAt"]}
                same = {"type": "equals", "attribute": "modifiedAt", "value": last["modifiedAt"]}
                later = {"type": "greaterThan", "attribute": "id", "value": last["id"]}
                keyset = {"type": "or", "value": [after, {"type": "and", "value": [same, later]}]}
                page = await running.get(
                    by({"where": [keyset], "orderBy": "modifiedAt", "order": "asc", "maxSize": 9})
                )
                assert page["total"] == 100 - len(seen)
                if not page["list"]:
                    break
                seen += [row["id"] for row in page["list"]]
                last = page["list"][-1]
            assert seen == [row["id"] for row in rows]

    asyncio.run(main())


def test_the_feed_follows_changes_and_deletes() -> None:
    """A change moves a record to the end of the modifiedAt order, a delete takes it out, an undelete brings it back."""

    async def main() -> None:
        async with server(at=1_795_334_400) as running:
            await running.seed({"records": {"CDokumente": ROWS}})
            feed = "CDokumente?orderBy=modifiedAt"
            await running.ask("PUT", "CDokumente/d1", {"name": "neu"})
            assert await ids(running, feed) == ["d2", "d3", "d4", "d1"]
            await running.ask("DELETE", "CDokumente/d3")
            assert await ids(running, feed) == ["d2", "d4", "d1"]
            await running.ask("POST", "CDokumente/action/restoreDeleted", {"id": "d3"}, user="admin")
            assert await ids(running, feed) == ["d2", "d4", "d1", "d3"]

    asyncio.run(main())


def test_more_than_a_thousand_query_variables_are_cut() -> None:
    """PHP's max_input_vars drops what comes after the thousandth variable."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"records": {"CDokumente": ROWS}, "config": {"maxUriBytes": 1_000_000}})
            head = "CDokumente?where[0][type]=in&where[0][attribute]=id&"
            values = "&".join(f"where[0][value][{n}]=x{n}" for n in range(1, 999))
            assert await ids(running, f"{head}{values}&where[0][value][0]=d1") == []
            assert await ids(running, f"{head}where[0][value][0]=d1&{values}") == ["d1"]

    asyncio.run(main())
