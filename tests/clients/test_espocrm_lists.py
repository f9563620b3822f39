"""Lists, the change feed and metadata against the stand-in for EspoCRM."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_lists import Changed
from bitbylaw_pipeline.domain.errors import NotFound, Permanent, Unexpected
from bitbylaw_pipeline.sandbox.espocrm import create_app, seeding
from bitbylaw_pipeline.sandbox.espocrm.app import EspoSandbox
from bitbylaw_pipeline.settings import Settings
from tests.clients.sandboxes import espocrm_over
from tests.clients.wire_server import Received, Reply, reply_json, wire_server

T = TypeVar("T")
KLAGE = "6b02a0dd6bb97434d"


def sandbox_with(**document: Any) -> EspoSandbox:
    """A stand-in with these records and settings."""
    sandbox = create_app()
    seeding.seed(sandbox.espo, document)
    return sandbox


def run(sandbox: EspoSandbox, use: Callable[[EspoCrm], Awaitable[T]], way: str = "asgi", **given: Any) -> T:
    """What the client made of the stand-in."""

    async def main() -> T:
        async with espocrm_over(way, sandbox, **given) as espocrm:
            return await use(espocrm)

    return asyncio.run(main())


def stamped(moments: list[str]) -> EspoSandbox:
    """Documents changed at these moments, ids in order."""
    rows = [
        {"id": f"6b02a{number:012d}", "name": "x", "createdAt": moment}
        for number, moment in enumerate(moments)
    ]
    return sandbox_with(records={"CDokumente": rows})


# Three seconds: one row, eleven rows, two rows; in pages of four a page ends inside the second one twice.
MOMENTS = ["2026-11-22 08:00:00"] + ["2026-11-22 08:00:01"] * 11 + ["2026-11-22 08:00:02"] * 2


async def changes(espocrm: EspoCrm, after: tuple[str, str] | None, page_size: int = 4) -> list[list[Changed]]:
    """The feed's pages."""
    return [page.rows async for page in espocrm.iterate_changed("CDokumente", after, page_size=page_size)]


@pytest.mark.parametrize("way", ["asgi", "http"])
@pytest.mark.parametrize("page_size", [1, 2, 3, 4, 13, 14, 15, 200])
def test_every_change_comes_once_whatever_the_page_ends(way: str, page_size: int) -> None:
    """Pages that end inside a second full of changes lose none and repeat none, in the order (time, id)."""
    pages = run(stamped(MOMENTS), lambda e: changes(e, None, page_size), way)
    rows = [row for page in pages for row in page]
    assert [row.modified_at for row in rows] == MOMENTS
    assert len({row.id for row in rows}) == len(MOMENTS)
    assert all(row.version == 1 for row in rows)
    assert len(pages) in (len(MOMENTS) // page_size, len(MOMENTS) // page_size + 1)


def test_the_feed_goes_on_after_a_key() -> None:
    """After a key inside a second come its later ids and the later seconds; without an id the whole second again."""
    sandbox = stamped(MOMENTS)
    first = run(sandbox, lambda e: changes(e, None, 200))[0]
    middle = first[5]
    after = run(sandbox, lambda e: changes(e, (middle.modified_at, middle.id)))
    assert [row for page in after for row in page] == first[6:]
    overlap = run(sandbox, lambda e: changes(e, (middle.modified_at, "")))
    assert [row for page in overlap for row in page] == first[1:]
    last = first[-1]
    assert run(sandbox, lambda e: changes(e, (last.modified_at, last.id))) == [[]]


def test_a_page_says_the_server_s_time() -> None:
    """Watermarks go by EspoCRM's clock, not ours."""
    sandbox = stamped(MOMENTS)
    sandbox.clock.pin(1_795_334_408.9)

    async def use(espocrm: EspoCrm) -> list[float | None]:
        return [page.server_time async for page in espocrm.iterate_changed("CDokumente", None)]

    assert run(sandbox, use) == [1_795_334_408.0]


def test_one_call_where_one_page_holds_all() -> None:
    """A poll without news costs exactly one call."""
    sandbox = stamped(MOMENTS)
    run(sandbox, lambda e: changes(e, ("2026-11-22 08:00:02", "x"), 200))
    run(sandbox, lambda e: changes(e, None, 14))
    assert sandbox.ledger.counts() == {"GET /api/v1/CDokumente": 2}


def test_all_ids_and_all_linked_records_over_several_pages() -> None:
    """Every id once, page by page; every linked document, more than a page of them."""
    documents = [
        {"id": f"6b02a{number:012d}", "name": "x", "rumungsklagesIds": [KLAGE]} for number in range(450)
    ]
    klage = {"id": KLAGE, "name": "Klage"}
    sandbox = sandbox_with(records={"CDokumente": documents, "CVmhRumungsklage": [klage]})

    async def use(espocrm: EspoCrm) -> tuple[list[list[str]], list[dict[str, Any]]]:
        ids = [page async for page in espocrm.iterate_ids("CDokumente")]
        return ids, await espocrm.list_linked("CVmhRumungsklage", KLAGE, "dokumentes")

    ids, linked = run(sandbox, use)
    expected = [row["id"] for row in documents]
    assert [len(page) for page in ids] == [200, 200, 50]
    assert [one for page in ids for one in page] == expected
    assert sorted(row["id"] for row in linked) == expected


def test_records_can_be_filtered_and_chosen_from() -> None:
    """A filter and a choice of columns go with every page."""
    sandbox = stamped(MOMENTS)

    async def use(espocrm: EspoCrm) -> list[dict[str, Any]]:
        where = [{"type": "equals", "attribute": "modifiedAt", "value": MOMENTS[1]}]
        pages = espocrm.iterate_records("CDokumente", select=("id", "fileStatus"), where=where, page_size=5)
        return [row async for page in pages for row in page]

    rows = run(sandbox, use)
    assert len(rows) == 11
    assert rows[0]["fileStatus"] == "neu"
    page = run(sandbox, lambda e: e.list_page("CDokumente", order_by="modifiedAt", order="desc", max_size=2))
    assert (len(page.rows), page.is_last) == (2, False)


def test_linked_records_of_what_is_gone_or_wrong() -> None:
    """A missing record is NotFound; a link that the server does not have is a mistake in the settings."""
    sandbox = stamped(MOMENTS)
    with pytest.raises(NotFound):
        run(sandbox, lambda e: e.list_linked("CDokumente", "6b02affffffffffff", "rumungsklages"))
    with pytest.raises(Permanent) as caught:
        run(sandbox, lambda e: e.list_linked("CDokumente", "6b02a000000000000", "gibtsNicht"))
    assert caught.value.reason == "no_link"


def stuck(request: Received) -> Reply:
    """A server that ignores the filter: the same two rows for ever."""
    rows = [{"id": "a", "modifiedAt": MOMENTS[0]}, {"id": "b", "modifiedAt": MOMENTS[0]}]
    return reply_json({"total": -1, "list": rows[: request.search["maxSize"]]})


def with_wire(handler: Callable[[Received], Reply], use: Callable[[EspoCrm], Awaitable[T]]) -> T:
    """The client against a handler over HTTP."""

    async def main() -> T:
        async with wire_server(handler) as server:
            espocrm = EspoCrm.open(
                Settings.load(espocrm_api_base_url=server.url, espocrm_api_key="k", _env_file=None)
            )
            try:
                return await use(espocrm)
            finally:
                await espocrm.aclose()

    return asyncio.run(main())


async def all_ids(espocrm: EspoCrm) -> None:
    """Reads ids in pages of two."""
    async for _ in espocrm.iterate_ids("CDokumente", page_size=2):
        continue


@pytest.mark.parametrize(
    "use",
    [
        all_ids,
        lambda e: changes(e, None, 2),
        lambda e: changes(e, ("2026-11-22 08:00:05", ""), 2),
        lambda e: e.list_linked("CVmhRumungsklage", KLAGE, "dokumentes", page_size=2),
    ],
    ids=["ids", "changes", "changes before the key", "linked"],
)
def test_a_server_that_ignores_the_filter_is_noticed(use: Callable[[EspoCrm], Awaitable[Any]]) -> None:
    """The same rows again end in an error, not in an endless loop."""
    with pytest.raises(Unexpected):
        with_wire(stuck, use)


def test_rows_from_before_the_key_are_not_passed_on() -> None:
    """A filter that is ignored brings every row: the first of them says so, before anybody takes it for a change."""
    with pytest.raises(Unexpected, match="ignores the filter"):
        with_wire(stuck, lambda e: changes(e, ("2026-11-22 08:00:05", ""), 2))


def test_the_search_goes_as_one_json_parameter() -> None:
    """The keyset page has the form that real servers understood (`facts/espocrm.md` 3), and asks for no total."""
    seen: list[Received] = []

    def handler(request: Received) -> Reply:
        seen.append(request)
        return reply_json({"total": -2, "list": []})

    with_wire(handler, lambda e: changes(e, ("2026-11-22 08:01:06", "6b02a14224b14414d"), 3))
    assert seen[0].headers["x-no-total"] == "true"
    assert seen[0].search == {
        "where": [
            {
                "type": "or",
                "value": [
                    {"type": "greaterThan", "attribute": "modifiedAt", "value": "2026-11-22 08:01:06"},
                    {
                        "type": "and",
                        "value": [
                            {"type": "equals", "attribute": "modifiedAt", "value": "2026-11-22 08:01:06"},
                            {"type": "greaterThan", "attribute": "id", "value": "6b02a14224b14414d"},
                        ],
                    },
                ],
            }
        ],
        "select": ["id", "modifiedAt", "versionNumber"],
        "orderBy": "modifiedAt",
        "order": "asc",
        "maxSize": 3,
        "offset": 0,
    }


@pytest.mark.parametrize("body", [{"total": 1}, {"list": {}}, {"list": ["x"]}, {"list": [{"name": "x"}]}, []])
def test_a_list_of_another_shape_is_unexpected(body: Any) -> None:
    """What is no list of records is not taken for an empty one."""
    with pytest.raises(Unexpected):
        with_wire(lambda _: reply_json(body), lambda e: e.list_page("CDokumente"))


class DictCache:
    """A shared cache in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, float]] = {}

    async def cache_get(self, key: str) -> str | None:
        """The text, if it is there."""
        return self.kept[key][0] if key in self.kept else None

    async def cache_put(self, key: str, value: str, ttl: float) -> None:
        """Keeps the text."""
        self.kept[key] = (value, ttl)


def test_metadata_is_asked_for_once_per_key_and_while() -> None:
    """Sixteen at once cost one call; after the ttl, or asked for afresh, one more."""
    sandbox = create_app()
    # A second of the real clock's would count against the ttl.
    sandbox.clock.pin(sandbox.clock.now())

    async def use(espocrm: EspoCrm) -> list[int]:
        counts = []
        for step in (0.0, 299.0, 2.0):
            sandbox.clock.advance(step)
            found = await asyncio.gather(*(espocrm.metadata("entityDefs.CDokumente") for _ in range(16)))
            assert all(one["optimisticConcurrencyControl"] is True for one in found)
            counts.append(sandbox.ledger.total)
        await espocrm.metadata("entityDefs.CDokumente", fresh=True)
        assert await espocrm.metadata("entityDefs.CGibtsNicht") is None
        assert await espocrm.metadata("entityDefs.CGibtsNicht") is None
        return [*counts, sandbox.ledger.total]

    assert run(sandbox, use, "http") == [1, 1, 2, 4]


def test_without_a_ttl_metadata_is_always_asked_for() -> None:
    """ESPOCRM_METADATA_TTL_SECONDS=0 keeps nothing anywhere."""
    sandbox, cache = create_app(), DictCache()

    async def use(espocrm: EspoCrm) -> None:
        await espocrm.metadata("entityDefs.CDokumente")
        await espocrm.metadata("entityDefs.CDokumente")

    run(sandbox, use, espocrm_metadata_ttl_seconds=0, cache=cache)
    assert (sandbox.ledger.total, cache.kept) == (2, {})


def test_metadata_is_shared_between_processes() -> None:
    """What one process asked for another finds in the cache; rubbish in there is asked for again."""
    sandbox, cache = create_app(), DictCache()

    async def use(espocrm: EspoCrm) -> Any:
        return await espocrm.metadata("entityDefs.CDokumente")

    first = run(sandbox, use, cache=cache)
    assert run(sandbox, use, cache=cache) == first
    assert sandbox.ledger.total == 1
    ((key, (text, ttl)),) = cache.kept.items()
    assert (json.loads(text), ttl) == (first, 300.0)
    cache.kept[key] = ("{rubbish", 1.0)
    assert run(sandbox, use, cache=cache) == first
    assert sandbox.ledger.total == 2
